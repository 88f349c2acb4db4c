"""The study's files expand, and its script runs grids and tests in order and goes on where it stopped."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cmr.errors import UserError
from cmr.study import frozen, runs
from cmr.study.grid import load
from cmr.study.groups import by_setting
from study.run import MEASURED, check, kind_of, main, results_of, run

ROOT = Path(__file__).resolve().parent.parent
FROZEN = [
    file for file in sorted(ROOT.glob("study/*/*.toml")) if re.search(r"^\[(ddt|boxes)\]", file.read_text(), re.M)
]
GRIDS = [f for f in sorted(ROOT.glob("study/*/*.toml")) if f not in FROZEN and "[reevaluate]" not in f.read_text()]
REEVALUATIONS = [file for file in sorted(ROOT.glob("study/*/*.toml")) if "[reevaluate]" in file.read_text()]

GRID = """
preset = "tiny"
[common]
epochs = 1
device = "cpu"
data_settings = { train = 32, test = 16 }
[[runs]]
method = "cmr"
"""
TESTS = """
[reevaluate]
runs = "{results}/toy"
methods = ["cmr"]
match = {{ beta = 50.0 }}
[[tests]]
test_modules = "on"
[[tests]]
maps = "gradcam"
"""


@pytest.mark.parametrize("file", GRIDS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_grid_expands(file):
    grid = load(file)
    assert len(grid.configs) == len(set(grid.configs)) > 0
    if grid.choose:
        search = file.parent / grid.choose["sweep"]
        assert results_of(search) == Path(grid.choose["results"])
        if "method" in grid.choose["by"]:  # else all methods take the same
            assert {config.method for config in load(search).configs} >= {config.method for config in grid.configs}


@pytest.mark.parametrize("file", FROZEN, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_file_of_measurements_expands(file):
    content = check(file)
    found = frozen.expand(content, kind_of(content), MEASURED[kind_of(content)][0], str(file))
    assert len(found) == len(set(found)) > 0


@pytest.mark.parametrize("file", REEVALUATIONS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_what_is_tested_again_is_trained_before(file):
    before = [other for other in GRIDS if other.parent == file.parent]
    assert any(f'runs = "{results_of(other)}"' in file.read_text() for other in before)


@pytest.mark.slow
def test_grids_run_in_order_then_tests_and_a_second_call_does_nothing(tmp_path, capfd):
    results = tmp_path / "results"
    (tmp_path / "2-toy.toml").write_text(GRID)
    (tmp_path / "10-toy-tests.toml").write_text(TESTS.format(results=results))
    run(tmp_path, results)
    trained, tested = runs.find(results / "toy"), runs.find(results / "toy-tests")
    assert len(trained) == 1
    assert len(tested) == 2
    assert {item.record.trained.id for item in tested} == {trained[0].id}
    stamps = {item.path: (item.path / runs.RECORD).stat().st_mtime_ns for item in (*trained, *tested)}
    run(tmp_path, results)
    assert stamps == {path: (path / runs.RECORD).stat().st_mtime_ns for path in stamps}


def test_measurements_of_frozen_networks_are_made_once(tmp_path):
    (tmp_path / "3-toy-ddt.toml").write_text('[ddt]\npreset = "tiny"\nimage_size = 32\n[[measure]]\nimages = [1, 5]\n')
    for _ in range(2):
        run(tmp_path, tmp_path / "results")
        found = frozen.find(tmp_path / "results" / "toy-ddt", kind="ddt")
        assert [one.record.settings["images"] for one in found] in ([1, 5], [5, 1])
        stamps = [(one.path / frozen.RECORD).stat().st_mtime_ns for one in found]
    assert stamps == [(one.path / frozen.RECORD).stat().st_mtime_ns for one in found]
    (tmp_path / "3-toy-ddt.toml").write_text("[ddt]\nimage = 32\n")
    with pytest.raises(UserError, match=r"unknown setting in .*3-toy-ddt.toml 'image': did you mean 'images'"):
        run(tmp_path, tmp_path / "results")


@pytest.mark.slow
def test_a_file_that_fails_stops_no_other_and_is_named_at_the_end(tmp_path, capfd):
    results = tmp_path / "results"
    (tmp_path / "1-lost.toml").write_text(
        GRID.replace("data_settings = { train = 32, test = 16 }", 'data = "folder"\ndata_root = "gone"')
    )
    (tmp_path / "2-tests.toml").write_text(TESTS.format(results=tmp_path / "none"))
    (tmp_path / "3-toy.toml").write_text(GRID)
    with pytest.raises(UserError, match=r"^1-lost\.toml, 2-tests\.toml: not all of it ran"):
        run(tmp_path, results)
    assert len(runs.find(results / "toy")) == 1
    said = capfd.readouterr()
    assert "0 of 1 runs finished, 0 diverged, 1 failed" in said.out
    assert "none/toy holds no run of cmr" in said.err


def test_mistakes_are_named(tmp_path, capsys, monkeypatch):
    with pytest.raises(UserError, match="holds no grid file"):
        run(tmp_path)
    (tmp_path / "1-tests.toml").write_text('[reevaluate]\nruns = "nothing"\nmethod = ["cmr"]\n')
    with pytest.raises(UserError, match="unknown key of .reevaluate. in .* 'method': did you mean 'methods'"):
        run(tmp_path)
    (tmp_path / "2-grid.toml").write_text('preset = "tiny')
    (tmp_path / "1-tests.toml").write_text('[reevaluate]\nruns = "nothing"\n[[tests]]\ntest_flip = true\n')
    with pytest.raises(UserError, match=r"2-grid\.toml"):
        run(tmp_path)
    (tmp_path / "2-grid.toml").unlink()
    monkeypatch.setattr("sys.argv", ["study.run", str(tmp_path)])
    assert main() == 2
    assert "nothing holds no run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[reevaluate]\nmethods = ["cam"]\n[[tests]]\ntest_flip = true\n', "names no runs"),
        ('[reevaluate]\nruns = "x"\n', "there is no test"),
        ('[reevaluate]\nruns = "x"\n[[test]]\ntest_flip = true\n', "'test': did you mean 'tests'"),
        ('[reevaluate]\nruns = "x"\n[[tests]]\ntest_flipp = true\n', "'test_flipp': did you mean 'test_flip'"),
        ('[reevaluate]\nruns = "x"\n[[tests]]\ntest_modules = "on"\n', "of cam: unknown test setting 'test_modules'"),
        ('[reevaluate]\nruns = "x"\n[[tests]]\nmaps = "gradcan"\n', "'gradcan': did you mean 'gradcam'"),
        ('[reevaluate]\nruns = "x"\n[[tests]]\nthreshold = "low"\n', "threshold"),
    ],
)
def test_a_mistake_in_a_test_is_told_before_anything_runs(tmp_path, content, said):
    (tmp_path / "1-tests.toml").write_text(content)
    with pytest.raises(UserError, match=f"1-tests.toml.*{said}"):
        check(tmp_path / "1-tests.toml")


@pytest.mark.parametrize("file", REEVALUATIONS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_file_of_tests_is_free_of_mistakes(file):
    assert check(file)["tests"]


def test_every_row_of_the_readings_page_has_its_records():
    """The page names its rows by their keys, and prints "not run" where it finds none of that name."""
    notebook = json.loads((ROOT / "notebooks/readings.ipynb").read_text())
    code = "".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    asked = set(re.findall(r'"((?:cam|has|cmr|views_only)(?:_\w*)?)"', code))
    found = runs.find(ROOT / "results/toybirds-random-readings")
    found += [run for run in runs.find(ROOT / "results/toybirds-random") if run.config.method in ("cam", "has", "cmr")]
    groups = by_setting([*found, *runs.find_diverged(ROOT / "results/toybirds-random-readings")])
    assert len(asked) > 20
    assert asked <= set(groups)
    assert {key for key in groups if key.startswith("cmr_beta_0_sizes")} == {
        f"cmr_beta_0_sizes_{size}" for size in (5, 9, 13, 16)
    }


@pytest.mark.parametrize("folder", sorted(path.name for path in (ROOT / "results").iterdir() if path.is_dir()))
def test_outcomes_of_single_images_give_the_recorded_share(folder):
    """Tables print what was counted; intervals are drawn from the IoU of each image. They are the same images."""
    for made in [*runs.find(ROOT / "results" / folder), *frozen.find(ROOT / "results" / folder)]:
        iou = made.outcomes()["iou"]
        right = 100 * np.mean(iou[~np.isnan(iou)] >= 0.5)
        assert right == pytest.approx(made.result.gt_known_loc, abs=1e-3), made.path

"""Grid files on plain processes, and the script for a GPU that is lent: records are packed as they finish."""

import importlib
import os
import subprocess
import sys
import tarfile
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from cmr.errors import UserError
from study import pool
from study.pool import run

ROOT = Path(__file__).resolve().parent.parent
COMMON = '[common]\nepochs = 1\ndevice = "cpu"\ndata_settings = { train = 64, test = 16 }\n'
SEARCH = f'preset = "tiny"\n{COMMON}holdout = 0.25\n[[runs]]\nmethod = "cam"\n[runs.grid]\nlr = [0.01, 0.02]\n'
MAIN = f"""preset = "tiny"
{COMMON}[[runs]]
method = "cam"
[choose]
results = "results/search"
sweep = "1-search.toml"
field = "lr"
by = ["method"]
metric = "Top-1 Clas"
"""


def files(folder: Path) -> list[Path]:
    (folder / "1-search.toml").write_text(SEARCH)
    (folder / "2-main.toml").write_text(MAIN)
    return [folder / "1-search.toml", folder / "2-main.toml"]


def packed(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return [f"{Path(name).parts[-3]}/{Path(name).name}" for name in archive.getnames()]


@pytest.mark.slow
def test_a_file_waits_for_the_search_that_it_chooses_from(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results").symlink_to("elsewhere")  # as on a machine whose fast disk lies elsewhere
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert run(files(tmp_path), Path("results"), 2, 5.0, 1, tmp_path / "records.tar") == 0
    names = packed(tmp_path / "records.tar")
    assert sorted(names) == sorted(
        ["search/record.json", "search/outcomes.safetensors.xz"] * 2
        + ["main/record.json", "main/outcomes.safetensors.xz"]
    )
    assert names[-1].startswith("main/")
    assert run(files(tmp_path), Path("results"), 2, 5.0, 1) == 0  # all is done: no process starts


def test_without_time_nothing_begins_and_all_is_said_to_be_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(files(tmp_path), Path("results"), 1, 0.0, 1) == 2
    assert "not begun: 1-search.toml, 2-main.toml" in capsys.readouterr().out


@pytest.mark.slow
def test_a_process_that_dies_and_a_search_that_failed_end_nothing_else(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{tmp_path}")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "dying.py").write_text(
        "import os\nfrom pathlib import Path\nfrom cmr.study.sweep import work as real\n"
        "def work(config, out, *rest):\n"
        "    if out.endswith('search'):\n        return 'it failed'\n"
        "    if not Path('died').exists():\n        Path('died').touch()\n        os._exit(9)\n"
        "    return real(config, out, *rest)\n"
    )
    monkeypatch.setattr(pool, "work", importlib.import_module("dying").work)
    (tmp_path / "3-other.toml").write_text(SEARCH)
    code = pool.run([*files(tmp_path), tmp_path / "3-other.toml"], Path("results"), 1, 5.0, 1, tmp_path / "records.tar")
    said = capsys.readouterr().out
    assert code == 3 and "0 not finished; 3 failed; not begun: none" in said  # two of the search, and what it is for
    assert "2 of the 2 runs" in said
    assert sorted(packed(tmp_path / "records.tar")) == ["other/outcomes.safetensors.xz"] * 2 + ["other/record.json"] * 2


def test_a_process_that_dies_while_a_run_is_planned_ends_nothing(tmp_path, monkeypatch, capsys):
    refusals = iter([True])

    class Pool:
        def __init__(self, *_):
            pass

        def submit(self, *_):
            if next(refusals, False):
                raise BrokenProcessPool
            done = Future()
            done.set_result("")
            return done

        def shutdown(self, **_):
            pass

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pool, "ProcessPoolExecutor", Pool)
    assert run(files(tmp_path)[:1], Path("results"), 2, 5.0, 1) == 0
    assert "0 not finished; 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("processes", "pack", "said"), [(0, None, "processes: 0"), (1, "text.tar", "pack: .*text.tar")]
)
def test_mistakes_in_options_are_told_before_anything_runs(tmp_path, monkeypatch, processes, pack, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.tar").write_text("no archive " * 100)
    with pytest.raises(UserError, match=said):
        run(files(tmp_path), Path("results"), processes, 5.0, 1, pack and Path(pack))
    assert not (tmp_path / "results").exists()


def test_the_archive_may_lie_in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(files(tmp_path), Path("results"), 1, 0.0, 1, Path("new/records.tar")) == 2
    assert Path("new/records.tar").is_file()


@pytest.mark.slow
def test_the_script_for_a_lent_gpu(tmp_path):
    grid = files(tmp_path)[0]
    (tmp_path / "cmr").symlink_to(ROOT / "cmr")
    (tmp_path / "study").symlink_to(ROOT / "study")
    asked = ["bash", str(ROOT / "benchmarks" / "gpu.sh"), str(tmp_path / "out"), "5", str(grid)]
    places = {"PYTHON": sys.executable, "TMPDIR": str(tmp_path), "BENCH": "", "PRESET": "tiny", "PROCESSES": "1"}
    done = subprocess.run(asked, cwd=tmp_path, env=os.environ | places, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(packed(tmp_path / "out" / "records.tar")) == 4
    assert "0 not finished; 0 failed" in (tmp_path / "out" / "log.txt").read_text()

"""The command line as a person uses it: what it prints, what it leaves, how it fails."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tqdm import tqdm

import cmr
from cmr import cli
from cmr.errors import UserError
from cmr.study import records, runs
from cmr.study.reevaluate import changed, reevaluate
from tests.cli.calls import call, fail

pytestmark = pytest.mark.slow


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def test_train_prints_the_metrics_and_leaves_one_folder(capsys, tmp_path):
    asked = ["--preset", "tiny", "--method", "cam", "--epochs", "1", "--device", "cpu", "--out", tmp_path]
    said = call(capsys, "train", *asked)
    assert "cam on ToyBirds (32 test images)" in said
    assert "GT-known Loc" in said
    [folder] = tmp_path.iterdir()
    own = {runs.RECORD, records.OUTCOMES, runs.MODEL}
    assert {path.name for path in folder.iterdir()} == {*own, *runs.DRAWN}
    assert f"boxes: {folder / 'gallery.png'}\non pictures: cmr localize PICTURES --run {folder}" in said
    before, _, again = call(capsys, "train", *asked).partition("\n")
    assert again == said  # finished: the same table at once
    assert before.startswith("finished before, at ") and before.endswith("nothing was trained; --rerun trains it again")


def test_train_reaches_the_settings_of_method_and_data(capsys, tmp_path):
    call(
        capsys, "train", "--preset", "tiny", "--beta", "2.5", "--sizes", "4", "--no-caam", "--epochs", "1",
        "--classes", "3", "--data-settings.head", "0.5", "--device", "cpu", "--out", tmp_path,
    )  # fmt: skip
    [run] = runs.find(tmp_path)
    settings = run.config.settings
    data = run.config.data_settings
    assert (settings.beta, settings.sizes, settings.caam) == (2.5, (4,), False)
    assert (data.classes, data.head) == (3, 0.5)  # the second as the commands in older records have it


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "unknown command 'trian': did you mean 'train'"),
        (["train", "--method", "crm"], "unknown method 'crm': did you mean 'cmr'"),
        (["train", "--preset", "tinny"], "unknown preset 'tinny': did you mean 'tiny'"),
        (["train", "--epoch", "3"], "--epochs"),
        (["train", "--method"], "cmr: train: Missing value for"),
        (["train", "--preset", "tiny", "--epochs", "0"], "epochs: 0 is out of range"),
        (["train", "--preset", "tiny", "--weights", "no/file.safetensors"], "no/file.safetensors"),
        (["train", "--data", "cub", "--data-root", "no/folder"], "no/folder"),
        (["evaluate", "--run", "no/run"], "no/run: no finished run there"),
        (["localize", "no/picture.jpg"], "no/picture.jpg: no such picture or folder"),
        (["data", "check", "--data", "cubb"], "unknown data set 'cubb': did you mean 'cub'"),
        (["data", "make"], "out: say which folder to write"),
        (["notebook", "no.ipynb", "out.ipynb"], "no.ipynb: there is no such notebook"),
    ],
)
def test_a_mistake_ends_in_one_message(capsys, arguments, message):
    said = fail(capsys, *arguments)
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_explains_every_field(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert f"cmr {command}" in said
    words = " ".join(said.replace("│", " ").split())
    fields = [
        field for field in re.split(r"(?<!,) (?=--[a-z])", words[words.index("options") :])[1:] if field[2] != " "
    ]
    assert fields
    for field in fields:  # the flag, its values, what it is for, and in brackets the default
        about = re.sub(r"^--\S+( *, --\S+)*|\{[^}]*\}|\([^()]*\)|\[[^]]*\]|\b[A-Z]{3,}\b", "", field)
        assert len(re.findall(r"[a-z]{2,}", about)) >= 2, field
    if command == "train":
        for explained in ("weight of the fusion loss, eq. 15", "passes over the training images", "dial of the head"):
            assert explained in words


HEAVY = {"torch", "timm", "torchvision", "lightning", "torchmetrics", "numba", "pandas", "matplotlib", "seaborn"}


def test_no_help_waits_for_a_library_that_takes_seconds_to_load():
    script = """
import contextlib, io, sys
from cmr import cli
for command in cli.COMMANDS:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        cli.main([command, "--help"])
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not HEAVY.intersection(done.stdout.split())


def test_a_plan_loads_no_library_that_trains(tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text('preset = "tiny"\n[[runs]]\n[runs.grid]\nmethod = ["cam", "cmr"]\n')
    script = f"""
import sys
from cmr import cli
cli.main(["sweep", {str(grid)!r}, "--out", {str(tmp_path)!r}, "--dry-run"])
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "2 runs: 0 done, 2 to do" in done.stdout
    assert not HEAVY.intersection(done.stdout.split())


def test_overview_has_a_line_and_an_example_for_each_command(capsys):
    said = call(capsys)
    assert "cmr COMMAND --help" in said
    for name, line in cli.COMMANDS.items():
        assert f"cmr {name:9} {line}\n" in said
        assert cli.EXAMPLES[name].startswith(f"cmr {name} ") and cli.EXAMPLES[name] in said


def test_evaluate_repeats_the_record(capsys, tiny_run, tmp_path):
    out = tmp_path / "result.json"
    call(capsys, "evaluate", "--run", tiny_run.path, "--device", "cpu", "--out", out)
    written = json.loads(out.read_text())
    assert written["result"]["GT-known Loc"] == pytest.approx(tiny_run.result.gt_known_loc)
    call(
        capsys,
        "evaluate",
        "--run",
        tiny_run.path,
        "--threshold",
        "0.9",
        "--normalise",
        "max",
        "--device",
        "cpu",
        "--out",
        out,
    )
    written = json.loads(out.read_text())
    assert (written["threshold"], written["normalise"]) == (0.9, "max")
    config = changed(tiny_run.config, {"threshold": 0.9, "normalise": "max"})
    assert written["result"] == reevaluate(tiny_run, config, progress=False).to_dict()


def test_names_of_any_script_are_drawn_and_printed(capsys, tiny_run, tmp_path):
    record = json.loads((tiny_run.path / runs.RECORD).read_text())
    record["classes"] = ["翠鸟" for _ in record["classes"]]
    del record["checksum"]  # edited on purpose
    shutil.copytree(tiny_run.path, tmp_path / "run")
    (tmp_path / "run" / runs.RECORD).write_text(json.dumps(record))
    (tmp_path / "зимородок").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "зимородок" / "鸟.png")
    place = os.environ | {"PYTHONPATH": str(Path(cmr.__file__).parent.parent), "PYTHONIOENCODING": "ascii"}
    words = ["localize", "зимородок", "--run", "run", "--device", "cpu", "--out", "out"]
    command = [sys.executable, "-m", "cmr", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=place, timeout=120)
    assert done.returncode == 0
    assert done.stdout.startswith("\\u9e1f.png: \\u7fe0\\u9e1f (")
    assert done.stderr == "" or "no font here has all letters of '\\u7fe0\\u9e1f'" in done.stderr
    assert size_of(tmp_path / "out" / "鸟.cmr.png") == (60, 40)


def test_a_message_begins_a_line_behind_a_progress_bar(capsys, monkeypatch):
    def breaks(_):
        for i in tqdm(range(5), desc="reading"):
            if i:
                raise UserError("the second cannot be read")

    monkeypatch.setattr("cmr.cli.report.command", breaks)
    assert "\ncmr: the second cannot be read\n" in fail(capsys, "report")


RESUME = "cmr: stopped; the same command with --resume goes on\n"


def test_a_stopped_command_speaks_of_resuming_only_where_one_can(capsys, monkeypatch):
    def stopped(_):
        raise KeyboardInterrupt

    for command, message in (("report", "cmr: stopped\n"), ("train", RESUME)):
        monkeypatch.setattr(f"cmr.cli.{command}.command", stopped)
        with pytest.raises(SystemExit) as ended:
            cli.main([command])
        assert ended.value.code == 130 and capsys.readouterr().err == message


def test_score_refuses_sizes_and_steps_before_maps_are_read(capsys):
    asked = ["score", "--scoremaps", "no", "--metadata", "no", "--normalise", "minmax"]
    assert "score: --size 100000 is out of range; give 0, or a side of 1 to 8192" in fail(
        capsys, *asked, "--size", "100000"
    )


def test_data_make_is_read_by_data_check(capsys, tmp_path):
    made = tmp_path / "birds"
    call(capsys, "data", "make", "--train", "6", "--test", "4", "--classes", "2", "--size", "32", "--out", made)
    said = call(capsys, "data", "check", "--data", "folder", "--data-root", made)
    assert "birds train: 6 images, 2 classes, 6 boxes" in said
    assert "birds test: 4 images" in said
    assert said.count("all well") == 2 and "note" not in said
    table = (made / "images.csv").read_text()
    (made / "images.csv").write_text(table + table.splitlines()[-1] + "\n")
    said = call(capsys, "data", "check", "--data", "folder", "--data-root", made, "--split", "test")
    assert said.count("note: ") == 1 and "1 line says what an earlier one says, first line 12 (as line 11)" in said
    assert "is there already" in fail(capsys, "data", "make", "--out", made)
    broken = made / "test" / "000001.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    said = fail(capsys, "data", "check", "--data", "folder", "--data-root", made)
    assert "000001.png: cannot be read as an image" in said
    assert "images.csv, line 9" in said


@pytest.fixture
def garden(tmp_path):
    """Eight small pictures in two class folders."""
    for i in range(8):
        path = tmp_path / "garden" / ("heron", "owl")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").rotate(90 * (i % 2)).resize((40 + i, 36)).convert("RGB").save(path)
    return tmp_path / "garden"


TOY = ["--backbone", "tiny", "--weights", "none", "--image-size", "32", "--resize", "36", "--device", "cpu"]


def test_from_a_folder_of_pictures_to_boxes_in_three_commands(capsys, garden, tmp_path):
    own = ["--data", "folder", "--data-root", garden]
    assert "garden train: 6 images, 2 classes, 0 boxes" in call(capsys, "data", "check", *own)
    said = call(capsys, "train", *own, *TOY, "--epochs", "3", "--out", tmp_path / "runs")
    assert said.startswith(
        "preset own, for a small set of your own pictures: cam on tiny, weights none, 32 pixels, 3 epochs, "
        "4 images per step, lr 0.0005\ncam on garden (2 test images)"
    )
    assert "Top-1 Clas" in said and "Loc" not in said  # there is no box to compare with
    [run] = (tmp_path / "runs").iterdir()
    found = tmp_path / "found"
    call(capsys, "localize", garden, "--run", run, "--out", found, "--device", "cpu")
    rows = json.loads((found / "localizations.json").read_text())["localizations"]
    assert len(rows) == 8 and {row["class"] for row in rows} <= {"heron", "owl"}


def test_own_pictures_take_the_preset_that_is_asked_for(capsys, garden, tmp_path):
    own = ["--data", "folder", "--data-root", garden, "--preset", "tiny", "--batch-size", "2", "--epochs", "1"]
    said = call(capsys, "train", *own, "--out", tmp_path / "runs", "--device", "cpu")
    assert said.startswith("cmr on garden")


def test_more_images_a_step_than_there_are_is_told_before_the_weights_are_read(capsys, garden, tmp_path):
    own = ["--data", "folder", "--data-root", garden, "--batch-size", "8", "--out", tmp_path / "runs"]
    assert "batch_size: 8 is more than the 6 training images; give at most that" in fail(capsys, "train", *own)
    assert not (tmp_path / "runs").exists()


def test_data_show_writes_a_picture(capsys, tmp_path):
    out = tmp_path / "sheet.png"
    call(capsys, "data", "show", "--test", "5", "--train", "5", "--out", out)
    assert size_of(out)[0] > 200


def test_report(capsys, tiny_run, tmp_path):
    said = call(capsys, "report", tiny_run.path.parent)
    assert said.splitlines()[0].split()[:3] == ["data", "backbone", "size"]
    assert "ToyBirds" in said
    rows = json.loads(call(capsys, "report", tiny_run.path.parent, "--format", "json"))
    assert rows[0]["GT-known Loc"] == [tiny_run.result.gt_known_loc, None]
    assert "no runs found in" in fail(capsys, "report", tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["report", "no/such/folder"])
    assert "no/such/folder: there is no such folder" in capsys.readouterr().err


def test_report_keeps_one_data_set_and_one_method_in_any_form(capsys, tiny_run):
    place = tiny_run.path.parent
    asked = ["--data", "toy", "--method", tiny_run.config.method.upper()]
    [row] = csv.DictReader(io.StringIO(call(capsys, "report", place, *asked, "--format", "csv")))
    assert float(row["GT-known Loc"]) == tiny_run.result.gt_known_loc and row["GT-known Loc sd"] == ""
    head, line, first = call(capsys, "report", place, "--format", "markdown").splitlines()
    assert head.startswith("| data | backbone |") and set(line) <= set("|- ") and first.startswith("| ToyBirds |")
    assert "unknown data 'cub'" in fail(capsys, "report", place, "--data", "cub")
    assert "unknown method 'has'" in fail(capsys, "report", place, "--method", "has")


def test_notebook_lists_its_parameters_and_runs_nothing(capsys, tmp_path):
    import nbformat

    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("epochs = 3\nmethod = 'cam'", metadata={"tags": ["parameters"]})]
    )
    nbformat.write(book, tmp_path / "a.ipynb")
    assert call(capsys, "notebook", "--parameters", tmp_path / "a.ipynb") == "epochs = 3\nmethod = 'cam'\n"
    assert "say where the executed notebook goes" in fail(capsys, "notebook", tmp_path / "a.ipynb")


def test_report_goes_on_beside_a_record_that_is_none(capsys, tiny_run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text("[]")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["report", str(tiny_run.path.parent), str(tmp_path)])
    said = capsys.readouterr()
    assert stopped.value.code == 1 and "ToyBirds" in said.out
    assert "1 left out:" in said.err and "record.json: not a record of cmr" in said.err


@pytest.mark.parametrize("out", ["file", "file/below", "x" * 300])
def test_a_place_that_cannot_be_written_is_told_in_one_line_before_the_work(out, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "--preset", "tiny", "--device", "cpu", "--out", out])
    said = capsys.readouterr()
    assert stopped.value.code == 2 and said.err.count("\n") == 1 and said.err.startswith("cmr: ")


def test_runs_as_a_module_and_ends_with_2(tmp_path):
    place = os.environ | {"PYTHONPATH": str(Path(cmr.__file__).parent.parent)}
    command = [sys.executable, "-W", "error", "-m", "cmr", "evaluate", "--run", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=place, timeout=120)
    assert done.returncode == 2
    assert done.stderr == "cmr: nowhere: no finished run there (record.json is missing)\n"

"""The command line as a person uses it: what it prints, what it leaves, how it fails."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

import cmr
from cmr import cli
from cmr.data import cub
from cmr.errors import UserError
from cmr.study import runs


def call(capsys, *arguments):
    cli.main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def fail(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    assert stopped.value.code == 2
    said = capsys.readouterr()
    return said.err + said.out


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    cli.main(["train", "--preset", "tiny", "--device", "cpu", "--epochs", "1", "--out", str(out)])
    [run] = runs.find(out)
    return run


def test_train_prints_the_metrics_and_leaves_one_folder(capsys, tmp_path):
    asked = ["--preset", "tiny", "--method", "cam", "--epochs", "1", "--device", "cpu", "--out", tmp_path]
    said = call(capsys, "train", *asked)
    assert "cam on ToyBirds (32 test images)" in said
    assert "GT-known Loc" in said
    [folder] = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {runs.RECORD, runs.OUTCOMES, runs.MODEL}
    assert call(capsys, "train", *asked) == said  # finished: the same table at once


def test_train_reaches_the_settings_of_method_and_data(capsys, tmp_path):
    call(
        capsys, "train", "--preset", "tiny", "--beta", "2.5", "--sizes", "4", "--no-caam", "--epochs", "1",
        "--data-settings.classes", "3", "--device", "cpu", "--out", tmp_path,
    )  # fmt: skip
    [run] = runs.find(tmp_path)
    settings = run.config.settings
    assert (settings.beta, settings.sizes, settings.caam, run.config.data_settings.classes) == (2.5, (4,), False, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "unknown command 'trian': did you mean 'train'"),
        (["train", "--method", "crm"], "unknown method 'crm': did you mean 'cmr'"),
        (["train", "--preset", "tinny"], "unknown preset 'tinny': did you mean 'tiny'"),
        (["train", "--epoch", "3"], "--epochs"),
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


@pytest.mark.parametrize("command", ["train", "sweep", "evaluate", "localize", "data", "report", "notebook"])
def test_help_explains_every_field(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert f"cmr {command}" in said
    if command == "train":
        words = " ".join(said.replace("│", " ").split())
        for explained in ("weight of the fusion loss, eq. 15", "passes over the training images", "dial of the head"):
            assert explained in words


def test_overview(capsys):
    assert "cmr COMMAND --help" in call(capsys)


def test_evaluate_repeats_the_record(capsys, trained, tmp_path):
    out = tmp_path / "result.json"
    call(capsys, "evaluate", "--run", trained.path, "--device", "cpu", "--out", out)
    written = json.loads(out.read_text())
    assert written["result"]["GT-known Loc"] == pytest.approx(trained.result["GT-known Loc"])
    call(
        capsys,
        "evaluate",
        "--run",
        trained.path,
        "--threshold",
        "0.9",
        "--normalise",
        "max",
        "--device",
        "cpu",
        "--out",
        out,
    )
    assert json.loads(out.read_text())["threshold"] == 0.9


def test_localize_with_a_trained_run(capsys, trained, tmp_path):
    pictures = tmp_path / "in"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for name, shape in (("a.jpg", (40, 60, 3)), ("b.png", (50, 30, 3))):
        Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)).save(pictures / name)
    call(capsys, "localize", pictures, "--run", trained.path, "--device", "cpu", "--out", tmp_path / "out")
    written = json.loads((tmp_path / "out" / "localizations.json").read_text())
    assert [row["image"] for row in written["localizations"]] == ["a.jpg", "b.png"]
    for row, (width, height) in zip(written["localizations"], [(60, 40), (30, 50)], strict=True):
        x0, y0, x1, y1 = row["box"]
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert row["class"] in trained.record["classes"]
        assert 0 < row["score"] <= 1
        assert size_of(tmp_path / "out" / row["picture"]) == (width, height)


def test_localize_refuses_what_is_no_picture(capsys, trained, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    said = fail(capsys, "localize", broken, "--run", trained.path, "--device", "cpu", "--out", tmp_path / "out")
    assert "broken.jpg: cannot be read as a picture" in said
    assert not (tmp_path / "out").exists()
    (tmp_path / "empty").mkdir()
    said = fail(capsys, "localize", tmp_path / "empty", "--run", trained.path)
    assert "no picture there" in said


def test_localize_goes_on_beside_a_broken_picture_and_keeps_names_apart(capsys, trained, tmp_path):
    pictures = tmp_path / "in"
    pictures.mkdir()
    for name in ("a.jpg", "a.JPG", "tiny.png", "._a.jpg"):
        side = 2 if name == "tiny.png" else 40
        Image.new("RGB", (side, side)).save(pictures / name, format="PNG" if name == "tiny.png" else "JPEG")
    (pictures / "broken.jpg").write_bytes(b"not a picture")
    said = fail(capsys, "localize", pictures, "--run", trained.path, "--device", "cpu", "--out", tmp_path / "out")
    assert "1 of 4 pictures left out" in said and "broken.jpg: cannot be read as a picture" in said
    rows = json.loads((tmp_path / "out" / "localizations.json").read_text())["localizations"]
    assert [row["image"] for row in rows] == ["a.JPG", "a.jpg", "tiny.png"]
    assert {row["picture"] for row in rows} == {p.name for p in (tmp_path / "out").glob("*.png")}
    said = fail(capsys, "localize", pictures, "--run", trained.path, "--out", pictures)
    assert "is the folder of the pictures" in said


def test_localize_takes_many_and_keeps_what_an_earlier_call_found(capsys, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.jpg", "b.tif", "c.gif", "d.jfif", "deep/a.jpg"):
        kind = "JPEG" if name.endswith("jfif") else None
        Image.new("RGB", (40, 30)).save(tmp_path / "in" / name, format=kind)
    for name in ("e.heic", ".hidden.jpg", "deep/notes.txt"):
        (tmp_path / "in" / name).write_text("")
    asked = ["--run", trained.path, "--device", "cpu"]

    def rows(out):
        return {r["path"]: r for r in json.loads(Path(out, "localizations.json").read_text())["localizations"]}

    call(capsys, "localize", "in/a.jpg", "in/b.tif", "in/../in/a.jpg", *asked, "--out", "out")
    assert list(rows("out")) == ["../in/a.jpg", "../in/b.tif"]
    call(capsys, "localize", "in/deep", *asked, "--out", "out")
    found = rows("out")
    assert list(found) == ["../in/a.jpg", "../in/b.tif", "../in/deep/a.jpg"]
    assert [row["picture"] for row in found.values()] == ["a-jpg.png", "b-tif.png", "a-jpg-2.png"]
    said = fail(capsys, "localize", "in/deep", *asked, "--out", "out", "--threshold", "0.5")
    assert "localizations.json holds other pictures (2) with threshold 0.2; name another folder" in said
    call(capsys, "localize", *(path.replace("../", "") for path in found), *asked, "--out", "out", "--threshold", "0.5")
    assert list(rows("out")) == list(found)

    for _ in range(2):  # the results lie in the folder of the pictures and are not taken for some
        cli.main(["localize", "in", *map(str, asked), "--out", "in/out"])
        assert "in: no pictures by their names: deep/notes.txt, e.heic" in capsys.readouterr().err
        assert [row["image"] for row in rows("in/out").values()] == ["a.jpg", "b.tif", "c.gif", "d.jfif", "deep/a.jpg"]
    (tmp_path / "out" / "localizations.json").write_text("[]")
    assert "is not what cmr localize writes" in fail(capsys, "localize", "in", *asked, "--out", "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "--image-size", "0"], "image_size: 0 is out of range; give 32 to 8,192"),
        (["a.png", "--threshold", "nan"], "threshold: nan is outside [0, 1)"),
        (["a.png", "--out", "b.png"], "b.png is a file; name a folder for what is drawn"),
        (["a.png", "--out", "b.png/c"], "b.png is a file; name a folder for what is drawn"),
        (["a.png", "--out", "."], "out: . is the folder of the pictures; name another"),
        (["a.png", "--device", "tpu"], "device: 'tpu' is not one of auto, cpu, cuda, cuda:N, mps"),
        (["a.png", "--device", "cuda:x"], "device: 'cuda:x' is not one of"),
        (["a.png", "--device", "cuda:99"], "device: cuda:99 was asked for, but torch sees"),
        ([], "no picture was named; give pictures or folders"),
    ],
)
def test_localize_tells_a_mistake_before_the_work(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (9, 9)).save(name)
    said = fail(capsys, "localize", *arguments)
    assert message in said and said.count("\n") == 1
    assert sorted(os.listdir()) == ["a.png", "b.png"]


def test_names_of_any_script_are_drawn_and_printed(capsys, trained, tmp_path):
    record = json.loads((trained.path / runs.RECORD).read_text())
    record["classes"] = ["翠鸟" for _ in record["classes"]]
    del record["checksum"]  # edited on purpose
    shutil.copytree(trained.path, tmp_path / "run")
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
    assert size_of(tmp_path / "out" / "鸟-png.png") == (60, 40)


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


def test_localize_draws_a_box_on_a_real_bird(capsys, shared, tmp_path):
    bird = shared / "data/CUB_200_2011_first50/images/017.Cardinal/Cardinal_0001_17057.jpg"
    weights = shared / "weights/resnet50_imagenet_pq_fp16.safetensors.xz"
    call(capsys, "localize", bird, "--weights", weights, "--device", "cpu", "--out", tmp_path)
    [row] = json.loads((tmp_path / "localizations.json").read_text())["localizations"]
    birds = cub.load(bird.parents[2], "train").ids + cub.load(bird.parents[2], "test").ids
    assert any(name.endswith(bird.name) for name in birds)
    assert row["box"][2] > row["box"][0]
    assert (tmp_path / row["picture"]).is_file()


def test_data_make_leaves_its_folder_whole_or_not_at_all(capsys, tmp_path, monkeypatch):
    made = tmp_path / "birds"
    words = ["data", "make", "--train", "3", "--test", "2", "--classes", "2", "--size", "32", "--out", made]
    left = tmp_path / ".birds.part"  # of a call that was killed
    left.mkdir()
    (left / "old.png").touch()
    with monkeypatch.context() as patched:
        patched.setattr("cmr.cli.data.write_aside", lambda path, _: (_ for _ in ()).throw(OSError(28, "No space left")))
        assert "No space left" in fail(capsys, *words)
        assert list(tmp_path.iterdir()) == []
    call(capsys, *words)
    assert list(tmp_path.iterdir()) == [made] and len(list(made.rglob("*.png"))) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--epochs", "nan"],
            "train: Error parsing --epochs: invalid literal for int() with base 10: 'nan'; ",
        ),
        (["train", "--imge-size", "3"], "Unrecognized options: --imge-size, 3; Perhaps you meant: --image-size"),
        (["train", "--test-crop", "a"], "invalid choice 'a' for argument '--test-crop'"),
        (["notebook"], "notebook: Missing from cmr notebook: STR the notebook (required) STR where"),
        (["score", "--threshold", "a" * 5000], "score: "),
        (["train", "--weights", "a\nb"], "train: 'a\\nb' holds a line break or another control character; rename it"),
    ],
)
def test_a_mistake_in_an_option_is_one_line_without_a_frame(capsys, arguments, message):
    said = fail(capsys, *arguments)
    assert message in said and said.count("\n") == 1 and len(said) < 1000
    assert not set("╭│╰─") & set(said)


def test_what_a_file_brings_along_moves_no_cursor(capsys, tmp_path):
    (tmp_path / "images.csv").write_text("path,la\x1b[2Jbel\u2028\na.png,a\n")
    said = fail(capsys, "data", "check", "--data", "folder", "--data-root", tmp_path)
    assert "la\\x1b[2Jbel" in said and "\x1b" not in said and len(said.splitlines()) == 1


def test_a_link_that_leads_to_itself_is_told_in_one_line(capsys, tmp_path):
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    (tmp_path / "loop").symlink_to("loop")
    fail(capsys, "sweep", tmp_path / "loop.toml", "--dry-run")
    fail(capsys, "train", "--preset", "tiny", "--device", "cpu", "--out", tmp_path / "loop")


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


def test_data_show_writes_a_picture(capsys, tmp_path):
    out = tmp_path / "sheet.png"
    call(capsys, "data", "show", "--test", "5", "--train", "5", "--out", out)
    assert size_of(out)[0] > 200


def test_report(capsys, trained, tmp_path):
    said = call(capsys, "report", trained.path.parent)
    assert said.splitlines()[0].split()[:3] == ["data", "backbone", "size"]
    assert "ToyBirds" in said
    rows = json.loads(call(capsys, "report", trained.path.parent, "--format", "json"))
    assert rows[0]["GT-known Loc"] == [trained.result["GT-known Loc"], None]
    assert "no runs found" in call(capsys, "report", tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["report", "no/such/folder"])
    assert "no/such/folder: there is no such folder" in capsys.readouterr().err


def test_report_goes_on_beside_a_record_that_is_none(capsys, trained, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text("[]")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["report", str(trained.path.parent), str(tmp_path)])
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

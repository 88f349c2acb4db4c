"""Where a command writes: asked before the work, and never over what is not its own."""

import errno
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cmr import cli, figures
from cmr.files import write_aside
from tests.cli.calls import call, fail

pytestmark = pytest.mark.slow
SHOW = ["data", "show", "--train", 8, "--test", 4, "--classes", 2]


def photograph(path):
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(path)
    return path.read_bytes()


@pytest.fixture
def maps(tmp_path):
    (tmp_path / "maps").mkdir()
    np.save(tmp_path / "maps" / "a.npy", np.eye(8, dtype=np.float32))
    lists = {
        "image_ids": "a.jpg",
        "class_labels": "a.jpg,0",
        "image_sizes": "a.jpg,8,8",
        "localization": "a.jpg,1,1,6,6",
    }
    for name, line in lists.items():
        (tmp_path / f"{name}.txt").write_text(f"{line}\n")
    return ["--scoremaps", tmp_path / "maps", "--metadata", tmp_path]


def unreached(*_, **__):
    raise AssertionError("the work began")


@pytest.mark.parametrize("name", ["record.json", "model.safetensors", "outcomes.safetensors.xz", "", "new.txt"])
def test_evaluate_writes_over_no_file_of_a_run_and_says_so_before_the_test(
    name, capsys, tiny_run, tmp_path, monkeypatch
):
    copy = tmp_path / "run"
    shutil.copytree(tiny_run.path, copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    monkeypatch.setattr("cmr.study.reevaluate.reevaluate", unreached)
    said = fail(capsys, "evaluate", "--run", copy, "--out", copy / name)
    assert str(copy / name) in said
    assert before == {path.name: path.read_bytes() for path in copy.iterdir()}


def test_evaluate_writes_again_over_its_own(capsys, tiny_run, tmp_path):
    out = tmp_path / "new" / "numbers.json"
    for _ in range(2):
        call(capsys, "evaluate", "--run", tiny_run.path, "--device", "cpu", "--out", out)
    assert json.loads(out.read_text())["run"] == tiny_run.id
    assert [path.name for path in out.parent.iterdir()] == ["numbers.json"]


@pytest.mark.skipif(os.name != "posix", reason="a device as a folder")
@pytest.mark.parametrize("command", ["evaluate", "score", "show"])
def test_a_place_that_cannot_be_is_told_before_the_work(command, capsys, tiny_run, maps, monkeypatch):
    monkeypatch.setattr("cmr.study.reevaluate.reevaluate", unreached)
    monkeypatch.setattr("cmr.study.score.evaluate_folder", unreached)
    monkeypatch.setattr("cmr.figures.contact_sheet", unreached)
    asked = {"evaluate": ["evaluate", "--run", tiny_run.path], "score": ["score", *maps], "show": SHOW}[command]
    place = f"/dev/null/x.{'png' if command == 'show' else 'json'}"
    assert f"{place}: it cannot be written" in fail(capsys, *asked, "--out", place)


@pytest.mark.parametrize("there", ["bird.png", "bird.json"])
def test_score_keeps_what_is_there_and_writes_again_over_its_own(there, capsys, maps, tmp_path):
    before = photograph(tmp_path / "bird.png") if there == "bird.png" else b'{"result": 1}'
    (tmp_path / there).write_bytes(before)
    assert f"{there}: is there already" in fail(capsys, "score", *maps, "--out", tmp_path / "bird.json")
    assert (tmp_path / there).read_bytes() == before
    (tmp_path / there).unlink()
    for _ in range(2):
        call(capsys, "score", *maps, "--out", tmp_path / "bird.json")
    assert (tmp_path / "bird.png").is_file() and json.loads((tmp_path / "bird.json").read_text())["result"]


def test_show_draws_over_a_sheet_and_over_no_photograph(capsys, tmp_path):
    out = tmp_path / "bird.png"
    before = photograph(out)
    assert "is there already" in fail(capsys, *SHOW, "--out", out)
    assert out.read_bytes() == before
    out.unlink()
    for _ in range(2):
        call(capsys, *SHOW, "--out", out)
    assert out.read_bytes().startswith(b"\x89PNG")


def test_make_takes_a_way_round_and_prints_a_command_that_can_be_pasted(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["data", "make", "--train", 4, "--test", 2, "--classes", 2]
    assert "--data folder --data-root 'my birds'\n" in call(capsys, *small, "--out", "x/../my birds")
    assert "--data folder --data-root=-x\n" in call(capsys, *small, "--out=-x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["-x", "my birds"]


def test_a_full_disk_is_named_with_the_file(tmp_path):
    def fails(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="space") as stopped:
        write_aside(tmp_path / "a", fails)
    assert stopped.value.filename == str(tmp_path / "a")


def test_make_on_a_full_disk_says_that_nothing_is_left(capsys, tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("cmr.cli.data.write_aside", fails)
    out = tmp_path / "birds"
    said = fail(capsys, "data", "make", "--train", 4, "--test", 2, "--classes", 2, "--out", out)
    assert f"{out}: {os.strerror(errno.ENOSPC)}; nothing is left there" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="shells")
@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_stream_that_is_closed_is_no_mistake(closed, tiny_run):
    line = f'"{sys.executable}" -m cmr report "{tiny_run.path.parent}" {closed}'
    ended = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert ended.returncode == 0 and "Traceback" not in ended.stderr


def test_a_folder_that_is_gone_is_told(capsys, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    assert "has been removed; change to another" in fail(capsys, "report")
    monkeypatch.chdir(tmp_path)  # before the fixture goes back


def changed(tiny_run, folder, change):
    """A copy of a run whose record was changed by hand, without its checksum."""
    shutil.copytree(tiny_run.path, folder)
    record = json.loads((folder / "record.json").read_text())
    record.pop("checksum")
    change(record)
    (folder / "record.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda record: record["data"].pop("test"), "neither test nor holdout is there"),
        (lambda record: record["config"].update(data=["toybirds"]), "unknown data set '['toybirds']'"),
        (lambda record: record["config"].update(method={"a": 1}), "unknown method"),
        (lambda record: record.update(classes=[1, 2]), "classes: 1 is not of type str"),
        (lambda record: record.update(history=[1]), "history: 1 is not of type dict"),
    ],
)
def test_report_leaves_out_a_record_that_cannot_be_and_prints_the_others(change, why, capsys, tiny_run, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "good")
    changed(tiny_run, tmp_path / "bad", change)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["report", str(tmp_path)])
    said = capsys.readouterr()
    assert stopped.value.code == 1
    assert why in said.err and str(tmp_path / "bad") in said.err
    assert "CAM" in said.out


def test_report_prints_no_escapes_of_a_record(capsys, tiny_run, tmp_path):
    def rename(record):
        record["data"]["test"]["name"] = "\x1b[2J\x1b[31mX"

    changed(tiny_run, tmp_path / "red", rename)
    said = call(capsys, "report", tmp_path)
    assert "\x1b" not in said and "\\x1b[2J" in said


def test_a_sheet_names_its_maker(tmp_path):
    """What `data show` takes for an earlier sheet."""
    figure = figures.contact_sheet([np.zeros((8, 8, 3), np.uint8)], boxes=[np.zeros((0, 4))], labels=["a"])
    with Image.open(figures.save(figure, tmp_path / "a.png")) as picture:
        assert "Matplotlib" in picture.info["Software"]

"""What `cmr localize` writes over, removes and believes in its folder, and what it does where it cannot write."""

import errno
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from cmr.errors import UserError
from cmr.pictures import folder as folder_module
from cmr.pictures.folder import localize_pictures
from cmr.pictures.store import opened
from tests.cli.calls import call, fail


@pytest.fixture
def given(tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        noise(f"p/{name}.png")
    return ["localize", "p", "--run", tiny_run.path, "--device", "cpu", "--out", "out"]


def noise(name, seed=0):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(name)


def content():
    with open("out/localizations.json") as file:
        return json.load(file)


def images():
    return [row["image"] for row in content()["localizations"]]


def read(name):
    with open(name, "rb") as file:
        return file.read()


def write(name, text):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "w") as file:
        file.write(text)


def all_files(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.cmr.png", "maps/a.npy"])
def test_a_file_that_no_row_has_is_somebody_elses(capsys, given, name):
    write(f"out/{name}", "theirs")
    said = fail(capsys, *given, "--maps")
    assert f"out: out/{name} was not written by cmr localize; choose another folder, or move it" in said
    assert all_files("out") == [name] and read(f"out/{name}") == b"theirs"


@pytest.mark.slow
def test_formats_are_written_where_something_has_changed(capsys, given):
    call(capsys, *given, "--format", "yolo", "voc", "csv")
    mine = {"yolo/labels/a.txt": "corrected", "yolo/labels/classes.txt": "jay", "voc/mine.xml": "<a/>"}
    for name, text in mine.items():
        write(f"out/{name}", text)
    os.unlink("out/boxes.csv")
    call(capsys, *given)
    assert {name: read(f"out/{name}").decode() for name in mine} == mine
    assert read("out/boxes.csv").count(b"\n") == 3
    noise("p/c.png")
    write("p/b.png", "broken")
    assert "b.png: cannot be read as a picture" in fail(capsys, *given)
    assert all_files("out/yolo/labels") == ["a.txt", "c.txt", "classes.txt"]
    assert all_files("out/voc") == ["a.xml", "c.xml", "mine.xml"]
    assert read("out/yolo/labels/a.txt") != b"corrected" and read("out/yolo/labels/classes.txt") == b"jay"
    assert "b.cmr.png" not in all_files("out")


@pytest.mark.slow
def test_a_format_that_failed_is_tried_again(capsys, given):
    call(capsys, *given, "--format", "yolo")
    noise("p/a.bmp")
    for _ in range(2):
        assert "would share one file of labels" in fail(capsys, *given)
    os.rename("p/a.bmp", "p/c.bmp")
    os.unlink("out/localizations.json")
    assert "a.cmr.png was not written by cmr localize" in fail(capsys, *given)


@pytest.mark.slow
def test_files_of_a_call_that_was_killed_are_ours(capsys, given, monkeypatch):
    save = folder_module._save

    def seen(store, item, *rest):
        """Keeps the folder as a kill would leave it: the first picture is written, and localizations.json not yet."""
        done = save(store, item, *rest)
        if item.name == "a.png":
            shutil.copytree("out", "killed", ignore=shutil.ignore_patterns("*.part"))  # the other may be on its way
        return done

    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "_save", seen)
        call(capsys, *given, "--maps")
    shutil.rmtree("out")
    os.rename("killed", "out")
    told = content()
    assert told["localizations"] == []
    assert told["unfinished"] == ["a.cmr.png", "b.cmr.png", "maps/a.npy", "maps/b.npy"]
    write("out/a.cmr.png", "half")
    assert os.path.isfile("out/maps/a.npy")
    call(capsys, *given)
    assert all_files("out") == ["a.cmr.png", "b.cmr.png", "localizations.json", "sheet.html"]
    assert read("out/a.cmr.png") != b"half" and "unfinished" not in content()


@pytest.mark.slow
def test_formats_that_a_stopped_call_did_not_write_are_written_by_the_next(capsys, given, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setitem(folder_module.formats.FORMATS, "csv", full)
        said = fail(capsys, *given, "--format", "csv")
    assert "cmr: out: No space left on device; what was written before stays" in said
    assert images() == ["a.png", "b.png"] and not os.path.exists("out/boxes.csv")
    write("out/boxes.csv", "half")
    assert "2 of 2 already done" in call(capsys, *given)
    assert read("out/boxes.csv").count(b"\n") == 3


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="other limits of names")
def test_a_picture_whose_result_cannot_be_written_stops_no_other(capsys, given):
    long = "n" * 250
    noise(f"p/{long}.png")
    os.makedirs("out/b.cmr.png")
    for _ in range(2):
        said = fail(capsys, *given)
        assert "localize: 2 of 3 pictures left out:" in said
        assert f"{long}.png: cannot be written as {long}.cmr.png (File name too long); rename it, or move what" in said
        assert "b.png: cannot be written as b.cmr.png (Is a directory)" in said
        assert images() == ["a.png"]
    os.rmdir("out/b.cmr.png")
    os.rename(f"p/{long}.png", "p/n.png")
    call(capsys, *given)
    assert images() == ["a.png", "b.png", "n.png"]


@pytest.mark.slow
def test_a_disk_without_room_stops_and_leaves_no_trace_of_nothing(tiny_run, given, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder_module, "_save", full)
    with pytest.raises(OSError, match="No space left on device: 'out'"):
        localize_pictures("p", "out", run=tiny_run.path, device="cpu")
    assert not os.path.exists("out")


GOOD = {
    "path": "../p/a.png",
    "image": "a.png",
    "picture": "a.cmr.png",
    "map": "maps/a.npy",
    "width": 40,
    "height": 30,
    "objects": [{"class": "jay", "index": 1, "score": 0.5, "box": [0.0, 7.5, 40.0, 30.0]}],
    "stamp": [1, 2],
}


def stored(tmp_path, row, **more):
    text = json.dumps({"formats": ["csv"], **more, "localizations": [GOOD, row]})
    (tmp_path / "localizations.json").write_text(text.replace('"1e999"', "1e999"))
    return opened(tmp_path, {}, [])


def refused(tmp_path, row, **more):
    with pytest.raises(UserError, match=r"localizations\.json was not written by cmr localize; choose another folder"):
        stored(tmp_path, row, **more)


@pytest.mark.parametrize("name", [".a.png", "c:a.png", "a\\b.png", "caf\udce9.png", "x/..a.png", "..."])
def test_names_that_files_can_have_are_read(tmp_path, name):
    row = GOOD | {"path": f"../{name}", "image": name, "picture": f"{name}.cmr.png", "map": f"maps/{name}.npy"}
    store = stored(tmp_path, row, unfinished=["b.cmr.png"])
    assert store.earlier[row["path"]] == row | {"class": "jay", "score": 0.5, "box": [0.0, 7.5, 40.0, 30.0]}
    assert store.files == {"a.cmr.png", "maps/a.npy", row["picture"], row["map"], "b.cmr.png"}


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "", ".", "..", 5, None, "a\0", "\ud800"])
@pytest.mark.parametrize(("key", "form"), [("image", "{}"), ("picture", "{}.cmr.png"), ("map", "maps/a/{}.npy")])
def test_a_name_that_leads_out_is_refused(tmp_path, key, form, name):
    plain = name in ("", ".", "..", 5, None) or (name, key) == ("/x", "map")
    refused(tmp_path, GOOD | {key: name if plain else form.format(name)})


@pytest.mark.parametrize(
    "change",
    [
        {"path": 5}, {"path": "a\0"}, {"picture": "sheet.html"}, {"map": "sheet.html"}, {"map": "b.cmr.png"},
        {"width": 0}, {"width": "60"}, {"width": 60.5}, {"width": True}, {"height": "1e999"}, {"width": 10**400},
        {"objects": []}, {"objects": {}}, {"objects": 5}, {"objects": [5]}, {"more": "1e999"}, {"more": float("nan")},
    ],
)  # fmt: skip
def test_a_damaged_row_is_refused(tmp_path, change):
    refused(tmp_path, GOOD | change)


@pytest.mark.parametrize(
    "change",
    [
        {"class": 5}, {"class": "\ud800"}, {"index": "1"}, {"index": -1}, {"index": None}, {"score": "0.5"},
        {"score": 1.5}, {"score": float("nan")}, {"box": ["0", "0", "1", "1"]}, {"box": [0, 0, 1]}, {"box": 5},
        {"box": [0, 0, 10**400, 1]}, {"box": [0, 0, float("inf"), 1]}, {"box": [0, 0, float("nan"), 1]},
        {"box": [0, 0, 41, 1]}, {"box": [3, 0, 2, 1]}, {"box": [-1, 0, 2, 1]}, {"box": "0011"},
    ],
)  # fmt: skip
def test_a_damaged_object_is_refused(tmp_path, change):
    refused(tmp_path, GOOD | {"objects": [GOOD["objects"][0] | change]})


@pytest.mark.parametrize("key", ["path", "image", "picture", "width", "height", "objects"])
def test_a_row_without_a_key_is_refused(tmp_path, key):
    refused(tmp_path, {name: value for name, value in GOOD.items() if name != key})


@pytest.mark.parametrize("key", ["class", "index", "score", "box"])
def test_an_object_without_a_key_is_refused(tmp_path, key):
    one = {name: value for name, value in GOOD["objects"][0].items() if name != key}
    refused(tmp_path, GOOD | {"objects": [one]})


@pytest.mark.parametrize(
    "more", [{"formats": 5}, {"formats": "csv"}, {"unfinished": 5}, {"unfinished": ["sheet.html"]}, {"unfinished": [5]}]
)
def test_damaged_lists_are_refused(tmp_path, more):
    refused(tmp_path, GOOD, **more)


@pytest.mark.slow
def test_nothing_is_written_outside_the_folder(capsys, given):
    """As found: a row with such names made a later call write beside the folder."""
    call(capsys, *given, "--format", "voc", "yolo")
    told = content()
    row = told["localizations"][0]
    outside = {"path": "../zz.jpg", "picture": "../../outside.cmr.png", "image": "../../../outimg.jpg"}
    told["localizations"].append(row | outside)
    write("out/localizations.json", json.dumps(told))
    before = all_files("..")
    noise("p/z.png")
    assert "localizations.json was not written by cmr localize" in fail(capsys, *given)
    assert all_files("..") == sorted([*before, os.path.join(os.path.basename(os.getcwd()), "p/z.png")])

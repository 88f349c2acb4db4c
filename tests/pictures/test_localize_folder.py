"""`cmr localize` as a person uses it: folders, second calls, pictures that are broken, every file that it writes."""

import json
import os
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

import cmr
from cmr import cli
from cmr.data import cub
from cmr.errors import UserError
from cmr.files import alone
from cmr.pictures import folder as folder_module
from cmr.pictures.folder import localize_pictures
from cmr.pictures.localizer import Localizer
from cmr.study import runs
from tests.cli.calls import call, fail

pytestmark = pytest.mark.slow


def rows(out):
    return json.loads(Path(out, "localizations.json").read_text())["localizations"]


@pytest.fixture
def asked(tiny_run):
    return ["--run", tiny_run.path, "--device", "cpu"]


def noise(path, width, height, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_pictures_of_any_shape_get_boxes_in_their_own_pixels(capsys, tiny_run, asked, tmp_path):
    noise(tmp_path / "in" / "a.jpg", 60, 40)
    noise(tmp_path / "in" / "b.png", 30, 50)
    call(capsys, "localize", tmp_path / "in", *asked, "--out", tmp_path / "out")
    found = rows(tmp_path / "out")
    assert [row["image"] for row in found] == ["a.jpg", "b.png"]
    for row, (width, height) in zip(found, [(60, 40), (30, 50)], strict=True):
        x0, y0, x1, y1 = row["box"]
        assert 0 <= x0 < x1 <= width == row["width"]
        assert 0 <= y0 < y1 <= height == row["height"]
        assert row["class"] in tiny_run.record.classes
        assert 0 < row["score"] <= 1
        assert row["objects"][0]["box"] == row["box"]
        with Image.open(tmp_path / "out" / row["picture"]) as drawn:
            assert drawn.size == (width, height)


def test_folders_that_are_links_are_looked_into_and_none_leads_in_circles(capsys, asked, tmp_path):
    noise(tmp_path / "elsewhere" / "a.jpg", 60, 40)
    noise(tmp_path / "in" / "b.jpg", 60, 40)
    noise(tmp_path / "in" / ".hidden" / "c.jpg", 60, 40)
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "round").symlink_to(tmp_path / "in")
    call(capsys, "localize", tmp_path / "in", *asked, "--out", tmp_path / "out")
    assert [row["image"] for row in rows(tmp_path / "out")] == ["b.jpg", "linked/a.jpg"]


def test_what_is_no_picture_is_refused(capsys, asked, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    said = fail(capsys, "localize", tmp_path / "broken.jpg", *asked, "--out", tmp_path / "out")
    assert "broken.jpg: cannot be read as a picture" in said
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    fail(capsys, "localize", tmp_path / "broken.jpg", *asked, "--out", tmp_path / "mine")
    assert (tmp_path / "mine").is_dir()  # it was there before the call
    (tmp_path / "empty").mkdir()
    assert "no picture there" in fail(capsys, "localize", tmp_path / "empty", *asked)


def test_one_bad_picture_does_not_end_the_rest_and_names_stay_apart(capsys, asked, tmp_path):
    pictures = tmp_path / "in"
    for name in ("a.jpg", "a.png", "sub/a.jpg", "tiny.png", "._a.jpg"):
        side = 2 if name == "tiny.png" else 40
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side)).save(pictures / name)
    (pictures / "broken.jpg").write_bytes(b"not a picture")
    said = fail(capsys, "localize", pictures, *asked, "--out", tmp_path / "out")
    assert "1 of 5 pictures left out" in said and "broken.jpg: cannot be read as a picture" in said
    found = {row["image"]: row["picture"] for row in rows(tmp_path / "out")}
    assert found == {
        "a.jpg": "a.cmr.png",
        "a.png": "a-2.cmr.png",
        "sub/a.jpg": "sub/a.cmr.png",
        "tiny.png": "tiny.cmr.png",
    }
    assert all((tmp_path / "out" / name).is_file() for name in found.values())
    assert "is the folder of the pictures" in fail(capsys, "localize", pictures, *asked, "--out", pictures)


def test_a_second_call_adds_and_never_loses(capsys, asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.tif", "c.gif", "d.jfif", "deep/a.jpg"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(path, format="JPEG" if name.endswith("jfif") else None)
    for name in ("e.txt", ".hidden.jpg", "deep/notes.txt"):
        (tmp_path / "in" / name).write_text("")
    call(capsys, "localize", "in/a.jpg", "in/b.tif", "in/../in/a.jpg", *asked, "--out", "out")
    assert [row["path"] for row in rows("out")] == ["../in/a.jpg", "../in/b.tif"]
    call(capsys, "localize", "in/deep", *asked, "--out", "out")
    assert [row["path"] for row in rows("out")] == ["../in/a.jpg", "../in/b.tif", "../in/deep/a.jpg"]
    assert [row["picture"] for row in rows("out")] == ["a.cmr.png", "b.cmr.png", "a-2.cmr.png"]
    said = fail(capsys, "localize", "in/deep", *asked, "--out", "out", "--threshold", "0.6")
    assert "localizations.json holds 2 other pictures, made with threshold 0.5; choose another folder" in said
    every = ["in/a.jpg", "in/b.tif", "in/deep/a.jpg"]
    call(capsys, "localize", *every, *asked, "--out", "out", "--threshold", "0.6")
    assert len(rows("out")) == 3

    for _ in range(2):  # the results lie in the folder of the pictures and are not taken for some
        cli.main(["localize", "in", *map(str, asked), "--out", "in/out"])
        assert "in: no pictures by their names: deep/notes.txt, e.txt" in capsys.readouterr().err
        assert [row["image"] for row in rows("in/out")] == ["a.jpg", "b.tif", "c.gif", "d.jfif", "deep/a.jpg"]


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"localizations": 3}',
        '{"localizations": [{"path": "a", "image": "a"}]}',
        "\x00",
        '{"localizations": [7]}',
        "[" * 100_000,
    ],
)
def test_a_foreign_file_of_that_name_is_left_as_it_is(capsys, asked, tmp_path, content):
    noise(tmp_path / "in" / "a.png", 9, 9)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "localizations.json").write_text(content)
    said = fail(capsys, "localize", tmp_path / "in", *asked, "--out", tmp_path / "out")
    assert "was not written by cmr localize" in said
    assert (tmp_path / "out" / "localizations.json").read_text() == content


@pytest.mark.parametrize(
    "name", ["coco.json", "yolo/labels/a.txt", "voc/a.xml", "boxes.csv", "sheet.html", "maps/a.npy"]
)
def test_files_of_somebody_else_are_left_as_they_are(capsys, asked, tmp_path, name):
    noise(tmp_path / "set" / "images" / "a.png", 20, 20)
    theirs = tmp_path / "set" / name
    theirs.parent.mkdir(exist_ok=True, parents=True)
    theirs.write_text("true boxes")
    given = ["localize", tmp_path / "set" / "images", *asked, "--out", tmp_path / "set"]
    if name == "sheet.html":  # what would be written anyway is refused; the rest, where it is asked for
        assert f"{theirs} was not written by cmr localize" in fail(capsys, *given)
        assert not (tmp_path / "set" / "localizations.json").exists()
    call(capsys, *given, *["--no-sheet"] * (name == "sheet.html"))
    if name == "maps/a.npy":
        assert f"{theirs} was not written by cmr localize" in fail(capsys, *given, "--maps")
    elif name != "sheet.html":
        kind = {"coco.json": "coco", "boxes.csv": "csv"}.get(name, name[:4].rstrip("/"))
        assert "was not written by cmr localize" in fail(capsys, *given, "--format", kind)
    assert theirs.read_text() == "true boxes"
    assert len(list((tmp_path / "set").rglob("*.txt"))) == (name == "yolo/labels/a.txt")


def test_formats_and_page_of_an_earlier_call_follow(capsys, asked, tmp_path):
    noise(tmp_path / "in" / "a.png", 20, 20)
    noise(tmp_path / "in" / "b.png", 20, 20)
    out = tmp_path / "out"
    call(capsys, "localize", tmp_path / "in" / "a.png", *asked, "--out", out, "--format", "yolo", "--maps")
    assert (out / "maps/a.npy").is_file()
    noise(tmp_path / "in" / "a.png", 22, 20, seed=1)  # changed, so its map would be another's
    call(capsys, "localize", tmp_path / "in", *asked, "--out", out, "--no-sheet")
    assert sorted(file.name for file in (out / "yolo/labels").iterdir()) == ["a.txt", "b.txt"]
    assert not (out / "maps/a.npy").exists()
    page = (out / "sheet.html").read_text()
    assert '"name":"b.png"' in page and '"width":22' in page
    assert page.count('"image":') == 2


def test_a_picture_that_is_broken_since_has_no_box_any_more(capsys, asked, tmp_path):
    noise(tmp_path / "in" / "a.png", 20, 20)
    noise(tmp_path / "in" / "b.png", 20, 20)
    given = ["localize", tmp_path / "in", *asked, "--out", tmp_path / "out", "--format", "csv"]
    call(capsys, *given)
    for name, left in (("a.png", ["b.png"]), ("b.png", [])):
        (tmp_path / "in" / name).write_bytes(b"broken")
        assert f"{name}: cannot be read as a picture" in fail(capsys, *given)
        assert [row["image"] for row in rows(tmp_path / "out")] == left
        assert (tmp_path / "out" / "boxes.csv").read_text().count("\n") == 1 + len(left)


@pytest.mark.skipif(os.name != "posix", reason="names of files are Unicode")
def test_a_name_that_is_not_utf_8(asked, tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        with open(raw, "wb") as file:
            Image.new("RGB", (20, 20)).save(file, format="PNG")
    except OSError:
        pytest.skip("this file system takes no such name")
    out = tmp_path / "out"
    localize_pictures(os.fsdecode(raw), out, run=asked[1], device="cpu", format=("coco", "yolo", "voc", "csv"))
    assert b"caf\xe9.png,20,20" in (out / "boxes.csv").read_bytes()
    [voc] = (out / "voc").iterdir()
    assert ElementTree.parse(voc).findtext("filename") == "caf\\udce9.png"
    assert json.loads((out / "coco.json").read_text())["images"][0]["file_name"] == "caf\udce9.png"


def test_what_is_done_and_unchanged_is_not_done_again(capsys, tiny_run, tmp_path, monkeypatch):
    for name in ("a.png", "b.png", "c.png"):
        noise(tmp_path / "in" / name, 20, 20)
    options = {"out": tmp_path / "out", "run": tiny_run.path, "device": "cpu"}
    localize_pictures(tmp_path / "in", **options)
    done: list[str] = []
    save = folder_module._save
    monkeypatch.setattr(
        folder_module, "_save", lambda out, item, *rest: done.append(item.name) or save(out, item, *rest)
    )
    assert len(localize_pictures(tmp_path / "in", **options)) == 3
    assert done == []
    assert "3 of 3 already done and unchanged" in capsys.readouterr().out
    noise(tmp_path / "in" / "b.png", 22, 20, seed=1)
    (tmp_path / "out" / "c.cmr.png").unlink()
    found = localize_pictures(tmp_path / "in", **options)
    assert sorted(done) == ["b.png", "c.png"]
    assert [row["width"] for row in found] == [20, 22, 20]
    assert len(rows(tmp_path / "out")) == 3


def test_other_weights_layers_or_classes_under_one_name_are_another_network(tmp_path, monkeypatch):
    noise(tmp_path / "in" / "a.jpg", 60, 40)
    torch.manual_seed(0)

    def made(classes=("owl", "heron"), layer="", seed=0):
        torch.manual_seed(seed)
        parts = torch.nn.Conv2d(3, 8, 3, 4, 1), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 1), torch.nn.ReLU()
        net = torch.nn.Sequential(*parts, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 2))
        options = {"backbone": net, "classes": classes, "layer": layer, "image_size": 64, "device": "cpu"}
        localize_pictures(tmp_path / "in", tmp_path / "out", contact_sheet=False, **options)
        return json.loads((tmp_path / "out" / "localizations.json").read_text())

    seen = [made(), made(seed=1), made(seed=1, layer="1"), made(("wren", "heron"), "1", 1)]
    assert len({content["network"] for content in seen}) == 4
    assert seen[3]["localizations"][0]["class"] in ("wren", "heron")
    assert made(("wren", "heron"), "1", 1) == seen[3]


@pytest.mark.parametrize("room", [1, 60 * 40 * 3 * 8, 10**12])
def test_few_large_pictures_are_in_memory_at_once(tiny_run, tmp_path, monkeypatch, room):
    for name in "abcdefgh":
        noise(tmp_path / "in" / f"{name}.jpg", 60, 40)
    monkeypatch.setattr(folder_module, "ROOM", room)
    sizes = []
    batch = Localizer.batch
    monkeypatch.setattr(
        Localizer, "batch", lambda self, pictures, images: sizes.append(len(images)) or batch(self, pictures, images)
    )
    localize_pictures(tmp_path / "in", tmp_path / "out", run=tiny_run.path, device="cpu")
    assert sizes == {1: [1] * 8, 60 * 40 * 3 * 8: [2] * 4}.get(room, [8])


def test_a_stop_between_two_batches_loses_nothing_that_is_done(tiny_run, tmp_path, monkeypatch):
    for number in range(4):
        noise(tmp_path / "in" / f"{number}.png", 20, 20)
    monkeypatch.setattr(folder_module, "BATCH", 2)
    monkeypatch.setattr(folder_module, "EVERY", 0.0)
    save = folder_module._save

    def stops(out, item, *rest):
        if item.name == "2.png":
            raise KeyboardInterrupt
        return save(out, item, *rest)

    monkeypatch.setattr(folder_module, "_save", stops)
    with pytest.raises(KeyboardInterrupt):
        localize_pictures(tmp_path / "in", tmp_path / "out", run=tiny_run.path, device="cpu")
    assert [row["image"] for row in rows(tmp_path / "out")] == ["0.png", "1.png"]


def test_maps_are_read_by_score(capsys, asked, tmp_path):
    names = ["a.png", "deep/b.png"]
    for name in names:
        noise(tmp_path / "in" / name, 40, 30)
    call(capsys, "localize", tmp_path / "in", *asked, "--out", tmp_path / "out", "--maps")
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "image_ids.txt").write_text("".join(f"{name}\n" for name in names))
    (lists / "class_labels.txt").write_text("".join(f"{name},0\n" for name in names))
    (lists / "image_sizes.txt").write_text("".join(f"{name},40,30\n" for name in names))
    boxes = {row["image"]: row["box"] for row in rows(tmp_path / "out")}
    (lists / "localization.txt").write_text(
        "".join(f"{name},{','.join(str(round(value)) for value in boxes[name])}\n" for name in names)
    )
    scores = tmp_path / "scores.json"
    call(capsys, "score", "--scoremaps", tmp_path / "out/maps", "--metadata", lists, "--out", scores)
    assert json.loads(scores.read_text())["result"]["GT-known Loc"] == 100.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "--image-size", "9"], "image_size: 9 is out of range; give 32 to 8,192"),
        (["a.png", "--threshold", "nan"], "threshold: nan is outside [0, 1)"),
        (["a.png", "--top", "0"], "top: 0 is not a number of classes; give 1 or more"),
        (["a.png", "--backbone", "resnet51"], "unknown backbone 'resnet51': did you mean 'resnet"),
        (["a.png", "--weights", "none"], "weights: a classifier needs weights; give imagenet or a file"),
        (["a.png", "--classes", "no.txt"], "classes: no.txt cannot be read"),
        (["a.png", "--out", "b.png"], "b.png is a file; name a folder for what is drawn"),
        (["a.png", "--out", "b.png/c"], "b.png is a file; name a folder for what is drawn"),
        (["a.png", "--out", "."], "out: . is the folder of the pictures; name another"),
        (["a.png", "--device", "tpu"], "device: 'tpu' is not one of auto, cpu, cuda, cuda:N"),
        (["a.png", "--device", "cuda:x"], "device: 'cuda:x' is not one of"),
        (["a.png", "--device", "cuda:99"], "device: cuda:99 was asked for, but torch sees"),
        ([], "no picture was named; give pictures or folders"),
    ],
)
def test_a_mistake_is_told_before_the_work(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (9, 9)).save(name)
    said = fail(capsys, "localize", *arguments)
    assert message in said and said.count("\n") == 1
    assert sorted(os.listdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("option", [["--layer", "head"], ["--image-size", "64"]])
def test_what_a_run_brings_itself_is_not_taken_beside_it(capsys, asked, tmp_path, option):
    noise(tmp_path / "a.png", 9, 9)
    said = fail(capsys, "localize", tmp_path / "a.png", *asked, *option, "--out", tmp_path / "out")
    assert f"run: a run brings its own {option[0][2:].replace('-', '_')}; leave that out" in said


def test_a_run_without_its_model_is_told(tiny_run, tmp_path):
    noise(tmp_path / "a.png", 9, 9)
    shutil.copytree(tiny_run.path, tmp_path / "run")
    (tmp_path / "run" / runs.MODEL).unlink()
    with pytest.raises(UserError, match="only the record was kept"):
        localize_pictures(tmp_path / "a.png", tmp_path / "out", run=tmp_path / "run", device="cpu")


def test_a_real_bird(capsys, shared, tmp_path):
    bird = shared / "data/CUB_200_2011_first50/images/017.Cardinal/Cardinal_0001_17057.jpg"
    weights = shared / "weights/resnet18_imagenet_pq_fp16.safetensors.xz"
    asked = ["--backbone", "resnet18", "--weights", weights, "--device", "cpu", "--out", tmp_path]
    call(capsys, "localize", bird, *asked)
    [row] = rows(tmp_path)
    split = next(s for s in (cub.load(bird.parents[2], name) for name in ("train", "test")) if bird_of(s, bird) >= 0)
    [truth] = split.boxes[bird_of(split, bird)]
    x0, y0, x1, y1 = np.concatenate([np.maximum(row["box"][:2], truth[:2]), np.minimum(row["box"][2:], truth[2:])])
    shared_area = max(0, x1 - x0) * max(0, y1 - y0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (row["box"], truth))
    assert shared_area / (areas - shared_area) > 0.4
    assert (x1 - x0) * (y1 - y0) < 0.9 * row["width"] * row["height"]


def bird_of(split, bird):
    return next((i for i, name in enumerate(split.ids) if name.endswith(bird.name)), -1)


def test_what_was_found_before_a_failure_is_kept(tiny_run, tmp_path, monkeypatch):
    for i in range(3):
        noise(tmp_path / "in" / f"{i}.png", 20, 20, i)
    monkeypatch.setattr(folder_module, "BATCH", 1)
    written = folder_module._save

    def full(out, item, result, maps):
        if item.name == "2.png":
            raise OSError("No space left on device")
        return written(out, item, result, maps)

    monkeypatch.setattr(folder_module, "_save", full)
    with pytest.raises(OSError, match="No space left"):
        localize_pictures(tmp_path / "in", tmp_path / "out", run=tiny_run.path, device="cpu")
    assert [row["image"] for row in rows(tmp_path / "out")] == ["0.png", "1.png"]


def test_two_calls_do_not_write_into_one_folder_at_once(tiny_run, tmp_path):
    picture = noise(tmp_path / "in" / "a.png", 20, 20)
    with (
        alone(tmp_path / "out" / "localizations"),
        pytest.raises(UserError, match="works there; wait until it has ended"),
    ):
        localize_pictures(picture, tmp_path / "out", run=tiny_run.path, device="cpu")
    localize_pictures(picture, tmp_path / "out", run=tiny_run.path, device="cpu")
    assert [row["image"] for row in rows(tmp_path / "out")] == ["a.png"]


def test_a_name_as_long_as_names_may_be(tiny_run, tmp_path):
    picture = noise(tmp_path / "in" / ("鳥" * 80 + ".png"), 20, 20)
    localize_pictures(picture, tmp_path / "out", run=tiny_run.path, device="cpu")
    assert [row["image"] for row in rows(tmp_path / "out")] == [picture.name]


def test_a_picture_in_memory_is_read_as_its_file_is(tiny_run, tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray((np.arange(400, dtype=np.uint16) * 100).reshape(20, 20)).save(path)
    with Image.open(path) as opened:
        there, here = (cmr.localize(image, run=tiny_run.path, device="cpu") for image in (path, opened))
    assert np.array_equal(np.array(there.picture), np.array(here.picture))
    with pytest.raises(UserError, match=r"picture 0: its pixels are floating-point numbers"):
        cmr.localize(Image.new("F", (8, 8)), run=tiny_run.path, device="cpu")

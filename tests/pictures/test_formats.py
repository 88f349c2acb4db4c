"""Every file of boxes, read back by a reader that is not ours."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from cmr.errors import UserError
from cmr.pictures import formats
from cmr.pictures.formats import FORMATS, used_classes

ROWS = [
    {
        "image": "a/bird.jpg", "path": "../a/bird.jpg", "picture": "a/bird.cmr.png", "width": 100, "height": 50,
        "objects": [
            {"class": "jay, blue", "index": 17, "score": 0.9, "box": [10.0, 5.0, 60.0, 45.0]},
            {"class": 'say "<&>" 翠鸟', "index": 4, "score": 0.25, "box": [0.0, 0.0, 100.0, 50.0]},
        ],
    },
    {
        "image": "b.png", "path": "../b.png", "picture": "b.cmr.png", "width": 30, "height": 40,
        "objects": [{"class": "jay, blue", "index": 17, "score": 0.5, "box": [2.4, 3.5, 29.7, 40.0]}],
    },
]  # fmt: skip
BOXES = [one["box"] for row in ROWS for one in row["objects"]]
NAMES = [one["class"] for row in ROWS for one in row["objects"]]


@pytest.fixture
def out(tmp_path):
    for write in FORMATS.values():
        write(tmp_path, ROWS)
    return tmp_path


def test_coco_is_read_by_torchvision(out):
    from torchvision.datasets import CocoDetection

    for place, side in (("a/bird.jpg", (100, 50)), ("b.png", (30, 40))):
        (out / "images" / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", side).save(out / "images" / place)
    data = CocoDetection(str(out / "images"), str(out / "coco.json"))
    names = {number: about["name"] for number, about in data.coco.cats.items()}
    found = [target for _, targets in data for target in targets]
    assert [names[target["category_id"]] for target in found] == NAMES
    assert [picture.size for picture, _ in data] == [(100, 50), (30, 40)]


def test_coco_holds_what_its_format_asks_for(out):
    from torchvision.ops import box_convert

    coco = json.loads((out / "coco.json").read_text())
    boxes = torch.tensor([one["bbox"] for one in coco["annotations"]])
    torch.testing.assert_close(box_convert(boxes, "xywh", "xyxy"), torch.tensor(BOXES))
    names = {one["id"]: one["name"] for one in coco["categories"]}
    assert [names[one["category_id"]] for one in coco["annotations"]] == NAMES
    images = {one["id"]: one["file_name"] for one in coco["images"]}
    assert [images[one["image_id"]] for one in coco["annotations"]] == ["a/bird.jpg", "a/bird.jpg", "b.png"]
    for one in coco["annotations"]:
        assert one["area"] == pytest.approx(one["bbox"][2] * one["bbox"][3], abs=0.01)
        assert one["iscrowd"] == 0
    assert len({one["id"] for one in coco["annotations"]}) == 3 and min(names) == 1


def test_yolo_is_read_by_torchvision_and_yaml(out):
    from torchvision.ops import box_convert

    names = yaml.safe_load((out / "yolo/data.yaml").read_text())["names"]
    for row in ROWS:
        path = out / "yolo/labels" / Path(row["image"]).with_suffix(".txt")
        table = torch.from_numpy(np.loadtxt(path, ndmin=2))
        boxes = box_convert(table[:, 1:], "cxcywh", "xyxy") * torch.tensor([row["width"], row["height"]] * 2)
        expected = torch.tensor([one["box"] for one in row["objects"]], dtype=torch.float64)
        torch.testing.assert_close(boxes, expected, rtol=0, atol=1e-3)
        assert [names[int(number)] for number in table[:, 0]] == [one["class"] for one in row["objects"]]


def test_voc_is_read_by_torchvision_and_xml(out):
    from torchvision.datasets import VOCDetection

    for row in ROWS:
        root = ElementTree.parse(out / "voc" / Path(row["image"]).with_suffix(".xml")).getroot()
        read = VOCDetection.parse_voc_xml(root)["annotation"]
        assert read["filename"] == row["image"]
        assert read["size"] == {"width": str(row["width"]), "height": str(row["height"]), "depth": "3"}
        assert [one["name"] for one in read["object"]] == [one["class"] for one in row["objects"]]
        for one, own in zip(read["object"], row["objects"], strict=True):
            xmin, ymin, xmax, ymax = (int(one["bndbox"][name]) for name in ("xmin", "ymin", "xmax", "ymax"))
            assert np.abs(np.array([xmin - 1, ymin - 1, xmax, ymax]) - own["box"]).max() <= 0.5
            assert 1 <= xmin <= xmax <= row["width"] and 1 <= ymin <= ymax <= row["height"]


def test_the_table_is_read_by_csv(out):
    with open(out / "boxes.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [[float(line[name]) for name in ("x0", "y0", "x1", "y1")] for line in table] == BOXES
    assert [line["class"] for line in table] == NAMES
    assert [line["image"] for line in table] == ["a/bird.jpg", "a/bird.jpg", "b.png"]


def test_classes_are_those_that_occur():
    assert used_classes(ROWS) == {4: 'say "<&>" 翠鸟', 17: "jay, blue"}


def test_pictures_of_one_name_are_told_apart_by_their_folders(tmp_path):
    rows = [dict(ROWS[1], image="x.jpg", path=f"../mix/{name}/x.jpg") for name in ("a", "b")]
    for write in FORMATS.values():
        write(tmp_path, rows)
    assert [one["file_name"] for one in json.loads((tmp_path / "coco.json").read_text())["images"]] == [
        "a/x.jpg",
        "b/x.jpg",
    ]
    assert sorted(path.name for path in (tmp_path / "yolo/labels").iterdir()) == ["a", "b"]
    with (tmp_path / "boxes.csv").open() as table:
        assert {row["image"] for row in csv.DictReader(table)} == {"a/x.jpg", "b/x.jpg"}


def test_labels_of_a_picture_that_now_has_another_name_are_removed_and_no_others(tmp_path):
    first = dict(ROWS[1], image="x.jpg", path="../a/x.jpg")
    formats.write("yolo", tmp_path, [first], [])
    labels = tmp_path / "yolo/labels"
    assert (labels / "x.txt").is_file()
    (labels / "classes.txt").write_text("theirs")
    formats.write("yolo", tmp_path, [first, dict(first, path="../b/x.jpg")], [first])
    found = sorted(file.relative_to(labels).as_posix() for file in labels.rglob("*.txt"))
    assert found == ["a/x.txt", "b/x.txt", "classes.txt"]


def test_voc_of_a_picture_that_is_gone_is_removed_and_no_others(tmp_path):
    formats.write("voc", tmp_path, ROWS, [])
    (tmp_path / "voc/theirs.xml").write_text("theirs")
    formats.write("voc", tmp_path, ROWS[:1], ROWS)
    found = sorted(file.relative_to(tmp_path / "voc").as_posix() for file in (tmp_path / "voc").rglob("*.xml"))
    assert found == ["a/bird.xml", "theirs.xml"]


def test_yolo_has_no_two_files_for_one_stem(tmp_path):
    rows = [dict(ROWS[1], image=name, path=f"../{name}") for name in ("x.jpg", "x.png")]
    with pytest.raises(UserError, match=r"format yolo: x.jpg and x.png would share one file of labels; rename one"):
        FORMATS["yolo"](tmp_path, rows)

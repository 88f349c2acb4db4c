"""True boxes as annotation tools write them, beside class folders: by hand, and as the project's own exports."""

import json

import pytest
from PIL import Image

from cmr.data import folder
from cmr.data.annotations import coco_boxes, voc_boxes
from cmr.errors import UserError
from cmr.pictures.formats import write_coco, write_voc

ALL = folder.Settings(test_percent=100)
VOC = "<annotation><object><name>heron</name><bndbox>{}</bndbox></object></annotation>"
SIDES = "<xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>10</ymax>"


@pytest.fixture
def root(tmp_path):
    """Two class folders with three pictures of 20x10."""
    for name in ("heron/a.png", "heron/b.png", "owl/c.png"):
        (tmp_path / "birds" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10)).save(tmp_path / "birds" / name)
    return tmp_path / "birds"


def coco(root, **changes):
    content = {
        "images": [{"id": 4, "file_name": "./owl/c.png"}, {"id": 2, "file_name": "heron/a.png"}],
        "annotations": [
            {"image_id": 2, "category_id": 9, "bbox": [1, 2, 19, 8]},
            {"image_id": 2, "bbox": [0.5, 0, 2.5, 4]},
        ],
    }
    (root / "boxes.json").write_text(json.dumps(content | changes))


def boxes_of(root):
    split = folder.load(root, "test", ALL)
    return {name: boxes.tolist() for name, boxes in zip(split.ids, split.boxes, strict=True)}


def test_coco_boxes_are_those_of_their_pictures(root):
    coco(root)
    expected = {"heron/a.png": [[1, 2, 20, 10], [0.5, 0, 3, 4]], "heron/b.png": [], "owl/c.png": []}
    assert boxes_of(root) == expected


def test_voc_boxes_count_from_1_and_hold_both_ends(root):
    (root / "heron" / "b.xml").write_text("<!-- by hand -->" + VOC.format(SIDES))
    (root / "owl" / "c.xml").write_text("<annotation><size/></annotation>")
    assert boxes_of(root) == {"heron/a.png": [], "heron/b.png": [[1, 2, 20, 10]], "owl/c.png": []}


def test_what_localize_exports_is_read_back(root, tmp_path):
    rows = [
        {
            "image": name,
            "path": name,
            "picture": name.replace(".png", ".cmr.png"),
            "width": 20,
            "height": 10,
            "objects": [{"class": "heron", "index": 0, "score": 0.5, "box": [2.0, 1.0, 17.0, 9.0]}],
        }
        for name in ("heron/a.png", "owl/c.png")
    ]
    expected = {"heron/a.png": [[2, 1, 17, 9]], "heron/b.png": [], "owl/c.png": [[2, 1, 17, 9]]}
    write_voc(tmp_path, rows)
    for name in ("heron/a", "owl/c"):
        [written] = (tmp_path / "voc").rglob(f"{name.split('/')[1]}.xml")
        (root / f"{name}.xml").write_bytes(written.read_bytes())
    assert boxes_of(root) == expected
    write_coco(tmp_path, rows)
    (root / "boxes.json").write_bytes((tmp_path / "coco.json").read_bytes())
    assert boxes_of(root) == expected


@pytest.mark.parametrize(
    ("width", "height", "message"), [(40, 20, "20x10"), (10, 20, "turned by its EXIF orientation")]
)
def test_boxes_of_a_picture_of_another_size_are_refused(root, width, height, message):
    coco(root, images=[{"id": 2, "file_name": "heron/a.png", "width": width, "height": height}])
    with pytest.raises(
        UserError, match=f"boxes.json, picture 'heron/a.png': the boxes are of .* {width}x{height} .*{message}"
    ):
        folder.load(root, "test", ALL)
    (root / "boxes.json").unlink()
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    (root / "heron" / "b.xml").write_text(VOC.format(SIDES).replace("<object>", f"{size}<object>"))
    with pytest.raises(UserError, match=f"heron/b.xml: the boxes are of .* {width}x{height} .*{message}"):
        folder.load(root, "test", ALL)


@pytest.mark.parametrize(
    "size", [{"width": 20, "height": 10}, {"width": 0, "height": 0}, {"width": None}, {"width": "x"}]
)
def test_a_size_that_fits_or_says_nothing_is_right(root, size):
    coco(root, images=[{"id": 4, "file_name": "owl/c.png"}, {"id": 2, "file_name": "heron/a.png"} | size])
    assert len(boxes_of(root)["heron/a.png"]) == 2


def test_a_region_of_a_crowd_is_no_box_and_is_noted(root):
    coco(
        root, annotations=[{"image_id": 2, "bbox": [0, 0, 20, 10], "iscrowd": 1}, {"image_id": 2, "bbox": [1, 2, 3, 4]}]
    )
    split = folder.load(root, "test", ALL)
    assert boxes_of(root)["heron/a.png"] == [[1, 2, 4, 6]]
    assert any("1 region of a crowd (iscrowd), left out" in note for note in split.notes)


def test_one_voc_file_beside_two_pictures_is_refused(root):
    Image.new("RGB", (20, 10)).save(root / "heron" / "b.jpg")
    (root / "heron" / "b.xml").write_text(VOC.format(SIDES))
    with pytest.raises(UserError, match=r"b\.xml: lies beside both heron/b\.jpg and heron/b\.png; rename one"):
        folder.load(root, "test", ALL)


def test_other_boxes_are_other_data(root):
    before = folder.load(root, "test", ALL).fingerprint
    coco(root)
    assert folder.load(root, "test", ALL).fingerprint != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": 5}, r"boxes.json: not a COCO file \(TypeError"),
        ({"images": [{"id": 1}]}, "boxes.json: not a COCO file .KeyError: .*file_name.*; it needs 'images' with"),
        (
            {"annotations": [{"image_id": 3, "bbox": [1, 2, 3, 4]}]},
            "boxes.json, annotation 1: it needs the image_id of",
        ),
        ({"annotations": [{"image_id": 2, "bbox": [1, 2, 3]}]}, "annotation 1: .* a bbox of four numbers, x, y, width"),
        ({"annotations": [{"image_id": 2, "bbox": [1, 2, 3, float("nan")]}]}, "annotation 1: .* a bbox of four"),
        (
            {"annotations": [{"image_id": 2, "bbox": [1, 2, 30, 8]}]},
            "birds, boxes.json, picture 'heron/a.png': box 1,2,31,10 lies outside its image of 20x10 pixels",
        ),
        (
            {"images": [{"id": 2, "file_name": "heron/aa.png"}]},
            "boxes.json: unknown picture 'heron/aa.png': did you mean 'heron/a.png'",
        ),
        ({"images": [{"id": 2, "file_name": "../../etc/passwd"}]}, "boxes.json: unknown picture '../../etc/passwd'"),
    ],
)
def test_a_wrong_coco_file_is_told(root, changes, message):
    if "images" in changes:
        changes = {"annotations": []} | changes
    coco(root, **changes)
    with pytest.raises(UserError, match=message) as caught:
        folder.load(root, "test", ALL)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a"', "[" * 100_000])
def test_what_is_no_coco_file_at_all(root, text):
    (root / "boxes.json").write_text(text)
    with pytest.raises(UserError, match="boxes.json: not a COCO file"):
        coco_boxes(root / "boxes.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>", "b.xml: not a VOC file"),
        (VOC.format("<xmin>2</xmin>"), "b.xml: not a VOC file .*; each object needs a bndbox with xmin, ymin"),
        (VOC.format(SIDES.replace("20", "inf")), "b.xml: not a VOC file"),
        ('<!DOCTYPE a [<!ENTITY b "c">]>' + VOC.format(SIDES), "declares a document type or entities; take that out"),
        (('<!DOCTYPE a [<!ENTITY b "c">]>' + VOC.format(SIDES)).encode("utf-16"), "it is not text in UTF-8"),
    ],
)
def test_a_wrong_voc_file_is_told(root, text, message):
    path = root / "heron" / "b.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message):
        voc_boxes(path)


def test_a_voc_box_outside_its_picture_names_its_file(root):
    (root / "heron" / "b.xml").write_text(VOC.format(SIDES.replace("20", "25")))
    with pytest.raises(UserError, match="birds, heron/b.xml: box 1,2,25,10 lies outside its image of 20x10 pixels"):
        folder.load(root, "test", ALL)


@pytest.mark.parametrize(
    ("images", "bbox", "message"),
    [
        ([{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}], [1, 2, 3, 4], "has the id of another"),
        (
            [{"id": 1, "file_name": "a.png"}],
            "1234",
            "annotation 1: it needs .* a bbox of four numbers",
        ),
        ([{"id": 1, "file_name": "a.png"}], [10**400, 2, 3, 4], "annotation 1: it needs"),
    ],
)
def test_coco_files_that_would_mix_pictures_up_are_refused(tmp_path, images, bbox, message):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"images": images, "annotations": [{"image_id": 1, "bbox": bbox}]}))
    with pytest.raises(UserError, match=message):
        coco_boxes(path)


def test_a_voc_file_in_an_unknown_encoding_is_refused(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<?xml version='1.0' encoding='nope'?><annotation/>")
    with pytest.raises(UserError, match="not a VOC file"):
        voc_boxes(path)

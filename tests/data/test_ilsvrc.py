"""ILSVRC from the benchmark's list files and from the official XML."""

import time

import numpy as np
import pytest
from PIL import Image

from cmr.data import benchmark, ilsvrc, lists
from cmr.data.check import check
from cmr.data.split import ImageFiles
from cmr.errors import UserError

LISTS = {
    "classes.txt": "0,n01440764,0\n1,n02086240,155",
    "train/image_ids.txt": "train/n01440764/a.png\ntrain/n02086240/b.png",
    "train/image_ids_proxy.txt": "train/n02086240/b.png",
    "train/class_labels.txt": "train/n01440764/a.png,0\ntrain/n02086240/b.png,1",
    "test/image_ids.txt": "val/c.png\nval/d.png\nval/e.png",
    "test/class_labels.txt": "val/d.png,1\nval/c.png,0\nval/e.png,1",
    "test/image_sizes.txt": "val/c.png,40,20\nval/d.png,8,8\nval/e.png,16,8",
    "test/localization.txt": "val/c.png,0,5,40,20\nval/d.png,1,1,7,7\nval/c.png,3,3,4,4",
}


@pytest.fixture
def listed(tmp_path):
    for name, text in LISTS.items():
        path = tmp_path / "metadata" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sizes = {
        "train/n01440764/a": (8, 8),
        "train/n02086240/b": (9, 8),
        "val/c": (10, 5),
        "val/d": (4, 4),
        "val/e": (8, 4),
    }
    for i, (name, size) in enumerate(sizes.items()):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (i, 0, 0)).save(path)
    return tmp_path


def test_lists_by_hand(listed):
    train, test = ilsvrc.load(listed, "train"), ilsvrc.load(listed, "test")
    assert train.dataset == test.dataset == "ILSVRC-2"
    assert train.classes == ("tench", "Shih-Tzu")
    assert train.ids == ("train/n01440764/a.png", "train/n02086240/b.png")
    assert train.labels.tolist() == [0, 1]
    assert train.sizes.tolist() == [[8, 8], [9, 8]]
    assert [len(b) for b in train.boxes] == [0, 0]
    assert test.ids == ("val/c.png", "val/d.png", "val/e.png")
    assert test.labels.tolist() == [0, 1, 1]
    # The list's size is the boxes' size; the stored image may be smaller.
    assert test.sizes.tolist() == [[40, 20], [8, 8], [16, 8]]
    assert test.read(0).shape == (5, 10, 3)
    assert [b.tolist() for b in test.boxes] == [[[0, 5, 40, 20], [3, 3, 4, 4]], [[1, 1, 7, 7]], []]
    assert [test.read(i)[0, 0, 0] for i in range(3)] == [2, 3, 4]
    notes = []
    assert check(test, progress=False, notes=notes) == []
    assert notes == ["3 of 3 pictures are not stored at the size in the lists; boxes are scaled"]


def test_a_picture_kept_small_with_another_aspect_is_found(listed):
    Image.new("RGB", (10, 7)).save(listed / "val" / "c.png")
    [problem] = check(ilsvrc.load(listed, "test"), progress=False)
    assert (
        "c.png (" in problem
        and "image_ids.txt, line 1): the picture has 10x7 pixels, but 40x20 in the lists" in problem
    )


def test_odd_lists_are_noted_and_one_file_has_one_name(listed):
    before = ilsvrc.load(listed, "test")
    for name in ("image_ids", "class_labels", "image_sizes", "localization"):
        path = listed / "metadata" / "test" / f"{name}.txt"
        path.write_text(path.read_text().replace("val/d", "./val//d"))
    assert ilsvrc.load(listed, "test").fingerprint == before.fingerprint
    path.write_text(path.read_text() + "\nval/e.png,-0.5,0,16.4999,8\nval/c.png,0,5,40,20\n")
    split = ilsvrc.load(listed, "test")
    assert split.boxes[2].tolist() == [[0, 0, 16, 8]]
    assert split.notes == (
        f"{path}: 1 box was cut at the edge of its image",
        f"{path}: 1 line says what an earlier one says, first line 5 (as line 1)",
    )


def test_lists_may_lie_elsewhere_and_be_the_tenth(listed, tmp_path_factory):
    moved = tmp_path_factory.mktemp("lists") / "ILSVRC"
    (listed / "metadata").rename(moved)
    split = ilsvrc.load(listed, "train", ilsvrc.Settings(metadata=str(moved), proxy=True))
    assert split.ids == ("train/n02086240/b.png",)
    assert split.labels.tolist() == [1]
    assert len(ilsvrc.load(listed, "test", ilsvrc.Settings(metadata=str(moved), proxy=True))) == 3


def test_without_classes_it_is_the_benchmark(listed):
    (listed / "metadata" / "classes.txt").unlink()
    split = ilsvrc.load(listed, "test")
    assert split.dataset == "ILSVRC"
    assert len(split.classes) == 1000
    assert (split.classes[0], split.classes[155], split.classes[999]) == ("tench", "Shih-Tzu", "toilet tissue")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("test/image_ids.txt", None, None, "image_ids.txt: there is no such list file"),
        ("test/image_ids.txt", LISTS["test/image_ids.txt"], "", "image_ids.txt: the list is empty"),
        ("test/image_ids.txt", "val/d.png", "val/c.png", "line 2: 'val/c.png' is listed twice, first in line 1"),
        (
            "test/image_ids.txt",
            "val/d.png",
            "../d.png",
            "image_ids.txt, line 2: path '../d.png' may lead out of the data root",
        ),
        ("test/image_ids.txt", "val/d.png", "C:/d.png", "image_ids.txt, line 2: path 'C:/d.png' may lead out"),
        ("test/image_ids.txt", "val/d.png", "val\\d.png", r"image_ids.txt, line 2: path 'val\\d.png' may lead out"),
        ("test/image_ids.txt", "val/d.png", "val/x.png", r"no label for 'val/x.png' \(.*image_ids.txt, line 2\)"),
        (
            "test/class_labels.txt",
            "val/d.png,1",
            "val/d.png,2",
            "class_labels.txt, line 1: class 2 is not one of 0 to 1",
        ),
        (
            "test/class_labels.txt",
            "val/d.png,1",
            "val/d.png,-1",
            "class_labels.txt, line 1: class -1 is not one of 0 to 1",
        ),
        (
            "test/class_labels.txt",
            "val/d.png,1",
            "val/d.png,dog",
            "class_labels.txt, line 1: class 'dog' is not a whole number",
        ),
        (
            "test/class_labels.txt",
            "val/d.png,1",
            "val/d.png,9223372036854775808",
            "class_labels.txt, line 1: class '9223372036854775808' is too large",
        ),
        ("test/class_labels.txt", "val/d.png,1", "val/c.png,1", "line 2: 'val/c.png' is listed twice, first in line 1"),
        ("test/image_sizes.txt", "val/d.png,8,8\n", "", r"no size for 'val/d.png' \(.*image_ids.txt, line 2\)"),
        ("test/image_ids.txt", "val/d.png", ".//val/./c.png", "line 2: 'val/c.png' is listed twice, first in line 1"),
        ("test/image_ids.txt", "val/d.png", "val/._d.png", "line 2: 'val/._d.png' is hidden"),
        (
            "test/image_sizes.txt",
            "val/d.png,8,8",
            "val/c.png,8,8",
            "line 2: 'val/c.png' is listed twice, first in line 1",
        ),
        ("test/localization.txt", "1,1,7,7", "1,1,8.5000001,7", "line 2: box 1,1,8.5000001,7 lies outside its image"),
        ("test/image_sizes.txt", "val/d.png,8,8", "val/d.png,0,8", "image_sizes.txt, line 2: an image of 0x8 pixels"),
        ("test/localization.txt", "1,1,7,7", "1,1,9,7", "line 2: box 1,1,9,7 lies outside its image of 8x8 pixels"),
        ("test/localization.txt", "1,1,7,7", "7,1,7,7", "line 2: box 7,1,7,7 has no area"),
        ("test/localization.txt", "1,1,7,7", "1,1,7", "localization.txt, line 2: 4 fields, expected 5"),
        ("test/localization.txt", "val/d.png", "val/x.png", "line 2: 'val/x.png' is not in .*image_ids.txt"),
        ("classes.txt", "1,n0", "2,n0", "classes.txt, line 2: class index 2, expected 1"),
    ],
)
def test_mistakes_in_lists_name_file_and_line(listed, name, old, new, message):
    path = listed / "metadata" / name
    if old is None:
        path.unlink()
    else:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message) as caught:
        ilsvrc.load(listed, "test")
    assert "\n" not in str(caught.value)


def test_a_missing_image_names_its_line(listed):
    (listed / "val" / "d.png").unlink()
    with pytest.raises(UserError, match=r"d.png: there is no such file \(.*test.image_ids.txt, line 2\)"):
        ilsvrc.load(listed, "test")


def test_an_empty_folder_says_what_is_expected(tmp_path):
    with pytest.raises(UserError, match="neither list files .* nor the official layout"):
        ilsvrc.load(tmp_path, "test")
    with pytest.raises(UserError, match="neither list files .*elsewhere.test"):
        ilsvrc.load(tmp_path, "test", ilsvrc.Settings(metadata=str(tmp_path / "elsewhere")))


def annotation(wnid: str, boxes: list[tuple[int, int, int, int]], size: tuple[int, int] = (20, 10)) -> str:
    objects = "".join(
        f"\t<object>\n\t\t<name>{wnid}</name>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n"
        f"\t\t\t<xmin>{a}</xmin>\n\t\t\t<ymin>{b}</ymin>\n\t\t\t<xmax>{c}</xmax>\n\t\t\t<ymax>{d}</ymax>\n"
        "\t\t</bndbox>\n\t</object>\n"
        for a, b, c, d in boxes
    )
    return (
        f"<annotation>\n\t<folder>val</folder>\n\t<size>\n\t\t<width>{size[0]}</width>\n\t\t<height>{size[1]}</height>\n"
        f"\t\t<depth>3</depth>\n\t</size>\n{objects}</annotation>\n"
    )


@pytest.fixture
def official(tmp_path):
    data, notes = tmp_path / "Data" / "CLS-LOC", tmp_path / "Annotations" / "CLS-LOC" / "val"
    notes.mkdir(parents=True)
    for i, name in enumerate(("train/n02/b", "train/n01/z", "train/n01/a", "val/v1", "val/v2")):
        path = data / f"{name}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + i, 10)).save(path)
    (notes / "v1.xml").write_text(annotation("n02", [(0, 1, 20, 10), (2, 3, 12, 9)]))
    (notes / "v2.xml").write_text(annotation("n01", [(5, 5, 9, 8)]))
    return tmp_path


def test_xml_by_hand(official):
    train, test = ilsvrc.load(official, "train"), ilsvrc.load(official, "test")
    assert train.dataset == test.dataset == "ILSVRC-2"
    assert train.classes == test.classes == ("n01", "n02")
    assert train.ids == ("n01/a.JPEG", "n01/z.JPEG", "n02/b.JPEG")
    assert train.labels.tolist() == [0, 0, 1]
    assert train.sizes.tolist() == [[22, 10], [21, 10], [20, 10]]
    assert [len(b) for b in train.boxes] == [0, 0, 0]
    assert test.ids == ("v1.JPEG", "v2.JPEG")
    assert test.labels.tolist() == [1, 0]
    assert test.sizes.tolist() == [[20, 10], [20, 10]]
    assert test.read(1).shape == (10, 24, 3)
    assert [note.split(": ")[1][:13] for note in test.notes] == ["1 box was cut"]
    # xmax = width is cut to width - 1, as in the benchmark's lists; other numbers stand as they are.
    assert [b.tolist() for b in test.boxes] == [[[0, 1, 19, 9], [2, 3, 12, 9]], [[5, 5, 9, 8]]]


def test_xml_without_training_images_names_its_own_classes(official):
    (official / "Data" / "CLS-LOC" / "train").rename(official / "elsewhere")
    assert ilsvrc.load(official, "test").classes == ("n01", "n02")
    with pytest.raises(UserError, match="there is no class folder here"):
        ilsvrc.load(official, "train")


def test_hidden_files_are_no_classes_images_or_annotations(official):
    before = [ilsvrc.load(official, split).fingerprint for split in ("train", "test")]
    data = official / "Data" / "CLS-LOC"
    for folder in (".ipynb_checkpoints", "__MACOSX", ".cache"):
        (data / "train" / folder).mkdir()
        (data / "val" / folder).mkdir()
    for twin in (data / "train/n01/._a.JPEG", official / "Annotations/CLS-LOC/val/._v1.xml"):
        twin.write_bytes(b"\0\5\26\7")
    assert [ilsvrc.load(official, split).fingerprint for split in ("train", "test")] == before


def test_a_class_folder_without_images_is_named(official):
    (official / "Data/CLS-LOC/train/n015").mkdir()
    with pytest.raises(UserError, match="train.n015: the class folder holds no image; fill it or remove it"):
        ilsvrc.load(official, "train")
    Image.new("RGB", (20, 10)).save(official / "Data/CLS-LOC/val/v2.JPEG")
    notes = []
    check(ilsvrc.load(official, "test"), progress=False, notes=notes)
    assert "1 of 3 classes have no image: n015" in notes


def test_validation_images_may_be_sorted_into_class_folders(official):
    val = official / "Data" / "CLS-LOC" / "val"
    (val / "n02").mkdir()
    (val / "v1.JPEG").rename(val / "n02" / "v1.JPEG")
    split = ilsvrc.load(official, "test")
    assert split.ids == ("n02/v1.JPEG", "v2.JPEG")
    assert split.labels.tolist() == [1, 0]
    assert split.read(0).shape == (10, 23, 3)
    (val / "n02" / "v1.JPEG").unlink()
    with pytest.raises(UserError, match="val.v1.JPEG: there is no such file"):
        ilsvrc.load(official, "test")


@pytest.mark.parametrize("factor", [100, 0.5])
def test_a_size_in_the_xml_that_is_not_the_pictures_is_found(official, factor):
    for name, size in (("v1", (20, 10)), ("v2", (20, 10)), ("v3", (int(20 * factor), int(10 * factor)))):
        Image.new("RGB", (20, 10)).save(official / f"Data/CLS-LOC/val/{name}.JPEG")
        text = annotation("n01", [(1, 1, 4, 4)], size)
        (official / f"Annotations/CLS-LOC/val/{name}.xml").write_text(text)
    [problem] = check(ilsvrc.load(official, "test"), progress=False)
    assert "v3.JPEG: the picture has 20x10 pixels, but" in problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (annotation("n01", [(1, 1, 3, 2)], (0, 0)), "v2.xml, line 1: an image of 0x0 pixels is not possible; write"),
        ("<annotation>", "v2.xml: cannot be read as XML"),
        ("<other/>", "v2.xml, line 1: <size/width> is missing"),
        (annotation("n01", []), r"v2.xml: objects of 0 classes \(none\); expected exactly one class"),
        (annotation("n09", [(1, 1, 2, 2)]), "v2.xml: class 'n09' has no folder in .*train"),
        (
            annotation("n01", [(1, 1, 2, 2), (25, 1, 30, 3)]),
            "v2.xml, line 18: box 25,1,.* lies outside its image of 20x10",
        ),
        (annotation("n01", [(4, 1, 4, 2)]), "v2.xml, line 8: box 4,1,4,2 has no area"),
        (annotation("n01", [(1, 1, 3, 2)]).replace("<xmin>1</xmin>", ""), "v2.xml, line 8: <bndbox/xmin> is missing"),
        (annotation("n01", [(1, 1, 3, 2)]).replace("<width>20", "<width>wide"), "v2.xml, line 1: width 'wide'"),
    ],
)
def test_mistakes_in_xml_name_file_and_line(official, text, message):
    (official / "Annotations" / "CLS-LOC" / "val" / "v2.xml").write_text(text)
    with pytest.raises(UserError, match=message):
        ilsvrc.load(official, "test")


def test_xml_without_image_or_annotation_is_an_error(official):
    with pytest.raises(UserError, match="the benchmark's val is ImageNetV2"):
        ilsvrc.load(official, "val")
    (official / "Data" / "CLS-LOC" / "val" / "v1.JPEG").unlink()
    with pytest.raises(UserError, match="v1.JPEG: there is no such file"):
        ilsvrc.load(official, "test")
    for path in (official / "Annotations" / "CLS-LOC" / "val").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="there is no annotation"):
        ilsvrc.load(official, "test")


def test_ilsvrc20(shared):
    root = shared / "data" / "ILSVRC_20"
    train, test = ilsvrc.load(root, "train"), ilsvrc.load(root, "test")
    assert (train.dataset, len(train), len(test)) == ("ILSVRC-20", 2600, 500)
    assert np.bincount(train.labels).tolist() == [130] * 20
    assert np.bincount(test.labels).tolist() == [25] * 20
    assert sum(map(len, test.boxes)) == 705
    assert min(map(len, test.boxes)) == 1
    assert round(100 * np.mean([len(b) > 1 for b in test.boxes])) == 19
    assert test.sizes[0].tolist() == [500, 454]
    assert test.boxes[0].tolist() == [[35, 31, 498, 452]]
    assert test.read(0).shape == (224, 224, 3)
    assert train.classes[0] == "tench"
    assert check(test, progress=False) == []


def test_the_benchmarks_own_list(shared):
    """50,000 images and 80,477 boxes; 23.4 % of the images have several. Read in seconds."""
    folder = shared / "conformance" / "metadata" / "ILSVRC" / "test"
    started = time.process_time()
    files, labels, numbers = benchmark.labelled(folder, shared)
    benchmark.check_labels(folder, labels, numbers, 1000, "ILSVRC")
    sizes = np.loadtxt(folder / "image_sizes.txt", delimiter=",", usecols=(1, 2), dtype=np.int64)
    boxes = benchmark.boxes(folder, files, sizes)
    assert time.process_time() - started < 20
    assert isinstance(files, ImageFiles)
    assert len(files.names) == 50000
    assert np.bincount(labels).tolist() == [50] * 1000
    counts = np.array([len(b) for b in boxes])
    assert counts.sum() == 80477
    assert round(100 * (counts > 1).mean(), 1) == 23.4


def test_the_line_of_an_object_is_right_in_a_long_annotation(tmp_path):
    path = tmp_path / "long.xml"
    path.write_text(annotation("n01", [(1, 1, 3, 2)] * 3000 + [(1, 1, 1, 1)]))
    with pytest.raises(UserError, match="line 30008: box 1,1,1,1 has no area"):  # seven lines, then ten an object
        ilsvrc.read_xml(path)


def test_each_list_is_read_once(tmp_path, monkeypatch):
    folder = tmp_path / "metadata" / "test"
    folder.mkdir(parents=True)
    (tmp_path / "metadata" / "classes.txt").write_text("0,n01440764,0\n")
    Image.new("RGB", (6, 5)).save(tmp_path / "a.png")
    rows = {
        "image_ids": "a.png",
        "class_labels": "a.png,0",
        "image_sizes": "a.png,6,5",
        "localization": "a.png,1,1,3,3",
    }
    for name, row in rows.items():
        (folder / f"{name}.txt").write_text(row + "\n")
    read = []
    monkeypatch.setattr(lists, "read_regular", lambda path: read.append(path.stem) or path.read_bytes())
    ilsvrc.load(tmp_path, "test")
    assert sorted(read) == sorted([*rows, "classes"])

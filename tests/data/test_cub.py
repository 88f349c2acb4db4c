"""CUB-200-2011 from its official lists, whole or in part."""

import shutil

import numpy as np
import pytest
from PIL import Image

from cmr.data import benchmark, cub
from cmr.data.check import check
from cmr.errors import UserError

FILES = {
    "classes.txt": "3 003.Owl\n7 007.Wren\n",
    "images.txt": "1 003.Owl/a.png\n2 003.Owl/b.png\n5 007.Wren/c.png\n9 007.Wren/d.png\n",
    "image_class_labels.txt": "1 3\n2 3\n5 7\n9 7\n",
    "train_test_split.txt": "1 1\n2 0\n5 1\n9 0\n",
    "bounding_boxes.txt": "1 1.0 2.0 3.0 4.0\n2 0.0 0.0 10.5 8.0\n5 2.5 1.0 4.0 4.0\n9 9.0 7.0 300.0 2.0\n",
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for i, name in enumerate(("003.Owl/a", "003.Owl/b", "007.Wren/c", "007.Wren/d")):
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + i, 10), (i, 0, 0)).save(path)
    return tmp_path


def test_both_splits_by_hand(root):
    train, test = cub.load(root, "train"), cub.load(str(root), "test", cub.Settings())
    assert (train.dataset, train.split, test.split) == ("CUB-2", "train", "test")
    assert train.ids == ("003.Owl/a.png", "007.Wren/c.png")
    assert test.ids == ("003.Owl/b.png", "007.Wren/d.png")
    assert train.classes == test.classes == ("003.Owl", "007.Wren")
    assert train.labels.tolist() == test.labels.tolist() == [0, 1]
    assert train.labels.dtype == np.int64
    assert train.sizes.tolist() == [[20, 10], [22, 10]]
    assert [b.tolist() for b in train.boxes] == [[[1.0, 2.0, 4.0, 6.0]], [[2.5, 1.0, 6.5, 5.0]]]
    # Boxes end at most at width - 1 and height - 1, as in the benchmark's lists.
    assert [b.tolist() for b in test.boxes] == [[[0.0, 0.0, 10.5, 8.0]], [[9.0, 7.0, 22.0, 9.0]]]
    assert [split.read(i)[0, 0, 0] for split in (train, test) for i in range(2)] == [0, 2, 1, 3]
    assert train.fingerprint != test.fingerprint == cub.load(root, "test").fingerprint
    assert check(train, progress=False) == check(test, progress=False) == []
    assert train.notes == ()
    assert test.notes == (
        f"{root / 'bounding_boxes.txt'}: 1 box was cut at width - 1 or height - 1, as in the benchmark's lists",
    )


def test_the_fingerprint_sees_the_files(root):
    before = cub.load(root, "train").fingerprint
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (10, 20, 3), dtype=np.uint8)).save(
        root / "images/003.Owl/a.png"
    )
    assert cub.load(root, "train").fingerprint != before


def test_200_classes_are_the_benchmark(root):
    names = [f"{k} {k:03d}.Bird" for k in range(1, 201)]
    (root / "classes.txt").write_text("\n".join(names))
    split = cub.load(root, "train")
    assert split.dataset == "CUB-200-2011"
    assert len(split.classes) == 200
    assert split.labels.tolist() == [2, 6]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("images.txt", None, None, "images.txt: there is no such list file"),
        ("images.txt", FILES["images.txt"], "\n \n", "images.txt: the list is empty"),
        (
            "images.txt",
            "2 003.Owl/b.png",
            "2 003.Owl/../../b.png",
            "images.txt, line 2: path '003.Owl/../../b.png' may lead out",
        ),
        ("images.txt", "2 003.Owl/b.png", "2 /etc/b.png", "images.txt, line 2: path '/etc/b.png' may lead out"),
        ("images.txt", "2 003.Owl/b.png", "2 003.Owl/x.png", "x.png: there is no such file .*images.txt, line 2"),
        ("images.txt", "2 003.Owl/b.png", "2", "images.txt, line 2: 1 fields, expected 2: '2'"),
        ("images.txt", "2 003", "1 003", "images.txt, line 2: image 1 is listed twice"),
        (
            "images.txt",
            "2 003.Owl/b.png",
            "2 003.Owl//a.png",
            "line 2: '003.Owl/a.png' is listed twice, first in line 1",
        ),
        ("images.txt", "2 003.Owl/b.png", "2 003.Owl/._b.png", "images.txt, line 2: '003.Owl/._b.png' is hidden"),
        ("images.txt", "2 003", "b 003", "images.txt, line 2: image id 'b' is not a whole number"),
        ("image_class_labels.txt", "2 3", "2 4", "image_class_labels.txt, line 2: class 4 is not in .*classes.txt"),
        (
            "image_class_labels.txt",
            "2 3\n",
            "",
            r"image_class_labels.txt: no line for image 2 \(.*images.txt, line 2\)",
        ),
        ("train_test_split.txt", "2 0\n", "", "train_test_split.txt: no line for image 2"),
        ("train_test_split.txt", "2 0", "2 2", "train_test_split.txt, line 2: '2' is neither 1 .train. nor 0 .test."),
        ("train_test_split.txt", "2 0\n5 1\n9 0", "2 1\n5 1\n9 1", "no image of .*images.txt belongs to split test"),
        (
            "bounding_boxes.txt",
            "2 0.0",
            "2 x",
            "bounding_boxes.txt, line 2: box 'x,0.0,10.5,8.0' is not made of finite",
        ),
        ("bounding_boxes.txt", "2 0.0", "2 nan", "bounding_boxes.txt, line 2: .* is not made of finite numbers"),
        ("bounding_boxes.txt", "2 0.0", "2 -1", "line 2: box -1,0,9.5,8 lies outside its image of 21x10 pixels"),
        (
            "bounding_boxes.txt",
            "2 0.0",
            "2 21",
            "line 2: box 21,0,31.5,8 lies outside its image of 21x10 pixels",
        ),
        ("bounding_boxes.txt", "10.5 8.0", "0 8.0", "line 2: box 0,0,0,8 has no area; give x0 < x1 and y0 < y1"),
    ],
)
def test_mistakes_name_file_and_line(root, name, old, new, message):
    path = root / name
    if old is None:
        path.unlink()
    else:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=message) as caught:
        cub.load(root, "test")
    assert "\n" not in str(caught.value)


def test_a_missing_class_folder_names_the_line(root):
    shutil.rmtree(root / "images" / "007.Wren")
    with pytest.raises(UserError, match=r"007.Wren.c.png: there is no such file \(.*images.txt, line 3\)"):
        cub.load(root, "train")


def test_val_is_cubv2_from_the_benchmarks_lists(root, tmp_path_factory):
    with pytest.raises(UserError, match="metadata.val: there is no such folder; val is CUBV2"):
        cub.load(root, "val")
    other = tmp_path_factory.mktemp("other")
    (other / "val").mkdir()
    (other / "images").mkdir()
    Image.new("RGB", (30, 20), (7, 0, 0)).save(other / "images" / "1.png")
    for name, text in (
        ("image_ids", ""),
        ("class_labels", ",1"),
        ("image_sizes", ",30,20"),
        ("localization", ",1,2,29,19"),
    ):
        (other / "val" / f"{name}.txt").write_text(f"1.png{text}")
    settings = cub.Settings(cubv2=str(other / "images"), metadata=str(other))
    val = cub.load(root, "val", settings)
    assert (val.dataset, val.split, val.ids, val.classes) == ("CUB-2", "val", ("1.png",), ("003.Owl", "007.Wren"))
    assert val.labels.tolist() == [1]
    assert val.boxes[0].tolist() == [[1, 2, 29, 19]]
    assert val.read(0)[0, 0, 0] == 7
    (other / "val" / "class_labels.txt").write_text("1.png,2")
    with pytest.raises(UserError, match="class_labels.txt, line 1: class 2 is not one of 0 to 1"):
        cub.load(root, "val", settings)


def test_cubv2_has_a_thousand_images_of_all_classes(shared):
    lists = shared / "conformance" / "metadata" / "CUB" / "val"
    files, labels, _ = benchmark.labelled(lists, shared)
    assert len(labels) == 1000
    assert len(np.unique(labels)) == 200
    # The class folder's number is the label's: the lists and the official classes share one order.
    assert [int(name[:3]) - 1 for name in files.names] == labels.tolist()


def test_cub50(shared):
    root = shared / "data" / "CUB_200_2011_first50"
    train, test = cub.load(root, "train"), cub.load(root, "test")
    assert (train.dataset, len(train), len(test)) == ("CUB-50", 1500, 1389)
    assert not set(train.ids) & set(test.ids)
    assert np.array_equal(np.unique(train.labels), np.arange(50))
    assert np.array_equal(np.unique(test.labels), np.arange(50))
    assert [test.classes[label] for label in test.labels] == [name.split("/")[0] for name in test.ids]
    assert len(check(test, progress=False)) == 0


def test_cub50_boxes_are_the_benchmarks(shared):
    """The boxes of the scaled images, taken back to the original size, are those of the benchmark's own list."""
    test = cub.load(shared / "data" / "CUB_200_2011_first50", "test")
    lists = shared / "conformance" / "metadata" / "CUB" / "test"
    sizes, boxes = ({} for _ in range(2))
    for name, table in (("image_sizes.txt", sizes), ("localization.txt", boxes)):
        for line in (lists / name).read_text().split():
            path, *numbers = line.split(",")
            table[path] = np.array(numbers, float)
    for i, name in enumerate(test.ids):
        back = test.boxes[i][0] * np.tile(sizes[name] / test.sizes[i], 2)
        # The scaled lists keep two decimals. At the edge ours are cut by a pixel of the scaled image, theirs by one of
        # the original.
        edge = (back[2:] >= sizes[name] - 3).any()
        assert np.abs(back - boxes[name]).max() < (2.1 if edge else 0.02)


def test_a_class_listed_twice_is_named(tmp_path):
    (tmp_path / "classes.txt").write_text("1 jay\n2 wren\n1 owl\n")
    with pytest.raises(UserError, match="classes.txt, line 3: class 1 is listed twice; give each number once"):
        cub.load(tmp_path, "train")

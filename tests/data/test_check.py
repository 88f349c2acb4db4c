"""The check that decodes every image before training."""

import numpy as np
from PIL import Image

from cmr.data import cub, folder
from cmr.data.check import check, shared
from cmr.data.split import NO_BOXES, Split


def make(root, n=5):
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    for i in range(1, n + 1):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(root / "images" / f"{i}.jpg")
    lines = {
        "images": "{0} {0}.jpg",
        "image_class_labels": "{0} 1",
        "train_test_split": "{0} 1",
        "bounding_boxes": "{0} 1 1 9 9",
    }
    for name, line in lines.items():
        (root / f"{name}.txt").write_text("\n".join(line.format(i) for i in range(1, n + 1)))
    (root / "classes.txt").write_text("1 bird")
    return cub.load(root, "train")


def test_a_whole_split_has_no_problem(tmp_path, capsys):
    split = make(tmp_path)
    assert check(split) == []
    assert "checking CUB-1 train: 100%" in capsys.readouterr().err
    assert check(split, progress=False) == []
    assert capsys.readouterr().err == ""


def test_all_problems_are_listed_in_the_order_of_the_list(tmp_path):
    split = make(tmp_path)
    whole = (tmp_path / "images" / "4.jpg").read_bytes()
    (tmp_path / "images" / "4.jpg").write_bytes(whole[: len(whole) - 200])
    (tmp_path / "images" / "2.jpg").write_bytes(b"\0" * 300)
    (tmp_path / "images" / "5.jpg").unlink()
    problems = check(split, progress=False)
    assert [p.split(": ")[0] for p in problems] == [str(tmp_path / "images" / f"{i}.jpg") for i in (2, 4, 5)]
    for problem, line, what in zip(problems, (2, 4, 5), ("identify", "truncated", "no such file"), strict=True):
        assert f"({tmp_path / 'images.txt'}, line {line})" in problem
        assert what in problem
    # A part of the split names the lines of the whole list.
    assert check(split.subset([3]), progress=False) == [problems[1]]


def test_a_file_in_two_splits_is_a_problem(tmp_path):
    train = make(tmp_path)
    (tmp_path / "train_test_split.txt").write_text("1 0\n2 1\n3 1\n4 1\n5 1")
    test = cub.load(tmp_path, "test")
    file = tmp_path / "images" / "1.jpg"
    assert shared([train, test]) == [f"{file}: is in train and in test; a picture belongs to one split"]
    assert shared([cub.load(tmp_path, "train"), test]) == []


def test_pictures_squeezed_into_one_size_are_no_problem():
    read = lambda i: np.zeros((4, 4, 3), np.uint8)  # noqa: E731
    split = Split(
        "Small", "test", ("a", "b"), np.zeros(2, np.int64), np.array([[9, 7], [5, 8]]), (NO_BOXES,) * 2, ("x", "y"),
        read, "0" * 16, notes=("cut",),
    )  # fmt: skip
    notes = []
    assert check(split, progress=False, notes=notes) == []
    assert notes == [
        "cut",
        "1 of 2 classes have no image: y",
        "2 of 2 pictures are not stored at the size in the lists; boxes are scaled",
    ]


def test_an_image_of_another_kind_is_a_problem():
    read = lambda i: np.zeros((4, 4), np.uint8)  # noqa: E731
    split = Split(
        "Grey", "test", ("a",), np.zeros(1, np.int64), np.full((1, 2), 4), (NO_BOXES,), ("x",), read, "0" * 16
    )
    assert check(split, progress=False) == ["a: (4, 4) uint8, expected (height, width, 3) uint8"]


def test_more_images_than_one_piece():
    def read(i: int) -> np.ndarray:
        return np.zeros((2, 2, 3 if i % 1000 else 4), np.uint8)

    n = 2500
    ids = tuple(map(str, range(n)))
    split = Split(
        "Many", "test", ids, np.zeros(n, np.int64), np.full((n, 2), 2), (NO_BOXES,) * n, ("x",), read, "0" * 16
    )
    assert [problem.split(":")[0] for problem in check(split, progress=False)] == ["0", "1000", "2000"]


def test_the_same_pixels_in_two_places_are_noted(tmp_path):
    rng = np.random.default_rng(0)
    pictures = {"wren": [rng.integers(0, 256, (9, 9, 3), dtype=np.uint8) for _ in range(3)]}
    pictures["owl"] = [pictures["wren"][1], *(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8) for _ in range(2))]
    for split, numbers in (("train", (0, 1)), ("test", (2,))):
        for label, images in pictures.items():
            (tmp_path / split / label).mkdir(parents=True)
            for i in numbers:
                Image.fromarray(images[i]).save(tmp_path / split / label / f"{i}.png")
    Image.fromarray(pictures["owl"][1]).save(tmp_path / "test" / "owl" / "again.bmp")
    seen, train, test = {}, [], []
    assert check(folder.load(tmp_path, "train"), False, train, seen) == []
    assert check(folder.load(tmp_path, "test"), False, test, seen) == []
    [inside], [across] = train, test
    assert "train/owl/0.png (train, owl) and" in inside and "train/wren/1.png (train, wren)" in inside
    assert "train/owl/1.png (train, owl) and" in across and "test/owl/again.bmp (test, owl)" in across

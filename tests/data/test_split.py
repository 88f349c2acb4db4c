"""Split, its fingerprint, and image files with their errors."""

import pickle

import numpy as np
import pytest
from PIL import Image

from cmr.data import DATASETS, load
from cmr.data.split import NO_BOXES, ImageFiles, Split, fingerprint
from cmr.errors import UserError


class Counter:
    """A reader that can be pickled: image i is filled with i."""

    def __call__(self, i: int) -> np.ndarray:
        return np.full((2, 3, 3), i, np.uint8)


def make(n: int = 4, **changes: object) -> Split:
    fields = {
        "dataset": "Test",
        "split": "test",
        "ids": tuple(f"image{i}" for i in range(n)),
        "labels": np.arange(n) % 2,
        "sizes": np.stack([np.arange(n) + 3, np.arange(n) + 2], 1),
        "boxes": tuple(np.array([[0.0, 0.0, i + 1, 1.0]]) for i in range(n)),
        "classes": ("a", "b"),
        "read": Counter(),
        "fingerprint": "0123456789abcdef",
    }
    return Split(**(fields | changes))


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ValueError, match=r"Test/test: 4 ids, labels \(3,\), sizes \(4, 2\), 4 box arrays"):
        make(labels=np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="3 box arrays"):
        make(boxes=(NO_BOXES,) * 3)


@pytest.mark.parametrize(
    ("index", "expected"),
    [([2, 0], [2, 0]), (slice(1, 3), [1, 2]), (np.array([True, False, False, True]), [0, 3]), ([-1], [3]), ([], [])],
)
def test_subset_carries_every_field(index, expected):
    index = np.array(index, np.int64) if isinstance(index, list) else index
    parts = lambda i: np.full((2, 2, 3), i)  # noqa: E731
    split = make(masks=lambda i: np.full((2, 3), i), ignore=lambda i: np.full((2, 3), -i), parts=parts)
    subset = split.subset(index)
    assert len(subset) == len(expected)
    assert subset.ids == tuple(f"image{i}" for i in expected)
    assert subset.labels.tolist() == [i % 2 for i in expected]
    assert subset.sizes[:, 0].tolist() == [i + 3 for i in expected]
    for k, i in enumerate(expected):
        assert subset.boxes[k][0, 2] == i + 1
        assert subset.read(k)[0, 0, 0] == subset.masks(k)[0, 0] == -subset.ignore(k)[0, 0] == i
        assert subset.parts(k)[0, 0, 0] == i
    assert subset.fingerprint != split.fingerprint
    assert len(subset.fingerprint) == 16


def test_subset_of_a_subset_reads_the_right_image():
    assert make().subset([3, 1, 2]).subset([2, 0]).read(1)[0, 0, 0] == 3


def test_subset_keeps_none_as_none_and_names_its_order():
    split = make()
    assert split.subset([0]).masks is None
    assert split.subset([0]).parts is None
    assert split.subset([0, 1]).fingerprint == split.subset(slice(0, 2)).fingerprint
    assert split.subset([0, 1]).fingerprint != split.subset([1, 0]).fingerprint
    with pytest.raises(IndexError):
        split.subset([4])


def test_split_can_be_pickled():
    copy = pickle.loads(pickle.dumps(make().subset([2])))
    assert copy.ids == ("image2",)
    assert copy.read(0)[0, 0, 0] == 2


def test_fingerprint_is_the_same_everywhere():
    # Written down once; another value on another machine or version would orphan every record.
    value = fingerprint(
        ["a", "é"], np.array([0, 1]), np.array([[4, 5], [6, 7]]), [NO_BOXES, np.array([[0, 0, 1, 1.5]])]
    )
    assert value == "f33bd6094ffaac25"


def test_fingerprint_sees_every_part():
    box = np.array([[0.0, 0.0, 1.0, 1.0]])
    base = {
        "ids": ["ab", "c"],
        "labels": np.array([0, 1]),
        "sizes": np.array([[4, 5], [6, 7]]),
        "boxes": [np.concatenate([box, box]), NO_BOXES],
        "content": np.array([10, 20]),
    }
    changes = [
        {"ids": ["a", "bc"]},
        {"labels": np.array([1, 0])},
        {"sizes": np.array([[5, 4], [6, 7]])},
        {"boxes": [box, box]},
        {"boxes": [np.concatenate([box, box + 1]), NO_BOXES]},
        {"content": np.array([10, 21])},
        {"content": b"10"},
    ]
    values = [fingerprint(**(base | change)) for change in [{}, *changes]]
    assert len(set(values)) == len(values)
    assert fingerprint(**(base | {"labels": np.array([0, 1], np.int32)})) == values[0]


def save(path, mode="RGB", size=(6, 4), colour=0, **options):
    image = Image.new(mode, size, colour)
    image.save(path, **options)
    return path


def test_every_mode_is_read_as_rgb(tmp_path):
    save(tmp_path / "grey.png", "L", colour=9)
    save(tmp_path / "alpha.png", "RGBA", colour=(1, 2, 3, 0))
    save(tmp_path / "cmyk.jpg", "CMYK")
    palette = Image.new("P", (6, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "palette.png", transparency=bytes([0, 128]))
    names = ("grey.png", "alpha.png", "cmyk.jpg", "palette.png")
    files = ImageFiles(tmp_path, names, tmp_path / "list.txt", np.arange(4))
    images = [files(i) for i in range(4)]
    assert all(image.shape == (4, 6, 3) and image.dtype == np.uint8 and image.flags.writeable for image in images)
    assert [image[0, 0].tolist() for image in images] == [[9, 9, 9], [1, 2, 3], [255, 255, 255], [10, 20, 30]]


def test_upright_turns_image_and_size_together(tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees, clockwise
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    stored = ImageFiles(tmp_path, ("a.png",))
    upright = ImageFiles(tmp_path, ("a.png",), upright=True)
    assert stored.size(0) == (6, 4)
    assert stored(0)[0, 0, 0] == 255
    assert upright.size(0) == (4, 6)
    assert upright(0).shape == (6, 4, 3)
    assert upright(0)[0, 3, 0] == 255


def test_unreadable_files_name_themselves_and_their_line(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.jpg")
    data = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    names = ("cut.jpg", "text.jpg", "empty.jpg", "missing.jpg")
    files = ImageFiles(tmp_path, names, tmp_path / "list.txt", np.array([3, 5, 7, 9]))
    said = ("truncated", "cannot identify image", "cannot identify image", "there is no such file")
    for i, (name, line, what) in enumerate(zip(names, (3, 5, 7, 9), said, strict=True)):
        with pytest.raises(UserError) as caught:
            files(i)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / name}: ")
        assert what in message
        assert f"({tmp_path / 'list.txt'}, line {line})" in message
        assert "\n" not in message
    # The header of a file that is cut short can still be read; only decoding finds it.
    assert files.size(0) == (64, 64)
    with pytest.raises(UserError, match="line 5"):
        files.size(1)
    with pytest.raises(UserError, match=r"missing.jpg: there is no such file; replace the file or remove it$"):
        ImageFiles(tmp_path, ("missing.jpg",)).size(0)


def test_load_names_the_nearest_word():
    assert sorted(DATASETS) == ["cub", "folder", "ilsvrc", "openimages", "toybirds"]
    with pytest.raises(UserError, match="unknown data set 'cup': did you mean 'cub'"):
        load("cup", "x", "test")
    with pytest.raises(UserError, match="unknown split 'tests': did you mean 'test'"):
        load("cub", "x", "tests")

"""OpenImages30k: list files and masks."""

import cv2
import numpy as np
import pytest
from PIL import Image

from cmr.data import openimages
from cmr.data.check import check
from cmr.errors import UserError

LISTS = {
    "train/image_ids.txt": "train/0aa/x.png\ntrain/0bb/y.png",
    "train/class_labels.txt": "train/0aa/x.png,0\ntrain/0bb/y.png,1",
    "val/image_ids.txt": "val/0bb/a.png\nval/0bb/b.png",
    "val/class_labels.txt": "val/0bb/a.png,1\nval/0bb/b.png,1",
    "val/image_sizes.txt": "val/0bb/a.png,3,2\nval/0bb/b.png,3,2",
    "val/localization.txt": "val/0bb/a.png,m/a1.png,m/ai.png\nval/0bb/a.png,m/a2.png,\nval/0bb/b.png,m/b1.png,",
}
MASKS = {
    "a1": [[1, 0, 0], [0, 0, 0]],
    "a2": [[1, 255, 0], [0, 0, 0]],
    "ai": [[255, 0, 255], [0, 0, 255]],
    "b1": [[0, 0, 0], [0, 0, 9]],
}


@pytest.fixture
def root(tmp_path):
    for name, text in LISTS.items():
        path = tmp_path / "metadata" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("train/0aa/x", "train/0bb/y", "val/0bb/a", "val/0bb/b"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 2)).save(path)
    (tmp_path / "m").mkdir()
    for name, mask in MASKS.items():
        Image.fromarray(np.array(mask, np.uint8)).save(tmp_path / "m" / f"{name}.png")
    return tmp_path


def test_masks_by_hand(root):
    split = openimages.load(root, "val")
    assert split.dataset == "OpenImages-2"
    assert split.classes == ("0aa", "0bb")
    assert split.labels.tolist() == [1, 1]
    assert split.masks(0).tolist() == [[True, True, False], [False, False, False]]
    # What is both foreground and to be ignored is foreground.
    assert split.ignore(0).tolist() == [[False, False, True], [False, False, True]]
    assert split.masks(1).tolist() == [[False, False, False], [False, False, True]]
    assert split.ignore(1).tolist() == [[False] * 3] * 2
    assert split.subset([1]).masks(0).tolist() == split.masks(1).tolist()
    assert check(split, progress=False) == []
    train = openimages.load(root, "train")
    assert train.masks is None
    assert train.ignore is None
    assert train.classes == split.classes


def test_a_mask_with_a_palette_is_read_by_its_numbers(root):
    before = openimages.load(root, "val").masks(0).tolist()
    [name] = [path for path in (root / "m").iterdir() if path.stem == next(iter(MASKS))]
    with Image.open(name) as mask:
        numbers = Image.fromarray((np.asarray(mask) > 0).astype(np.uint8)).convert("P")
    numbers.putpalette([0, 0, 0, 0, 0, 3])  # 1 is nearly black, which says nothing of what it means
    numbers.save(name)
    assert openimages.load(root, "val").masks(0).tolist() == before


def test_lists_and_masks_may_lie_elsewhere(root, tmp_path_factory):
    moved = tmp_path_factory.mktemp("elsewhere")
    (root / "metadata").rename(moved / "lists")
    (root / "m").rename(moved / "m")
    split = openimages.load(root, "val", openimages.Settings(metadata=str(moved / "lists"), masks=str(moved)))
    assert split.masks(1).sum() == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("m/a2.png", "m/a9.png", r"a9.png: there is no such file \(.*localization.txt, line 2\)"),
        ("m/ai.png", "m/a9.png", r"a9.png: there is no such file \(.*localization.txt, line 1\)"),
        ("m/a2.png", "../a2.png", "localization.txt, line 2: path '../a2.png' may lead out"),
        ("m/ai.png", "/ai.png", "localization.txt, line 1: path '/ai.png' may lead out"),
        ("m/a2.png,", "m/a2.png,m/ai.png", "line 2: an ignore file belongs on the first line of 'val/0bb/a.png'"),
        ("val/0bb/b.png,m", "val/0bb/c.png,m", "localization.txt, line 3: 'val/0bb/c.png' is not in .*image_ids.txt"),
        ("\nval/0bb/b.png,m/b1.png,", "", r"no mask for 'val/0bb/b.png' \(.*image_ids.txt, line 2\)"),
        ("val/0bb/b.png,m/b1.png,", "val/0bb/b.png", "localization.txt, line 3: 1 fields, expected 2 or 3"),
    ],
)
def test_mistakes_name_file_and_line(root, old, new, message):
    path = root / "metadata" / "val" / "localization.txt"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        openimages.load(root, "val")


def test_broken_masks_are_found_by_the_check(root):
    (root / "m" / "a2.png").write_bytes(b"no mask")
    Image.new("L", (3, 3)).save(root / "m" / "b1.png")
    Image.new("L", (3, 3)).save(root / "m" / "ai.png")
    problems = check(openimages.load(root, "val"), progress=False)
    assert len(problems) == 1
    assert "a2.png: cannot be read as a mask" in problems[0]
    assert "line 2)" in problems[0]
    Image.new("L", (3, 3)).save(root / "m" / "a2.png")
    (problem,) = check(openimages.load(root, "val"), progress=False)
    assert "a2.png: is 3x3, the image's first mask 3x2" in problem
    Image.new("L", (3, 2)).save(root / "m" / "a2.png")
    (problem,) = check(openimages.load(root, "val"), progress=False)
    assert "ai.png: is 3x3, the image's masks 3x2" in problem
    assert "line 1)" in problem


def test_the_benchmarks_masks(shared, tmp_path):
    """Foreground and scored background at 224x224, nearest, as OpenCV and the reference count them."""
    masks = shared / "conformance" / "pxap_masks"
    names = sorted(path.relative_to(masks).as_posix() for path in masks.rglob("*.png"))
    ids = sorted({name.rsplit("_", 1)[0].split("_m0")[0] for name in names})
    localization = []
    for name in ids:
        instances = [n for n in names if n.startswith(f"{name}_m0")]
        localization += [f"{name}.jpg,{n},{name + '_ignore.png' if k == 0 else ''}" for k, n in enumerate(instances)]
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.jpg")
    lists = tmp_path / "metadata" / "val"
    lists.mkdir(parents=True)
    (lists / "image_ids.txt").write_text("\n".join(f"{name}.jpg" for name in ids))
    (lists / "class_labels.txt").write_text("\n".join(f"{name}.jpg,0" for name in ids))
    (lists / "localization.txt").write_text("\n".join(localization))
    split = openimages.load(tmp_path, "val", openimages.Settings(masks=str(masks)))

    def at_224(mask: np.ndarray) -> np.ndarray:
        return cv2.resize(mask.astype(np.uint8), (224, 224), interpolation=cv2.INTER_NEAREST) > 0

    counts = {}
    for i, name in enumerate(split.ids):
        foreground, ignore = at_224(split.masks(i)), at_224(split.ignore(i))
        counts[name.split("/")[-1][:6]] = (int(foreground.sum()), int((~foreground & ~ignore).sum()))
    assert [counts[name] for name in ("1cd9ac", "3a29f0", "3b3b99")] == [(43031, 7145), (833, 49343), (347, 13910)]
    # These two carry an alpha channel, which is dropped: nothing is object in one, all is in the other.
    assert [counts[name] for name in ("490365", "b4d953")] == [(0, 50176), (50176, 0)]


def test_other_masks_are_another_split(root):
    before = openimages.load(root, "val").fingerprint
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(next((root / "m").iterdir()))
    edited = openimages.load(root, "val").fingerprint
    (root / "metadata" / "val" / "localization.txt").unlink()
    assert len({before, edited, openimages.load(root, "val").fingerprint}) == 3

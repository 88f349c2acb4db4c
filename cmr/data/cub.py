"""CUB-200-2011 (Wah et al. 2011), or any part of it, from the official folder layout.

Expected under the root: `images.txt` (id path), `image_class_labels.txt` (id class), `train_test_split.txt` (id
is_training), `bounding_boxes.txt` (id x y width height), `classes.txt` (class name) and the folder `images/`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmr.data import benchmark
from cmr.data.lists import check_box, cut, file_bytes, headers, inside, integer, lines, reals
from cmr.data.split import ImageFiles, Split, split_of_files
from cmr.errors import UserError


@dataclass(frozen=True)
class Settings:
    """Where the benchmark's validation images lie; train and test need no setting."""

    cubv2: str = ""  # folder of the images of CUBV2, the split val; empty: <root>/CUBV2
    metadata: str = ""  # folder with the benchmark's list files of CUB, for val; empty: <root>/metadata


def load(root: str | Path, split: str, settings: Settings | None = None) -> Split:
    """Loads the official train or test split, or the benchmark's validation set CUBV2.

    Boxes come as x, y, width, height and are kept as xyxy, half-open (x1 = x + width). Some official boxes
    end beyond their image (14 of the first 2,889); as in the benchmark's lists boxes are cut at width - 1 and
    height - 1.

    Args:
        root: the folder that holds `images.txt`.
        split: "train" or "test" by `train_test_split.txt`; "val" is CUBV2 (Choe et al. 2020), 1,000 images from
            elsewhere, with list files in the benchmark's format.
        settings: see `Settings`.

    Returns:
        The split, named "CUB-200-2011" when there are 200 classes and "CUB-K" for a part with K.

    Raises:
        UserError: when a list is missing, empty or wrong, or an image is missing, naming file and line.
    """
    root, settings = Path(root), settings or Settings()
    # Official class numbers start at 1 and need not be contiguous in a part of the data set.
    classes_list = root / "classes.txt"
    classes: dict[int, tuple[int, str]] = {}
    for number, (written, name) in lines(classes_list, None, (2,)):
        label = integer(written, "class", classes_list, number)
        if label in classes:
            raise UserError(f"{classes_list}, line {number}: class {label} is listed twice; give each number once")
        classes[label] = len(classes), name
    names = tuple(name for _, name in classes.values())
    if split == "val":
        return _cubv2(root, names, settings)
    images_list = root / "images.txt"
    images = _by_id(images_list, 2, lambda fields, number: (inside(fields[0], images_list, number), number))
    first: dict[str, int] = {}
    for name, number in images.values():
        if first.setdefault(name, number) != number:
            raise UserError(f"{images_list}, line {number}: '{name}' is listed twice, first in line {first[name]}")
    split_list = root / "train_test_split.txt"
    wanted = _by_id(split_list, 2, lambda fields, number: _is_train(fields[0], split_list, number))
    labels_list = root / "image_class_labels.txt"
    labels = _by_id(labels_list, 2, lambda fields, number: (integer(fields[0], "class", labels_list, number), number))
    boxes_list = root / "bounding_boxes.txt"
    boxes = _by_id(boxes_list, 5, lambda fields, number: (reals(fields, "box", boxes_list, number), number))
    for path, known in ((split_list, wanted), (labels_list, labels), (boxes_list, boxes)):
        missing = next((i for i in images if i not in known), None)
        if missing is not None:
            raise UserError(f"{path}: no line for image {missing} ({images_list}, line {images[missing][1]})")

    chosen = [i for i in images if wanted[i] == (split == "train")]
    if not chosen:
        raise UserError(f"{split_list}: no image of {images_list} belongs to split {split}")
    for i in chosen:
        label, number = labels[i]
        if label not in classes:
            raise UserError(f"{labels_list}, line {number}: class {label} is not in {root / 'classes.txt'}")
    ids = tuple(images[i][0] for i in chosen)
    files = ImageFiles(root / "images", ids, images_list, np.array([images[i][1] for i in chosen]))
    sizes = headers(files)
    given, kept = [], []
    for i, size in zip(chosen, sizes, strict=True):
        (x, y, width, height), number = boxes[i]
        given.append([x, y, x + width, y + height])
        kept.append(check_box(given[-1], tuple(size.tolist()), boxes_list, number, clip=True))
    xyxy = tuple(np.array([box]) for box in kept)
    indices = np.array([classes[labels[i][0]][0] for i in chosen], np.int64)
    notes = cut(given, kept, boxes_list, clip=True)
    return split_of_files(_name(names), split, files, indices, sizes, xyxy, names, file_bytes(files), notes=notes)


def _cubv2(root: Path, names: tuple[str, ...], settings: Settings) -> Split:
    lists = (Path(settings.metadata) if settings.metadata else root / "metadata") / "val"
    images = Path(settings.cubv2) if settings.cubv2 else root / "CUBV2"
    if not lists.is_dir():
        raise UserError(
            f"{lists}: there is no such folder; val is CUBV2, no part of the official release: "
            "fetch its images and list files, and name their folders (cubv2, metadata)"
        )
    files, labels, numbers = benchmark.labelled(lists, images)
    benchmark.check_labels(lists, labels, numbers, len(names), str(root / "classes.txt"))
    sizes, content = benchmark.sizes_and_bytes(lists, files)
    notes: list[str] = []
    boxes = benchmark.boxes(lists, files, sizes, notes)
    return split_of_files(_name(names), "val", files, labels, sizes, boxes, names, content, notes=notes)


def _name(classes: tuple[str, ...]) -> str:
    return "CUB-200-2011" if len(classes) == 200 else f"CUB-{len(classes)}"


def _is_train(text: str, path: Path, number: int) -> bool:
    if text not in ("0", "1"):
        raise UserError(f"{path}, line {number}: '{text}' is neither 1 (train) nor 0 (test)")
    return text == "1"


def _by_id(path: Path, count: int, parse: Callable[[list[str], int], Any]) -> dict[int, Any]:
    """Reads a list whose first field is the image's number; the rest of the line and its number go to `parse`."""
    out: dict[int, Any] = {}
    for number, fields in lines(path, None, (count,)):
        image = integer(fields[0], "image id", path, number)
        if image in out:
            raise UserError(f"{path}, line {number}: image {image} is listed twice")
        out[image] = parse(fields[1:], number)
    return out

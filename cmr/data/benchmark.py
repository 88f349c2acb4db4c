"""The list files of the WSOL benchmark (Choe et al., CVPR 2020), the same for every data set that has them.

One folder per split (`train`, `val`, `test`) with CSV files without a header:

    image_ids.txt      path
    class_labels.txt   path,class index from 0
    image_sizes.txt    path,width,height             (optional: read from the image files otherwise)
    localization.txt   path,x0,y0,x1,y1              (optional, several lines per image; OpenImages: masks)
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cmr.data.lists import check_box, cut, file_bytes, headers, inside, integer, lines, normal, reals, repeated
from cmr.data.split import NO_BOXES, ImageFiles
from cmr.errors import UserError


def labelled(folder: Path, root: Path, ids_file: str = "image_ids.txt") -> tuple[ImageFiles, np.ndarray, np.ndarray]:
    """Reads which images belong to a split, and their labels.

    Args:
        folder: the folder of the split's list files.
        root: the folder that the lists' paths start from.
        ids_file: the list of images; `class_labels.txt` may hold more of them.

    Returns:
        The images (their names are the paths in the list), labels (n,) int64, and the line of each label (n,).

    Raises:
        UserError: when a list is missing, empty or wrong, or a path is listed twice, leads out of the root or has
            no label.
    """
    ids_list, labels_list = folder / ids_file, folder / "class_labels.txt"
    ids: dict[str, int] = {}
    for number, (path,) in lines(ids_list, ",", (1,)):
        path = inside(path, ids_list, number)
        if path in ids:
            raise UserError(f"{ids_list}, line {number}: '{path}' is listed twice, first in line {ids[path]}")
        ids[path] = number
    files = ImageFiles(root, tuple(ids), ids_list, np.fromiter(ids.values(), np.int64))
    del ids
    labels, numbers = _by_image(labels_list, files, 1, lambda texts, n: [integer(texts[0], "class", labels_list, n)])
    lacking = np.flatnonzero(numbers == 0)
    if len(lacking):
        i = lacking[0]
        raise UserError(f"{labels_list}: no label for '{files.names[i]}'{files.place(i)}")
    return files, labels[:, 0], numbers


def _by_image(
    path: Path, files: ImageFiles, count: int, parse: Callable[[list[str], int], list[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a list with one line per image, into arrays: a million rows as Python's objects would take a gigabyte.

    Args:
        path: the list; it may name more images.
        files: the images.
        count: values in a line, beside the image's name.
        parse: makes them of texts and line number.

    Returns:
        Values (n, count) int64 and line numbers (n,), 0 where the list has no line for an image.
    """
    position = {name: i for i, name in enumerate(files.names)}
    others: dict[str, int] = {}
    values, numbers = np.zeros((len(position), count), np.int64), np.zeros(len(position), np.int64)
    for number, (name, *texts) in lines(path, ",", (1 + count,)):
        row, name = parse(texts, number), normal(name)
        i = position.get(name)
        first = others.setdefault(name, number) if i is None else numbers[i] or number
        if first != number:
            raise UserError(f"{path}, line {number}: '{name}' is listed twice, first in line {first}")
        if i is not None:
            values[i], numbers[i] = row, number
    return values, numbers


def check_labels(folder: Path, labels: np.ndarray, numbers: np.ndarray, k: int, source: str) -> None:
    """Raises a UserError for the first label that is not among the K classes.

    Args:
        folder: the folder of the split's list files.
        labels: (n,) class indices.
        numbers: (n,) their lines in `class_labels.txt`.
        k: number of classes.
        source: where the classes come from, for the message.
    """
    wrong = np.flatnonzero((labels < 0) | (labels >= k))
    if len(wrong):
        i = wrong[0]
        raise UserError(
            f"{folder / 'class_labels.txt'}, line {numbers[i]}: class {labels[i]} is not one of 0 to {k - 1} ({source})"
        )


def sizes_and_bytes(folder: Path, files: ImageFiles) -> tuple[np.ndarray, np.ndarray]:
    """Finds the images' original sizes, from `image_sizes.txt` or else from the files, and the files' bytes.

    Args:
        folder: the folder of the split's list files.
        files: the images.

    Returns:
        (n, 2) int64 width and height, and (n,) int64 bytes.

    Raises:
        UserError: when an image is missing, or the list is wrong or lacks an image.
    """
    if not (folder / "image_sizes.txt").exists():
        return headers(files), file_bytes(files)
    return listed_sizes(folder, files), file_bytes(files)


def listed_sizes(folder: Path, files: ImageFiles) -> np.ndarray:
    """Reads the images' original sizes from `image_sizes.txt`; the images themselves need not be there.

    Args:
        folder: the folder of the split's list files.
        files: the images.

    Returns:
        (n, 2) int64 width and height.

    Raises:
        UserError: when the list is missing or wrong, lacks an image, or has one twice.
    """
    path = folder / "image_sizes.txt"

    def size(texts: list[str], number: int) -> list[int]:
        found = [integer(text, "size", path, number) for text in texts]
        if min(found) < 1 or max(found) >= 2**31:
            raise UserError(f"{path}, line {number}: an image of {found[0]}x{found[1]} pixels is not possible")
        return found

    sizes, numbers = _by_image(path, files, 2, size)
    lacking = np.flatnonzero(numbers == 0)
    if len(lacking):
        i = lacking[0]
        raise UserError(f"{path}: no size for '{files.names[i]}'{files.place(i)}")
    return sizes


def boxes(folder: Path, files: ImageFiles, sizes: np.ndarray, notes: list[str] | None = None) -> tuple[np.ndarray, ...]:
    """Reads `localization.txt` with boxes; without it no image has any.

    The benchmark evaluates x0,y0,x1,y1 as they stand (x1 = x0 + width), so they are taken as half-open.

    Args:
        folder: the folder of the split's list files.
        files: the images.
        sizes: (n, 2) width and height.
        notes: receives what is odd but no mistake: boxes that were cut, lines that stand there twice.

    Returns:
        n arrays (k, 4) float64 xyxy, half-open, original pixels.

    Raises:
        UserError: for a box without an area or outside its image, or of an image that is not in the list.
    """
    path = folder / "localization.txt"
    if not path.exists():
        return (NO_BOXES,) * len(files.names)
    position = {name: i for i, name in enumerate(files.names)}
    found: list[list[tuple[float, ...]]] = [[] for _ in files.names]
    given, kept, rows = [], [], []
    for number, (name, *texts) in lines(path, ",", (5,)):
        name = normal(name)
        if name not in position:
            raise UserError(f"{path}, line {number}: '{name}' is not in {files.list_file}")
        i = position[name]
        width, height = sizes[i].tolist()
        given.append(reals(texts, "box", path, number))
        kept.append(check_box(given[-1], (width, height), path, number))
        rows.append((number, (name, *given[-1])))
        found[i].append(kept[-1])
    if notes is not None:
        notes += cut(given, kept, path) + repeated(rows, path)
    return tuple(np.array(some) if some else NO_BOXES for some in found)

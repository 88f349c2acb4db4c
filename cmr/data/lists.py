"""List files: lines with their numbers, numbers with their errors, and paths that stay inside the data root."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cmr.data.split import ImageFiles
from cmr.errors import UserError


def lines(path: Path, separator: str | None = ",", counts: tuple[int, ...] = ()) -> Iterator[tuple[int, list[str]]]:
    """Reads a list file: one record a line, empty lines skipped.

    Args:
        path: the file, UTF-8.
        separator: what stands between two fields; None for any white space.
        counts: how many fields a line may have; () for any number.

    Yields:
        Line number from 1, and the fields without surrounding spaces.

    Raises:
        UserError: when the file is missing, no text, or without a record, or a line has another number of fields.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such list file; give the root folder that holds it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    empty = True
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line:
            continue
        empty = False
        fields = line.split(separator)
        if counts and len(fields) not in counts:
            expected = " or ".join(map(str, counts))
            raise UserError(f"{path}, line {number}: {len(fields)} fields, expected {expected}: '{line}'")
        yield number, [item.strip() for item in fields] if " " in line else fields
    if empty:
        raise UserError(f"{path}: the list is empty; it must name at least one image")


def integer(text: str, what: str, path: Path, number: int) -> int:
    """Reads a whole number, or raises a UserError that names file and line."""
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{path}, line {number}: {what} '{text}' is not a whole number") from None


def reals(texts: list[str], what: str, path: Path, number: int) -> list[float]:
    """Reads finite numbers, or raises a UserError that names file and line."""
    try:
        values = [float(text) for text in texts]
        if not np.isfinite(values).all():
            raise ValueError
    except ValueError:
        raise UserError(f"{path}, line {number}: {what} '{','.join(texts)}' is not made of finite numbers") from None
    return values


def inside(name: str, path: Path, number: int) -> str:
    """Lets a relative path from a list pass; one that leads out of the data root is refused.

    Args:
        name: the relative path in the list, with forward slashes.
        path: the list file.
        number: the line in it.

    Returns:
        The name.

    Raises:
        UserError: for an empty name, an absolute path, a drive, a backslash or a "..".

    Example:
        >>> inside("a/b.jpg", Path("list.txt"), 3)
        'a/b.jpg'
    """
    # Strings and not pathlib: this runs for each of a million lines.
    if not name or name[0] == "/" or name[1:2] == ":" or "\\" in name or "\0" in name or ".." in name.split("/"):
        raise UserError(
            f"{path}, line {number}: path '{name}' may lead out of the data root; "
            "give a path relative to the root, with forward slashes and without '..'"
        )
    return name


def check_box(
    box: list[float], size: tuple[int, int], path: Path, number: int, clip: bool = False
) -> tuple[float, float, float, float]:
    """Checks that a box has an area and lies in its image.

    Args:
        box: x0, y0, x1, y1 in original pixels, half-open.
        size: width and height of the image.
        path: the list file.
        number: the line in it.
        clip: the box may end beyond the last pixel and is cut there, to x1 <= width - 1 and y1 <= height - 1 as
            in the benchmark's lists (official annotations that are known to overshoot).

    Returns:
        The box.

    Raises:
        UserError: when it has no area or lies outside, naming file, line, box and image size.
    """
    x0, y0, x1, y1 = box
    width, height = size
    where = f"{path}, line {number}: box {x0:g},{y0:g},{x1:g},{y1:g}"
    if x1 <= x0 or y1 <= y0:
        raise UserError(f"{where} has no area; give x0 < x1 and y0 < y1")
    if clip:
        x1, y1 = min(x1, width - 1), min(y1, height - 1)
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height or x1 <= x0 or y1 <= y0:
        raise UserError(f"{where} lies outside its image of {width}x{height} pixels")
    return x0, y0, x1, y1


def headers(files: ImageFiles) -> np.ndarray:
    """Reads every image's size from its header, in threads; a bar shows when it takes longer than two seconds.

    Args:
        files: the images.

    Returns:
        (n, 2) int64, width and height.

    Raises:
        UserError: for the first file that is missing or no image, naming its line.
    """
    return np.array(_threaded(files.size, len(files.names), "reading image headers"), np.int64).reshape(-1, 2)


def file_bytes(files: ImageFiles) -> np.ndarray:
    """Asks for every file's size in bytes, which stands for its content in the fingerprint.

    Args:
        files: the images.

    Returns:
        (n,) int64.

    Raises:
        UserError: for the first file that is missing, naming its line.
    """

    def stat(i: int) -> int:
        try:
            return os.stat(os.path.join(files.root, files.names[i])).st_size
        except OSError as error:
            raise files.error(i, error) from error

    return np.array(_threaded(stat, len(files.names), "looking for the images"), np.int64)


def _threaded(function: Callable[[int], Any], n: int, what: str) -> list[Any]:
    with ThreadPoolExecutor(16) as pool:
        out: list[Any] = []
        # In pieces: a million pending jobs would cost a gigabyte and could not be stopped at the first error.
        with tqdm(total=n, desc=what, unit="image", delay=2) as bar:
            for start in range(0, n, 4096):
                out += pool.map(function, range(start, min(start + 4096, n)))
                bar.update(len(out) - bar.n)
        return out

"""List files: lines with their numbers, numbers with their errors, and paths that stay inside the data root."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath, PureWindowsPath

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
        if not line.strip():
            continue
        empty = False
        fields = [item.strip() for item in line.split(separator)]
        if counts and len(fields) not in counts:
            expected = " or ".join(map(str, counts))
            raise UserError(f"{path}, line {number}: {len(fields)} fields, expected {expected}: '{line.strip()}'")
        yield number, fields
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


def inside(root: Path, name: str, path: Path, number: int) -> Path:
    """Joins root and a name from a list; a name that leads out of the root is refused.

    Args:
        root: the data root.
        name: the relative path in the list, with forward slashes.
        path: the list file.
        number: the line in it.

    Returns:
        root / name.

    Raises:
        UserError: for an empty name, an absolute path, a drive, a backslash or a "..".

    Example:
        >>> inside(Path("data"), "a/b.jpg", Path("list.txt"), 3).as_posix()
        'data/a/b.jpg'
    """
    out = (
        not name
        or "\\" in name
        or "\0" in name
        or PureWindowsPath(name).drive
        or PurePosixPath(name).is_absolute()
        or ".." in PurePosixPath(name).parts
    )
    if out:
        raise UserError(
            f"{path}, line {number}: path '{name}' may lead out of the data root; "
            "give a path relative to the root, with forward slashes and without '..'"
        )
    return root / name


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


def read_headers(files: ImageFiles, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Reads every image's size from its header, in threads, and its size in bytes.

    Args:
        files: the images.
        progress: show a progress bar.

    Returns:
        (n, 2) int64 width and height, and (n,) int64 bytes.

    Raises:
        UserError: for the first file that is missing or no image, naming its line.
    """
    n = len(files.paths)
    out = np.empty((n, 3), np.int64)

    def read(i: int) -> None:
        try:
            out[i, 2] = files.paths[i].stat().st_size
        except OSError as error:
            raise files.error(i, error) from error
        out[i, :2] = files.size(i)

    with ThreadPoolExecutor(16) as pool:
        for _ in tqdm(pool.map(read, range(n)), total=n, desc="reading headers", unit="image", disable=not progress):
            pass
    return out[:, :2], out[:, 2]

"""List files: lines with their numbers, numbers with their errors, and paths that stay inside the data root."""

import math
import os
import posixpath
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cmr.data.split import ImageFiles
from cmr.data.threaded import in_threads
from cmr.errors import UserError
from cmr.files import read_regular


def lines(path: Path, separator: str | None = ",", counts: tuple[int, ...] = ()) -> Iterator[tuple[int, list[str]]]:
    """Reads a list file: one record per line, empty lines skipped.

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
        content = read_regular(path)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such list file; give the root folder that holds it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    empty = True
    for number, line in enumerate(_text(content, path).split("\n"), 1):
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


def _text(content: bytes, path: Path) -> str:
    if b"\0" in content:  # no list has one, and UTF-16 has one per letter
        raise UserError(f"{path}: cannot be read as UTF-8 text; it looks like UTF-16: save it again as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}: cannot be read as UTF-8 text (line {line}: {error.reason}); it may be Latin-1 (Windows-1252): "
            "save it again as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def integer(text: str, what: str, path: Path, number: int) -> int:
    """Reads a whole number that fits into 64 bits, or raises a UserError that names file and line."""
    try:
        value = int(text)
    except ValueError:
        raise UserError(f"{path}, line {number}: {what} '{text}' is not a whole number") from None
    if not -(2**63) <= value < 2**63:
        raise UserError(f"{path}, line {number}: {what} '{text}' is too large")
    return value


def reals(texts: list[str], what: str, path: Path, number: int) -> list[float]:
    """Reads finite numbers, or raises a UserError that names file and line."""
    try:
        values = [float(text) for text in texts]
        if not all(map(math.isfinite, values)):
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
        The name as `normal` writes it.

    Raises:
        UserError: for an empty name, an absolute path, a drive, a backslash, a "..", or a hidden file.

    Example:
        >>> inside("./a//b.jpg", Path("list.txt"), 3)
        'a/b.jpg'
    """
    # Strings and not pathlib: this runs for each of a million lines.
    if not name or name[0] == "/" or name[1:2] == ":" or "\\" in name or "\0" in name or ".." in name.split("/"):
        raise UserError(
            f"{path}, line {number}: path '{name}' may lead out of the data root; "
            "give a path relative to the root, with forward slashes and without '..'"
        )
    name = normal(name)
    if (name[0] == "." or "/." in name or "__MACOSX" in name) and any(hidden(part) for part in name.split("/")):
        raise UserError(
            f"{path}, line {number}: '{name}' is hidden, as systems' own files are; remove the line or rename it"
        )
    return name


def normal(name: str) -> str:
    """Writes a path in the one way in which a file has one name: `./a.jpg` and `a.jpg` are one file.

    Example:
        >>> normal("./x//a.jpg")
        'x/a.jpg'
    """
    # Few lists need it, and normpath is slow.
    return posixpath.normpath(name) if name[:2] == "./" or "//" in name or "/./" in name else name


def hidden(name: str) -> bool:
    """Says whether a file or folder is none of the user's: `.ipynb_checkpoints`, `__MACOSX`, `._twin.jpg`.

    Example:
        >>> hidden("._a.jpg"), hidden("__MACOSX"), hidden("a.jpg")
        (True, True, False)
    """
    return name.startswith((".", "__MACOSX"))


def below(root: Path) -> Iterator[Path]:
    """All files below a folder but hidden ones, also in folders that are links; one that leads back up is not followed.

    Example:
        >>> sorted(path.name for path in below(Path("cmr/metrics/contours")) if path.suffix == ".py")[:2]
        ['__init__.py', 'levels.py']
    """
    for folder, inner, names in os.walk(root, followlinks=True):
        here = Path(folder)
        above = {place.resolve() for place in (here, *here.parents)}
        inner[:] = [name for name in inner if not hidden(name) and (here / name).resolve() not in above]
        yield from (here / name for name in names if not hidden(name))


def repeated(rows: Iterable[tuple[int, Hashable]], path: Path) -> list[str]:
    """Makes the note on lines that say again what an earlier one says; none where there is no such line.

    Args:
        rows: line numbers, and what the lines say.
        path: the list file.

    Example:
        >>> repeated([(1, "a"), (2, "b"), (3, "a")], Path("list.txt"))
        ['list.txt: 1 line says what an earlier one says, first line 3 (as line 1)']
    """
    first: dict[Hashable, int] = {}
    again = [(number, first[row]) for number, row in rows if first.setdefault(row, number) != number]
    if not again:
        return []
    count = "1 line says" if len(again) == 1 else f"{len(again)} lines say"
    return [f"{path}: {count} what an earlier one says, first line {again[0][0]} (as line {again[0][1]})"]


def cut(given: Iterable[Iterable[float]], kept: Iterable[Iterable[float]], path: Path, clip: bool = False) -> list[str]:
    """Makes the note on boxes that `check_box` cut; none where it cut none.

    Args:
        given: the boxes as the list has them.
        kept: as `check_box` returned them.
        path: the list file.
        clip: as it was for `check_box`.

    Example:
        >>> cut([[0, 0, 8.1, 4]], [[0, 0, 8, 4]], Path("list.txt"))
        ['list.txt: 1 box was cut at the edge of its image']
        >>> cut([[0, 0, 8, 4]], [[0, 0, 7, 3]], Path("list.txt"), clip=True)
        ["list.txt: 1 box was cut at width - 1 or height - 1, as in the benchmark's lists"]
    """
    n = sum(tuple(a) != tuple(b) for a, b in zip(given, kept, strict=True))
    where = "width - 1 or height - 1, as in the benchmark's lists" if clip else "the edge of its image"
    return [f"{path}: {'1 box was' if n == 1 else f'{n} boxes were each'} cut at {where}"] if n else []


def check_box(
    box: list[float], size: tuple[int, int], path: Path, number: int | str, clip: bool = False
) -> tuple[float, float, float, float]:
    """Checks that a box has an area and lies in its image; what overshoots by at most half a pixel is cut off.

    Args:
        box: x0, y0, x1, y1 in original pixels, half-open.
        size: width and height of the image.
        path: the list file.
        number: the line in it, or the place in words.
        clip: the box may end beyond the last pixel and is cut there, to x1 <= width - 1 and y1 <= height - 1 as
            in the benchmark's lists (official annotations that are known to overshoot).

    Returns:
        The box, cut where it overshoots: spreadsheets write 500.0000001, and annotation tools round.

    Raises:
        UserError: when it has no area or lies outside, naming file, line, box and image size.
    """
    x0, y0, x1, y1 = box
    width, height = size
    if x1 <= x0 or y1 <= y0:
        raise _wrong_box(box, path, number, "has no area; give x0 < x1 and y0 < y1")
    if clip:
        x1, y1 = min(x1, width - 1), min(y1, height - 1)
    if min(x0, y0) >= -0.5 and x1 <= width + 0.5 and y1 <= height + 0.5:
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height or x1 <= x0 or y1 <= y0:
        outside = f"lies outside its image of {width}x{height} pixels; cut it at the edge"
        raise _wrong_box(box, path, number, outside)
    return x0, y0, x1, y1


def _wrong_box(box: list[float], path: Path, number: int | str, what: str) -> UserError:
    place = number if isinstance(number, str) else f"line {number}"
    return UserError(f"{path}, {place}: box {','.join(f'{side:.10g}' for side in box)} {what}")


def headers(files: ImageFiles) -> np.ndarray:
    """Reads every image's size from its header, in threads; a bar shows when it takes longer than two seconds.

    Args:
        files: the images.

    Returns:
        (n, 2) int64, width and height.

    Raises:
        UserError: files that are missing or no images, naming the lines of the first ten.
    """

    def size(i: int) -> tuple[int, int] | UserError:
        try:
            return files.size(i)
        except UserError as error:
            return error

    found = _threaded(size, len(files.names), "reading image headers")
    bad = [str(one) for one in found if isinstance(one, UserError)]
    if bad:
        raise UserError("\n".join(bad[:10]) + f"\n... and {len(bad) - 10} more" * (len(bad) > 10))
    return np.array(found, np.int64).reshape(-1, 2)


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
    return list(tqdm(in_threads(function, n, 16), total=n, desc=what, unit="image", delay=2))

"""Which pictures were meant, what they are called, and where the results go."""

import itertools
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from cmr.data.lists import below
from cmr.data.pictures import suffixes
from cmr.errors import UserError

ROWS = "localizations.json"
DRAWN = ".cmr.png"


def picture_files(given: Sequence[Path], out: Path) -> dict[Path, str]:
    """The pictures, each once, with their names seen from where they were given.

    Args:
        given: pictures, and folders of which those files are taken that end as pictures do, in the order of their
            names, also of folders in them; hidden files and the results of this command are none. Files that are left
            aside are named on the error stream.
        out: where the results go.

    Raises:
        UserError: there is no such file or folder, or a folder has no picture.
    """
    found: dict[Path, tuple[Path, str]] = {}  # by its own place: the file as it was given, and its name
    for path in given:
        if path.is_dir():
            for file in _inside(path, out):
                found.setdefault(file.resolve(), (file, file.relative_to(path).as_posix()))
        elif path.exists():
            found.setdefault(path.resolve(), (path, path.name))
        else:
            raise UserError(f"{path}: no such picture or folder")
    if not found:
        raise UserError("localize: no picture was named; give pictures or folders")
    return dict(found.values())


def _inside(folder: Path, out: Path) -> list[Path]:
    inside = [f for f in sorted(below(folder)) if f.is_file()]
    results = {f.parent for f in inside if f.name == ROWS or f.parent.resolve() == out.resolve()} - {folder}
    inside = [f for f in inside if not results.intersection(f.parents)]
    files = [f for f in inside if f.suffix.lower() in suffixes() and not f.name.endswith(DRAWN)]
    if not files:
        raise UserError(f"{folder}: no picture there (looked for all that Pillow reads, such as .jpg and .png)")
    left = [f.relative_to(folder).as_posix() for f in inside if f.suffix.lower() not in suffixes()]
    if left:
        more = ", ..." * (len(left) > 5)
        print(f"localize: {folder}: no pictures by their names: {', '.join(left[:5])}{more}", file=sys.stderr)
    return files


def drawn_names(files: dict[Path, str], taken: Iterable[str] = ()) -> dict[Path, str]:
    """What the annotated pictures are called: bird.jpg becomes bird.cmr.png, and bird.png beside it bird-2.cmr.png.

    Args:
        files: the pictures with their names, as `picture_files` gives them.
        taken: names that are in use.

    Example:
        >>> files = {Path("a.jpg"): "a.jpg", Path("a.JPG"): "a.JPG", Path("A.png"): "A.png", Path("b/a.jpg"): "b/a.jpg"}
        >>> list(drawn_names(files).values())
        ['a.cmr.png', 'a-2.cmr.png', 'A-3.cmr.png', 'b/a.cmr.png']
        >>> list(drawn_names({Path("c/a.jpg"): "a.jpg"}, ["a.cmr.png"]).values())
        ['a-2.cmr.png']
    """
    names: dict[Path, str] = {}
    used = {name.lower() for name in taken}  # some file systems do not tell upper from lower case
    for file, name in files.items():
        stem = PurePosixPath(name).with_suffix("").as_posix()
        tries = (f"{stem}{DRAWN}" if count == 1 else f"{stem}-{count}{DRAWN}" for count in itertools.count(1))
        names[file] = next(name for name in tries if name.lower() not in used)
        used.add(names[file].lower())
    return names


def stem(drawn: str) -> str:
    """A picture's name without ending, unlike that of any other picture in the results.

    Example:
        >>> stem("a/bird-2.cmr.png")
        'a/bird-2'
    """
    return drawn.removesuffix(DRAWN)


def map_name(drawn: str) -> str:
    """Where a picture's map goes.

    Example:
        >>> map_name("a/bird-2.cmr.png")
        'maps/a/bird-2.npy'
    """
    return f"maps/{stem(drawn)}.npy"


def left_over(before: Iterable[str], now: Iterable[str]) -> list[str]:
    """Names of files that are not needed any more; one that differs in case alone may be the same file.

    Example:
        >>> left_over(["a.txt", "B.txt"], ["b.txt"])
        ['a.txt']
    """
    needed = {name.lower() for name in now}
    return sorted(name for name in before if name.lower() not in needed)


def check_out(out: Path, folders: Iterable[Path]) -> None:
    """Raises `UserError` where results cannot go, or would lie among the pictures."""
    there = next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"out: {there} is a file; name a folder for what is drawn")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"out: {there} cannot be written; name another folder for what is drawn")
    if out.resolve() in {folder.resolve() for folder in folders}:
        raise UserError(f"out: {out} is the folder of the pictures; name another for what is drawn")


def seen_from(out: Path, file: Path) -> str:
    """The way from the results to the picture: the same from wherever a call is made."""
    try:
        return Path(os.path.relpath(file.resolve(), out.resolve())).as_posix()
    except ValueError:  # another drive of Windows
        return file.resolve().as_posix()

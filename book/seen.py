"""What the build reads, at two depths: as make looks at files, and by their contents."""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

READ = ("book", "cmr", "labs", "notebooks", "results", "study", "constraints.txt", "CHANGELOG.md")  # by the build
NOTE = "html.made-of"  # beside the book, by `keep`
LEFT_OUT = {"_build", "_cache", "runs", "__pycache__", ".ipynb_checkpoints"}


def files(path: Path) -> Iterator[Path]:
    """The files of a folder in a fixed order, or the file itself; nothing where there is none."""
    if path.is_file():
        yield path
    for folder, inner, names in os.walk(path):
        inner[:] = sorted(set(inner) - LEFT_OUT)
        yield from (Path(folder, name) for name in sorted(names))


def contents(paths: Iterable[str | Path]) -> str:
    """SHA-256 over names and contents of files, and of folders with all they hold."""
    digest = hashlib.sha256()
    for path in map(Path, paths):
        digest.update(f"{path.name}\0".encode())
        for file in files(path):
            named = f"{file.relative_to(path).as_posix()}\0".encode()
            digest.update(named + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def look(paths: Iterable[Path]) -> str:
    """SHA-256 over names, sizes and times of files, and over what else decides the pages made of them."""
    digest = hashlib.sha256(f"{sys.version} {os.environ.get('BOOK_REPOSITORY')}".encode())
    for file in (file for path in paths for file in files(path)):
        status = file.stat()
        digest.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def shared(root: Path) -> Path:
    """The file whose presence says that the shared material is here."""
    return Path(os.environ.get("CMR_SHARED") or root.parent / "shared") / "README.md"


def sources(root: Path) -> str:
    """What a book is made of, as it looks now."""
    return look([*(root / name for name in READ), shared(root)])


def keep(root: Path, before: str) -> None:
    """Notes that the book in place was made of `sources` as they looked before, and how its notebooks look now.

    Args:
        root: the repository.
        before: what `sources` said; "" for a book that the next call makes again.
    """
    out = root / "book" / "_build"
    (out / NOTE).write_text(f"{before} {look([out / 'notebooks'])}\n", encoding="utf-8")


def current(root: Path) -> Path | None:
    """The folder of the book in place, if it is of what there is now."""
    out = root / "book" / "_build"
    try:
        noted = (out / NOTE).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return None
    same = (out / "html" / "index.html").is_file() and noted == [sources(root), look([out / "notebooks"])]
    return out / "html" if same else None

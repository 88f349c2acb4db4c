"""The one way in which a file is written: whole, or not there; and one process at a time in a folder."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from cmr.errors import UserError

try:
    import fcntl
except ImportError:  # not on Windows, where two processes in a folder are the user's care
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


def write_aside(path: str | Path, content: bytes | memoryview | Callable[[BinaryIO], object]) -> Path:
    """Writes a file beside its place first and renames it, so that a reader finds the old file or the new one.

    The content is on the disk before the name changes: a machine that loses power keeps one of the two as well.

    Args:
        path: where to; folders are made.
        content: the bytes, or a function that writes them to an open file.

    Returns:
        The path.

    Raises:
        OSError: the place cannot be written; nothing is left there, and what was there before stays.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_aside(Path(folder, "a", "b.txt"), b"c").read_bytes()
        b'c'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")  # two processes do not write into one another's
    try:
        with open(aside, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)
    return path


@contextmanager
def alone(folder: str | Path) -> Iterator[None]:
    """Keeps a folder for this process until the block ends, or until the process dies in whatever way.

    Left-overs of a process that died while it wrote are cleared away.

    Args:
        folder: is made where it is missing.

    Raises:
        UserError: another process works there; the message names it.
        OSError: the folder cannot be made or written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "a+", encoding="utf-8") as file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read().strip() or "another process"
            raise UserError(f"{folder}: {who} works there; wait until it has ended, or stop it") from None
        except OSError:
            pass  # a file system without locks
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        for left in folder.glob(".*.part"):
            left.unlink(missing_ok=True)
        try:
            yield
        finally:
            with suppress(OSError):
                (folder / LOCK).unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Brings a rename to the disk, where the system can open a folder."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def write_json(path: str | Path, values: dict[str, Any]) -> Path:
    """Writes JSON whole or not at all, one line per key or row.

    Args:
        path: where to.
        values: what JSON can hold; NaN is refused, since JSON has none.

    Returns:
        The path.

    Raises:
        ValueError: a number that is not finite.
        OSError: as `write_aside`.
    """
    lines = []
    for key, value in values.items():
        text = json.dumps(value, allow_nan=False)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n  " + ",\n  ".join(json.dumps(row, allow_nan=False) for row in value) + "\n ]"
        lines.append(f" {json.dumps(key)}: {text}")
    return write_aside(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())

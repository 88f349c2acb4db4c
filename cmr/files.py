"""The one way in which a file is written: whole, or not there; and one process at a time in a folder."""

import json
import os
import shutil
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from cmr.errors import UserError

try:
    import fcntl
except ImportError:  # not on Windows, where two processes in a folder are the user's care
    fcntl = None  # type: ignore[assignment]


_HERE = f"{zlib.crc32(socket.gethostname().encode()):08x}-"  # machines that share a disk have processes of one number
_SWEPT: set[Path] = set()  # folders that this process has looked through


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
    fill = content if callable(content) else lambda file: file.write(content)
    path = Path(os.path.realpath(path))  # where a link leads, the file is replaced and not the link
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():  # a device or a pipe takes what is written; a folder says that it is one
        with open(path, "wb", opener=_without_waiting) as file:
            fill(file)
        return path
    _sweep(path.parent)
    # Two processes do not write into one another's, and a name as long as a name may be leaves room for no ending.
    aside = path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}.{_HERE}{os.getpid()}.part")
    try:
        with open(aside, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        if path.is_file():
            shutil.copymode(path, aside)
        aside.replace(path)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno:
            error.filename = str(path)  # a disk that is full does not say for what
        raise
    _flush_folder(path.parent)
    return path


def _sweep(folder: Path) -> None:
    """Clears away what processes of this machine that died while they wrote have left in a folder, once per process."""
    if folder in _SWEPT:
        return
    _SWEPT.add(folder)
    for left in folder.glob(f".*.{_HERE}*.part"):
        number = left.name.removesuffix(".part").rpartition("-")[2]
        if number.isdigit() and not _alive(int(number)):
            with suppress(OSError):
                left.unlink()


def _alive(process: int) -> bool:
    if os.name != "posix":  # asking would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return True


def read_regular(path: str | Path) -> bytes:
    """Reads a regular file; from a pipe or a device a read might never end.

    Args:
        path: the file, or a link to it.

    Raises:
        OSError: it cannot be read, or is no regular file.

    Example:
        >>> read_regular("/dev/null")
        Traceback (most recent call last):
        ...
        OSError: it is not a regular file
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError("it is not a regular file")
    return path.read_bytes()


def _without_waiting(path: str, flags: int) -> int:
    """Opens a pipe for writing; one that nobody reads is an error, and no wait for ever."""
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    os.set_blocking(handle, True)
    return handle


def require_room(folder: str | Path, needed: int, what: str) -> None:
    """Raises `UserError` where a disk has less room than what is about to be written takes.

    Args:
        folder: need not be there.
        needed: bytes.
        what: the thing that needs them, for the message.

    Example:
        >>> require_room(".", 10**18, "a checkpoint")
        Traceback (most recent call last):
        ...
        cmr.errors.UserError: .: ... MB are free there, but a checkpoint needs 1,000,000,000,000 MB; make room, ...
    """
    place = Path(os.path.abspath(folder))
    place = next(above for above in (place, *place.parents) if above.exists())
    usage = shutil.disk_usage(place)
    if usage.total and usage.free < needed:  # a file system that does not know its size says 0
        raise UserError(
            f"{folder}: {usage.free / 1e6:,.1f} MB are free there, but {what} needs {needed / 1e6:,.0f} MB; "
            "make room, or name another folder"
        )


def require_place(path: str | Path, ending: str = "", ours: Callable[[Path], bool] | None = None) -> None:
    """Raises `UserError` where a file cannot be written, or would replace what is not ours; asked before the work.

    Args:
        path: the file that will be written. Its folder is made.
        ending: how its name must end.
        ours: says of a file that is there whether an earlier call of the same kind wrote it; None: every one.

    Example:
        >>> require_place("/dev/null/a.json")
        Traceback (most recent call last):
        ...
        cmr.errors.UserError: /dev/null/a.json: it cannot be written (...); name another place
    """
    path = Path(path)
    if ending and path.suffix != ending:
        raise UserError(f"{path}: give a name that ends in {ending}")
    try:
        if path.is_dir():
            raise UserError(f"{path}: is a folder; name the file, for example {path / f'new{ending}'}")
        if path.is_file() and ours and not ours(path):
            raise UserError(f"{path}: is there already and from something else; give another name, or remove it")
        if path.is_file() or not path.exists():  # a device or a pipe is not tried out
            write_aside(Path(os.path.realpath(path)).with_name(f".{os.getpid()}.trial"), b"").unlink()
    except OSError as error:  # also of a name that is too long to be looked for
        raise UserError(f"{path}: it cannot be written ({error.strerror or error}); name another place") from None


def is_json_with(*keys: str) -> Callable[[Path], bool]:
    """Says of a file whether it is a JSON object with these keys.

    Example:
        >>> is_json_with("result")(Path("no/such.json"))
        False
    """

    def told(path: Path) -> bool:
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(content, dict) and set(keys) <= set(content)

    return told


def clear(folder: str | Path) -> None:
    """Takes away the lock that a killed process left beside a folder; one that is held stays."""
    if _lock_of(Path(folder)).exists():
        with suppress(UserError, OSError), alone(folder):
            pass


def _lock_of(folder: Path) -> Path:
    folder = Path(os.path.abspath(folder))
    return folder.with_name(f".{folder.name}.lock") if folder.name else folder / ".lock"


@contextmanager
def alone(folder: str | Path) -> Iterator[None]:
    """Keeps a folder for this process until the block ends, or until the process dies in whatever way.

    The lock is a hidden file beside the folder, so that the folder may be moved. Left-overs in the folder of a process
    that died while it wrote are cleared away.

    Args:
        folder: need not be there; the one that it lies in is made where it is missing.

    Raises:
        UserError: another process works there; the message names it.
        OSError: the lock cannot be made.
    """
    folder = Path(folder)
    path = _lock_of(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _opened(path, folder) as (file, held):
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            if held:
                for left in folder.glob(".*.part"):
                    if not left.is_dir():  # a folder belongs to `cmr data make`, which may be at work there
                        left.unlink(missing_ok=True)
            yield
        finally:
            with suppress(OSError):  # while the lock is held: who opened this file meanwhile looks again
                path.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path, folder: Path) -> Iterator[tuple[TextIO, bool]]:
    """The lock file, and whether it is held: not on Windows, nor on a file system without locks."""
    while True:
        with open(path, "a+", encoding="utf-8") as file:
            try:
                if fcntl is None:
                    raise OSError
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                who = file.read().strip() or "another process"
                raise UserError(f"{folder}: {who} works there; wait until it has ended, or stop it") from None
            except OSError:
                yield file, False
                return
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                yield file, True
                return  # else the one before has removed it since it was opened


def _flush_folder(folder: Path) -> None:
    """Brings a rename to the disk, where the system can open a folder."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
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

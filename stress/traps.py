"""Traps that a process sets for itself: it dies at its n-th write, or finds the disk full from there on."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cmr.files
from stress.attempt import attempt

# What Python reports before it changes a file or folder. Each is a moment at which a process can die.
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Counter:
    """Counts the moments of writing below a folder, and does something at one of them."""

    def __init__(self, folder: Path, at: int | None, deed: Callable[[], object], allowed: tuple[str, ...] = ()) -> None:
        self.folder, self.at, self.deed, self.allowed, self.seen = str(folder), at, deed, allowed, 0

    def step(self, event: str = "") -> None:
        """One moment; a full disk lets files be removed."""
        if self.at is not None and self.seen >= self.at and event not in self.allowed:
            self.deed()
        self.seen += 1

    def hook(self, event: str, about: tuple) -> None:
        """Python's audit hook."""
        changes = event in CHANGES or (event == "open" and (about[2] or 0) & WRITES)
        if changes and self.folder in str(about[0]):
            self.step(event)


class Halves:
    """A file that is written in two halves, with a moment before, between and behind."""

    def __init__(self, file: Any, counter: Counter) -> None:
        self.file, self.counter = file, counter

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "Halves":
        return self

    def __exit__(self, *_about: object) -> None:
        self.file.close()

    def write(self, content: Any) -> int:
        """Writes what it is given."""
        half = len(content) // 2
        self.file.write(content[:half])
        self.file.flush()
        self.counter.step()
        self.file.write(content[half:])
        return len(content)


def _set(counter: Counter) -> None:
    sys.addaudithook(counter.hook)
    synced, opened = os.fsync, open

    def fsync(handle: int) -> None:
        counter.step()
        synced(handle)
        counter.step()

    def halves(path: Any, mode: str = "r", **more: Any) -> Any:
        file = opened(path, mode, **more)
        return Halves(file, counter) if "w" in mode and counter.folder in str(path) else file

    os.fsync = fsync
    cmr.files.open = halves  # type: ignore[attr-defined]


def dies(folder: Path, at: int) -> Callable[[], None]:
    """The trap of a process that is killed at moment `at` of its writing below a folder."""
    return lambda: _set(Counter(folder, at, lambda: os.kill(os.getpid(), signal.SIGKILL)))


def full(folder: Path, at: int) -> Callable[[], None]:
    """The trap of a process that finds the disk full from moment `at` of its writing below a folder."""

    def no_room() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    return lambda: _set(Counter(folder, at, no_room, ("os.remove", "os.rmdir")))


def moments(command: list[str] | Callable[[], object], folder: Path) -> int:
    """How many moments of writing a command has below a folder."""

    def count() -> None:
        counter = Counter(folder, None, lambda: None)
        _set(counter)
        try:
            from stress.attempt import _command

            _command(command)
        finally:
            sys.stdout.flush()
            os.write(1, f"\nmoments {counter.seen}\n".encode())

    return int(attempt(count).out.split("\nmoments ")[1].split()[0])

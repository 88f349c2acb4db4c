"""One attempt: a command of cmr in a process of its own, which may be killed, starved, or stripped of its rights."""

import ctypes
import os
import re
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 120.0  # seconds until a command counts as hanging; the slowest, which asks for a scheduler, takes 30
LIST = re.compile(r"cmr: (\w+: )?(\d+ (problems?|left out|of \d+)|.*: \d+ of \d+ pictures)")  # may go on in more lines
# Seconds of work would be minutes over all attempts: sixteen images, two classes.
TRAIN = ["train", "--preset", "tiny", "--method", "cam", "--device", "cpu", "--epochs", "2", "--batch-size", "8"]
TRAIN += ["--data-settings.train", "16", "--data-settings.test", "8", "--data-settings.classes", "2"]


@dataclass(frozen=True)
class Case:
    """Something that is tried.

    Args:
        what: the row of the table in which it counts.
        name: its own name, the same in every call.
        run: gets an empty folder and returns "" where the outcome is right, else what was wrong.
    """

    what: str
    name: str
    run: Callable[[Path], str]


class Skipped(Exception):
    """This machine does not let the case happen; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status, negative for a signal, None where it did not end in time; its texts."""

    status: int | None
    out: str
    err: str


def prepare() -> None:
    """Loads what the commands load, and compiles what is compiled: each attempt is a copy of this process."""
    import tempfile

    import torch
    import tqdm

    from cmr.cli import COMMANDS, main

    tqdm.tqdm.monitor_interval = 0  # a thread would not come along into a copy, but the lock that it holds would
    torch.set_num_threads(1)
    for name in COMMANDS:
        __import__(f"cmr.cli.{name}")
    import cmr.pictures.folder
    import cmr.study.notebooks
    import cmr.study.reevaluate
    import cmr.study.score
    import cmr.study.sweep
    import cmr.study.tables  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        silenced = os.dup(1), os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1), os.dup2(nowhere, 2)
        try:
            main([*TRAIN, "--epochs", "1", "--out", folder])
        finally:
            os.dup2(silenced[0], 1), os.dup2(silenced[1], 2)


@dataclass
class Started:
    """A command on its way; `end` waits for it."""

    process: int
    texts: tuple[Path, Path]

    def kill(self, how: int = signal.SIGKILL) -> None:
        """Sends a signal to it and to what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process, how)

    def end(self) -> Outcome:
        """Waits; what takes longer is killed and has no status."""
        deadline, status = time.monotonic() + PATIENCE, None
        while status is None and time.monotonic() < deadline:
            found, code = os.waitpid(self.process, os.WNOHANG)
            if found:
                status = os.waitstatus_to_exitcode(code)
            else:
                time.sleep(0.005)
        if status is None:
            self.kill()
            os.waitpid(self.process, 0)
        out, err = (text.read_text(errors="replace") for text in self.texts)
        for text in self.texts:
            text.unlink()
        return Outcome(status, out, err)


def start(command: Sequence[str] | Callable[[], object], before: Callable[[], object] | None = None) -> Started:
    """Starts a command in a copy of this process.

    Args:
        command: the words behind `cmr`, or a function, whose UserError counts as the command's message.
        before: done in the copy first: giving up rights, setting a trap.
    """
    from tempfile import mkdtemp

    folder = Path(mkdtemp(prefix="stress-"))
    texts = folder.with_name(f"{folder.name}.out"), folder.with_name(f"{folder.name}.err")
    handles = [os.open(text, os.O_WRONLY | os.O_CREAT, 0o666) for text in texts]
    folder.rmdir()
    sys.stdout.flush(), sys.stderr.flush()
    process = os.fork()
    if process:
        for handle in handles:
            os.close(handle)
        return Started(process, texts)
    status = 1
    try:
        os.setpgid(0, 0)
        for number, handle in enumerate(handles, 1):
            os.dup2(handle, number)
        _own_bars()
        if before:
            before()
        status = _command(command)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush(), sys.stderr.flush()
        finally:
            os._exit(status)
    raise AssertionError("a copy never comes here")


def _own_bars() -> None:
    """A lock for this copy's bars alone: theirs is shared by all copies, and one that is killed may hold it."""
    import threading

    import tqdm

    tqdm.tqdm.set_lock(threading.RLock())


def _command(command: Sequence[str] | Callable[[], object]) -> int:
    from cmr.cli import main
    from cmr.errors import UserError

    if callable(command):
        try:
            command()
        except UserError as error:
            print(f"cmr: {error}", file=sys.stderr)
            return 2
    else:
        main([str(word) for word in command])
    return 0


def attempt(
    command: Sequence[str] | Callable[[], object],
    before: Callable[[], object] | None = None,
) -> Outcome:
    """Starts a command and waits for its end."""
    return start(command, before).end()


def wrong(outcome: Outcome, success: bool | None = None) -> str:
    """What was wrong with the way in which a command ended; "" for status 0, or another one with one message.

    Args:
        outcome: the end.
        success: whether it had to end with 0; None for either.
    """
    said = outcome.err.strip().splitlines() or ["nothing"]
    if outcome.status is None:
        return "it hung"
    for text in (outcome.err, outcome.out):
        if "Traceback (most recent call last)" in text or "Error in sys.excepthook" in text:
            return f"a traceback: {text.strip().splitlines()[-1]}"
    if outcome.status < 0:
        return f"it died of signal {-outcome.status}"
    if re.search(r"\w*Warning: ", outcome.err):
        return f"a warning: {next(line for line in said if 'Warning: ' in line)}"
    if outcome.status == 0:
        return "it was taken" if success is False else ""
    if success:
        return f"it was refused: {said[-1]}"
    starts = [number for number, line in enumerate(said) if line.startswith("cmr: ")]
    if len(starts) != 1:
        return f"{len(starts)} messages: {said[-1]}"
    if starts[0] != len(said) - 1 and not LIST.match(said[starts[0]]):
        return f"a message of several lines: {said[starts[0]]} / {said[starts[0] + 1]}"
    return ""


def nobody() -> None:
    """Gives up what lets root write where the rights say that nobody may; any other user has nothing to give up."""
    if os.getuid() == 0:
        header = struct.pack("=Ii", 0x20080522, 0)  # the third version of Linux's call, this process
        if ctypes.CDLL(None).capset(header, bytes(24)):
            raise OSError("the rights of root cannot be given up")

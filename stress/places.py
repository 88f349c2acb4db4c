"""Places that cannot be written: full, read-only, in the way, too long a name. One message, and nothing is lost."""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

from stress import materials
from stress.attempt import TRAIN, Case, Outcome, Skipped, attempt, nobody, wrong
from stress.runs import age, copied, differs, left_over, reference
from stress.traps import full, moments

ROOM = (0, 4, 16, 48, 96, 160, 256, 400)  # kilobytes that are left on the disk
COMMANDS: dict[str, Callable[[Path], list[str]]] = {"train": materials.train, **materials.WRITERS}
# The option that names what is written, and what it names: a folder or a file.
TARGETS = {
    "train": ("--out", "folder"),
    "localize": ("--out", "folder"),
    "score": ("--out", "file"),
    "evaluate": ("--record", "folder"),
    "data make": ("--out", "folder"),
    "data show": ("--out", "file"),
}


def cases(_seed: int) -> Iterator[Case]:
    """All of them."""
    for name in COMMANDS:
        for room in ROOM:
            yield Case("disk full (a small disk)", f"{name} room {room}", partial(_small_disk, name, room))
        for room in (1, 20, 100):
            yield Case("disk full (a limit on file sizes)", f"{name} limit {room}", partial(_limit, name, room))
        for at in range(moments_of(name)):
            yield Case("disk full (from the n-th write on)", f"{name} full {at}", partial(_full_from, name, at))
        yield Case("read-only (a disk)", f"{name} read-only disk", partial(_read_only_disk, name))
        yield Case("read-only (rights)", f"{name} no rights", partial(_no_rights, name))
        other = "a folder" if TARGETS[name][1] == "file" else "a file"  # one of its own kind may be there
        for kind in ("under a file", "a long name", "a long path", "a device", other, "a loop"):
            yield Case("output that cannot be", f"{name} to {kind}", partial(_odd_place, name, kind))
    for room in ROOM:
        yield Case("disk full during --rerun", f"rerun room {room}", partial(_rerun, room))
    for at in range(moments_of("train")):
        yield Case("disk full, then resumed", f"resume full {at}", partial(_resume, at))


@cache
def moments_of(name: str) -> int:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="stress-") as folder:
        return moments(COMMANDS[name](Path(folder)), Path(folder))


@contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    """A small disk of its own, where this machine allows that."""
    place = folder / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True)
    if done.returncode:
        raise Skipped("no disk may be mounted here (it takes root)")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _fill(place: Path, room: int) -> Path:
    """Takes all room but so many kilobytes."""
    path = place / "fills"
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize // 1024 - room
    with open(path, "wb") as file:
        for _ in range(max(0, free)):
            file.write(b"\0" * 1024)
    return path


def _after(command: list[str], place: Path, before: dict[str, object], ended: Outcome) -> str:
    """Whether all that was there is there, and the next call, with nothing in its way, ends well."""
    if said := wrong(ended):
        return said
    now = materials.contents(place)
    lost = [path for path, content in before.items() if now.get(path) != content]
    if lost:
        return f"{lost[0]} was lost"
    if ended.status == 0:  # there was room enough
        return _left(place)
    again = [*command, "--resume"] if command[0] == "train" else command
    return wrong(attempt(again), success=True) or _left(place)


def _left(place: Path) -> str:
    parts = [path.name for path in place.rglob("*") if path.name.endswith((".part", ".lock"))]
    return f"{parts[0]} is left" if parts else ""


def _small_disk(name: str, room: int, folder: Path) -> str:
    with _disk(folder) as place:
        command, before = COMMANDS[name](place), materials.contents(place)
        filling = _fill(place, room)
        ended = attempt(command)
        filling.unlink()
        return _after(command, place, before, ended)


def _limit(name: str, kilobytes: int, folder: Path) -> str:
    command, before = COMMANDS[name](folder), materials.contents(folder)

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, resource.RLIM_INFINITY))

    return _after(command, folder, before, attempt(command, limited))


def _full_from(name: str, at: int, folder: Path) -> str:
    command, before = COMMANDS[name](folder), materials.contents(folder)
    return _after(command, folder, before, attempt(command, full(folder, at)))


def _read_only_disk(name: str, folder: Path) -> str:
    with _disk(folder) as place:
        command, before = COMMANDS[name](place), materials.contents(place)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        ended = attempt(command)
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        return wrong(ended, success=False) or _after(command, place, before, ended)


def _no_rights(name: str, folder: Path) -> str:
    command, before = COMMANDS[name](folder), materials.contents(folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    ended = attempt(command, nobody)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return wrong(ended, success=False) or _after(command, folder, before, ended)


def _odd_place(name: str, kind: str, folder: Path) -> str:
    command = COMMANDS[name](folder)
    option, what = TARGETS[name]
    ending = ".json" if name == "score" else ".png" if what == "file" else ""
    target = folder / f"target{ending}"
    if kind == "a file":
        target.write_text("mine")
    elif kind == "under a file":
        target.write_text("mine")
        target = target / f"below{ending}"
    elif kind == "a long name":
        target = folder / ("n" * 300 + ending)
    elif kind == "a long path":
        target = folder.joinpath(*["n" * 200] * 30, f"x{ending}")
    elif kind == "a device":
        target = Path("/dev/full")
    elif kind == "a folder":
        target.mkdir()
    else:
        target.symlink_to(target.name)
    at = command.index(option) + 1
    before = materials.contents(folder)
    # A link to itself that stands for a file is replaced by the file.
    success = None if (kind, what) == ("a loop", "file") else False
    said = wrong(attempt([*command[:at], str(target), *command[at + 1 :]]), success)
    now = materials.contents(folder)
    return said or ("something was lost" if any(now.get(path) != content for path, content in before.items()) else "")


def _rerun(room: int, folder: Path) -> str:
    with _disk(folder) as place:
        run = copied(place / "runs", old=True)
        filling = _fill(place, room)
        said = wrong(attempt(materials.train(place, "--rerun")))
        filling.unlink()
        if said or age(run) not in ("old", "new") or differs(run):
            return said or f"the run is {age(run)}, {differs(run) or 'but whole'}"
        said = wrong(attempt(materials.train(place, "--rerun")), success=True) or differs(run)
        return said or left_over(place / "runs")


def _resume(at: int, folder: Path) -> str:
    """A training that finds the disk full goes on from its last checkpoint, to the same run."""
    out = folder / "runs"
    said = wrong(attempt([*TRAIN, "--out", out], full(out, at)))
    said = said or wrong(attempt([*TRAIN, "--out", out, "--resume"]), success=True)
    said = said or differs(out / reference().name) or left_over(out)
    shutil.rmtree(out, ignore_errors=True)
    return said

"""What the parts share about run folders: one that is known to be right, and how another differs from it."""

import json
import lzma
import os
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import safetensors.numpy

from stress.attempt import TRAIN, attempt

FILES = ("record.json", "outcomes.safetensors.xz", "model.safetensors")
DRAWN = ("history.csv", "curves.png", "gallery.png")  # made from the record after it, by the command alone
OLD = 10**9  # the time in seconds that marks the files of an old run


@cache
def reference() -> Path:
    """The folder of a run that nothing has disturbed."""
    import atexit

    folder = Path(mkdtemp(prefix="stress-reference-"))
    atexit.register(_remove, folder, os.getpid())
    done = attempt([*TRAIN, "--out", folder])
    if done.status != 0:
        raise SystemExit(f"stress: a plain training failed: {done.err}")
    [run] = [path for path in folder.iterdir() if path.is_dir()]
    folder.chmod(0o755)
    return run


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # the copies of the process end without this anyway
        shutil.rmtree(folder, ignore_errors=True)


def copied(out: Path, old: bool = False) -> Path:
    """A copy of the undisturbed run in a folder of runs; `old` marks its files by their time."""
    target = out / reference().name
    shutil.copytree(reference(), target)
    for name in FILES if old else ():
        os.utime(target / name, (OLD, OLD))
    return target


def age(folder: Path) -> str:
    """Whether the run there is the old one, the new one, mixed, or not there."""
    if not (folder / "record.json").is_file():
        return "none"
    ages = {(folder / name).is_file() and (folder / name).stat().st_mtime == OLD for name in FILES}
    missing = [name for name in FILES if not (folder / name).is_file()]
    return f"without {missing[0]}" if missing else "mixed" if len(ages) > 1 else "old" if ages == {True} else "new"


def differs(folder: Path) -> str:
    """How a finished run differs from the undisturbed one; "" where it does not."""
    for name in FILES:
        if not (folder / name).is_file():
            return f"{folder.name}/{name} is missing"
    if (folder / FILES[2]).read_bytes() != (reference() / FILES[2]).read_bytes():
        return "another model"
    mine, right = (outcomes(at) for at in (folder, reference()))
    if any((mine[name] != right[name]).any() for name in right):
        return "other outcomes"
    mine, right = (json.loads((at / FILES[0]).read_text()) for at in (folder, reference()))
    for row in (*mine["history"], *right["history"]):
        row.pop("seconds")
    different = [name for name in ("id", "config", "data", "result", "history") if mine[name] != right[name]]
    return f"another record: {different[0]}" if different else ""


def outcomes(folder: Path) -> dict[str, np.ndarray]:
    """The outcomes of a run, as they lie there."""
    return safetensors.numpy.load(lzma.decompress((folder / FILES[1]).read_bytes()))


def left_over(out: Path) -> str:
    """What a folder of runs holds beside whole runs; "" where nothing."""
    known = {*FILES, *DRAWN}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name not in known:
            return f"{path.relative_to(out)} is left"
        if path.is_dir() and path.name.endswith(".rerun"):
            return f"{path.name} is left"
    return ""

"""Commands that are killed, at every write and at random moments: all is there, or the next call makes it."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from stress import materials
from stress.attempt import TRAIN, Case, attempt, start, wrong
from stress.beside import beside, differing, undisturbed
from stress.places import moments_of
from stress.runs import age, copied, differs, left_over, reference
from stress.traps import dies, moments

RANDOM = 20
SIGNALS = 6


def cases(seed: int) -> Iterator[Case]:
    """All of them."""
    draw = random.Random(seed)
    for at in range(_moments_of_train(())):
        yield Case("train: killed at a write, then resumed", f"train write {at}", partial(_train_at, at))
    for number in range(RANDOM):
        share = draw.random()
        yield Case("train: killed at a random moment, then resumed", f"train moment {number}", partial(_train, share))
    for how in (signal.SIGINT, signal.SIGTERM):
        for number in range(SIGNALS):
            run = partial(_train, draw.random(), how=how)
            yield Case("train: stopped by SIGINT or SIGTERM, then resumed", f"train {how.name} {number}", run)
    for at in range(_moments_of_train(("--rerun",))):
        yield Case("train --rerun: killed at a write", f"rerun write {at}", partial(_rerun, dies_at=at))
    for number in range(RANDOM):
        run = partial(_rerun, share=draw.random())
        yield Case("train --rerun: killed at a random moment", f"rerun moment {number}", run)
    for name in materials.WRITERS:
        for at in range(moments_of(name)):
            yield Case(f"{name}: killed at a write, then called again", f"{name} write {at}", partial(_again, name, at))
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        run = partial(_sweep, how, 0.3 + 0.6 * draw.random())
        yield Case("sweep: stopped, then called again", f"sweep {how.name}", run)
    for number in range(4):
        how = (signal.SIGKILL, signal.SIGINT)[number % 2]
        run = partial(_notebook, how, draw.random())
        yield Case("notebook: stopped, then called again", f"notebook {number} {how.name}", run)


@cache
def _moments_of_train(more: tuple[str, ...]) -> int:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="stress-") as name:
        out = Path(name, "runs")
        if more:
            copied(out)
        return moments([*TRAIN, "--out", str(out), *more], out)


@cache
def _duration() -> float:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="stress-") as name:
        started = time.monotonic()
        attempt([*TRAIN, "--out", name])
        return time.monotonic() - started


def _train_at(at: int, folder: Path) -> str:
    attempt([*TRAIN, "--out", folder / "runs"], dies(folder / "runs", at))
    return _resumed(folder / "runs")


def _train(share: float, folder: Path, how: int = signal.SIGKILL) -> str:
    started = start([*TRAIN, "--out", folder / "runs"])
    time.sleep(share * _duration())
    started.kill(how)
    ended = started.end()
    if how == signal.SIGINT and ended.status not in (0, 130, -2):
        return f"it ended with {ended.status}"
    said = wrong(ended) if how == signal.SIGINT and ended.status != -2 else ""
    return said or _resumed(folder / "runs")


def _resumed(out: Path) -> str:
    """Goes on, and says how the run differs from the undisturbed one."""
    ended = attempt([*TRAIN, "--out", out, "--resume"])
    return wrong(ended, success=True) or differs(out / reference().name) or left_over(out)


def _rerun(folder: Path, dies_at: int | None = None, share: float = 0.0) -> str:
    """The old run or the new one is there; the next call has one of the two; made again, it is the new one."""
    out = folder / "runs"
    run = copied(out, old=True)
    command = [*TRAIN, "--out", str(out), "--rerun"]
    if dies_at is None:
        started = start(command)
        time.sleep(share * _duration())
        started.kill()
        started.end()
    else:
        attempt(command, dies(out, dies_at))
    found = age(run)
    if found not in ("old", "new", "none"):
        return f"after the kill the run is {found}"
    if found == "none" and not run.with_name(f"{run.name}.rerun").is_dir():
        return "after the kill neither is there"
    ended = attempt([*TRAIN, "--out", out])
    said = wrong(ended, success=True) or differs(run)
    if said or age(run) not in ("old", "new"):
        return f"the next call: {said or age(run)}"
    ended = attempt([*command, "--resume"])
    return wrong(ended, success=True) or differs(run) or ("" if age(run) == "new" else age(run)) or left_over(out)


def _again(name: str, at: int, folder: Path) -> str:
    """What is there after a kill is whole, and the next call makes what an undisturbed one makes."""
    right, said = undisturbed(name, folder)
    command = materials.WRITERS[name](beside(folder))
    attempt(command, dies(folder / "mine", at))
    mine = materials.contents(folder / "mine")
    for path, content in mine.items():
        if path in right and content != right[path]:
            return f"{path} is not whole"
    made = name == "data make" and "made/images.csv" in mine  # what is there whole is not made again
    said = said or wrong(attempt(command), success=not made)
    return said or differing(right, folder)


def _spawned(words: list[str], folder: Path) -> tuple[subprocess.Popen, str]:
    """A command in a fresh interpreter, and the mark by which all its processes are known."""
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-m", "cmr", *words],
        cwd=folder,
        env={**os.environ, "CMR_STRESS": mark, "PYTHONPATH": _library()},
        stdout=subprocess.DEVNULL,
        stderr=open(folder / "said", "w"),  # noqa: SIM115  it lives as long as the process
        start_new_session=True,
    )
    return process, mark


def _library() -> str:
    import cmr

    return str(Path(cmr.__file__).resolve().parents[1])


def _stopped(words: list[str], folder: Path, how: int, ready: Callable[[], bool], wait: float) -> str:
    """Stops a command some time after it is under way; says whether it left processes behind."""
    process, mark = _spawned(words, folder)
    deadline = time.monotonic() + 300
    while not ready() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(wait)
    if how == signal.SIGINT:  # as a terminal does, to the whole group
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    process.wait(300)
    said = (folder / "said").read_text()
    if "Traceback" in said:
        return f"a traceback: {said.strip().splitlines()[-1]}"
    deadline = time.monotonic() + 60
    while (left := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process_id in left:
        os.kill(process_id, signal.SIGKILL)
    return f"{len(left)} processes are left" if left else ""


def _marked(mark: str) -> list[int]:
    """The processes that began with this mark in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (place / "environ").read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    return found


def _sweep(how: int, wait: float, folder: Path) -> str:
    out = folder / "out"
    words = ["sweep", str(materials.grid(folder)), "--out", str(out), "--threads", "1"]
    said = _stopped(words, folder, how, lambda: any(out.glob("*/checkpoint.pt")), wait)
    process, _ = _spawned(words, folder)
    if said or process.wait(600):
        return said or f"the next call: {(folder / 'said').read_text().strip().splitlines()[-1]}"
    done = sorted(path.parent for path in out.glob("*/record.json"))
    if len(done) != materials.SEEDS:
        return f"{len(done)} runs, {materials.SEEDS} asked"
    return next(filter(None, (differs(run) for run in done if run.name == reference().name)), "") or left_over(out)


def _notebook(how: int, share: float, folder: Path) -> str:
    out = folder / "out" / "a.ipynb"
    words = ["notebook", str(materials.notebook(folder)), str(out), "-p", "seconds=0.5"]
    said = _stopped(words, folder, how, (folder / "begun").is_file, share)
    if out.is_file() and not json.loads(out.read_text())["cells"][-1]["outputs"]:
        return "an unfinished copy has the name of a whole one"
    shutil.rmtree(folder / "begun", ignore_errors=True)
    said = said or wrong(attempt(words), success=True)
    left = sorted(path.name for path in (*folder.iterdir(), *out.parent.iterdir()))
    extra = [name for name in left if name not in ("a.ipynb", "begun", "out", "said")]
    return said or (f"{extra[0]} is left" if extra else "")

"""Two commands at once in one place: each ends well, or with one line that names the other."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from stress import materials
from stress.attempt import TRAIN, Case, Outcome, start, wrong
from stress.beside import beside, differing, undisturbed
from stress.kills import _library
from stress.runs import copied, differs, left_over, reference

PAIRS = 8


def cases(seed: int) -> Iterator[Case]:
    """All of them."""
    draw = random.Random(seed)
    for number in range(PAIRS):
        wait = draw.random()
        yield Case("two trainings of one run", f"pair train {number}", partial(_train, wait, ()))
        yield Case("two --rerun of one run", f"pair rerun {number}", partial(_train, wait, ("--rerun",)))
        yield Case("two --resume of one run", f"pair resume {number}", partial(_train, wait, ("--resume",)))
    for name in materials.WRITERS:
        for number in range(3):
            yield Case(f"two {name} with one output", f"pair {name} {number}", partial(_pair, name, 0.2 * number))
    for number in range(2):
        yield Case("two notebooks from one folder", f"pair notebook {number}", partial(_notebooks, 0.3 * number, False))
        yield Case("two notebooks with one output", f"pair same {number}", partial(_notebooks, 0.3 * number, True))
    yield Case("two sweeps into one folder", "pair sweep", _sweeps)
    for ranks in (2, 3):
        yield Case("more processes than images", f"ranks {ranks}", partial(_ranks, ranks))


def _both(one: list[str], other: list[str], wait: float) -> list[Outcome]:
    first = start(one)
    time.sleep(wait)
    second = start(other)
    return [first.end(), second.end()]


def _judged(ended: list[Outcome]) -> str:
    said = next(filter(None, map(wrong, ended)), "")
    return said or ("" if any(one.status == 0 for one in ended) else f"both were refused: {ended[0].err[-200:]}")


def _train(wait: float, more: tuple[str, ...], folder: Path) -> str:
    out = folder / "runs"
    if more == ("--rerun",):
        copied(out, old=True)
    words = [*TRAIN, "--out", str(out), *more]
    return _judged(_both(words, words, wait)) or differs(out / reference().name) or left_over(out)


def _pair(name: str, wait: float, folder: Path) -> str:
    right, said = undisturbed(name, folder)
    words = materials.WRITERS[name](beside(folder))
    return said or _judged(_both(words, words, wait)) or differing(right, folder)


def _notebooks(wait: float, same: bool, folder: Path) -> str:
    source = materials.notebook(folder)
    outs = [folder / "out.ipynb", folder / ("out.ipynb" if same else "other.ipynb")]
    words = [["notebook", str(source), str(out), "-p", "seconds=1"] for out in outs]
    said = _judged(_both(*words, wait))
    for out in outs:
        if not said and not json.loads(out.read_text())["cells"][-1]["outputs"]:
            said = f"{out.name} was not run"
    left = sorted({path.name for path in folder.iterdir()} - {"a.ipynb", "begun", "out.ipynb", "other.ipynb"})
    return said or (f"{left[0]} is left" if left else "")


def _sweeps(folder: Path) -> str:
    """The second waits or ends with one line; no run is made twice."""
    out = folder / "out"
    words = [sys.executable, "-m", "cmr", "sweep", str(materials.grid(folder)), "--out", str(out), "--threads", "1"]
    place = {**os.environ, "PYTHONPATH": _library()}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(words, cwd=folder, env=place, **quiet) for _ in range(2)]
    ended = [Outcome(one.wait(600), "", one.communicate()[1]) for one in both]
    done = [path.parent for path in out.glob("*/record.json")]
    said = _judged(ended) or ("" if len(done) == materials.SEEDS else f"{len(done)} runs")
    return said or next(filter(None, (differs(run) for run in done if run.name == reference().name)), "")


def _ranks(ranks: int, folder: Path) -> str:
    """More processes than test images, one each: the record is that of all images, or one line says why not."""
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "-m", "cmr"]
    sizes = ["--data-settings.test", "2", "--data-settings.train", "12", "--batch-size", "6", "--epochs", "1"]
    command = [*words, *TRAIN, *sizes, "--out", str(folder / "runs")]
    place = {**os.environ, "PYTHONPATH": _library()}
    try:
        done = subprocess.run(command, cwd=folder, env=place, capture_output=True, text=True, timeout=400)
    except subprocess.TimeoutExpired:
        return "it hung"
    if "Traceback" in done.stderr and done.returncode == 0:
        return "a traceback"
    lines = [line for line in done.stderr.splitlines() if line.startswith("cmr: ")]
    if done.returncode:
        return "" if len(set(lines)) == 1 else f"{len(set(lines))} messages"
    [record] = (folder / "runs").glob("*/record.json")
    images = json.loads(record.read_text())["result"]["images"]
    return "" if images == 2 else f"{images} of 2 images were scored"

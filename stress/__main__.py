"""Tries everything, prints the table, and says how each failure can be repeated."""

import argparse
import fnmatch
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from cmr.data.images import threads
from cmr.files import write_json
from cmr.plain import to_plain
from cmr.study.machine import environment
from cmr.study.records import now
from stress import damaged, inputs, kills, mutated, objects, places, together
from stress.attempt import Case, Skipped, prepare
from stress.runs import reference

PARTS: dict[str, Callable[[int], Iterable[Case]]] = {
    "kills": kills.cases,
    "places": places.cases,
    "together": together.cases,
    "inputs": inputs.cases,
    "damaged": damaged.cases,
    "objects": objects.cases,
    "mutated": mutated.cases,
}


CASES: list[tuple[str, Case]] = []  # with their parts; workers are copies of this process and know them by number


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts that are asked for; the exit status is 1 where anything came out wrong."""
    parser = argparse.ArgumentParser(prog="python -m stress", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--case", default="*", help="only cases of this name; * and ? stand for others")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other moments and mutations")
    parser.add_argument("--every", type=int, default=1, help="only each n-th case of a row, for a look in minutes")
    parser.add_argument("--jobs", type=int, default=threads(), help="cases at a time")
    parser.add_argument("--out", default="", help="JSON file for the figures")
    asked = parser.parse_args(arguments)
    for part in asked.parts:
        if part not in PARTS:
            parser.error(f"there is no part {part}; give some of {', '.join(PARTS)}")
    started = time.monotonic()
    prepare()
    reference()
    found = [(part, case) for part in asked.parts or PARTS for case in PARTS[part](asked.seed)]
    CASES[:] = _every(asked.every, [pair for pair in found if fnmatch.fnmatchcase(pair[1].name, asked.case)])
    rows: dict[str, list[int]] = {}
    failures, skipped = [], {}
    for number, said, why in _all(asked.jobs):
        part, case = CASES[number]
        if why:
            skipped.setdefault(case.what, why)
            continue
        row = rows.setdefault(case.what, [0, 0])
        row[0] += 1
        row[1] += not said
        if said:
            failures.append(f"{case.what}: {case.name}: {said}")
            command = f'python -m stress {part} --seed {asked.seed} --case "{case.name}"'
            print(f"WRONG {failures[-1]}\n      again: {command}", flush=True)
    order = list(dict.fromkeys(case.what for _, case in CASES))
    rows = {what: rows[what] for what in order if what in rows}
    print(table(rows))
    for what, why in skipped.items():
        print(f"left out: {what}: {why}")
    seconds = round(time.monotonic() - started)
    print(f"{sum(row[1] for row in rows.values())} of {sum(row[0] for row in rows.values())} right, {seconds} s")
    if asked.out:
        _write(asked.out, asked, rows, failures, skipped, seconds)
    return int(bool(failures))


def _every(n: int, found: list[tuple[str, Case]]) -> list[tuple[str, Case]]:
    """Of each row the first case and each n-th after it."""
    seen: dict[str, int] = {}
    kept = []
    for part, case in found:
        seen[case.what] = seen.get(case.what, -1) + 1
        kept += [(part, case)] * (seen[case.what] % n == 0)
    return kept


def _all(jobs: int) -> Iterator[tuple[int, str, str]]:
    """Runs the cases, some at a time."""
    numbers = range(len(CASES))
    if jobs < 2 or len(CASES) < 2:
        yield from map(_tried, numbers)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap_unordered(_tried, numbers)


def _tried(number: int) -> tuple[int, str, str]:
    """The case, what was wrong in it, and why this machine does not let it happen."""
    _, case = CASES[number]
    folder = Path(tempfile.mkdtemp(prefix="stress-"))
    folder.chmod(0o755)
    before = Path.cwd()
    try:
        os.chdir(folder)
        return number, case.run(folder), ""
    except Skipped as why:
        return number, "", str(why)
    except Exception as error:  # the attack itself has failed; the others go on
        return number, f"the case itself: {type(error).__name__}: {error}", ""
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)


def table(rows: dict[str, list[int]]) -> str:
    """The table: what, tried, right."""
    width = max(map(len, ["what", *rows]))
    lines = [f"{'what':{width}}  tried  right", *(f"{name:{width}}  {a:5}  {b:5}" for name, (a, b) in rows.items())]
    return "\n".join(lines)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table of a record of figures, as the book's page has it."""
    lines = [f"| {row['what']} | {row['tried']} | {row['right']} |" for row in rows]
    return "\n".join(["| what | tried | right |", "|---|---|---|", *lines])


def _write(
    out: str,
    asked: argparse.Namespace,
    rows: dict[str, list[int]],
    failures: list[str],
    skipped: dict[str, str],
    seconds: int,
) -> None:
    about = to_plain(environment(torch.device("cpu")))
    write_json(
        out,
        {
            "command": " ".join(["python -m stress", *asked.parts, f"--seed {asked.seed} --every {asked.every}"]),
            "finished": now(),
            "environment": about,
            "seconds": seconds,
            "rows": [{"what": name, "tried": a, "right": b} for name, (a, b) in rows.items()],
            "wrong": failures,
            "left_out": [f"{what}: {why}" for what, why in skipped.items()],
        },
    )
    print(f"{out}: written", json.dumps({"device": about["device"]}))


if __name__ == "__main__":
    sys.exit(main())

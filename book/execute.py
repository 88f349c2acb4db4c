"""The default notebooks, executed two at a time, leaving out what is current."""

import hashlib
import json
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from book.seen import contents
from cmr.errors import UserError
from cmr.files import write_aside
from cmr.plain import to_plain
from cmr.study.notebooks import notebook_parameters, read_notebook, run_notebook
from cmr.study.records import now

T = TypeVar("T")


def run_notebooks(
    paths: Sequence[str | Path],
    out: str | Path,
    sources: Iterable[str | Path] = (),
) -> list[Path]:
    """Runs notebooks, leaving out those whose executed copy is current.

    A copy is current when notebook, Python's version and `sources` are as they were when it was made.

    Args:
        paths: the notebooks. Those that train run in this order; the others beside them.
        out: folder for the executed copies, and beside each a JSON file: the fingerprint, when it began, the seconds it
            took, how many trainings it left, the call that it belongs to, and the environment.
        sources: what the notebooks read, such as the library and run records: files, and folders with all they hold.

    Returns:
        The executed copies, in the order of `paths`.

    Raises:
        UserError: as `run_notebook`; what ran before stays, and stays current.
    """
    out = Path(out)
    jobs, known = [], contents(sources)
    for path in map(Path, paths):
        read_notebook(path)
        state = read_state(out / f"{path.stem}.json")
        key = fingerprint(path, known)
        current = state.get("fingerprint") == key and (out / path.name).is_file()
        jobs.append(Job(path, key, current, state.get("seconds")))
    todo = [job for job in jobs if not job.current]
    print(f"notebooks: {len(todo)} to run, {len(jobs) - len(todo)} current", flush=True)

    done = [out / job.path.name for job in jobs]
    if not todo:
        return done

    call, stop, waiting = now(), threading.Event(), deque(chains(todo))

    def work_off(environment: Future[dict[str, Any]]) -> None:
        with process() as beside:
            for job in (job for chain in taken(waiting) for job in chain):
                if stop.is_set():  # the other one failed: nothing new begins
                    return
                expected = f", about {job.seconds:.0f} s" if job.seconds else ""
                print(f"{job.path.name} begins{expected}", flush=True)
                began, before = now(), finished_runs(job.path)
                seconds = apart(beside, job.path, out / job.path.name)
                print(f"{job.path.name} took {seconds:.0f} s", flush=True)
                trained = len(finished_runs(job.path) - before)
                state = {"fingerprint": job.key, "seconds": round(seconds, 1), "began": began, "trained": trained}
                state |= {"call": call, "environment": environment.result()}
                write_aside(out / f"{job.path.stem}.json", (json.dumps(state) + "\n").encode())

    failed = []
    with one_thread(), ThreadPoolExecutor(3) as pool:
        environment = pool.submit(elsewhere, circumstances)
        try:
            for worker in as_completed([pool.submit(work_off, environment) for _ in range(2)]):
                if error := worker.exception():
                    stop.set()
                    failed.append(error)
        finally:
            stop.set()
    if failed:
        if all(isinstance(error, UserError) for error in failed):
            raise UserError("\n".join(map(str, failed)))
        raise next(error for error in failed if not isinstance(error, UserError))
    return done


def process() -> ProcessPoolExecutor:
    """A process of its own for one thing after another, begun when the first comes."""
    return ProcessPoolExecutor(1, get_context("spawn"))


def apart(beside: Executor, path: Path, out: Path) -> float:
    """Runs a notebook from another process, since the libraries that run one leave things open in a thread."""
    return beside.submit(run_notebook, path, out, progress=False).result()


def elsewhere(function: Callable[[], T]) -> T:
    """What a function gives in a process of its own."""
    with process() as pool:
        return pool.submit(function).result()


def circumstances() -> dict[str, Any]:
    """Commit, versions and processor, as records have them."""
    import torch

    from cmr.study.machine import environment

    return to_plain(environment(torch.device("cpu")))


def finished_runs(path: Path) -> set[Path]:
    """The records of finished runs in the folder to which a notebook's trainings go; none where it does not train."""
    out = notebook_parameters(path).get("out")
    return set((path.parent / out).glob("*/record.json")) if isinstance(out, str) else set()


@dataclass(frozen=True)
class Job:
    """A notebook, the fingerprint of what it depends on, whether its copy is current, and what it took last time."""

    path: Path
    key: str
    current: bool
    seconds: float | None


def chains(jobs: Iterable[Job]) -> list[list[Job]]:
    """Notebooks that go one after another, since each finds the runs that those before it left in the same folder.

    The longest chain comes first, then others that train, then each of those that read records.
    """
    found: dict[Any, list[Job]] = {}
    for job in jobs:
        found.setdefault(notebook_parameters(job.path).get("out", job.path), []).append(job)
    return sorted(found.values(), key=lambda chain: (-len(chain), "out" not in notebook_parameters(chain[0].path)))


def taken(waiting: deque[T]) -> Iterator[T]:
    """One after another of what is left, whoever else takes from it."""
    with suppress(IndexError):
        while True:
            yield waiting.popleft()


@contextmanager
def one_thread() -> Iterator[None]:
    """Gives each notebook one thread, where the user has not said how many: two run side by side."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) // 2)))
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]


def fingerprint(path: str | Path, sources: str = "") -> str:
    """A hash of what an executed notebook depends on.

    Args:
        path: the notebook; its cells count, stored outputs and other metadata do not.
        sources: what is known of the files that it reads, by `book.seen.contents`.

    Returns:
        16 hex digits of SHA-256 over the cells, Python's version and `sources`.
    """
    cells = [(cell.cell_type, cell.source, cell.metadata) for cell in read_notebook(path).cells]
    content = [cells, sys.version, sources]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_state(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}

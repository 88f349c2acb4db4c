"""Grid files on plain processes of this machine, for so many minutes: for a GPU that is lent for a short time.

python -m study.pool study/gpu/1-*.toml study/gpu/2-*.toml --minutes 8 --processes 5 --pack records.tar

Unlike `make study` it needs no dask, shares one GPU among its processes, and begins with the next file while the last
runs of one still train, unless that file chooses from the results of an unfinished one. Finished runs are skipped.
Each record is in the archive as soon as it is finished: what was trained on a machine that is given back is not lost.
"""

import argparse
import sys
import tarfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from cmr.errors import UserError
from cmr.study import runs
from cmr.study.grid import load
from cmr.study.sweep import Item, command_of, plan, work
from study.run import results_of


@dataclass
class File:
    """A grid file and what is left of it."""

    path: Path
    out: Path
    needs: str  # the folder whose records it chooses from, "" where it chooses nothing
    preset: str = ""
    waiting: list[Item] | None = None  # None until it is planned
    running: set[Future] = field(default_factory=set)

    def done(self) -> bool:
        return self.waiting == [] and not self.running


def run(paths: list[Path], root: Path, processes: int, minutes: float, threads: int, pack: Path | None = None) -> int:
    """Works off grid files in order.

    Args:
        paths: grid files.
        root: where the folders of their records go.
        processes: trainings at a time.
        minutes: no training begins after so many, and those that still run are stopped.
        threads: CPU threads of each.
        pack: a tar archive to which the files of every finished run are added, without its model.

    Returns:
        How many trainings failed or were not reached.
    """
    files = [File(path, results_of(path, root), str(load(path).choose.get("results", ""))) for path in paths]
    end, failed = time.monotonic() + 60 * minutes, 0
    pool = ProcessPoolExecutor(processes, get_context("spawn"))
    while time.monotonic() < end and not all(file.done() for file in files):
        while sum(len(file.running) for file in files) < processes and (pair := _next(files)):
            file, item = pair
            future = pool.submit(work, item.config, str(file.out), command_of(item.config, file.preset), threads)
            future.item = item  # type: ignore[attr-defined]
            file.running.add(future)
        running = set().union(*(file.running for file in files))
        if not running:
            break
        for future in wait(running, timeout=max(0.0, end - time.monotonic()), return_when=FIRST_COMPLETED).done:
            file = next(file for file in files if future in file.running)
            file.running.remove(future)
            message = future.result()
            failed += bool(message)
            if pack:
                add(pack, file.out / future.item.name)  # type: ignore[attr-defined]
            left = end - time.monotonic()
            print(f"{left:5.0f} s left  {file.out.name}  {future.item}  {message}".rstrip(), flush=True)  # type: ignore[attr-defined]
    left = sum(len(file.running) + len(file.waiting or ()) for file in files)
    unplanned = [file.path.name for file in files if file.waiting is None]
    print(f"{left} not finished; {failed} failed; not begun: {', '.join(unplanned) or 'none'}", flush=True)
    if any(file.running for file in files):  # a training does not end when it is asked
        for process in list((pool._processes or {}).values()):
            process.kill()
    pool.shutdown(cancel_futures=True)
    return failed + left + len(unplanned)


def add(pack: Path, folder: Path) -> None:
    """Adds the record and the outcomes of a run, as far as they are there, to an archive."""
    with tarfile.open(pack, "a") as archive:
        for path in (folder / name for name in (runs.RECORD, runs.OUTCOMES, runs.DIVERGED)):
            if path.is_file():
                archive.add(path, path.relative_to(folder.parents[1]))


def _next(files: list[File]) -> tuple[File, Item] | None:
    """The next run of the first file that is ready and has one."""
    for file in files:
        ready = all(other.done() for other in files if other.out.name == Path(file.needs).name)
        if file.waiting is None and ready:
            planned = plan(file.path, file.out)
            print(planned, flush=True)
            file.preset, file.waiting = planned.preset, planned.todo()
        if file.waiting:
            return file, file.waiting.pop(0)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m study.pool", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="grid files, in the order of their worth")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where the folders of records go")
    parser.add_argument("--processes", type=int, default=4, help="trainings at a time")
    parser.add_argument("--threads", type=int, default=3, help="CPU threads of each")
    parser.add_argument("--pack", type=Path, help="tar archive to which each finished run's records are added")
    parser.add_argument("--minutes", type=float, default=8.0, help="when it ends, finished or not")
    given = parser.parse_args()
    try:
        return bool(run(given.files, given.out, given.processes, given.minutes, given.threads, given.pack))
    except UserError as error:
        print(f"study: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

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
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from cmr.errors import UserError
from cmr.study import records, runs
from cmr.study.grid import load
from cmr.study.plan import Item, plan
from cmr.study.sweep import command_of, work
from study.run import results_of

DIED = "its process died, or one beside it; out of memory, perhaps"


@dataclass
class File:
    """A grid file and what is left of it."""

    path: Path
    out: Path
    needs: str  # the folder whose records it chooses from, "" where it chooses nothing
    preset: str = ""
    waiting: list[Item] | None = None  # None until it is planned
    running: int = 0
    failed: int = 0  # 1 where it could not be planned

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

    Raises:
        UserError: a mistake in a grid file, no process, or a place for the archive that cannot be used.
    """
    if processes < 1:
        raise UserError(f"processes: {processes} cannot train; give 1 or more")
    _try(pack)
    files = [File(path, results_of(path, root), str(load(path).choose.get("results", ""))) for path in paths]
    end, failed = time.monotonic() + 60 * minutes, 0
    died: set[tuple[Path, str]] = set()  # runs that were tried again after a process died
    pool = ProcessPoolExecutor(processes, get_context("spawn"))
    running: dict[Future[str], tuple[File, Item]] = {}
    try:
        while time.monotonic() < end and not all(file.done() for file in files):
            broken = False
            while not broken and len(running) < processes and (pair := _next(files)):
                file, item = pair
                command = command_of(item.config, file.preset)
                try:
                    running[pool.submit(work, item.config, str(file.out), command, threads)] = pair
                except BrokenProcessPool:  # a process died while this run was planned
                    _back(file, item)
                    broken = True
            if not running and not broken:
                break
            ended = wait(running, timeout=max(0.0, end - time.monotonic()), return_when=FIRST_COMPLETED).done
            if broken or any(isinstance(future.exception(), BrokenProcessPool) for future in ended):
                # One process died, of too little memory perhaps, and took the pool with it; whose it was is not known.
                pool.shutdown(cancel_futures=True)
                pool = ProcessPoolExecutor(processes, get_context("spawn"))
                ended = set(running)
            for future in ended:
                file, item = running.pop(future)
                message = _message(future)
                if message == DIED and (file.path, item.name) not in died:
                    died.add((file.path, item.name))
                    _back(file, item)
                    continue
                failed += bool(message)
                file.running -= 1
                _pack(pack, file.out / item.name)
                left = end - time.monotonic()
                print(f"{left:5.0f} s left  {file.out.name}  {item}  {message}".rstrip(), flush=True)
    finally:
        if running:  # a training does not end when it is asked
            for process in list((pool._processes or {}).values()):
                process.kill()
        pool.shutdown(cancel_futures=True)
        for file, item in running.values():  # one may have written its record just before
            _pack(pack, file.out / item.name)
    failed += sum(file.failed for file in files)
    left_over = len(running) + sum(len(file.waiting or ()) for file in files)
    unplanned = [file.path.name for file in files if file.waiting is None]
    print(f"{left_over} not finished; {failed} failed; not begun: {', '.join(unplanned) or 'none'}", flush=True)
    return failed + left_over + len(unplanned)


def _back(file: File, item: Item) -> None:
    """Makes a run that was begun the next one to begin."""
    file.waiting = [item, *(file.waiting or ())]
    file.running -= 1


def _message(future: Future[str]) -> str:
    """Why a run failed, in a line; "" where it did not."""
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        return DIED
    return f"{type(error).__name__}: {error}" if error else future.result()


def _try(pack: Path | None) -> None:
    """Raises `UserError` where the archive cannot be written or is none."""
    if pack:
        try:
            pack.parent.mkdir(parents=True, exist_ok=True)
            tarfile.open(pack, "a").close()
        except (OSError, tarfile.TarError) as error:
            raise UserError(f"pack: {pack} cannot be written as a tar archive ({error}); name another file") from error


def _pack(pack: Path | None, folder: Path) -> None:
    """Adds the record and the outcomes of a run, as far as they are there, to an archive, where one is asked for."""
    if not pack:
        return
    with tarfile.open(pack, "a") as archive:
        for path in (folder / name for name in (runs.RECORD, records.OUTCOMES, runs.DIVERGED)):
            if path.is_file():
                archive.add(path, path.relative_to(folder.parents[1]))


def _next(files: list[File]) -> tuple[File, Item] | None:
    """The next run of the first file that is ready and has one."""
    for file in files:
        ready = all(other.done() for other in files if other.out.name == Path(file.needs).name)
        if file.waiting is None and ready:
            try:
                planned = plan(file.path, file.out)
                print(planned, flush=True)
                file.preset, file.waiting = planned.preset, planned.todo()
            except UserError as error:  # a search of which a run failed: the files after it may still go
                print(f"study: {error}", flush=True)
                file.waiting, file.failed = [], 1
        if file.waiting:
            file.running += 1
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
    except KeyboardInterrupt:
        print("study: stopped; the same command goes on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

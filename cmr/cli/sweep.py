"""`cmr sweep`: many runs from one file."""

import sys
from dataclasses import dataclass

import tyro

from cmr.cli.arguments import parse


@dataclass(frozen=True)
class Sweep:
    """Run a grid of trainings, those that are not finished yet, on this machine or on a dask cluster."""

    # grid file, in TOML
    file: tyro.conf.Positional[str]
    # folder in which the runs get their folders, and whose runs count as done
    out: str = "runs"
    # address of a dask scheduler, tcp://HOST:PORT; data, weights and out are then paths of its workers. None: processes
    # of this machine
    scheduler: str = ""
    # processes of this machine; 0: one for each GPU, or one on the CPU
    workers: int = 0
    # CPU threads of each run; 0: this machine's, shared by its processes; on a cluster as its workers were started
    threads: int = 0
    # list the runs, done and to do, and run none
    dry_run: bool = False


def command(arguments: list[str]) -> None:
    """Reads the command line, prints the plan, and works it off."""
    asked = parse(Sweep, arguments, "sweep")
    from cmr.study.plan import plan

    planned = plan(asked.file, asked.out)
    print(planned)
    if asked.dry_run:
        return
    from cmr.study import sweep  # it loads torch

    try:
        failed = sweep.execute(planned, asked.out, asked.scheduler, asked.workers, asked.threads)
    except KeyboardInterrupt:
        print("cmr: stopped; the same command goes on with the runs that are not finished", file=sys.stderr)
        sys.exit(130)
    print(sweep.summary(planned, failed))
    if sweep.broken(failed):
        sys.exit(1)

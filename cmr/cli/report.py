"""`cmr report`: a table of all recorded runs."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from cmr.cli import printable
from cmr.cli.arguments import parse
from cmr.errors import UserError


@dataclass(frozen=True)
class Report:
    """Print a table of all recorded runs and measurements, with mean and standard deviation over seeds."""

    # folders that hold runs
    roots: tyro.conf.Positional[tuple[str, ...]] = ("results", "runs")
    # only runs on this data set, by the name in the table or its beginning: cub
    data: str = ""
    # only runs of this method; ddt and boxes for measurements
    method: str = ""
    # text, markdown, csv or json; text fits the terminal
    format: Literal["text", "markdown", "csv", "json"] = "text"


def command(arguments: list[str]) -> None:
    """Reads the command line and prints the table."""
    asked = parse(Report, arguments, "report")
    from cmr.study import frozen, report, runs

    for root in asked.roots:
        if not Path(root).is_dir() and asked.roots != Report.roots:
            raise UserError(f"report: {root}: there is no such folder")
    good, bad = runs.find_good(*asked.roots)
    measured, wrong = frozen.find_good(*asked.roots)
    if not (good or measured or bad or wrong):
        raise UserError(f"report: no runs found in {', '.join(asked.roots)}; name the folders that hold them")
    kept = report.kept([*good, *measured], asked.data, asked.method)
    trained = [run for run in kept if not isinstance(run, frozen.Measurement)]
    rows = report.rows(trained, [run for run in kept if isinstance(run, frozen.Measurement)])
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    print(printable(report.render(rows, asked.format, width)))
    if bad := [*bad, *wrong]:
        print(f"cmr: {len(bad)} left out:", *map(printable, bad), sep="\n  ", file=sys.stderr)
        sys.exit(1)

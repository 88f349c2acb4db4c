"""`cmr report`: a table of all recorded runs."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from cmr.cli.arguments import parse
from cmr.errors import UserError


@dataclass(frozen=True)
class Report:
    """Print a table of all recorded runs, with mean and standard deviation over seeds."""

    # folders that hold runs
    roots: tyro.conf.Positional[tuple[str, ...]] = ("results", "runs")
    # only runs on this data set, by the name in the table or its beginning: cub
    data: str = ""
    # only runs of this method
    method: str = ""
    # text, markdown, csv or json; text fits the terminal
    format: Literal["text", "markdown", "csv", "json"] = "text"


def command(arguments: list[str]) -> None:
    """Reads the command line and prints the table."""
    asked = parse(Report, arguments, "report")
    from cmr.study import report, runs

    for root in asked.roots:
        if not Path(root).is_dir() and asked.roots != Report.roots:
            raise UserError(f"report: {root}: there is no such folder")
    good, bad = runs.find_good(*asked.roots)
    if not good and not bad:
        raise UserError(f"report: no runs found in {', '.join(asked.roots)}; name the folders that hold them")
    rows = report.rows(report.kept(good, asked.data, asked.method))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    print(report.render(rows, asked.format, width))
    if bad:
        print(f"cmr: {len(bad)} left out:", *bad, sep="\n  ", file=sys.stderr)
        sys.exit(1)

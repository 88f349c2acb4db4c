"""`cmr report`: a table of all recorded runs."""

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
    # text or json
    format: Literal["text", "json"] = "text"


def command(arguments: list[str]) -> None:
    """Reads the command line and prints the table."""
    asked = parse(Report, arguments, "report")
    from cmr.study import report, runs

    for root in asked.roots:
        if not Path(root).is_dir() and asked.roots != Report.roots:
            raise UserError(f"report: {root}: there is no such folder")
    good, bad = runs.find_good(*asked.roots)
    print(report.render(report.rows(good), asked.format))
    if bad:
        print(f"cmr: {len(bad)} left out:", *bad, sep="\n  ", file=sys.stderr)
        sys.exit(1)

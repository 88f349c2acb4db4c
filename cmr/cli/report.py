"""`cmr report`: a table of all recorded runs."""

from dataclasses import dataclass
from typing import Literal

import tyro

from cmr.cli.arguments import parse


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
    from cmr.study import tables

    print(tables.render(tables.table(*asked.roots), asked.format))

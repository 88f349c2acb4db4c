"""The table of all recorded runs that `cmr report` prints."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas

from cmr.study.groups import same_setting
from cmr.study.runs import Run, tested_on
from cmr.study.tables import METRICS, cell, tidy

ABOUT = ["data", "backbone", "size"]  # what rows must share to compare


def rows(found: Sequence[Run]) -> list[dict[str, Any]]:
    """One row per setting, its seeds together, sorted by data, network and image size.

    Args:
        found: runs on any data.

    Returns:
        Rows with data, backbone, size, method (its name in tables, and what sets the row apart from others of the
        method on the same data), seeds, and for each metric of `METRICS` mean and standard deviation over seeds in
        percent (None for one seed), or the word that `cmr.study.tables.cell` has in place of a number.
    """
    alike: dict[tuple[str, ...], list[Run]] = {}
    for run in found:
        alike.setdefault(about(run), []).append(run)
    groups = [(where, group) for where, members in sorted(alike.items()) for group in same_setting(members)]
    # Numbered, since groups on different data may have one key.
    table = tidy({str(i): replace(group, key=str(i)) for i, (_, group) in enumerate(groups)})
    return [
        dict(zip(ABOUT, where, strict=True))
        | {"method": group.title, "seeds": len(group.runs)}
        | {name: _value(rows, name) for name in METRICS}
        for (where, group), (_, rows) in zip(groups, table.groupby("key", sort=False), strict=True)
    ]


def about(run: Run) -> tuple[str, ...]:
    """What a row's numbers hold for: data, backbone, image size."""
    config = run.record["config"]
    return tested_on(run)["name"], config["backbone"], f"{config['image_size']} px"


def _value(table: pandas.DataFrame, metric: str) -> tuple[float, float | None] | str:
    values = table[metric].dropna()
    if table["diverged"].any() or not len(values):
        return cell(table, metric)
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def render(made: Sequence[dict[str, Any]], form: str = "text") -> str:
    """The rows as text in columns or as JSON."""
    if form == "json":
        return json.dumps(list(made), indent=1)
    if not made:
        return "no runs found"
    names = [*ABOUT, "method", "seeds", *METRICS]
    lines = [names] + [[_said(row[name]) for name in names] for row in made]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _said(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    mean, deviation = value
    return f"{mean:.1f}" + (f" ± {deviation:.1f}" if deviation is not None else "")

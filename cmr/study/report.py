"""The table of all recorded runs that `cmr report` prints."""

import csv
import io
import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pandas

from cmr.errors import unknown
from cmr.study import frozen
from cmr.study.groups import same_setting
from cmr.study.runs import Run
from cmr.study.tables import METRICS, cell, tidy

R = TypeVar("R", bound=Run)
ABOUT = ["data", "backbone", "size"]  # what rows must share to compare


def kept(found: Sequence[R], data: str = "", method: str = "") -> list[R]:
    """The runs on one data set and of one method, whatever the case; "" keeps all.

    Args:
        found: runs, or measurements, whose method is "ddt" or "boxes".
        data: as the table names it ("CUB-50"), or its beginning ("cub").
        method: as configurations name it ("cmr").

    Raises:
        UserError: there are runs, and none on this data set or of this method.
    """
    names = [run for run in found if about(run)[0].casefold().startswith(data.casefold())]
    if found and not names:
        raise unknown("data", data, {about(run)[0] for run in found})
    left = [run for run in names if method.casefold() in ("", _method(run))]
    if names and not left:
        raise unknown("method", method, {_method(run) for run in names})
    return left


def _method(run: Run) -> str:
    return run.record.kind if isinstance(run, frozen.Measurement) else run.config.method


def rows(found: Sequence[Run], measured: Sequence[frozen.Measurement] = ()) -> list[dict[str, Any]]:
    """One row per setting, its seeds together, sorted by data, network and image size.

    Args:
        found: runs on any data.
        measured: on frozen networks, on any data; their rows come last.

    Returns:
        Rows with data, backbone, size, method (its name in tables, and what sets the row apart from others of the
        method on the same data), seeds, and for each metric of `METRICS` mean and standard deviation over seeds in
        percent (None for one seed), or the word that `cmr.study.tables.cell` has in place of a number.
    """
    alike: dict[tuple[str, ...], list[Run]] = {}
    for run in found:
        alike.setdefault(about(run), []).append(run)
    groups = [(where, group) for where, members in sorted(alike.items()) for group in same_setting(members, ties=True)]
    groups += [(about(group.runs[0]), group) for group in frozen.groups(measured).values()]
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
    return run.record.tested.name, run.config.backbone, f"{run.config.image_size} px"


def _value(table: pandas.DataFrame, metric: str) -> tuple[float, float | None] | str:
    values = table[metric].dropna()
    if table["diverged"].any() or not len(values):
        return cell(table, metric)
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def render(made: Sequence[dict[str, Any]], form: str = "text", width: int = 0) -> str:
    """The rows in print.

    Args:
        made: as of `rows`.
        form: "text" in columns, "markdown", "csv" or "json".
        width: of the terminal; what a method's name has beyond it is cut. 0 for any.

    Returns:
        The text. CSV and JSON hold mean and standard deviation apart, and nothing is cut in them.
    """
    if form == "json":
        return json.dumps(list(made), indent=1)
    names = [*ABOUT, "method", "seeds", *METRICS]
    if form == "csv":
        return _csv(made, names)
    if not made:
        return "no runs found"
    lines = [names] + [[_said(row[name]) for name in names] for row in made]
    if form == "markdown":
        lines.insert(1, ["---"] * len(names))
        return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    place = names.index("method")
    if width:
        widths[place] = max(12, min(widths[place], width - (sum(widths) - widths[place]) - 2 * (len(names) - 1)))
    for line in lines:
        line[place] = line[place] if len(line[place]) <= widths[place] else line[place][: widths[place] - 3] + "..."
    return "\n".join(
        "  ".join(text.ljust(size) for text, size in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _csv(made: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([part for name in names for part in ([name, f"{name} sd"] if name in METRICS else [name])])
    for row in made:
        cells: list[Any] = []
        for name in names:
            pair = row[name] if isinstance(row[name], tuple) else (row[name], None)
            cells += pair if name in METRICS else [row[name]]
        table.writerow(cells)
    return text.getvalue().rstrip("\n")


def _said(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    mean, deviation = value
    return f"{mean:.1f}" + (f" ± {deviation:.1f}" if deviation is not None else "")

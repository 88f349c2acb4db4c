"""One tidy table of runs, a row per run, from which a page's tables, bars and texts are made."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas

from cmr.study.groups import Group
from cmr.study.runs import Run

METRICS = ("Top-1 Loc", "Top-5 Loc", "GT-known Loc", "Top-1 Clas", "MaxBoxAcc", "MaxBoxAccV2")  # all in percent
COLUMNS = ("seeds", *METRICS)  # of a printed table
FOUR = ("Top-1 Clas", "GT-known Loc", "Top-1 Loc", "MaxBoxAccV2")  # of a table on another page
#: Metrics that texts name, in the keys of their numbers.
SHORT = {
    "GT-known Loc": "gt_known",
    "Top-1 Loc": "top1_loc",
    "Top-1 Clas": "top1_clas",
    "MaxBoxAcc": "maxboxacc",
    "MaxBoxAccV2": "maxboxaccv2",
}
NBSP = "\u00a0"  # keeps a number and its deviation in one line of a table


def tidy(groups: Mapping[str, Group], blind: Sequence[Run] = (), missing: Iterable[str] = ()) -> pandas.DataFrame:
    """The table that all others are made of.

    Args:
        groups: of `cmr.study.groups`.
        blind: runs whose test images the boxes that look at no image are scored on as well: the best centred box and
            the full image, a row each; none where empty.
        missing: titles of groups that were asked for and not run.

    Returns:
        A row per run: "kind" ("run", "missing" or "blind"), "key" and "title" of its group, "method", "seed", "run"
        (its id), "diverged", and `METRICS` in percent, NaN where a run has none.
    """
    rows: list[dict[str, Any]] = [
        {
            "kind": "run",
            "key": group.key,
            "title": group.title,
            "method": run.config.method,
            "seed": run.config.seed,
            "run": run.id,
            "diverged": bool(run.diverged),
            **{name: run.result.get(name) for name in METRICS},
        }
        for group in groups.values()
        for run in group.runs
    ]
    rows += [{"kind": "missing", "key": "", "title": title} for title in missing]
    known: dict[str, Any] = next((run.result["baselines"] for run in blind if "baselines" in run.result), {})
    for title, values in known.items():
        key = title.replace(" ", "_")
        rows.append({"kind": "blind", "key": key, "title": title, **{name: values.get(name) for name in METRICS}})
    table = pandas.DataFrame(rows, columns=["kind", "key", "title", "method", "seed", "run", "diverged", *METRICS])
    return table.astype(dict.fromkeys(METRICS, float))


def printed(table: pandas.DataFrame, columns: Sequence[str] = COLUMNS) -> pandas.DataFrame:
    """A page's table: a row per group, mean and standard deviation over its seeds.

    Args:
        table: of `tidy`.
        columns: "seeds", of `METRICS`, and columns of the table's own, of which a group's first row speaks.

    Returns:
        Cells as `cell` words them, under the groups' titles.
    """
    titles, rows = [], []
    for (_, title), group in table.groupby(["key", "title"], sort=False):
        first = group.iloc[0]
        seeds = {"run": len(group), "missing": "not run", "blind": "–"}[first["kind"]]
        titles.append(title)
        rows.append(
            {
                name: seeds if name == "seeds" else cell(group, name) if name in METRICS else first[name]
                for name in columns
            }
        )
    return pandas.DataFrame(rows, titles, list(columns))


def cell(group: pandas.DataFrame, metric: str) -> str:
    """How a table prints a metric: "61.2 ± 0.8", "61.2", "–" where it makes no sense, "diverged", or "not run".

    Args:
        group: rows of `tidy` with one title. A training that diverged has no number and takes none from others.
        metric: of `METRICS`.
    """
    fallen, values = int((group["diverged"] == True).sum()), group[metric].dropna()  # noqa: E712  # NaN where none ran
    if fallen:
        return "diverged" if fallen == len(group) else f"diverged, {fallen} of {len(group)}"
    if not len(values):
        return "–" if group["kind"].iloc[0] == "blind" else "not run"
    deviation = f"{NBSP}±{NBSP}{statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{deviation}"


def numbers(table: pandas.DataFrame, metrics: Mapping[str, str] = SHORT) -> dict[str, float]:
    """The means over seeds under the groups' keys, for a page's text: {"cam_gt_known": 41.2, ...}.

    Args:
        table: of `tidy`.
        metrics: metric to its short name.

    Returns:
        Numbers in percent; none of a group in which a training diverged.
    """
    fallen = set(table.loc[table["diverged"] == True, "key"])  # noqa: E712  # NaN where none ran
    return {
        f"{key}_{short}": statistics.fmean(values)
        for key, group in table.groupby("key", sort=False)
        if key not in fallen
        for name, short in metrics.items()
        if len(values := group[name].dropna())
    }

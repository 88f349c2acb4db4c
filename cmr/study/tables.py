"""One tidy table of runs, a row per run, from which a page's tables, bars and texts are made."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas

from cmr.metrics.result import TITLES, Baseline
from cmr.study.groups import Group
from cmr.study.runs import Run

TABLED = ("top1_loc", "top5_loc", "gt_known_loc", "top1_clas", "max_box_acc", "max_box_acc_v2")  # of a result
METRICS = tuple(TITLES[name] for name in TABLED)  # their columns, all in percent
COLUMNS = ("seeds", *METRICS)  # of a printed table
FOUR = tuple(TITLES[name] for name in ("top1_clas", "gt_known_loc", "top1_loc", "max_box_acc_v2"))  # on another page
#: Metrics that texts name, in the keys of their numbers.
SHORT = {
    TITLES["gt_known_loc"]: "gt_known",
    TITLES["top1_loc"]: "top1_loc",
    TITLES["top1_clas"]: "top1_clas",
    TITLES["max_box_acc"]: "maxboxacc",
    TITLES["max_box_acc_v2"]: "maxboxaccv2",
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
            **{TITLES[name]: getattr(run.result, name) for name in TABLED},
        }
        for group in groups.values()
        for run in group.runs
    ]
    rows += [{"kind": "missing", "key": "", "title": title} for title in missing]
    baselines: Mapping[str, Baseline] = next((run.result.baselines for run in blind if run.result.baselines), {})
    for title, box in baselines.items():
        rows.append({"kind": "blind", "key": title.replace(" ", "_"), "title": title, **box.numbers()})
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

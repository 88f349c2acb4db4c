"""The paper's tables 1 to 6 (`paper.csv`), and what was recorded here beside their numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import pandas

from cmr.errors import require_known
from cmr.metrics.result import TITLES
from cmr.study.compare import PER_IMAGE, difference
from cmr.study.groups import INTERPRETATIONS, Group, pick
from cmr.study.tables import METRICS, NBSP, cell, numbers, tidy

#: The tables by the paper's numbers, and by the data set where a table has two.
TABLES = ("1", "2", "3", "4 CUB", "4 ILSVRC", "5", "6 CUB", "6 ILSVRC")
#: The groups that stand for the paper's own method: its text does not decide between them.
OWN = {"cmr": INTERPRETATIONS["raw"], "cmr_relu": INTERPRETATIONS["relu"]}


@dataclass(frozen=True)
class Recorded:
    """What stands beside the rows of one network.

    Args:
        place: the data and the network of the runs: "CUB-50, ResNet50".
        groups: the runs, as `cmr.study.groups.by_setting` groups them; none where nothing was run.
    """

    place: str
    groups: Mapping[str, Group]


NOT_RUN = f"not{NBSP}run"  # in one line of a narrow column
NOTHING = Recorded("", {})
NETWORKS = {"vgg16": "VGG16", "resnet50": "ResNet50"}


@cache
def printed() -> pandas.DataFrame:
    """All rows of the paper's tables 1 to 6, as the paper prints them.

    Returns:
        Text, empty where there is none. "table" (of `TABLES`), "data", "method"; "network" by our name, if the library
        has it; "ours", the keys of the groups that may stand beside the row, divided by spaces; the metrics, in
        percent. Table 4 is headed MaxBoxAccV2, but its numbers look like MaxBoxAcc.
    """
    with (files("cmr.study") / "paper.csv").open() as text:
        rows = pandas.read_csv(text, dtype=str, keep_default_na=False)
    two = rows.groupby("table")["data"].transform("nunique") > 1
    rows["table"] = rows["table"].where(~two, rows["table"] + " " + rows["data"].str.partition("-")[0])
    return rows.rename(columns=TITLES)


def beside(name: str, ours: Mapping[str, Recorded], more: Sequence[str] = ()) -> pandas.DataFrame:
    """A table of the paper with three columns for each of its metrics: paper, ours, and ours minus paper.

    Paper: tables 1 to 6. A row of its own method stands here once for each interpretation of equation 14; one of a
    network that this library has not (Inception, GoogLeNet) does not.

    Args:
        name: of `TABLES`.
        ours: what was run, by the network of the rows: "vgg16", "resnet50".
        more: keys of groups of which the paper has no row; where they were run, they follow at the end.

    Returns:
        In percent, worded as by `cmr.study.tables.cell`; "–" where the paper has no number or there is nothing to
        compare. The last column says on which data and with which network ours were run.

    Raises:
        UserError: an unknown table.

    Example:
        >>> table = beside("1", {})
        >>> table.loc["VGG-CAM", ("Top-1 Loc", "paper")], len(table)
        ('34.41', 11)
    """
    rows = _of(name)
    metrics = [metric for metric in METRICS if any(row.get(metric) for row in rows)]
    lines = {}
    for row in rows:
        keys = row["ours"].split()
        for key in keys:
            title = row["method"].replace("the paper's method", OWN.get(key, ""))
            if len(keys) > 1 and title == row["method"]:  # a part or a cell size, in both interpretations
                title += f", {_short(key)}"
            lines[title] = _line({metric: row[metric] for metric in metrics}, ours.get(row["network"], NOTHING), key)
    for network in dict.fromkeys(row["network"] for row in rows):
        recorded = ours.get(network, NOTHING)
        for key, group in pick(recorded.groups, *more).items():
            lines[f"{NETWORKS[network]}, {group.title}"] = _line(dict.fromkeys(metrics, ""), recorded, key)
    columns = [(metric, kind) for metric in metrics for kind in ("paper", "ours", "difference")]
    return pandas.DataFrame.from_dict(
        lines, orient="index", columns=pandas.MultiIndex.from_tuples([*columns, ("", "ours on")])
    )


def leads(name: str, ours: Mapping[str, Recorded]) -> pandas.DataFrame:
    """By how much the paper's method lies above CAM with the same network, in a table of the paper and here.

    Paper: tables 1 to 3. A difference of two methods under one protocol can be set beside another such difference; a
    number on fifty classes cannot be set beside one on two hundred.

    Args:
        name: "1", "2" or "3".
        ours: as `beside` takes it.

    Returns:
        A row for each network and metric of which the paper prints both rows: "paper", and for each interpretation
        "+1.2 [-0.4, +2.7]" in points with the 95 % interval of `cmr.study.compare.difference`; the last column as that
        of `beside`.

    Raises:
        UserError: a table of another number.

    Example:
        >>> leads("3", {}).loc["table 3, VGG16: Top-1 Clas", "paper"]
        '+4.6'
    """
    require_known(name, "table of the paper with CAM and its own method", TABLES[:3])
    lines = {}
    for network, title in NETWORKS.items():
        recorded = ours.get(network, NOTHING)
        rows = {row["ours"]: row for row in _of(name) if row["network"] == network}
        if "cam" not in rows:
            continue
        for metric in PER_IMAGE:
            own, cam = rows[" ".join(OWN)].get(metric), rows["cam"].get(metric)
            if own and cam:
                here = [_lead(recorded.groups, key, metric) for key in OWN]
                place = recorded.place if any(one != NOT_RUN for one in here) else ""
                lines[f"table {name}, {title}: {metric}"] = [f"{float(own) - float(cam):+.1f}", *here, place]
    return pandas.DataFrame.from_dict(lines, orient="index", columns=["paper", *OWN.values(), "ours on"])


def _of(name: str) -> list[dict[str, str]]:
    """The rows of a table."""
    require_known(name, "table of the paper", TABLES)
    rows: list[dict[str, str]] = printed()[printed()["table"] == name].to_dict("records")  # type: ignore[assignment]
    return rows


def _lead(groups: Mapping[str, Group], key: str, metric: str) -> str:
    if key not in groups or "cam" not in groups:
        return NOT_RUN
    return str(difference(groups[key].runs, groups["cam"].runs, metric))


def _line(paper: Mapping[str, str], recorded: Recorded, key: str) -> list[str]:
    """The cells of a row."""
    ran = pick(recorded.groups, key)
    table = tidy(ran)
    means = numbers(table, {metric: metric for metric in paper})
    cells = []
    for metric, number in paper.items():
        mean = means.get(f"{key}_{metric}")
        cells.append(number or "–")
        cells.append(cell(table, metric) if ran else NOT_RUN)
        cells.append(f"{mean - float(number):+.1f}" if number and mean is not None else "–")
    return [*cells, recorded.place if ran else ""]


def _short(key: str) -> str:
    """The interpretation that a key names: "literal", "positive parts"."""
    return OWN["cmr_relu" if key.startswith("cmr_relu") else "cmr"].removeprefix("CMR (").removesuffix(")")

"""Tables from run records: mean and standard deviation over seeds, never over different settings."""

import html
import json
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas

from cmr.study import runs
from cmr.study.compare import NBSP, difference
from cmr.study.identity import determining
from cmr.study.identity import setting as same_setting
from cmr.study.runs import Run

METRICS = ("Top-1 Loc", "Top-5 Loc", "GT-known Loc", "Top-1 Clas", "MaxBoxAcc", "MaxBoxAccV2")  # all in percent


def metric_lines(result: dict[str, Any]) -> str:
    """The metrics of one test, one per line, in percent."""
    return "\n".join(f"{name:<14}{result[name]:7.2f}" for name in (*METRICS, "PxAP") if name in result)


def summary(run: Run) -> str:
    """What `cmr train` prints when it is done."""
    where = run.record["data"].get("test") or run.record["data"]["holdout"]
    head = f"{run.config.method} on {where['name']} ({where['images']} test images), {run.record['duration_s']} s"
    return f"{head}\n{metric_lines(run.result)}\nrecord: {run.path / runs.RECORD}"


def label(run: Run) -> tuple[str, ...]:
    """What a row of a table is about: data, backbone, image size, method."""
    where = run.record["data"].get("test") or run.record["data"]["holdout"]
    config = run.record["config"]
    return where["name"], config["backbone"], f"{config['image_size']} px", config["method"]


def table(*roots: str | Path) -> list[dict[str, Any]]:
    """One row for each setting, its seeds together.

    Args:
        *roots: folders that hold runs.

    Returns:
        Rows with data, backbone, size, method, variant (what differs from the other rows of the same method on the
        same data), seeds, and for each metric of `METRICS` a pair (mean, standard deviation over seeds; None for one).
    """
    return rows_of(runs.find(*roots))


def rows_of(found: Sequence[Run]) -> list[dict[str, Any]]:
    """The rows of `table` for runs that are already read."""
    groups: dict[str, dict[int, Run]] = {}
    for run in found:  # a seed counts once: two studies may hold the same training
        groups.setdefault(same_setting(run), {}).setdefault(run.config.seed, run)
    rows = []
    for members in (list(group.values()) for group in groups.values()):
        first = [next(iter(group.values())) for group in groups.values()]
        same = [other for other in first if label(other) == label(members[0])]
        data, backbone, size, method = label(members[0])
        row: dict[str, Any] = {
            "data": data,
            "backbone": backbone,
            "size": size,
            "method": method,
            "variant": _variant(members[0], same),
        }
        fallen = sum(bool(run.diverged) for run in members)
        row["seeds"] = len({run.record["config"]["seed"] for run in members})
        for name in METRICS:
            values = [run.result[name] for run in members if name in run.result]
            if fallen:
                row[name] = "diverged" if fallen == len(members) else f"diverged, {fallen} of {len(members)}"
            elif values:
                row[name] = (statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)
        rows.append(row)
    return sorted(
        rows, key=lambda row: tuple(str(row[key]) for key in ("data", "backbone", "size", "method", "variant"))
    )


def _flat(run: Run) -> dict[str, Any]:
    config = {name: value for name, value in determining(run.config).items() if name != "seed"}
    config["maps"] = run.record.get("maps", "")
    return {**config, **config["settings"], **config["data_settings"], "settings": None, "data_settings": None}


def _variant(run: Run, same: Sequence[Run]) -> str:
    mine = _flat(run)
    differing = [name for name in mine if any(_flat(other).get(name) != mine[name] for other in same)]
    return ", ".join(f"{name}={mine[name]}" for name in differing if mine[name] not in ("", None))


def baselines(found: Sequence[Run]) -> list[dict[str, Any]]:
    """Rows for boxes that look at no image, as `table` has them; runs on one test split share theirs.

    Args:
        found: runs on the same test split at the same image size.

    Returns:
        A row for the centred box and one for the full image; none where no run has them.
    """
    known = [run for run in found if "baselines" in run.result]
    if not known:
        return []
    data, _, size, _ = label(known[0])
    return [
        {"data": data, "backbone": "-", "size": size, "method": name, "variant": "", "seeds": "-"}
        | {metric: (values[metric], None) if metric in values else None for metric in METRICS}
        for name, values in known[0].result["baselines"].items()
    ]


def cell(row: Mapping[str, Any], metric: str) -> str:
    """How a table prints a metric: "61.2 ± 0.8", "61.2", "–" where it makes no sense, or "not run"."""
    if metric not in row:
        return "not run"
    if row[metric] is None:
        return "–"
    if not isinstance(row[metric], tuple):
        return str(row[metric])
    mean, deviation = row[metric]
    return f"{mean:.1f}" if deviation is None else f"{mean:.1f} ± {deviation:.1f}"


def render(rows: Sequence[dict[str, Any]], form: str = "text") -> str:
    """The table as text in columns or as JSON."""
    if form == "json":
        return json.dumps(list(rows), indent=1)
    if not rows:
        return "no runs found"
    names = ["data", "backbone", "size", "method", "variant", "seeds", *METRICS]
    lines = [names] + [[cell(row, name) if name in METRICS else str(row[name]) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def frame(rows: Sequence[dict[str, Any]], columns: Sequence[str] = METRICS) -> pandas.DataFrame:
    """The rows of `table` as a data frame of printed cells under their methods' names, for a page."""
    cells = [{name: cell(row, name).replace(" ± ", f"{NBSP}±{NBSP}") for name in columns} for row in rows]
    return pandas.DataFrame(cells, index=[row["method"] for row in rows])


def headline(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The means of a table under short names, for a page's text: {"cam_gt_known": 41.2, ...}."""
    short = {
        "GT-known Loc": "gt_known",
        "Top-1 Loc": "top1_loc",
        "Top-1 Clas": "top1_clas",
        "MaxBoxAcc": "maxboxacc",
        "MaxBoxAccV2": "maxboxaccv2",
    }
    return {
        f"{slug(row['method'])}_{short[name]}": float(row[name][0])
        for row in rows
        for name in short
        if isinstance(row.get(name), tuple)
    }


def gaps(found: Mapping[str, Sequence[Run]], pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Differences in GT-known Loc under short names, for a page's text: {"has_over_cam": "+1.2 [-0.4, +2.7]", ...}.

    Args:
        found: title to runs.
        pairs: titles, first the one from which the other is taken; a pair of which one was not run is left out.
    """
    return {
        slug(f"{one} over {other}"): str(difference(found[one], found[other]))
        for one, other in pairs
        if one in found and other in found
    }


def slug(title: str) -> str:
    """A title as part of a name that pages paste: "CMR (literal), weight 1" gives "cmr_weight_1"."""
    return re.sub(r"\W+", "_", title.lower().replace(" (literal)", "")).strip("_")


def labelled(runs_by_label: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    """Rows as of `table`, one per label, which takes the place of the method; its runs differ in seed only."""
    return [row | {"method": name} for name, found in runs_by_label.items() for row in rows_of(found)]


def bar_rows(found: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    """One row per run, for `cmr.figures.bars`: title, seed and metrics."""
    return [
        {"method": title, "seed": run.record["config"]["seed"]} | {m: run.result[m] for m in METRICS if m in run.result}
        for title, members in found.items()
        for run in members
    ]


def tau_lines(run: Run) -> dict[int, tuple[list[float], list[float]]]:
    """Accuracy of the largest contour's box at every threshold, as `cmr.figures.tau_curves` takes it."""
    curves = run.result["curves"]
    return {int(iou): (curves["tau"], values) for iou, values in curves["largest contour"].items()}


def box_sizes(run: Run) -> dict[str, float]:
    """How much of the image the boxes take, in percent: their mean share, and how many are over half and nearly all."""
    box = run.outcomes()["box"].astype(float)
    area = 100 * (box[:, 2] - box[:, 0] + 1) * (box[:, 3] - box[:, 1] + 1) / run.config.image_size**2
    over = {f"boxes over {limit} %": 100 * float((area > limit).mean()) for limit in (50, 90)}
    return {"mean share of the image": float(area.mean()), **over}


def setting(run: Run) -> str:
    """What a table's runs have in common, for a line under it: network, sizes, epochs, hardware, arithmetic."""
    config, place, side = run.config, run.record["environment"], run.outcomes()["maps"].shape[-1]
    return (
        f"{config.backbone}, images of {config.image_size} pixels, maps of {side} by {side}, {config.epochs} epochs, "
        f"{place['device']}, {place['precision']}."
    )


def part_rows(run: Run, **labels: Any) -> list[dict[str, Any]]:
    """The share of each part covered, for `cmr.figures.part_coverage`; `labels` replace or add to method and part."""
    rows = [
        {"method": run.config.method, "part": part, "coverage": share} for part, share in run.result["parts"].items()
    ]
    return [row | labels for row in rows]


def provenance(found: Sequence[Run]) -> str:
    """Where the numbers of a page come from, as a folded HTML box: one line per run.

    Args:
        found: the runs whose numbers the page prints.

    Returns:
        HTML with commit, seeds, hardware, versions, data fingerprints, date, duration and command of each run.
    """
    lines = []
    for run in found:
        record, place = run.record, run.record["environment"]
        data = ", ".join(f"{part['name']} {split} {part['fingerprint']}" for split, part in record["data"].items())
        versions = ", ".join(f"{name} {version}" for name, version in place["versions"].items())
        facts = {
            "commit": f"{place['commit'][:10]}{' with local changes' if place['dirty'] else ''}",
            "seed": record["seeds"]["seed"],
            "data": data,
            "weights": record["weights"],
            "hardware": f"{place['device']}, {place['threads']} threads, {place['precision']}",
            "versions": f"Python {place['python']}, {versions}",
            "finished": f"{record['finished']}, after {record['duration_s']:.0f} s, {record['peak_memory_mb']:.0f} MB",
            "command": record["command"],
        }
        text = "; ".join(f"{name}: {html.escape(str(value))}" for name, value in facts.items())
        lines.append(f"<li><code>{html.escape(run.id)}</code><br>{text}</li>")
    head = f"Where these numbers come from ({len(found)} runs)"
    return f'<details class="provenance"><summary>{head}</summary><ul>{"".join(lines)}</ul></details>'


def course(found: Sequence[Run]) -> list[dict[str, float]]:
    """What a training localized after every epoch at which it was tested, and at its end: means over the seeds.

    Args:
        found: runs that differ in seed only, trained with `eval_every`.

    Returns:
        One row per tested epoch: "epoch", the metrics, and "part head" ... "part background", percent above the
        threshold, where the data has parts.
    """
    rows: dict[int, list[Mapping[str, Any]]] = {}
    for run in found:
        tested = [row for row in run.history if "GT-known Loc" in row]
        ends = {name: value for name, value in run.result.items() if isinstance(value, float)}
        ends |= {f"part {name}": value for name, value in run.result.get("parts", {}).items()}
        for row in [*tested, {"epoch": run.config.epochs, **ends}]:
            rows.setdefault(int(row["epoch"]), []).append(row)
    return [
        {"epoch": epoch} | {name: statistics.fmean(row[name] for row in group) for name in group[0] if name in ends}
        for epoch, group in sorted(rows.items())
    ]

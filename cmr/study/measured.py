"""What tables and figures take from the records of single runs: sizes of boxes, parts, curves, courses."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from cmr.metrics.result import TITLES, Result, known
from cmr.study.runs import Run


def tau_lines(run: Run) -> dict[int, tuple[Sequence[float], Sequence[float]]]:
    """Accuracy of the largest contour's box at every threshold, as `cmr.figures.tau_curves` takes it."""
    curves = known(run.result.curves)
    return {iou: (curves.tau, values) for iou, values in curves.largest_contour.items()}


def box_sizes(run: Run) -> dict[str, float]:
    """How much of the image the boxes take, in percent: their mean share, and how many are over half and nearly all."""
    box = run.outcomes()["box"].astype(float)
    area = 100 * (box[:, 2] - box[:, 0] + 1) * (box[:, 3] - box[:, 1] + 1) / run.config.image_size**2
    over = {f"boxes over {limit} %": 100 * float((area > limit).mean()) for limit in (50, 90)}
    return {"mean share of the image": float(area.mean()), **over}


def part_rows(run: Run, **labels: Any) -> list[dict[str, Any]]:
    """The share of each part covered, for `cmr.figures.part_coverage`; `labels` replace or add to method and part."""
    parts = known(run.result.parts)
    rows = [{"method": run.config.method, "part": part, "coverage": share} for part, share in parts.items()]
    return [row | labels for row in rows]


def tracked(result: Result) -> dict[str, float]:
    """What a history keeps of a test: the single numbers by title, and "part head" ... "part background"."""
    return result.numbers() | {f"part {name}": share for name, share in (result.parts or {}).items()}


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
        tested = [row for row in run.history if TITLES["gt_known_loc"] in row]
        ends = tracked(run.result)
        for row in [*tested, {"epoch": run.config.epochs, **ends}]:
            rows.setdefault(int(row["epoch"]), []).append(row)
    return [
        {"epoch": epoch} | {name: statistics.fmean(row[name] for row in group) for name in group[0] if name in ends}
        for epoch, group in sorted(rows.items())
    ]

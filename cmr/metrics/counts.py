"""The box metrics as counts that add up over images and processes, and the percentages made of them at the end."""

from dataclasses import dataclass, replace

import numpy as np

from cmr.metrics.contours.levels import LevelScores
from cmr.metrics.failures import ERRORS, SIZES
from cmr.metrics.result import IOU_THRESHOLDS, BoxRules, Curves, Result, SizeResult

HALF = IOU_THRESHOLDS.index(50)  # MaxBoxAcc and all Loc metrics take this one
HISTOGRAM_BINS = 20

# IoU sums are kept as whole multiples of 2^-40: unlike sums of floats they do not depend on the order of the images.
IOU_UNIT = 2.0**40


@dataclass(frozen=True)
class Protocol:
    """What the counts are counted by.

    Attributes:
        threshold: the fixed tau.
        taus: (T,) the list of which the best is chosen.
    """

    threshold: float
    taus: np.ndarray

    @property
    def columns(self) -> np.ndarray:
        """(T + 1,): the list, then the fixed tau."""
        return np.append(self.taus, self.threshold)


def shapes(protocol: Protocol) -> dict[str, tuple[int, ...]]:
    """Name and shape of each count; the columns of a curve are `Protocol.columns`.

    Example:
        >>> shapes(Protocol(0.2, np.array([0.0, 0.5])))["right_largest"]
        (3, 3)
    """
    deltas, columns = len(IOU_THRESHOLDS), len(protocol.columns)
    return {
        "images": (),
        "located": (),  # images with a true box
        "classified": (),  # images with class scores
        "top1": (),
        "top5": (),
        "right_all": (deltas, columns),  # best of all contours
        "right_largest": (deltas, columns),
        "right_top1": (columns,),  # largest contour right at IoU .5, and class right
        "right_top5": (columns,),
        "iou_all": (columns,),  # sums, in IOU_UNIT
        "iou_largest": (columns,),
        "size_images": (len(SIZES),),
        "size_right": (len(SIZES), columns),  # largest contour, IoU .5
        "errors": (len(ERRORS),),  # at the fixed tau
        "histogram": (HISTOGRAM_BINS,),  # IoU at the fixed tau, largest contour
    }


def count(
    protocol: Protocol,
    levels: LevelScores,
    located: np.ndarray,
    top1: np.ndarray | None,
    top5: np.ndarray | None,
    sizes: np.ndarray,
    errors: np.ndarray,
) -> dict[str, np.ndarray]:
    """Counts B images.

    Args:
        protocol: what is counted.
        levels: the images' scores at all levels.
        located: (B,) bool, has a true box; the others count for the class only.
        top1, top5: (B,) bool, whether the class is right; `None` without class scores.
        sizes, errors: (B,) indices into `SIZES` and `ERRORS`.

    Returns:
        int64 arrays of the `shapes`.
    """
    at = levels.levels(protocol.columns)[located]  # (b, T + 1)
    iou_all = np.take_along_axis(levels.iou_all[located], at, axis=1)
    iou_largest = np.take_along_axis(levels.iou_largest[located], at, axis=1)
    deltas = np.array(IOU_THRESHOLDS)[:, None, None] / 100
    right_all, right_largest = iou_all >= deltas, iou_largest >= deltas  # (deltas, b, T + 1)
    half = right_largest[HALF]
    classified = 0 if top1 is None else len(located)
    top1, top5 = (np.zeros(len(located), bool) if right is None else right for right in (top1, top5))
    bins = np.minimum((iou_largest[:, -1] * HISTOGRAM_BINS).astype(np.int64), HISTOGRAM_BINS - 1)
    size = np.arange(len(SIZES))[:, None] == sizes[located]  # (sizes, b)
    counts = {
        "images": len(located),
        "located": located.sum(),
        "classified": classified,
        "top1": top1.sum(),
        "top5": top5.sum(),
        "right_all": right_all.sum(1),
        "right_largest": right_largest.sum(1),
        "right_top1": half[top1[located]].sum(0),
        "right_top5": half[top5[located]].sum(0),
        "iou_all": _whole(iou_all),
        "iou_largest": _whole(iou_largest),
        "size_images": size.sum(1),
        "size_right": size.astype(np.int64) @ half.astype(np.int64),
        "errors": np.bincount(errors[located], minlength=len(ERRORS)),
        "histogram": np.bincount(bins, minlength=HISTOGRAM_BINS),
    }
    return {name: np.asarray(value, np.int64) for name, value in counts.items()}


def _whole(iou: np.ndarray) -> np.ndarray:
    return np.rint(iou * IOU_UNIT).astype(np.int64).sum(0)


def percentages(protocol: Protocol, counts: dict[str, np.ndarray]) -> Result:
    """Makes the metrics of the counts."""
    images, located, classified = (int(counts[k]) for k in ("images", "located", "classified"))
    result = Result(images=images)
    if classified:
        top1, top5 = (100 * int(counts[name]) / classified for name in ("top1", "top5"))
        result = replace(result, top1_clas=top1, top5_clas=top5)
    if not located:
        return result

    share_all, share_largest = (100 * counts[k] / located for k in ("right_all", "right_largest"))  # (deltas, T + 1)
    half, taus = share_largest[HALF], protocol.taus
    best = int(half[:-1].argmax())
    iou_all, iou_largest = (100 * counts[k] / IOU_UNIT / located for k in ("iou_all", "iou_largest"))
    if classified:
        top1_loc, top5_loc = (100 * counts[name] / located for name in ("right_top1", "right_top5"))  # (T + 1,)
        result = replace(
            result,
            top1_loc=float(top1_loc[-1]),
            top5_loc=float(top5_loc[-1]),
            top1_loc_best=float(top1_loc[:-1].max()),
            top5_loc_best=float(top5_loc[:-1].max()),
        )
    return replace(
        result,
        gt_known_loc=float(half[-1]),
        gt_known_loc_best=float(half[best]),
        max_box_acc=float(half[best]),
        max_box_acc_v2=float(share_all[:, :-1].max(axis=1).mean()),
        best_tau=float(taus[best]),
        mean_iou=float(iou_largest[-1]),
        mean_iou_best=float(iou_largest[best]),
        max_box_acc_at={
            delta: BoxRules(float(share_all[row, :-1].max()), float(share_largest[row, :-1].max()))
            for row, delta in enumerate(IOU_THRESHOLDS)
        },
        sizes={
            name: SizeResult(int(n), float(100 * right[-1] / n), float(100 * right[best] / n))
            for name, n, right in zip(SIZES, counts["size_images"], counts["size_right"], strict=True)
            if n
        },
        errors={name: 100 * int(n) / located for name, n in zip(ERRORS, counts["errors"], strict=True)},
        iou_histogram=counts["histogram"].tolist(),
        curves=Curves(
            tau=taus.tolist(),
            all_contours=_by_iou(share_all),
            largest_contour=_by_iou(share_largest),
            mean_iou_all=iou_all[:-1].tolist(),
            mean_iou_largest=iou_largest[:-1].tolist(),
        ),
    )


def _by_iou(share: np.ndarray) -> dict[int, list[float]]:
    return {delta: share[row, :-1].tolist() for row, delta in enumerate(IOU_THRESHOLDS)}

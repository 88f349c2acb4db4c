"""What a box scores that looks at no image: the whole image, and the best centred box."""

from collections.abc import Sequence

import numpy as np
import torch

from cmr.data.arrays import two_sides
from cmr.metrics.boxes import box_arrays, box_iou
from cmr.metrics.contours.levels import contour_boxes, quantise
from cmr.metrics.result import CENTRED, FULL, IOU_THRESHOLDS, Baseline

IMAGES_AT_ONCE = 4096


def centre_map(side: int) -> torch.Tensor:
    """The benchmark's centred Gaussian: sigma a quarter of the side, minimum 0, maximum 1; (1, side, side)."""
    y, x = np.mgrid[:side, :side]
    middle, sigma = (side - 1) / 2, side / 4
    centre = np.exp(-((x - middle) ** 2 + (y - middle) ** 2) / (2 * sigma**2))
    centre -= centre.min()
    return torch.from_numpy(centre / max(centre.max(), np.finfo(float).tiny))[None]


def blind_iou(predicted: np.ndarray, boxes: Sequence[np.ndarray]) -> np.ndarray:
    """Best IoU in every image of boxes that are the same for all images.

    Args:
        predicted: (P, 4) xyxy, inclusive grid pixels.
        boxes: n arrays (k, 4) of true boxes, k at least 1 (`gt_boxes`).

    Returns:
        (P, n) float64.

    Example:
        >>> blind_iou(np.array([[0, 0, 1, 1]]), [np.array([[0, 0, 1, 0], [5, 5, 6, 6]]), np.array([[0, 0, 1, 1]])])
        array([[0.5, 1. ]])
    """
    best = np.zeros((len(predicted), len(boxes)))
    for first in range(0, len(boxes), IMAGES_AT_ONCE):
        part = boxes[first : first + IMAGES_AT_ONCE]
        starts = np.cumsum([0, *(len(b) for b in part[:-1])])
        iou = box_iou(predicted, np.concatenate(part))  # (P, boxes of the part)
        best[:, first : first + len(part)] = np.maximum.reduceat(iou, starts, axis=1)
    return best


def box_baselines(boxes: Sequence[np.ndarray], side: int) -> dict[str, Baseline]:
    """Localization of two boxes that know nothing of the image; every result has to beat them.

    The centred box is that of a centred Gaussian map at the threshold that suits these very boxes best, so it is what a
    map gains that finds nothing but the centre; both box rules agree on it, since it has one contour.

    Args:
        boxes: per image (k, 4) true boxes on the grid of `side` pixels (`gt_boxes`); images without a box do not count.
        side: of the square grid, in pixels.

    Returns:
        `CENTRED` ("centred box"), at its best tau for each IoU threshold, and `FULL` ("full image"), the box around all
        pixels, which has GT-known Loc as well. All in percent; empty when no image has a box.

    Example:
        >>> whole = [np.array([[0, 0, 31, 31]])]
        >>> box_baselines(whole, 32)["full image"].gt_known_loc
        100.0
    """
    side = two_sides(side, "box_baselines")[0]
    located = [array for array in box_arrays(boxes, "box_baselines") if len(array)]
    if not located:
        return {}
    centred = np.unique(contour_boxes(quantise(centre_map(side))[0])[0], axis=0)
    predicted = np.concatenate([centred, [[0, 0, side - 1, side - 1]]])
    iou = blind_iou(predicted, located)
    share = {delta: 100 * (iou >= delta / 100).sum(axis=1) / len(located) for delta in IOU_THRESHOLDS}  # (P,) each
    return {
        CENTRED: _baseline({delta: float(values[:-1].max(initial=0.0)) for delta, values in share.items()}),
        FULL: _baseline({delta: float(values[-1]) for delta, values in share.items()}, float(share[50][-1])),
    }


def _baseline(share: dict[int, float], gt_known_loc: float | None = None) -> Baseline:
    return Baseline(gt_known_loc, share[50], sum(share.values()) / len(share), share)

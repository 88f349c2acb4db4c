"""Pictures with several objects: which of them a set of boxes finds, and how many boxes find nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchvision import ops

from cmr.errors import UserError
from cmr.metrics.boxes import box_arrays, check_boxes


@dataclass(frozen=True)
class ObjectScores:
    """What boxes are worth on pictures with any number of objects.

    Attributes:
        recall: percent of the objects that have a box of their own.
        precision: percent of the boxes that have an object of their own; NaN without a box.
        corloc: percent of the pictures in which some box finds some object (Deselaers et al., IJCV 2012).
        boxes: mean number of boxes per picture.
    """

    recall: float
    precision: float
    corloc: float
    boxes: float


def object_scores(found: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> ObjectScores:
    """Scores boxes against all objects of each picture.

    A box finds an object at an IoU of one half or more, whatever its class. Boxes and objects are paired one to one,
    and of all ways to pair them the one with the most pairs counts, so that no order of the boxes matters.

    Args:
        found: per picture an array (k, 4) of boxes, xyxy, half-open, pixels of the picture; k may be 0.
        truth: per picture an array (m, 4) of true boxes, m 1 or more.

    Returns:
        Recall, precision, CorLoc and boxes per picture.

    Raises:
        UserError: no picture, lengths that differ, a picture without an object, or boxes whose ends are in the wrong
            order.

    Example:
        >>> truth = [np.array([[0, 0, 10, 10], [20, 0, 30, 10]])]
        >>> object_scores([np.array([[0, 0, 10, 10], [0, 0, 9, 10]])], truth)
        ObjectScores(recall=50.0, precision=50.0, corloc=100.0, boxes=2.0)
    """
    if len(found) != len(truth) or not len(truth):
        raise UserError(f"object_scores: boxes of {len(found)} pictures and truth of {len(truth)}; give one of each")
    pairs = np.zeros(len(truth), int)
    boxes, objects = (box_arrays(arrays, "object_scores") for arrays in (found, truth))
    for i, (ours, theirs) in enumerate(zip(boxes, objects, strict=True)):
        if not len(theirs):
            raise UserError(f"object_scores: picture {i} has no object; leave it out")
        for array in (ours, theirs):
            check_boxes(array, "object_scores", [f"a box of picture {i}"] * len(array))
        pairs[i] = most_pairs(overlaps(ours, theirs) >= 0.5)
    made, there = sum(map(len, boxes)), sum(map(len, objects))
    return ObjectScores(
        recall=100 * float(pairs.sum() / there),
        precision=100 * float(pairs.sum() / made) if made else float("nan"),
        corloc=100 * float((pairs > 0).mean()),
        boxes=made / len(truth),
    )


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of each half-open box of `a` (n, 4) with each of `b` (m, 4): (n, m) float64; NaN of two without an area."""
    # Whole numbers without a sign, or halves, would overflow.
    return ops.box_iou(*(torch.tensor(np.asarray(boxes, np.float64)) for boxes in (a, b))).numpy()


def most_pairs(fits: np.ndarray) -> int:
    """The largest number of pairs, one to one, that an (n, m) table of what fits allows."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(fits.astype(int), maximize=True)
    return int(fits[rows, columns].sum())

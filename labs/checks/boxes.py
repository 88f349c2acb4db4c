"""Checks of lab 2: from a map to a box."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from . import check, compare, done

JUMP = (
    "Few pixels are left of a wide dim region at a high threshold, and then a small bright one is the largest. A box "
    "need not lie in the box of a lower threshold."
)
THRESHOLD = "Every map is scaled by itself, so no one threshold suits all; the fixed 0.2 is a habit of the field."


def normalise(function: Callable) -> None:
    """Step 1: the range of a map brought to 0 and 1."""
    values = torch.tensor([[-1.0, 0.0], [1.0, 3.0]])
    right = (values + 1) / 4
    mistakes = [
        (values / 3, "you divided by the maximum alone; the lowest value must become 0"),
        (values.relu() / 3, "you cut off what is below 0; this rule is `max`, and the step asks for `minmax`"),
        ((values + 1) / 3, "you divided by the maximum of the first map; divide by the range, maximum less minimum"),
    ]
    compare(function(values), right, mistakes, "your map")
    flat = torch.as_tensor(function(torch.ones(2, 2)))
    check(not flat.isnan().any(), "a map of one single value gives 0 / 0; return zeros for it")
    compare(flat, torch.zeros(2, 2), what="your function on a constant map")
    done(1, "maps run from 0 to 1.")


def above(function: Callable) -> None:
    """Step 2: what counts as object."""
    values = torch.tensor([[0.0, 0.4], [0.45, 0.8]])
    mistakes = [
        (values >= 0.4, "a pixel at the threshold counts in your mask; the rule is above, not at least"),
        (values > 0.5, "the threshold is a share of the map's maximum: tau times that"),
    ]
    compare(function(values, 0.5), values > 0.4, mistakes, "your mask")
    done(2, "the mask holds what is above the threshold.")


def largest(function: Callable) -> None:
    """Step 4: the largest component of a mask."""
    mask = np.array([[1, 0, 0, 0, 1], [0, 1, 0, 0, 1], [0, 0, 1, 0, 0]], bool)
    right = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]], bool)
    mistakes = [
        (mask, "you kept every component; keep the largest one"),
        (mask ^ right, "pixels that touch at a corner belong together; give `label` a structure of nine ones"),
    ]
    compare(np.asarray(function(mask)), right, mistakes, "your component")
    empty = np.zeros((2, 2), bool)
    compare(np.asarray(function(empty)), empty, what="your function on an empty mask")
    done(4, "the largest component is left.")


def box(function: Callable) -> None:
    """Step 5: the box round a component."""
    mask = np.zeros((6, 8), bool)
    mask[1:3, 4:7] = True
    mistakes = [
        ([4, 1, 7, 3], "your box is half-open; expected inclusive pixels, so that x1 and y1 are the last ones inside"),
        ([1, 4, 2, 6], "x and y are exchanged; x counts columns, the second axis"),
        ([4, 1, 3, 2], "this is x, y, width and height; expected x0, y0, x1, y1"),
    ]
    compare(function(mask), [4, 1, 6, 2], mistakes, "your box")
    done(5, "the box is inclusive xyxy.")


def iou(function: Callable) -> None:
    """Step 6: intersection over union of two inclusive boxes."""
    one, other, far = [1, 2, 5, 6], [3, 1, 4, 5], [8, 8, 9, 9]
    mistakes = [
        (3 / 17, "widths of inclusive boxes are x1 - x0 + 1; the + 1 is missing"),
        (8 / 35, "you divided by the sum of both areas; the shared pixels count once in the union"),
    ]
    compare(function(one, other), 8 / 27, mistakes, "your IoU")
    apart = function(one, far)
    check(abs(float(apart)) < 1e-9, "boxes that do not touch share 0 pixels; cut negative widths and heights off at 0")
    compare(function(one, one), 1, what="your IoU of a box with itself")
    done(6, "you can compare boxes.")


def agreement(ious: Sequence[float]) -> None:
    """Step 7: the boxes of the whole chain against the library's."""
    check(len(ious) > 0, "there are no IoUs; compare your boxes with those of `cmr.largest_box`")
    share = float(np.mean(np.asarray(ious) >= 0.8))
    check(share >= 0.9, f"only {100 * share:.0f} % of your boxes agree with the library's; is the map normalised?")
    done(7, f"{100 * share:.0f} % of your boxes have an IoU of 0.8 or more with the library's.")

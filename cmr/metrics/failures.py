"""Where a localizer fails: by size of the object and by kind of error."""

from collections.abc import Sequence

import numpy as np

from cmr.metrics.boxes import box_area

SIZES = ("small", "medium", "large")
# Shares of the image. A quarter of the images of CUB test and of ILSVRC lies below the first edge, a fifth of CUB test
# and two fifths of ILSVRC above the second.
SIZE_EDGES = (0.2, 0.5)

ERRORS = ("right", "wrong class", "several objects", "too small", "too large", "elsewhere")


def box_sizes(boxes: Sequence[np.ndarray], grid: tuple[int, int]) -> np.ndarray:
    """Size of each image's object: the largest true box as a share of the image.

    Args:
        boxes: B arrays (k, 4), xyxy, inclusive grid pixels.
        grid: height and width of the grid.

    Returns:
        (B,) indices into `SIZES`: below 20 % of the image, below 50 %, and the rest; 0 without a box.

    Example:
        >>> box_sizes([np.array([[0, 0, 4, 4]]), np.array([[0, 0, 9, 9], [0, 0, 1, 1]])], (10, 10)).tolist()
        [1, 2]
    """
    share = np.array([box_area(b).max() if len(b) else 0 for b in boxes]) / (grid[0] * grid[1])
    return np.searchsorted(SIZE_EDGES, share, side="right")


def error_kinds(
    predicted: np.ndarray, boxes: Sequence[np.ndarray], right: np.ndarray, class_right: np.ndarray | None
) -> np.ndarray:
    """Kind of error of each image.

    The kinds are those that papers of the field count, with the limits fixed here: compare shares only where both are
    the same. The first kind that holds counts. `I`, `P` and `G` are the areas of the overlap, of the predicted and of
    the true box:

    1. wrong class, whatever the box;
    2. right: IoU at least one half;
    3. several objects: the box meets two or more true boxes, one at least with I / G > 0.3;
    4. too small (a part): I / P > 0.5 for a true box;
    5. too large: I / G > 0.7;
    6. elsewhere.

    Args:
        predicted: (B, 4) xyxy, inclusive grid pixels.
        boxes: B arrays (k, 4) of true boxes.
        right: (B,) bool, whether the box is right.
        class_right: (B,) bool, or `None` where there are no class scores (then no class counts as wrong).

    Returns:
        (B,) indices into `ERRORS`.

    Example:
        >>> truth = [np.array([[10, 10, 49, 49]])] * 3
        >>> found = np.array([[10, 10, 29, 29], [0, 0, 99, 99], [60, 60, 80, 80]])
        >>> [ERRORS[kind] for kind in error_kinds(found, truth, np.zeros(3, bool), None)]
        ['too small', 'too large', 'elsewhere']
    """
    kinds = np.full(len(predicted), ERRORS.index("elsewhere"))
    for b, (box, true) in enumerate(zip(predicted, boxes, strict=True)):
        if class_right is not None and not class_right[b]:
            kinds[b] = ERRORS.index("wrong class")
        elif right[b]:
            kinds[b] = ERRORS.index("right")
        elif len(true):
            sides = np.minimum(box[2:], true[:, 2:]) - np.maximum(box[:2], true[:, :2]) + 1  # (k, 2)
            shared = sides.clip(min=0).prod(axis=1)
            of_true = shared / box_area(true)
            if (shared > 0).sum() >= 2 and (of_true > 0.3).any():
                kinds[b] = ERRORS.index("several objects")
            elif (shared / box_area(box) > 0.5).any():
                kinds[b] = ERRORS.index("too small")
            elif (of_true > 0.7).any():
                kinds[b] = ERRORS.index("too large")
    return kinds

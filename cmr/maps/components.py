"""Every component of a score map above a threshold, for pictures that show more than one object."""

import numpy as np

from cmr.errors import UserError, shown
from cmr.metrics.contours.levels import quantise

EIGHT = np.ones((3, 3), int)  # a pixel touches all eight around it, as in the benchmark
SMALLEST = 0.01  # of the picture; what is smaller is a speck of the map and not an object


def component_boxes(scoremap: np.ndarray, threshold: float, smallest: float = 0.0) -> np.ndarray:
    """Boxes of the connected regions above a threshold, the largest first.

    A pixel is above as in `cmr.maps.locate.largest_box`: floor(255 * score) > int(threshold * highest level). Regions
    are 8-connected and counted in pixels. The boxes are tight; the benchmark's end one pixel later.

    Args:
        scoremap: (H, W) in [0, 1], or uint8.
        threshold: tau in [0, 1], a share of the map's highest level.
        smallest: regions of a smaller share of the map are left out, but never the largest.

    Returns:
        (k, 4) int64 xyxy, map pixels, half-open; k is 0 where nothing is above.

    Raises:
        UserError: a threshold outside [0, 1], or a map with NaN or scores outside [0, 1].

    Example:
        >>> scoremap = np.zeros((4, 6))
        >>> scoremap[0, 0], scoremap[2:, 3:5] = 1.0, 0.8
        >>> component_boxes(scoremap, 0.5).tolist(), component_boxes(scoremap, 0.9).tolist()
        ([[3, 2, 5, 4], [0, 0, 1, 1]], [[0, 0, 1, 1]])
    """
    from scipy import ndimage  # here: a command's help does not need it

    if not 0 <= threshold <= 1:
        raise UserError(f"component_boxes: threshold is {shown(threshold)}; expected a number in [0, 1]")
    scoremap = np.asarray(scoremap)
    if scoremap.ndim != 2 or not scoremap.size:
        raise UserError(f"component_boxes: the map has shape {scoremap.shape}; expected one map, (H, W)")
    levels = quantise(scoremap[None])[0]
    labels, count = ndimage.label(levels > int(threshold * levels.max(initial=0)), EIGHT)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    ranked = np.argsort(-sizes, kind="stable").tolist()
    order = [place for rank, place in enumerate(ranked) if not rank or sizes[place] >= smallest * levels.size]
    found = ndimage.find_objects(labels)
    boxes = [(found[i][1].start, found[i][0].start, found[i][1].stop, found[i][0].stop) for i in order]
    return np.array(boxes, np.int64).reshape(-1, 4)

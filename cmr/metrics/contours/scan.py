"""From the nodes of a map's trees to the best IoU at each of its 256 thresholds (compiled by numba, see `trees`)."""

import numpy as np

from cmr.metrics.contours.neighbours import compiled

LEVELS = 256
LOG2 = np.array([0] + [n.bit_length() - 1 for n in range(1, LEVELS + 1)], np.int64)


@compiled
def _predicted(node: np.ndarray, height: int, width: int, box: np.ndarray) -> None:
    """The benchmark's box of a contour: one pixel beyond it to the right and below, unless the map ends there."""
    box[0] = node[0]
    box[1] = node[1]
    box[2] = min(node[2] + 1, width - 1)
    box[3] = min(node[3] + 1, height - 1)


@compiled
def _best_iou(box: np.ndarray, truth: np.ndarray) -> float:
    """Highest IoU of one box with any true box, areas counted in pixels, both ends included."""
    best = 0.0
    area = (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
    for k in range(truth.shape[0]):
        w = min(box[2], truth[k, 2]) - max(box[0], truth[k, 0]) + 1
        h = min(box[3], truth[k, 3]) - max(box[1], truth[k, 1]) + 1
        if w > 0 and h > 0:
            other = (truth[k, 2] - truth[k, 0] + 1) * (truth[k, 3] - truth[k, 1] + 1)
            best = max(best, w * h / (area + other - w * h))
    return best


# Both functions below look for the best node at each threshold. A node exists at a range of thresholds, which is the
# union of two ranges of one power of two: it is noted in these two, row j for the ranges of 2^j thresholds, and at the
# end each row is handed down to the one below. So a node costs two steps, however many thresholds it spans.


@compiled
def all_contours(nodes: np.ndarray, truth: np.ndarray, height: int, width: int, iou: np.ndarray) -> None:
    """Raises iou[t] (256) to the best IoU of any contour at threshold t with any true box."""
    table = np.zeros((8, LEVELS), np.float64)
    box = np.zeros(4, np.int64)
    for n in range(nodes.shape[0]):
        _predicted(nodes[n], height, width, box)
        value = _best_iou(box, truth)
        lo, hi = np.int64(nodes[n, 4]), np.int64(nodes[n, 5])
        j = LOG2[hi - lo + 1]
        other = hi + 1 - (1 << j)
        table[j, lo] = max(table[j, lo], value)
        table[j, other] = max(table[j, other], value)
    for j in range(7, 0, -1):
        half = 1 << (j - 1)
        for t in range(LEVELS):
            table[j - 1, t] = max(table[j - 1, t], table[j, t])
        for t in range(LEVELS - half):
            table[j - 1, t + half] = max(table[j - 1, t + half], table[j, t])
    for t in range(LEVELS):
        iou[t] = max(iou[t], table[0, t])


@compiled
def _keep(table: np.ndarray, j: int, t: int, n: int, keys: np.ndarray) -> None:
    if n >= 0 and (table[j, t] < 0 or keys[n] > keys[table[j, t]]):
        table[j, t] = n


@compiled
def largest_contour(
    nodes: np.ndarray, truth: np.ndarray, height: int, width: int, iou: np.ndarray, boxes: np.ndarray
) -> None:
    """Writes the box of the largest contour at each threshold, boxes (256, 4), and its IoU.

    Args:
        nodes: of the outer components with their holes filled. Among equal areas the one whose first pixel comes last
            is taken: OpenCV lists contours from the last to the first, and `max` keeps the first of the largest.
    """
    table = np.zeros((8, LEVELS), np.int64) - 1
    keys = np.empty(nodes.shape[0], np.int64)
    framed = np.int64((height + 2) * (width + 2))
    for n in range(nodes.shape[0]):
        keys[n] = nodes[n, 6] * framed + nodes[n, 7]
        lo, hi = np.int64(nodes[n, 4]), np.int64(nodes[n, 5])
        j = LOG2[hi - lo + 1]
        _keep(table, j, lo, n, keys)
        _keep(table, j, hi + 1 - (1 << j), n, keys)
    for j in range(7, 0, -1):
        half = 1 << (j - 1)
        for t in range(LEVELS - half):
            _keep(table, j - 1, t, table[j, t], keys)
            _keep(table, j - 1, t + half, table[j, t], keys)
    for t in range(LEVELS):
        if table[0, t] >= 0:
            _predicted(nodes[table[0, t]], height, width, boxes[t])
            iou[t] = _best_iou(boxes[t], truth)


@compiled
def score(
    nodes: np.ndarray,
    ends: tuple[int, int, int],
    highest: int,
    truth: np.ndarray,
    height: int,
    width: int,
    iou_all: np.ndarray,
    iou_largest: np.ndarray,
    boxes: np.ndarray,
) -> None:
    """Scores one map.

    Args:
        nodes: what `trees.trees` wrote. ends: what it returned.
        highest: the map's highest level; from there on no pixel is above and the box is [0, 0, 0, 0].
        truth: (k, 4) int64 xyxy inclusive, the true boxes.
        iou_all, iou_largest: (256) results.
        boxes: (256, 4) result.
    """
    boxes[:] = 0
    iou_largest[:] = iou_all[:] = 0
    iou_largest[highest:] = iou_all[highest:] = _best_iou(boxes[255], truth)
    all_contours(nodes[: ends[0]], truth, height, width, iou_all)
    largest_contour(nodes[ends[1] : ends[2]], truth, height, width, iou_largest, boxes)

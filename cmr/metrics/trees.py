"""Every contour of every level of a map in one pass: a max-tree for the blobs, a min-tree for the holes.

A score map of the benchmark has 256 levels. The reference thresholds it at each and looks for contours; here the pixels
are visited once, in the order of their values, and components are joined as they meet (union-find over *seeds*, the
pixels where a component starts, so that smooth maps need a handful of them). Whenever a component stops being a
component of its level because a pixel of another level joins it, it is written down with its box and the thresholds at
which it exists. Three facts make the result equal to OpenCV's contours:

* The contours of a binary map are the outlines of its 8-connected components and of the 4-connected holes in them; the
  outline of a hole runs on the component's pixels, so its box is the hole's, grown by one pixel on each side.
* `cv2.contourArea` measures the polygon through the centres of an outline's pixels. For a component with its holes
  filled this is the number of 2x2 squares that lie in it plus half the number of those with three pixels in it.
* The largest contour is never inside another component, so holes can be filled *before* thresholding: `f(p)`, the
  lowest level at which `p` is joined to the outside (4-connected), has at each level the filled outer components.

Pixels are indices into the map with a frame of one pixel around it, row by row, `stride` = width + 2. Everything here
is compiled by numba at the first call (and kept on disk where that is possible); import it only where it is used.
"""

import numpy as np
from numba import njit

LEVELS = 256

# The eight neighbours as (dx, dy), clockwise from north; bit i of a neighbourhood's code stands for RING[i].
RING = ((0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1))


def compiled(function):
    """Compiles without the GIL and keeps the result on disk, or only in memory where no folder can be written."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba: "cannot cache function: no locator available" (read-only installation and home)
        return njit(nogil=True)(function)


def _neighbour_groups(eight: bool) -> np.ndarray:
    """For each code of a neighbourhood: the number of components its pixels form, and a member of each."""
    table = np.zeros((256, 5), np.int8)
    for code in range(256):
        left = {i for i in range(8) if code >> i & 1}
        groups = []
        while left:
            group, grown = set(), {left.pop()}
            while grown:
                group |= grown
                grown = {j for j in left for i in grown if _adjacent(RING[i], RING[j], eight)}
                left -= grown
            # With four neighbours only the even ones (north, east, south, west) touch the centre.
            members = sorted(group) if eight else sorted(i for i in group if i % 2 == 0)
            groups += members[:1]
        table[code, 0] = len(groups)
        table[code, 1 : 1 + len(groups)] = groups
    return table


def _adjacent(a: tuple[int, int], b: tuple[int, int], eight: bool) -> bool:
    dx, dy = abs(a[0] - b[0]), abs(a[1] - b[1])
    return max(dx, dy) == 1 if eight else dx + dy == 1


def _half_squares() -> np.ndarray:
    """For each code: by how many half squares the polygon's area grows when the centre is added to the neighbours."""
    table = np.zeros(256, np.int32)
    for code in range(256):
        for corner in (1, 3, 5, 7):  # the square of the centre, a diagonal neighbour and the two between
            table[code] += sum(code >> (i % 8) & 1 for i in (corner - 1, corner, corner + 1)) >= 2
    return table


GROUPS_8, GROUPS_4, HALF_SQUARES = _neighbour_groups(True), _neighbour_groups(False), _half_squares()


@compiled
def by_value(values, height, width, order):
    """Sorts the pixels within the frame by value, ascending, raster order among equals, into `order`."""
    stride = width + 2
    start = np.zeros(LEVELS + 1, np.int64)
    for y in range(1, height + 1):
        for p in range(y * stride + 1, y * stride + 1 + width):
            start[values[p] + 1] += 1
    for level in range(LEVELS):
        start[level + 1] += start[level]
    for y in range(1, height + 1):
        for p in range(y * stride + 1, y * stride + 1 + width):
            order[start[values[p]]] = p
            start[values[p]] += 1


@compiled
def _find(root, seed):
    while root[seed] != seed:
        root[seed] = root[root[seed]]
        seed = root[seed]
    return seed


@compiled
def _code(label, p, stride):
    """Which of the eight neighbours have been visited."""
    code = label[p - stride] >= 0
    code |= (label[p - stride + 1] >= 0) << 1
    code |= (label[p + 1] >= 0) << 2
    code |= (label[p + stride + 1] >= 0) << 3
    code |= (label[p + stride] >= 0) << 4
    code |= (label[p + stride - 1] >= 0) << 5
    code |= (label[p - 1] >= 0) << 6
    code |= (label[p - stride - 1] >= 0) << 7
    return code


@compiled
def _offsets(stride):
    offset = np.empty(8, np.int64)
    for i, (dx, dy) in enumerate(RING):
        offset[i] = dy * stride + dx
    return offset


@compiled
def _write(nodes, count, part, lo, hi, stride, grow):
    """Writes a component as x0, y0, x1, y1 (inclusive, without the frame), lo, hi, half squares, first pixel."""
    node = nodes[count]
    node[0] = part[0] - 1 - grow
    node[1] = part[2] // stride - 1 - grow
    node[2] = part[1] - 1 + grow
    node[3] = part[3] // stride - 1 + grow
    node[4] = lo
    node[5] = hi
    node[6] = part[4]
    node[7] = part[2]
    return count + 1


@compiled
def _start(part, p, x):
    part[0] = part[1] = x
    part[2] = part[3] = p
    part[4] = 0


@compiled
def _extend(part, p, x, half_squares):
    part[0] = min(part[0], x)
    part[1] = max(part[1], x)
    part[2] = min(part[2], p)
    part[3] = max(part[3], p)
    part[4] += half_squares


@compiled
def _join(into, part):
    into[0] = min(into[0], part[0])
    into[1] = max(into[1], part[1])
    into[2] = min(into[2], part[2])
    into[3] = max(into[3], part[3])
    into[4] += part[4]


@compiled
def blobs(values, order, stride, label, root, level, parts, nodes):
    """Max-tree: writes each 8-connected component of {value > t} with the thresholds lo <= t <= hi at which it exists.

    Args:
        values: framed map, uint8. order: its pixels by value, ascending.
        label, root, level, parts: working memory; seeds' component at a pixel, union-find, value, box and area.
        nodes: (pixels, 8) result, see `_write`.

    Returns:
        The number of nodes written.
    """
    offset = _offsets(stride)
    label[:] = -1
    seeds = 0
    count = 0
    for i in range(order.size - 1, -1, -1):
        p = order[i]
        value = values[p]
        code = _code(label, p, stride)
        groups = GROUPS_8[code, 0]
        if groups == 0:
            r = seeds
            seeds += 1
            root[r] = r
            level[r] = value
            _start(parts[r], p, p % stride)
            label[p] = r
            continue
        r = _find(root, label[p + offset[GROUPS_8[code, 1]]])
        if level[r] > value:
            count = _write(nodes, count, parts[r], value, level[r] - 1, stride, 0)
        for g in range(2, groups + 1):
            q = _find(root, label[p + offset[GROUPS_8[code, g]]])
            if q == r:
                continue
            if level[q] > value:
                count = _write(nodes, count, parts[q], value, level[q] - 1, stride, 0)
            r, q = min(r, q), max(r, q)
            root[q] = r
            _join(parts[r], parts[q])
        level[r] = value
        _extend(parts[r], p, p % stride, HALF_SQUARES[code])
        label[p] = r
    lowest = values[order[0]]
    if lowest > 0:
        count = _write(nodes, count, parts[0], 0, lowest - 1, stride, 0)
    return count


@compiled
def holes(values, order, stride, label, root, level, parts, merged, nodes, filled):
    """Min-tree: writes each 4-connected hole of {value > t}, grown by one pixel, and fills the map's holes.

    The frame is seed 0, the outside; a component is a hole as long as it is not joined to it. Joining always keeps the
    lower seed, so seed 0 stays a root and a seed's parent has a lower number than the seed.

    Args:
        merged: working memory; the seed that a seed was joined to.
        nodes: (pixels, 8) result. filled: framed result, the map without holes.
        Others as in `blobs`.

    Returns:
        The number of nodes written, and whether `filled` differs from `values`.
    """
    offset = _offsets(stride)
    label[:] = 0
    for p in order:
        label[p] = -1
    root[0] = 0
    seeds = 1
    count = 0
    for p in order:
        value = values[p]
        code = _code(label, p, stride)
        groups = GROUPS_4[code, 0]
        if groups == 0:
            r = seeds
            seeds += 1
            root[r] = r
            level[r] = value
            _start(parts[r], p, p % stride)
            label[p] = r
            continue
        r = _find(root, label[p + offset[GROUPS_4[code, 1]]])
        if r > 0 and level[r] < value:
            count = _write(nodes, count, parts[r], level[r], value - 1, stride, 1)
        for g in range(2, groups + 1):
            q = _find(root, label[p + offset[GROUPS_4[code, g]]])
            if q == r:
                continue
            if q > 0 and level[q] < value:
                count = _write(nodes, count, parts[q], level[q], value - 1, stride, 1)
            r, q = min(r, q), max(r, q)
            root[q] = merged[q] = r
            level[q] = value
            if r > 0:
                _join(parts[r], parts[q])
        if r > 0:
            level[r] = value
            _extend(parts[r], p, p % stride, 0)
        label[p] = r

    # From here `level` of a seed is the level at which it reached the outside.
    level[0] = 0
    for seed in range(1, seeds):
        if merged[seed] > 0:
            level[seed] = level[merged[seed]]
    changed = False
    filled[:] = 0
    for p in order:
        outside = level[label[p]]
        filled[p] = max(values[p], outside)
        changed |= outside > values[p]
    return count, changed


@compiled
def best_iou(box, truth):
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


@compiled
def predicted(node, height, width, box):
    """The benchmark's box of a contour: one pixel beyond it to the right and below, unless the map ends there."""
    box[0] = node[0]
    box[1] = node[1]
    box[2] = min(node[2] + 1, width - 1)
    box[3] = min(node[3] + 1, height - 1)


@compiled
def _keep(table, j, t, n, keys):
    if table[j, t] < 0 or keys[n] > keys[table[j, t]]:
        table[j, t] = n


@compiled
def _spread(table, nodes, count, keys):
    """table[0, t] becomes the node with the highest key among those that exist at threshold t, or -1.

    A range of thresholds is the union of two ranges of one power of two, so a node is noted twice and not at every
    threshold; table[j, t] stands for the 2^j thresholds from t on.
    """
    table[:] = -1
    for n in range(count):
        lo, hi = np.int64(nodes[n, 4]), np.int64(nodes[n, 5])
        j = 0
        while 2 << j <= hi - lo + 1:
            j += 1
        _keep(table, j, lo, n, keys)
        _keep(table, j, hi + 1 - (1 << j), n, keys)
    for j in range(table.shape[0] - 1, 0, -1):
        for t in range(LEVELS):
            if table[j, t] >= 0:
                _keep(table, j - 1, t, table[j, t], keys)
                _keep(table, j - 1, t + (1 << (j - 1)), table[j, t], keys)


@compiled
def contours(image, nodes):
    """Writes every contour of every level of one map (H, W), holes first.

    Returns:
        The number of nodes written.
    """
    height, width = image.shape
    values, order, stride, memory = _frame(image)
    label, root, level, parts, merged, filled = memory
    count, _ = holes(values, order, stride, label, root, level, parts, merged, nodes, filled)
    return count + blobs(values, order, stride, label, root, level, parts, nodes[count:])


@compiled
def _frame(image):
    height, width = image.shape
    stride, pixels = width + 2, height * width
    values = np.zeros((height + 2) * stride, np.uint8)
    for y in range(height):
        for x in range(width):
            values[(y + 1) * stride + x + 1] = image[y, x]
    order = np.empty(pixels, np.int32)
    by_value(values, height, width, order)
    label = np.empty(values.size, np.int32)
    root = np.empty(pixels + 1, np.int32)
    level = np.empty(pixels + 1, np.int32)
    parts = np.empty((pixels + 1, 5), np.int32)
    merged = np.zeros(pixels + 1, np.int32)
    filled = np.empty(values.size, np.uint8)
    return values, order, stride, (label, root, level, parts, merged, filled)


@compiled
def score(maps, truth, start, all_contours, iou_all, iou_largest, box_largest):
    """Best IoU at every threshold of every map, for both box rules.

    Args:
        maps: (B, H, W) uint8.
        truth: (M, 4) int64 xyxy inclusive, the true boxes of all maps; map b has rows start[b] to start[b + 1].
        all_contours: whether to fill `iou_all` (the slower half).
        iou_all, iou_largest: (B, 256) float64 results.
        box_largest: (B, 256, 4) int64 result, zeros where nothing lies above the threshold.
    """
    batch, height, width = maps.shape
    pixels = height * width
    nodes = np.empty((2 * pixels, 8), np.int32)
    table = np.empty((8, LEVELS), np.int32)
    keys = np.empty(2 * pixels, np.int64)
    scores = np.empty(2 * pixels, np.float64)
    box = np.zeros(4, np.int64)
    for b in range(batch):
        boxes = truth[start[b] : start[b + 1]]
        values, order, stride, memory = _frame(maps[b])
        label, root, level, parts, merged, filled = memory
        count, changed = holes(values, order, stride, label, root, level, parts, merged, nodes, filled)
        box[:] = 0
        iou_all[b] = iou_largest[b] = best_iou(box, boxes)
        if all_contours:
            count += blobs(values, order, stride, label, root, level, parts, nodes[count:])
            for n in range(count):
                predicted(nodes[n], height, width, box)
                scores[n] = best_iou(box, boxes)
            _spread(table, nodes, count, scores)
            for t in range(LEVELS):
                if table[0, t] >= 0:
                    iou_all[b, t] = scores[table[0, t]]

        if changed:
            by_value(filled, height, width, order)
        count = blobs(filled, order, stride, label, root, level, parts, nodes)
        for n in range(count):
            keys[n] = np.int64(nodes[n, 6]) * filled.size + nodes[n, 7]
        _spread(table, nodes, count, keys)
        box_largest[b] = 0
        for t in range(LEVELS):
            if table[0, t] >= 0:
                predicted(nodes[table[0, t]], height, width, box_largest[b, t])
                iou_largest[b, t] = best_iou(box_largest[b, t], boxes)

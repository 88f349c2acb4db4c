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

Pixels are indices into the map with a frame of one pixel around it, row by row, `stride` = width + 2. They are visited
in one order for both trees, by value and then by place: upwards for the holes, downwards for the blobs. A pixel's code
says which of its neighbours come before it upwards; the others, and never the frame, come before it downwards.

Everything here is compiled by numba at the first call, which takes some seconds, and is kept on disk where that is
possible. Import it only where it is used.
"""

from typing import NamedTuple

import numpy as np

from cmr.metrics.contours.neighbours import GROUPS_4, GROUPS_8, HALF_SQUARES, RING, compiled

LEVELS = 256


class Memory(NamedTuple):
    """Working memory for maps of one size, to be used by one thread.

    Numbers of pixels are unsigned: numba then leaves out the test for negative indices, a quarter of the time.
    """

    # By framed pixel.
    values: np.ndarray
    filled: np.ndarray  # the map without its holes
    frame: np.ndarray  # which neighbours lie in the frame, bit by bit of RING
    codes: np.ndarray
    column: np.ndarray
    label: np.ndarray  # seed
    # By rank.
    order: np.ndarray
    # By seed.
    root: np.ndarray  # union-find
    level: np.ndarray
    merged: np.ndarray  # the seed it was joined to
    parts: np.ndarray  # lowest and highest column, first and last pixel, half squares
    # By code: the way to one pixel of each group of neighbours.
    ask_4: np.ndarray
    ask_8: np.ndarray


def new_memory(height: int, width: int) -> Memory:
    """Memory for maps of this size."""
    stride, pixels, framed = width + 2, height * width, (height + 2) * (width + 2)
    inside = np.zeros((height + 2, stride), bool)
    inside[1:-1, 1:-1] = True
    outside = [(~np.roll(inside, (-dy, -dx), (0, 1))).astype(np.uint8) << i for i, (dx, dy) in enumerate(RING)]
    way = np.array([dy * stride + dx for dx, dy in RING], np.int64).astype(np.uint64)  # backwards: modulo 2^64
    return Memory(
        values=np.zeros(framed, np.uint8),
        filled=np.zeros(framed, np.uint8),
        frame=np.sum(outside, axis=0).astype(np.uint8).ravel(),
        codes=np.zeros(framed, np.uint8),
        column=(np.arange(framed) % stride).astype(np.int32),
        label=np.empty(framed, np.uint32),
        order=np.empty(pixels, np.uint32),
        root=np.empty(pixels + 1, np.uint32),
        level=np.empty(pixels + 1, np.int32),
        merged=np.zeros(pixels + 1, np.uint32),
        parts=np.empty((pixels + 1, 5), np.int32),
        ask_4=way[GROUPS_4[:, 1:]],
        ask_8=way[GROUPS_8[:, 1:]],
    )


@compiled
def _mark(low: np.ndarray, high: np.ndarray, equal: bool, bit: np.uint8, codes: np.ndarray) -> None:
    # Two plain loops over bytes, so that the compiler makes vector instructions of them (50 times faster).
    if equal:
        for j in range(codes.size):
            codes[j] |= bit if low[j] <= high[j] else np.uint8(0)
    else:
        for j in range(codes.size):
            codes[j] |= bit if low[j] < high[j] else np.uint8(0)


@compiled
def rank(values: np.ndarray, height: int, width: int, memory: Memory) -> None:
    """Sorts the pixels by value, raster order among equals, and notes which neighbours come before each."""
    stride, order, codes = width + 2, memory.order, memory.codes
    first, last = stride + 1, height * stride + width + 1
    for p in range(codes.size):
        codes[p] = memory.frame[p]
    for i in range(8):
        way = RING[i][1] * stride + RING[i][0]
        _mark(values[first + way : last + way], values[first:last], way < 0, np.uint8(1 << i), codes[first:last])

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
def _find(root: np.ndarray, seed: int) -> int:
    while root[seed] != seed:
        root[seed] = root[root[seed]]
        seed = root[seed]
    return seed


@compiled
def _start(part: np.ndarray, p: np.int32, x: np.int32) -> None:
    part[0] = part[1] = x
    part[2] = part[3] = p
    part[4] = 0


@compiled
def _extend(part: np.ndarray, p: np.int32, x: np.int32, half_squares: np.int32) -> None:
    part[0] = min(part[0], x)
    part[1] = max(part[1], x)
    part[2] = min(part[2], p)
    part[3] = max(part[3], p)
    part[4] += half_squares


@compiled
def _join(into: np.ndarray, part: np.ndarray) -> None:
    into[0] = min(into[0], part[0])
    into[1] = max(into[1], part[1])
    into[2] = min(into[2], part[2])
    into[3] = max(into[3], part[3])
    into[4] += part[4]


@compiled
def _write(node: np.ndarray, part: np.ndarray, stride: int, lo: np.int32, hi: np.int32, grow: int) -> None:
    """Writes a component as x0, y0, x1, y1 (inclusive, without the frame), lo, hi, half squares, first pixel."""
    node[0] = part[0] - 1 - grow
    node[1] = part[2] // stride - 1 - grow
    node[2] = part[1] - 1 + grow
    node[3] = part[3] // stride - 1 + grow
    node[4] = lo
    node[5] = hi
    node[6] = part[4]
    node[7] = part[2]


@compiled
def blobs(values: np.ndarray, stride: int, memory: Memory, nodes: np.ndarray) -> int:
    """Max-tree: writes each 8-connected component of {value > t} with the thresholds lo <= t <= hi at which it exists.

    Args:
        values: framed map, uint8, to which `rank` was applied.
        nodes: (pixels, 8) result, see `_write`.

    Returns:
        The number of nodes written.
    """
    codes, column, label, order = memory.codes, memory.column, memory.label, memory.order
    root, level, parts, ask = memory.root, memory.level, memory.parts, memory.ask_8
    seeds = 0
    count = 0
    for i in range(order.size - 1, -1, -1):
        p = np.uint64(order[i])
        value = np.int32(values[p])
        code = ~codes[p]
        groups = GROUPS_8[code, 0]
        if groups == 0:
            root[seeds] = label[p] = seeds
            level[seeds] = value
            _start(parts[seeds], np.int32(p), column[p])
            seeds += 1
            continue
        r = _find(root, label[p + ask[code, 0]])
        if level[r] > value:
            _write(nodes[count], parts[r], stride, value, level[r] - 1, 0)
            count += 1
        for g in range(1, groups):
            q = _find(root, label[p + ask[code, g]])
            if q == r:
                continue
            if level[q] > value:
                _write(nodes[count], parts[q], stride, value, level[q] - 1, 0)
                count += 1
            r, q = min(r, q), max(r, q)
            root[q] = r
            _join(parts[r], parts[q])
        level[r] = value
        _extend(parts[r], np.int32(p), column[p], HALF_SQUARES[code])
        label[p] = r
    if level[0] > 0:
        _write(nodes[count], parts[0], stride, np.int32(0), level[0] - 1, 0)
        count += 1
    return count


@compiled
def holes(values: np.ndarray, stride: int, memory: Memory, nodes: np.ndarray) -> int:
    """Min-tree: writes each 4-connected hole of {value > t}, grown by one pixel, and fills the map's holes.

    The frame is seed 0, the outside; a component is a hole as long as it is not joined to it. Joining always keeps the
    lower seed, so seed 0 stays a root and a seed's parent has a lower number than the seed.

    Args:
        values: framed map, uint8, to which `rank` was applied.
        nodes: (pixels, 8) result, see `_write`.

    Returns:
        The number of nodes written.
    """
    codes, column, label, order = memory.codes, memory.column, memory.label, memory.order
    root, level, merged, parts, ask = memory.root, memory.level, memory.merged, memory.parts, memory.ask_4
    label[:] = 0
    root[0] = 0
    seeds = 1
    count = 0
    for pixel in order:
        p = np.uint64(pixel)
        value = np.int32(values[p])
        code = codes[p]
        groups = GROUPS_4[code, 0]
        if groups == 0:
            root[seeds] = label[p] = seeds
            level[seeds] = value
            _start(parts[seeds], np.int32(p), column[p])
            seeds += 1
            continue
        r = _find(root, label[p + ask[code, 0]])
        if r > 0 and level[r] < value:
            _write(nodes[count], parts[r], stride, level[r], value - 1, 1)
            count += 1
        for g in range(1, groups):
            q = _find(root, label[p + ask[code, g]])
            if q == r:
                continue
            if q > 0 and level[q] < value:
                _write(nodes[count], parts[q], stride, level[q], value - 1, 1)
                count += 1
            r, q = min(r, q), max(r, q)
            root[q] = merged[q] = r
            level[q] = value
            if r > 0:
                _join(parts[r], parts[q])
        if r > 0:
            level[r] = value
            _extend(parts[r], np.int32(p), column[p], np.int32(0))
        label[p] = r

    # From here `level` of a seed is the level at which it reached the outside.
    level[0] = 0
    for seed in range(1, seeds):
        if merged[seed] > 0:
            level[seed] = level[merged[seed]]
    for pixel in order:
        p = np.uint64(pixel)
        memory.filled[p] = max(np.int32(values[p]), level[label[p]])
    return count


@compiled
def trees(image: np.ndarray, all_contours: bool, memory: Memory, nodes: np.ndarray) -> tuple[int, int, int]:
    """Both trees of one map.

    Args:
        image: (H, W) uint8.
        all_contours: whether to write the first part of the result, too.
        memory: of `new_memory`, for maps of this size.
        nodes: (3 H W, 8) result: all contours, holes first; and the outer components with their holes filled.

    Returns:
        Where all contours end; where the outer components start and end. Without holes both are the same nodes.
    """
    height, width = image.shape
    stride, values = width + 2, memory.values
    for y in range(height):
        for x in range(width):
            values[(y + 1) * stride + 1 + x] = image[y, x]
    rank(values, height, width, memory)
    count = holes(values, stride, memory, nodes)
    if count == 0:
        count = blobs(values, stride, memory, nodes)
        return count, 0, count
    count = count + blobs(values, stride, memory, nodes[count:]) if all_contours else 0
    rank(memory.filled, height, width, memory)
    return count, count, count + blobs(memory.filled, stride, memory, nodes[count:])

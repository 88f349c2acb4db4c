"""Boxes of the benchmark: on the network's grid, cut to whole pixels, with both ends inside the box."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cmr.data.arrays import as_array, two_sides
from cmr.errors import UserError, shown


def gt_boxes(boxes: Sequence[np.ndarray], sizes: np.ndarray, size: int | tuple[int, int] = 224) -> list[np.ndarray]:
    """Brings true boxes from the original pixels to the network's grid, as the benchmark does (`resize_bbox`).

    The benchmark multiplies a box's corners by the ratio of the sizes and cuts the fraction off (`int()`). It reads the
    result as inclusive pixels although the boxes come in half-open, so a true box is about one pixel too wide and may
    end at the pixel `W`, outside the grid; both are kept, since the published numbers have them.

    Args:
        boxes: n arrays or tensors (k, 4), xyxy, original pixels, half-open (x1 = x0 + width); k may be 0.
        sizes: (n, 2) width and height of each original image, pixels.
        size: width and height of the grid, pixels; one number for a square.

    Returns:
        n arrays (k, 4) int64, xyxy, grid pixels, to be read as inclusive.

    Raises:
        UserError: a box is not finite or its ends are in the wrong order, a size is none, or shapes or lengths do not
            fit.

    Example:
        >>> gt_boxes([np.array([[1, 2, 4, 3]])], np.array([[10, 20]]), (35, 10))
        [array([[ 3,  1, 14,  1]])]
    """
    sizes = _rows(as_array(sizes, "gt_boxes: sizes"), 2, "gt_boxes: sizes").astype(np.float64)
    arrays = box_arrays(boxes, "gt_boxes")
    if len(arrays) != len(sizes):
        raise UserError(f"gt_boxes: {len(arrays)} images have boxes but {len(sizes)} have a size; give one of each")
    wrong = ~((sizes > 0) & np.isfinite(sizes)).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"gt_boxes: the size of image {row} is {sizes[row].tolist()}; expected width and height above 0"
        )
    width, height = two_sides(size, "gt_boxes")
    grid = np.array([width, height, width, height], np.float64)
    flat = np.concatenate([np.zeros((0, 4)), *arrays])
    counts = [len(array) for array in arrays]
    owner = np.repeat(np.arange(len(arrays)), counts)
    check_boxes(flat, "gt_boxes", [f"a box of image {i}" for i in owner])
    # Multiply first, then divide: the order decides on which side of a whole number the product lies.
    scaled = np.trunc(flat * grid / np.tile(sizes, 2)[owner]).astype(np.int64)
    return np.split(scaled, np.cumsum(counts)[:-1]) if counts else []


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of each box of `a` with each of `b`, areas counted in pixels with both ends inside.

    The benchmark's `calculate_multiple_iou`.

    Args:
        a: (n, 4) xyxy, inclusive pixels.
        b: (m, 4) likewise.

    Returns:
        (n, m) float64.

    Raises:
        UserError: a box is not finite or its ends are in the wrong order.

    Example:
        >>> box_iou(np.array([[1, 2, 5, 6]]), np.array([[3, 1, 4, 5]]))  # 8 shared pixels of 27
        array([[0.2962963]])
    """
    a, b = (_rows(as_array(x, "box_iou: boxes"), 4, "box_iou: boxes").astype(np.float64) for x in (a, b))
    check_boxes(a, "box_iou")
    check_boxes(b, "box_iou")
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2]) + 1  # (n, m, 2)
    shared = sides.clip(min=0).prod(axis=2)
    area_a, area_b = box_area(a), box_area(b)
    return shared / (area_a[:, None] + area_b[None] - shared)


def box_arrays(boxes: Sequence[Any], where: str, ids: Sequence[Any] | None = None) -> list[np.ndarray]:
    """Boxes of several images as arrays (k, 4), whatever holds them; a single box may lack the first axis.

    Args:
        boxes: one array, tensor or list an image.
        where: who asks, for the message.
        ids: names of the images, for the message.

    Raises:
        UserError: an image's boxes have another shape.

    Example:
        >>> [array.shape for array in box_arrays([[1, 2, 3, 4], [], np.zeros((2, 4))], "boxes")]
        [(1, 4), (0, 4), (2, 4)]
    """
    found = []
    for i, of_image in enumerate(_each(boxes, where)):
        what = f"{where}: the boxes of image {i if ids is None else repr(ids[i])}"
        found.append(_rows(as_array(of_image, what), 4, what))
    return found


def _each(boxes: Any, where: str) -> list[Any]:
    try:
        return list(boxes)
    except TypeError:
        raise UserError(f"{where}: boxes: {shown(boxes)} is no list with the boxes of each image") from None


def _rows(array: np.ndarray, columns: int, what: str) -> np.ndarray:
    if not array.size:
        return np.zeros((0, columns), np.int64)
    if array.shape[-1:] != (columns,) or array.ndim > 2:
        raise UserError(f"{what} have shape {array.shape}; expected (k, {columns})")
    return array.reshape(-1, columns)


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Area of boxes (..., 4), xyxy, inclusive pixels: (...) pixels.

    Example:
        >>> int(box_area(np.array([0, 0, 0, 0])))
        1
    """
    return (boxes[..., 2] - boxes[..., 0] + 1) * (boxes[..., 3] - boxes[..., 1] + 1)


def check_boxes(boxes: np.ndarray, where: str, names: Sequence[str] | None = None) -> None:
    """Raises a `UserError` when a box of (n, 4), xyxy, is not finite or has its ends in the wrong order.

    Args:
        boxes: (n, 4).
        where: who asks, for the message.
        names: n names of the boxes, for the message.
    """
    wrong = ~(np.isfinite(boxes).all(axis=1) & (boxes[:, 2] >= boxes[:, 0]) & (boxes[:, 3] >= boxes[:, 1]))
    if wrong.any():
        row = int(wrong.argmax())
        place = f"box {row}" if names is None else names[row]
        raise UserError(
            f"{where}: {place} is {boxes[row].tolist()}; expected x0, y0, x1, y1 with x0 <= x1 and y0 <= y1"
        )


def on_grid(boxes: Sequence[np.ndarray], grid: tuple[int, int], ids: Sequence[str]) -> list[np.ndarray]:
    """Checks that boxes were brought to the grid of the maps.

    Args:
        boxes: B arrays (k, 4), xyxy, inclusive grid pixels.
        grid: height and width of the maps.
        ids: B names, for the messages.

    Returns:
        B arrays (k, 4) int64.

    Raises:
        UserError: one list an image is not given, or a box is none, or ends outside the grid. `gt_boxes` may end at the
            first pixel beyond it.
    """
    boxes = _each(boxes, "true boxes")
    if len(boxes) != len(ids):
        raise UserError(f"{len(ids)} images come with the boxes of {len(boxes)}; give one list an image")
    arrays = box_arrays(boxes, "true boxes", ids)
    if not sum(map(len, arrays)):
        return [np.zeros((0, 4), np.int64)] * len(arrays)
    flat = np.concatenate(arrays)
    names = [f"a box of image '{name}'" for name, b in zip(ids, arrays, strict=True) for _ in b]
    check_boxes(flat, "true boxes", names)
    height, width = grid
    outside = (flat < 0).any(axis=1) | (flat[:, 2] > width) | (flat[:, 3] > height)
    if outside.any():
        row = int(outside.argmax())
        raise UserError(
            f"true boxes: {names[row]} is {flat[row].tolist()}, outside the maps' {width}x{height} pixels; "
            "bring boxes to the maps' grid with cmr.metrics.gt_boxes"
        )
    return [b.astype(np.int64) for b in arrays]

"""Score maps as 256 levels, and the best IoU at each of them: what every box metric is counted from."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cmr.data.arrays import as_array, as_maps
from cmr.errors import UserError
from cmr.metrics.boxes import box_arrays

# cmr.metrics.contours.trees and .scan are imported inside the functions that need them: numba takes a second to load.

LEVELS = 256
SMALLEST_STEP = 1e-4  # a list of ten thousand taus; maps have 256 levels


def tau_list(step: float | None = None) -> np.ndarray:
    """The thresholds (tau, the benchmark's `cam_threshold_list`) at which maps are cut.

    Maps have 256 levels and tau stands for the level int(tau * max), so a list of 1,000 thresholds holds at most 255
    different ones. By default each of these is visited once, by the tau in its middle.

    Args:
        step: `None` for all 255 levels, else the benchmark's `cam_curve_interval` (it was run with .01 and .001).

    Returns:
        (T,) float64, ascending, in [0, 1).

    Example:
        >>> len(tau_list()), len(tau_list(0.01)), (tau_list() * 255).astype(int).tolist() == list(range(255))
        (255, 100, True)
    """
    if step is None:
        return (np.arange(255) + 0.5) / 255
    if not SMALLEST_STEP <= step <= 1:
        raise UserError(f"tau_list: step is {step}; expected a number from {SMALLEST_STEP:g} to 1")
    return np.arange(0, 1, step)


def checked(scoremaps: Tensor | np.ndarray, ids: Sequence[str] | None = None) -> Tensor:
    """Checks that score maps are numbers in [0, 1].

    Args:
        scoremaps: (B, H, W), any float type, as `cmr.data.arrays.as_tensor` takes them. uint8 maps (0 to 255) are
            taken as they are.
        ids: names for the error messages.

    Returns:
        (B, H, W) uint8, float64 or, for all narrower float types, float32; on the same device.

    Raises:
        UserError: wrong shape or type; NaN, an infinity or a score outside [0, 1], naming the image.

    Example:
        >>> checked(torch.ones(1, 2, 2, dtype=torch.float16)).dtype
        torch.float32
    """
    maps = as_maps(scoremaps, "score maps")
    if ids is not None and len(ids) != len(maps):
        raise UserError(f"{len(maps)} score maps come with {len(ids)} ids; give one of each")
    if maps.dtype == torch.uint8:
        return maps
    if not maps.is_floating_point():
        raise UserError(f"score maps are {maps.dtype}; expected a float type in [0, 1], or uint8")
    if maps.numel() and not _in_range(*torch.aminmax(maps)):
        # Only now by image: along an axis the same takes fifteen times as long.
        low, high = maps.flatten(1).amin(1), maps.flatten(1).amax(1)  # (B,); NaN goes through
        b = int((~_in_range(low, high)).nonzero()[0])
        name = f"image {b}" if ids is None else f"image '{ids[b]}'"
        raise UserError(
            f"the score map of {name} lies between {low[b]:.9g} and {high[b]:.9g}; expected numbers in [0, 1] "
            "(see cmr.maps.locate.normalise)"
        )
    return maps.float() if maps.dtype.itemsize < 4 else maps


def _in_range(low: Tensor, high: Tensor) -> Tensor:
    return (low >= 0) & (high <= 1)  # False for NaN


def quantise(scoremaps: Tensor | np.ndarray, ids: Sequence[str] | None = None) -> np.ndarray:
    """Cuts score maps to 256 levels, floor(255 * score), on the device they are on.

    float32 and float64 are multiplied in their own precision, as the reference's numpy does.

    Args:
        scoremaps, ids: as in `checked`.

    Returns:
        (B, H, W) uint8 in main memory.

    Raises:
        UserError: as in `checked`.

    Example:
        >>> quantise(np.array([[[0.0, 0.5, 1.0]]]))
        array([[[  0, 127, 255]]], dtype=uint8)
    """
    maps = checked(scoremaps, ids)
    maps = maps if maps.dtype == torch.uint8 else (maps * 255).to(torch.uint8)
    return np.ascontiguousarray(maps.cpu().numpy())


def _bytes(maps: Tensor | np.ndarray, axes: int, what: str) -> np.ndarray:
    """Levels as a contiguous array that may be written, which is what the compiled loops are compiled for."""
    array = as_array(maps, what)
    if array.dtype != np.uint8 or array.ndim != axes:
        raise UserError(
            f"{what}: {array.dtype} of shape {array.shape}; expected uint8 of {axes} axes, levels from 0 to 255"
        )
    return np.require(array, requirements=["C", "W"])


@dataclass(frozen=True)
class LevelScores:
    """The outcome of B images at each of the 256 thresholds u8 > t.

    Attributes:
        iou_all: (B, 256) best IoU of any contour's box with any true box (the benchmark's multi-contour rule, "v2").
        iou_largest: (B, 256) best IoU of the largest contour's box with any true box ("v1").
        box_largest: (B, 256, 4) int64, xyxy, inclusive grid pixels; zeros where no pixel is above the threshold.
        highest: (B,) int64, the highest level of each map.
    """

    iou_all: np.ndarray
    iou_largest: np.ndarray
    box_largest: np.ndarray
    highest: np.ndarray

    def levels(self, taus: np.ndarray) -> np.ndarray:
        """(B, T): the level that each tau stands for in each map, int(tau * max)."""
        return (np.asarray(taus, np.float64) * self.highest[:, None]).astype(np.int64)


def score_levels(
    maps: np.ndarray, boxes: Sequence[np.ndarray], all_contours: bool = True, threads: int | None = None
) -> LevelScores:
    """Finds the best IoU at every threshold of every map, exactly as a contour search at each of them would.

    Args:
        maps: (B, H, W) uint8 (`quantise`).
        boxes: B arrays (k, 4) of true boxes, xyxy, inclusive grid pixels; IoU is 0 where k is 0.
        all_contours: whether to score all contours, too (else `iou_all` is that of the largest).
        threads: default torch's number.

    Returns:
        The scores of each level, see `LevelScores`.

    Example:
        >>> maps = np.zeros((1, 5, 6), np.uint8)
        >>> maps[0, 1:3, 1:4] = 100
        >>> maps[0, 1, 1] = 200
        >>> scores = score_levels(maps, [np.array([[1, 1, 4, 3]])])
        >>> scores.box_largest[0, [0, 100, 200]].tolist(), scores.iou_largest[0, 0].item()
        ([[1, 1, 4, 3], [1, 1, 2, 2], [0, 0, 0, 0]], 1.0)
    """
    from cmr.metrics.contours import scan, trees

    maps = _bytes(maps, 3, "score_levels: maps")
    if len(boxes) != len(maps):
        raise UserError(f"{len(maps)} score maps come with the boxes of {len(boxes)} images; give one list an image")
    batch, height, width = maps.shape
    truth = [np.array(b, np.int64) for b in box_arrays(boxes, "score_levels")]
    iou_all, iou_largest = np.zeros((batch, LEVELS)), np.zeros((batch, LEVELS))
    box_largest = np.zeros((batch, LEVELS, 4), np.int64)
    highest = maps.max(axis=(1, 2), initial=0).astype(np.int64)

    def work(images: range) -> None:
        memory, nodes = trees.new_memory(height, width), np.empty((3 * height * width, 8), np.int32)
        for b in images:
            ends = trees.trees(maps[b], all_contours, memory, nodes)
            scan.score(
                nodes, ends, highest[b], truth[b], height, width, iou_all[b], iou_largest[b], box_largest[b]
            )  # fmt: skip

    threads = max(1, min(threads or torch.get_num_threads(), batch))
    shares = [range(first, batch, threads) for first in range(threads)]
    if maps.size and threads == 1:
        work(shares[0])
    elif maps.size:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, shares))
    return LevelScores(iou_all if all_contours else iou_largest, iou_largest, box_largest, highest)


def contour_boxes(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every contour of every threshold of one map, with the thresholds at which it exists.

    Args:
        image: (H, W) uint8.

    Returns:
        boxes (M, 4) int64, xyxy, the benchmark's (one pixel beyond the contour to the right and below, inclusive);
        lo (M,) and hi (M,), the first and last threshold t at which it is a contour of {u8 > t}.

    Example:
        >>> ring = np.full((5, 5), 9, np.uint8)
        >>> ring[2, 2] = 0
        >>> boxes, lo, hi = contour_boxes(ring)
        >>> boxes.tolist(), hi.tolist()  # the hole's outline runs on the pixels around it
        ([[1, 1, 4, 4], [0, 0, 4, 4]], [8, 8])
    """
    from cmr.metrics.contours import trees

    image = _bytes(image, 2, "contour_boxes: image")
    height, width = image.shape
    nodes = np.empty((3 * image.size, 8), np.int32)
    if image.size:
        end, _, _ = trees.trees(image, True, trees.new_memory(height, width), nodes)
        nodes = nodes[:end]
    boxes = nodes[:, :4].astype(np.int64)
    boxes[:, 2:] = np.minimum(boxes[:, 2:] + 1, [width - 1, height - 1])
    return boxes, nodes[:, 4].astype(np.int64), nodes[:, 5].astype(np.int64)

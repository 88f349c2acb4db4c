"""Boxes that follow what is done to their image: resize, crop, flip. All are xyxy, half-open."""

from collections.abc import Sequence

import numpy as np


def resize_boxes(boxes: np.ndarray, old: Sequence[int], new: Sequence[int]) -> np.ndarray:
    """Scales boxes with their image; no rounding.

    Args:
        boxes: (k, 4) xyxy, half-open, pixels of the image before.
        old: width and height before.
        new: width and height after.

    Returns:
        (k, 4) float64, pixels of the image after.

    Example:
        >>> resize_boxes(np.array([[10, 5, 20, 15]]), (100, 50), (50, 50)).tolist()
        [[5.0, 5.0, 10.0, 15.0]]
    """
    sx, sy = new[0] / old[0], new[1] / old[1]
    return np.asarray(boxes, np.float64) * [sx, sy, sx, sy]


def crop_boxes(boxes: np.ndarray, x: float, y: float, width: float, height: float) -> np.ndarray:
    """Moves boxes into a crop and clips them to it; a box of which nothing is left is dropped.

    Args:
        boxes: (k, 4) xyxy, half-open, pixels of the whole image.
        x, y: the crop's first pixel.
        width, height: the crop's size.

    Returns:
        (k', 4) float64, pixels of the crop, k' <= k.

    Example:
        >>> crop_boxes(np.array([[0, 0, 20, 20], [0, 0, 10, 10]]), 10, 10, 16, 16).tolist()
        [[0.0, 0.0, 10.0, 10.0]]
    """
    moved = np.asarray(boxes, np.float64) - [x, y, x, y]
    clipped = np.clip(moved, 0, [width, height, width, height])
    return clipped[(clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])]


def centre_offset(side: int, crop: int) -> int:
    """Gives the first pixel of a centred crop, rounded as torchvision's CenterCrop does (half to even).

    Args:
        side: the image's side in pixels.
        crop: the crop's side.

    Returns:
        The first pixel.

    Example:
        >>> centre_offset(256, 224)
        16
    """
    return int(round((side - crop) / 2.0))


def classic_boxes(boxes: np.ndarray, size: Sequence[int], resize: int = 256, crop: int = 224) -> np.ndarray:
    """Gives boxes in the older test protocol: image to `resize` x `resize`, then its centre `crop` x `crop`.

    ADL and EIL, among others, test this way; what lies outside the crop is no longer asked for, so the numbers
    are not those of the benchmark's protocol.

    Args:
        boxes: (k, 4) xyxy, half-open, original pixels.
        size: original width and height.
        resize: side of the resized image.
        crop: side of the centre crop.

    Returns:
        (k', 4) float64, pixels of the crop.

    Example:
        >>> classic_boxes(np.array([[0, 0, 250, 250]]), (500, 500)).tolist()
        [[0.0, 0.0, 112.0, 112.0]]
    """
    offset = centre_offset(resize, crop)
    return crop_boxes(resize_boxes(boxes, size, (resize, resize)), offset, offset, crop, crop)

"""From a class map to a box: resize, normalise, threshold, largest component."""

from collections.abc import Sequence
from typing import get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cmr.config import Normaliser
from cmr.data.arrays import as_maps, as_tensor, two_sides
from cmr.errors import UserError, require_known, shown
from cmr.metrics.contours.levels import quantise, score_levels

NORMALISERS: tuple[str, ...] = get_args(Normaliser)
PAS_PERCENTILE = 0.9
IVR_PERCENTILE = 0.45


def resize(maps: Tensor | np.ndarray, size: int | Sequence[int]) -> Tensor:
    """Brings maps to the image's size by bicubic interpolation, the benchmark's `cv2.resize` with INTER_CUBIC.

    Resize first and normalise then: the cubic overshoots, and the benchmark normalises what it sees afterwards.

    Args:
        maps: (B, h, w), numbers of any type, as `cmr.data.arrays.as_tensor` takes them.
        size: height and width in pixels; one number for a square.

    Returns:
        (B, H, W) float32, without gradient, on the device of the maps.

    Raises:
        UserError: maps have not three axes or no pixel, or a size that is none.

    Example:
        >>> resize(torch.ones(2, 14, 14), 224).shape
        torch.Size([2, 224, 224])
    """
    maps = as_maps(maps, "resize: maps").float()
    height, width = two_sides(size, "resize")
    if not maps.shape[1] * maps.shape[2]:
        raise UserError(f"resize: maps have shape {tuple(maps.shape)}; expected at least one pixel")
    if not len(maps):
        return maps.new_zeros(0, height, width)
    return functional.interpolate(maps[:, None], (height, width), mode="bicubic", align_corners=False)[:, 0]


def normalise(maps: Tensor | np.ndarray, how: str = "minmax") -> Tensor:
    """Brings maps to [0, 1].

    The choice moves MaxBoxAccV2 by up to 8 points (Bae et al. 2020, "Rethinking class activation mapping"; Kim et al.
    2021, "Normalization matters in weakly supervised object localization"), so it belongs beside every number.

    Args:
        maps: (B, H, W), numbers of any type, as `cmr.data.arrays.as_tensor` takes them.
        how: "minmax", (m - min) / (max - min), the benchmark's; "max", relu(m) / max; "pas", (m - min) / its 90th
            percentile, cut at 1; "ivr", relu(m - 45th percentile) / max.

    Returns:
        (B, H, W) in [0, 1], without gradient, float64 for float64 and else float32. A constant map becomes zeros, as in
        the benchmark, and so does one of which nothing is left above zero. One with a NaN or an infinity becomes NaN,
        which the evaluator reports by the image's name; the benchmark makes zeros of it.

    Raises:
        UserError: unknown `how`, or maps have not three axes.

    Example:
        >>> normalise(torch.tensor([[[-1.0, 0.0, 3.0]], [[2.0, 2.0, 2.0]]]))
        tensor([[[0.0000, 0.2500, 1.0000]],
        <BLANKLINE>
                [[0.0000, 0.0000, 0.0000]]])
        >>> normalise(torch.tensor([[[-1.0, 0.0, 3.0]]]), "max")
        tensor([[[0., 0., 1.]]])
    """
    require_known(how, "normaliser", NORMALISERS)
    maps = as_maps(maps, "normalise: maps")
    maps = maps if maps.dtype == torch.float64 else maps.float()
    if not maps.numel():
        return maps
    flat = maps.flatten(1)  # (B, N)
    flat = torch.where(flat.isfinite().all(1, keepdim=True), flat, torch.nan)
    low = flat.amin(1, keepdim=True)
    constant = low == flat.amax(1, keepdim=True)
    if how == "minmax":
        flat = flat - low
        top = flat.amax(1, keepdim=True)
    elif how == "max":
        flat = flat.relu()
        top = flat.amax(1, keepdim=True)
    elif how == "pas":
        flat = flat - low
        top = _percentile(flat, PAS_PERCENTILE)
    else:  # ivr
        flat = (flat - _percentile(flat, IVR_PERCENTILE)).relu()
        top = flat.amax(1, keepdim=True)
    # NaN is not equal to zero and stays; x / 0 with x > 0 (PaS, mostly flat map) is infinite and is cut to 1.
    flat = torch.where((flat == 0) | constant, torch.zeros_like(flat), flat / top)
    return flat.clamp(max=1).reshape(maps.shape)


def largest_box(scoremaps: Tensor | np.ndarray, threshold: float) -> Tensor:
    """Box of the largest contour above a threshold, by the benchmark's rules (see `cmr.metrics.contours.trees`).

    A pixel is above when floor(255 * score) > int(threshold * highest level). Components are 8-connected; the largest
    is the one whose outline encloses the largest area, measured through pixel centres, so holes count and one-pixel
    lines have none; the last in raster order wins a tie.

    Args:
        scoremaps: (B, H, W) in [0, 1], any float type, any device, or numpy; uint8 from 0 to 255.
        threshold: tau in [0, 1], a share of the map's highest level.

    Returns:
        (B, 4) int64 in main memory, xyxy, map pixels, inclusive; the benchmark's box ends one pixel beyond the
        component to the right and below, unless the map ends there. Zeros where nothing is above.

    Raises:
        UserError: a threshold outside [0, 1], or a map with NaN or scores outside [0, 1].

    Example:
        >>> maps = torch.zeros(1, 4, 5)
        >>> maps[0, 1:3, 1:3] = torch.tensor([[0.4, 0.4], [0.4, 1.0]])
        >>> largest_box(maps, 0.2).tolist(), largest_box(maps, 0.5).tolist()
        ([[1, 1, 3, 3]], [[2, 2, 3, 3]])
    """
    tau = as_tensor(threshold, "largest_box: threshold")
    if tau.numel() != 1 or not 0 <= float(tau) <= 1:
        raise UserError(f"largest_box: threshold is {shown(threshold)}; expected a number in [0, 1]")
    maps = quantise(scoremaps)
    scores = score_levels(maps, [np.zeros((0, 4), np.int64)] * len(maps), all_contours=False)
    level = scores.levels(np.array([float(tau)]))[:, 0]
    return torch.from_numpy(scores.box_largest[np.arange(len(maps)), level])


def _percentile(flat: Tensor, share: float) -> Tensor:
    """(B, 1), numpy's linear percentile; torch.quantile refuses more than 16 million numbers."""
    place = (flat.shape[1] - 1) * share
    below = int(place)
    ordered = flat.sort(dim=1).values
    low, high = ordered[:, below], ordered[:, min(below + 1, flat.shape[1] - 1)]
    return torch.lerp(low, high, place - below)[:, None]

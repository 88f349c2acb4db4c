"""Looking more than once at test: enlarged and mirrored images, their maps averaged."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from cmr.maps import Localize

CELL = 16  # enlarged sides are multiples of this


def at_scales(localize: Localize, scales: Sequence[float] = (1.0,), flip: bool = False, stride: int = CELL) -> Localize:
    """A method's `localize` that looks at each image at several sizes, and mirrored.

    The network is the same; an image enlarged by s gives a map with s times as many cells per side. All maps are raised
    to the finest grid and averaged raw, so a scale's share follows from what its map holds, as in the logits.

    Args:
        localize: a method's call: (B, 3, H, W) -> logits (B, K), maps (B, K, h, w).
        scales: factors on the image's side, above 0; enlarged sides are rounded to multiples of 16, or of the stride.
        flip: also the mirrored images.
        stride: of the network; a power of 2.

    Returns:
        The same kind of call; `localize` itself where there is nothing to add.

    Example:
        >>> import torch
        >>> look = lambda images: (images.mean((2, 3)), images[:, :, ::16, ::16])
        >>> logits, maps = at_scales(look, (1.0, 2.0), flip=True)(torch.rand(2, 3, 32, 32))
        >>> tuple(logits.shape), tuple(maps.shape)
        ((2, 3), (2, 3, 4, 4))
    """
    if tuple(scales) == (1.0,) and not flip:
        return localize

    cell = max(CELL, stride)

    def look(images: Tensor) -> tuple[Tensor, Tensor]:
        found = []
        for scale in scales:
            height, width = (max(cell, round(side * scale / cell) * cell) for side in images.shape[2:])
            scaled = images if scale == 1.0 else F.interpolate(images, (height, width), mode="bicubic")
            found.append(localize(scaled))
            if flip:
                logits, maps = localize(scaled.flip(3))
                found.append((logits, maps.flip(3)))
        size = max(maps.shape[2:] for _, maps in found)
        fine = [F.interpolate(maps.float(), size, mode="bicubic") for _, maps in found]
        return _mean([logits for logits, _ in found]), _mean(fine)

    return look


def _mean(tensors: list[Tensor]) -> Tensor:
    return sum(tensors[1:], tensors[0]) / len(tensors)

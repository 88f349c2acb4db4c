"""The birds that several labs look at: generated pictures, their features under a frozen network, a classifier."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import cmr
from cmr.data.split import Split
from cmr.study import samples

SIDE = 64  # pixels of a picture and of the network's input


@dataclass(frozen=True)
class Birds:
    """Pictures of ToyBirds with all that the labs ask of them.

    Attributes:
        split: as `cmr.load` gives it.
        images: (B, 3, 64, 64), normalised.
        labels: (B,) int64.
        boxes: B arrays (k, 4), xyxy, inclusive, on the grid of 64 pixels.
        parts: (B, P, 64, 64) bool, the visible pixels of each part.
    """

    split: Split
    images: Tensor
    labels: Tensor
    boxes: list[np.ndarray]
    parts: np.ndarray

    @property
    def pictures(self) -> np.ndarray:
        """The pictures to look at: (B, 64, 64, 3) uint8."""
        return samples.pictures(self.images)


def look(split: str = "test", count: int = 100) -> Birds:
    """Draws the first pictures of a split.

    Args:
        split: "train" or "test".
        count: how many.

    Returns:
        The pictures and their truth.

    Example:
        >>> some = look("test", 4)
        >>> tuple(some.images.shape), some.parts.shape, len(some.boxes)
        ((4, 3, 64, 64), (4, 6, 64, 64), 4)
    """
    config = cmr.make("toybirds", method="cam", data_settings={"train": count, "test": count})
    birds = cmr.load("toybirds", "", split, config.data_settings)
    images = samples.network_images(birds, range(count), config)
    parts = np.stack([birds.parts(i) for i in range(count)])
    boxes = cmr.gt_boxes(birds.boxes, birds.sizes, SIDE)
    return Birds(birds, images, torch.from_numpy(birds.labels), boxes, parts)


@torch.no_grad()
def features(images: Tensor, weights: str = "toybirds") -> Tensor:
    """What the small network makes of images; it is frozen.

    Args:
        images: (B, 3, 64, 64), normalised.
        weights: "toybirds", which knows other drawn birds, or "none", which knows nothing.

    Returns:
        (B, 128, 8, 8).

    Example:
        >>> tuple(features(torch.zeros(2, 3, 64, 64)).shape)
        (2, 128, 8, 8)
    """
    torch.manual_seed(0)
    return cmr.build_backbone("tiny", weights).eval()(images)


def classifier(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Fits a linear classifier on pooled features, as CAM has it.

    Args:
        features: (B, C, h, w).
        labels: (B,) int64.

    Returns:
        Weights (K, C) and biases (K,).

    Example:
        >>> flat = torch.eye(3)[:, :, None, None]
        >>> weight, bias = classifier(flat, torch.tensor([0, 1, 2]))
        >>> (flat.mean((2, 3)) @ weight.T + bias).argmax(1)
        tensor([0, 1, 2])
    """
    torch.manual_seed(0)
    pooled = features.mean((2, 3))
    layer = torch.nn.Linear(pooled.shape[1], int(labels.max()) + 1)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        functional.cross_entropy(layer(pooled), labels).backward()
        optimiser.step()
    return layer.weight.detach(), layer.bias.detach()

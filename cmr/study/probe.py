"""What a network's features know of the parts of a bird: a linear probe on ToyBirds, whose truth is exact."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cmr.data import toybirds
from cmr.data.images import normalise
from cmr.data.toybirds.pose import PARTS
from cmr.errors import UserError
from cmr.nets.backbones import Backbone

RIDGE = 1.0  # weight of the squared norm in the least-squares fit of the looks, on standardised features


@torch.no_grad()
def part_features(backbone: Backbone, images: np.ndarray, parts: np.ndarray) -> Tensor:
    """The features of each part: the last feature map, averaged over the pixels where the part is visible.

    Args:
        backbone: in evaluation mode.
        images: (B, H, W, 3) uint8 RGB, H and W multiples of the backbone's stride.
        parts: (B, P, H, W) bool, where each part is visible.

    Returns:
        (B, P, C) float32; zeros where a part is hidden.
    """
    features = backbone(normalise(torch.from_numpy(images).permute(0, 3, 1, 2)))  # (B, C, h, w)
    share = F.adaptive_avg_pool2d(torch.from_numpy(parts).float(), features.shape[2:])  # (B, P, h, w): of each cell
    total = share.sum((2, 3)).clamp_min(1e-9)  # (B, P)
    return torch.einsum("bchw,bphw->bpc", features, share) / total[..., None]


def part_probe(backbone: Backbone, train: int = 1000, test: int = 500) -> dict:
    """How well the look of each part can be read off its features by a linear classifier.

    The birds are those of ToyBirds with every look drawn independently of all others, so that one part says nothing of
    another. Chance is 5 %.

    Args:
        backbone: any; it is put into evaluation mode.
        train, test: numbers of images, 2 or more.

    Returns:
        Part name -> percent of the test images in which the part is visible and its look is named.

    Raises:
        UserError: fewer than two images.

    Example:
        >>> from cmr.nets.backbones import build_backbone
        >>> sorted(part_probe(build_backbone("tiny"), train=8, test=4))
        ['beak', 'body', 'head', 'legs', 'tail', 'wing']
    """
    if min(train, test) < 2:
        raise UserError(f"probe: train {train} and test {test} must be 2 or more images")
    dials: dict[str, Any] = dict.fromkeys(PARTS, 0.0)
    settings = toybirds.Settings(train=train, test=test, **dials)
    backbone.eval()
    sides = [_side(backbone, settings, split) for split in ("train", "test")]
    scores = {}
    for p, part in enumerate(PARTS):
        visible = [(features[seen[:, p], p], looks[seen[:, p], p]) for features, seen, looks in sides]
        (x, look), (x_test, look_test) = visible  # (n, C), (n,)
        mean, deviation = x.mean(0), x.std(0).clamp_min(1e-6)
        x, x_test = ((torch.cat(((v - mean) / deviation, torch.ones(len(v), 1)), 1)).double() for v in (x, x_test))
        target = F.one_hot(look, settings.classes).double()
        weight = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1], dtype=x.dtype), x.T @ target)
        scores[part] = 100 * float(((x_test @ weight).argmax(1) == look_test).double().mean())
    return scores


def _side(backbone: Backbone, settings: toybirds.Settings, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Features (n, P, C), which parts are visible (n, P) bool, and the looks (n, P) int64 of a split."""
    split = toybirds.load(None, name, settings)  # drawn once for all backbones
    assert split.parts is not None
    images, parts = (np.stack([read(i) for i in range(len(split))]) for read in (split.read, split.parts))
    features = [part_features(backbone, images[i : i + 100], parts[i : i + 100]) for i in range(0, len(split), 100)]
    looks = [toybirds.looks(settings, name, i)[1] for i in range(len(split))]
    return torch.cat(features), torch.from_numpy(parts.any((2, 3))), torch.tensor(looks)

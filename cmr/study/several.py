"""From one picture's class maps to several boxes, in three ways."""

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from cmr.errors import require_known
from cmr.maps.components import SMALLEST, component_boxes
from cmr.maps.locate import normalise, resize

WAYS = ("one box", "every component", "two classes")


def several_boxes(
    maps: Tensor, logits: Tensor, side: int, way: str, how: str = "minmax", threshold: float = 0.2
) -> list[np.ndarray]:
    """Boxes of each picture, by one of `WAYS`.

    "one box" is what every table of this study has: the largest component of the likeliest class's map. "every
    component" takes all components of that map. "two classes" takes all components of the maps of the two likeliest
    classes, and of boxes that overlap by more than half only the one with the higher score: the class's probability
    times the map's highest value inside the box.

    Args:
        maps: (B, K, h, w), raw.
        logits: (B, K).
        side: of the pictures, pixels.
        way: of `WAYS`.
        how, threshold: from raw map to mask, as in `cmr.maps.locate`.

    Returns:
        For each picture boxes (k, 4), xyxy, half-open.

    Raises:
        UserError: an unknown way, normaliser or threshold.

    Example:
        >>> maps = torch.zeros(1, 2, 4, 4)
        >>> maps[0, 0, 0, 0], maps[0, 0, 3, 3], maps[0, 1, 0, 3] = 1.0, 0.9, 1.0
        >>> [len(several_boxes(maps, torch.tensor([[1.0, 0.0]]), 32, way)[0]) for way in WAYS]
        [1, 2, 3]
    """
    require_known(way, "way", WAYS)
    count = min(2 if way == "two classes" else 1, maps.shape[1])
    chances, classes = logits.softmax(1).topk(count, dim=1)  # (B, M)
    chosen = maps[torch.arange(len(maps))[:, None], classes]  # (B, M, h, w)
    fine = normalise(resize(chosen.flatten(0, 1), side), how).unflatten(0, chosen.shape[:2]).numpy()
    found = []
    for scoremaps, shares in zip(fine, chances.tolist(), strict=True):
        per_class = [component_boxes(scoremap, threshold, SMALLEST) for scoremap in scoremaps]
        boxes = np.concatenate(per_class)
        if way == "one box":
            boxes = boxes[:1]
        if way == "two classes":
            scores = [
                share * scoremap[y0:y1, x0:x1].max()
                for scoremap, share, part in zip(scoremaps, shares, per_class, strict=True)
                for x0, y0, x1, y1 in part
            ]
            # in float64, where an overlap of exactly one half is one half
            kept = nms(torch.from_numpy(boxes).double(), torch.tensor(scores, dtype=torch.float64), 0.5)
            boxes = boxes[kept.numpy()]
        found.append(boxes)
    return found

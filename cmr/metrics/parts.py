"""How much of each part of the object a map covers, where masks of the parts exist."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric

from cmr.data.arrays import as_tensor
from cmr.errors import UserError
from cmr.metrics.contours.levels import quantise


class PartCoverage(Metric):
    """The share of each part's visible pixels that lie above the threshold; states are pixel counts.

    Args:
        names: of the parts.
        threshold: tau in [0, 1), a share of each map's highest level, as for boxes.

    Example:
        >>> coverage = PartCoverage(["head", "tail"], threshold=0.2)
        >>> scoremaps = torch.zeros(1, 4, 4)
        >>> scoremaps[0, :2] = 1
        >>> parts = np.zeros((1, 2, 4, 4), bool)
        >>> parts[0, 0, 0], parts[0, 1, 1:3] = True, True
        >>> coverage.update(scoremaps, parts)
        >>> coverage.compute()
        {'head': 100.0, 'tail': 50.0}
    """

    full_state_update = False
    covered: Tensor
    visible: Tensor

    def __init__(self, names: Sequence[str], threshold: float = 0.2) -> None:
        super().__init__()
        if not 0 <= threshold < 1:
            raise UserError(f"PartCoverage: threshold is {threshold}; expected a number in [0, 1)")
        self.names, self.threshold = tuple(names), threshold
        for state in ("covered", "visible"):
            self.add_state(state, torch.zeros(len(self.names), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, scoremaps: Tensor | np.ndarray, parts: Tensor | np.ndarray) -> None:
        """Counts a batch.

        Args:
            scoremaps: (B, H, W) in [0, 1].
            parts: (B, P, h, w) bool, brought to the map's grid by the nearest pixel.

        Raises:
            UserError: shapes that do not fit; NaN, infinite or out-of-range scores.
        """
        maps = torch.from_numpy(quantise(scoremaps))  # (B, H, W) uint8
        masks = as_tensor(parts, "PartCoverage: part masks").cpu().float()
        if masks.ndim != 4 or masks.shape[:2] != (len(maps), len(self.names)) or 0 in masks.shape[2:]:
            raise UserError(
                f"PartCoverage: part masks have shape {tuple(masks.shape)} for {len(maps)} maps and the parts "
                f"{', '.join(self.names)}; expected (images, parts, height, width)"
            )
        level = (self.threshold * maps.amax((1, 2)).double()).to(torch.uint8)  # strict: above int(tau * highest level)
        above = maps > level[:, None, None]
        masks = functional.interpolate(masks, maps.shape[1:], mode="nearest-exact") > 0.5  # (B, P, H, W)
        self.visible += masks.sum((0, 2, 3)).to(self.visible.device)
        self.covered += (masks & above[:, None]).sum((0, 2, 3)).to(self.covered.device)

    def compute(self) -> dict[str, float]:
        """Percent of the pixels of each part, over all images; a part that is nowhere visible is left out."""
        pairs = zip(self.names, self.covered.tolist(), self.visible.tolist(), strict=True)
        return {name: 100 * covered / visible for name, covered, visible in pairs if visible}

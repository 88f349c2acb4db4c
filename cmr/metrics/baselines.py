"""What a box scores that looks at no image: the whole image, and the best centred box."""

from collections.abc import Sequence

import numpy as np
import torch

from cmr.metrics.boxes import box_iou
from cmr.metrics.wsol import WSOLMetrics


def centre_map(side: int) -> torch.Tensor:
    """The benchmark's centred Gaussian: sigma a quarter of the side, minimum 0, maximum 1; (1, side, side)."""
    offset = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    bell = torch.exp(-(offset**2) / (2 * (side / 4) ** 2))
    centre = bell[:, None] * bell[None, :]
    return ((centre - centre.min()) / (centre.max() - centre.min()))[None]


def box_baselines(boxes: Sequence[np.ndarray], side: int, batch: int = 256) -> dict[str, dict[str, object]]:
    """Localization of two boxes that know nothing of the image; every result has to beat them.

    Args:
        boxes: per image (k, 4) true boxes on the grid of `side` pixels (`gt_boxes`); images without a box do not count.
        side: of the square grid, in pixels.
        batch: images scored at once.

    Returns:
        "centred box": "MaxBoxAcc" and "MaxBoxAccV2" of a centred Gaussian map, whose best threshold is chosen on these
        very boxes, and "curve", its best accuracy at each IoU threshold; "full image": "GT-known Loc" and the same two
        for the box around all pixels. All in percent.

    Example:
        >>> whole = [np.array([[0, 0, 31, 31]])]
        >>> box_baselines(whole, 32)["full image"]["GT-known Loc"]
        100.0
    """
    located = [b for b in boxes if len(b)]
    metrics, centre = WSOLMetrics(), centre_map(side)
    for start in range(0, len(located), batch):
        part = located[start : start + batch]
        names = [str(start + i) for i in range(len(part))]
        metrics.update(centre.expand(len(part), -1, -1), None, None, part, names)
    result = metrics.compute()
    everything = np.array([[0, 0, side - 1, side - 1]])
    iou = np.array([box_iou(everything, np.asarray(b)).max() for b in located])
    share = {delta: float(100 * (iou >= delta / 100).mean()) for delta in (30, 50, 70)}
    full = {"GT-known Loc": share[50], "MaxBoxAcc": share[50], "MaxBoxAccV2": sum(share.values()) / len(share)}
    return {
        "centred box": {
            "MaxBoxAcc": result["MaxBoxAcc"],
            "MaxBoxAccV2": result["MaxBoxAccV2"],
            "curve": {str(delta): result[f"MaxBoxAcc {delta} (largest contour)"] for delta in share},
        },
        "full image": full,
    }

"""The evaluator: every number of weakly supervised localization, exact, from anybody's score maps.

Pure functions in `boxes`, `levels`, `counts`, `breakdown`, `pixels` and `baselines`; classes that add up over batches
and processes: `WSOLMetrics`, `PxAP` and `PartCoverage`.
"""

from cmr.metrics.baselines import box_baselines
from cmr.metrics.boxes import box_iou, gt_boxes
from cmr.metrics.contours.levels import contour_boxes, score_levels, tau_list
from cmr.metrics.parts import PartCoverage
from cmr.metrics.pixels import PxAP, resize_masks
from cmr.metrics.wsol import WSOLMetrics

__all__ = [
    "PartCoverage",
    "PxAP",
    "WSOLMetrics",
    "box_baselines",
    "box_iou",
    "contour_boxes",
    "gt_boxes",
    "resize_masks",
    "score_levels",
    "tau_list",
]

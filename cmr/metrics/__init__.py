"""The evaluator: every number of weakly supervised localization, exact, from anybody's score maps."""

from cmr.metrics.boxes import box_iou, gt_boxes
from cmr.metrics.levels import contour_boxes, score_levels, tau_list
from cmr.metrics.wsol import WSOLMetrics

__all__ = ["WSOLMetrics", "box_iou", "contour_boxes", "gt_boxes", "score_levels", "tau_list"]

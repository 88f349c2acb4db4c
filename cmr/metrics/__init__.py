"""The evaluator: every number of weakly supervised localization, exact, from anybody's score maps.

Pure functions in `boxes`, `contours`, `counts`, `failures`, `pixels` and `baselines`; classes that add up over batches
and processes: `WSOLMetrics`, `PxAP` and `PartCoverage`; what they found: `Result`. The names below are loaded when they
are first used: who only reads results waits for neither torchmetrics nor numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmr.metrics.baselines import box_baselines
    from cmr.metrics.boxes import box_iou, gt_boxes
    from cmr.metrics.contours.levels import contour_boxes, score_levels, tau_list
    from cmr.metrics.parts import PartCoverage
    from cmr.metrics.pixels import PxAP, resize_masks
    from cmr.metrics.result import Result
    from cmr.metrics.wsol import WSOLMetrics

_HOMES = {
    "PartCoverage": "parts",
    "PxAP": "pixels",
    "Result": "result",
    "WSOLMetrics": "wsol",
    "box_baselines": "baselines",
    "box_iou": "boxes",
    "contour_boxes": "contours.levels",
    "gt_boxes": "boxes",
    "resize_masks": "pixels",
    "score_levels": "contours.levels",
    "tau_list": "contours.levels",
}

__all__ = [
    "PartCoverage",
    "PxAP",
    "Result",
    "WSOLMetrics",
    "box_baselines",
    "box_iou",
    "contour_boxes",
    "gt_boxes",
    "resize_masks",
    "score_levels",
    "tau_list",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cmr.metrics' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"cmr.metrics.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

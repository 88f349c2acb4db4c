"""Complementary image regions for weakly supervised object localization (Babar and Das, WACV 2021).

The names below are loaded when they are first used: `import cmr` itself is quick.

Example:
    >>> import torch, cmr
    >>> x, x_tilde = cmr.complementary_views(torch.rand(2, 3, 64, 64), cmr.hide_masks(2, 64, 64, sizes=(16,)))
    >>> tuple(x.shape), bool((x + x_tilde).gt(0).all())
    ((2, 3, 64, 64), True)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cmr.assemble import build
    from cmr.attention import CAAM, SSAM
    from cmr.config import Config
    from cmr.data import load
    from cmr.errors import UserError
    from cmr.losses import fusion_loss, total_loss
    from cmr.maps.locate import largest_box, normalise, resize
    from cmr.methods import METHODS
    from cmr.metrics import PartCoverage, PxAP, Result, WSOLMetrics, box_iou, gt_boxes
    from cmr.nets.backbones import build_backbone
    from cmr.network import ComplementaryNet
    from cmr.pictures.localizer import Localizer, localize
    from cmr.presets import make
    from cmr.study.runs import find as find_runs
    from cmr.study.runs import read as read_run
    from cmr.study.training import train as run
    from cmr.views import complementary_views, hide_masks

_HOMES = {
    # the paper's modules
    "hide_masks": "cmr.views",
    "complementary_views": "cmr.views",
    "CAAM": "cmr.attention",
    "SSAM": "cmr.attention",
    "ComplementaryNet": "cmr.network",
    "fusion_loss": "cmr.losses",
    "total_loss": "cmr.losses",
    # networks, data, methods and settings
    "build_backbone": "cmr.nets.backbones",
    "load": "cmr.data",
    "METHODS": "cmr.methods",
    "Config": "cmr.config",
    "make": "cmr.presets",
    "build": "cmr.assemble",
    # from a map to boxes and figures of merit
    "resize": "cmr.maps.locate",
    "normalise": "cmr.maps.locate",
    "largest_box": "cmr.maps.locate",
    "box_iou": "cmr.metrics",
    "gt_boxes": "cmr.metrics",
    "WSOLMetrics": "cmr.metrics",
    "PxAP": "cmr.metrics",
    "PartCoverage": "cmr.metrics",
    "Result": "cmr.metrics",
    # runs
    "run": "cmr.study.training:train",  # `cmr.train` is the module of the loop
    "read_run": "cmr.study.runs:read",
    "find_runs": "cmr.study.runs:find",
    # one's own pictures
    "localize": "cmr.pictures.localizer",
    "Localizer": "cmr.pictures.localizer",
    "UserError": "cmr.errors",
}

__all__ = [
    "CAAM",
    "METHODS",
    "SSAM",
    "ComplementaryNet",
    "Config",
    "Localizer",
    "PartCoverage",
    "PxAP",
    "Result",
    "UserError",
    "WSOLMetrics",
    "box_iou",
    "build",
    "build_backbone",
    "complementary_views",
    "find_runs",
    "fusion_loss",
    "gt_boxes",
    "hide_masks",
    "largest_box",
    "load",
    "localize",
    "make",
    "normalise",
    "read_run",
    "resize",
    "run",
    "total_loss",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cmr' has no attribute {name!r}")
    module, _, own = _HOMES[name].partition(":")
    value = globals()[name] = getattr(import_module(module), own or name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

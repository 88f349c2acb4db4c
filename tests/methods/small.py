"""Small methods, the images and the labels that tests of methods share: the same every time."""

import dataclasses

import torch

from cmr.methods import METHODS
from cmr.nets.backbones import build_backbone

LABELS = torch.tensor([0, 2, 1])


def images(side=64, batch=3):
    """Normalised images (B, 3, H, W)."""
    return torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(1))


def build(name, backbone="tiny", classes=3, **changes):
    """An untrained method with few maps; its backbone by name or as it is, its settings as far as they differ."""
    torch.manual_seed(0)
    settings = METHODS.settings(name)()
    small = {"sizes": (8, 16), "head_channels": 16}
    changes = {field: value for field, value in small.items() if hasattr(settings, field)} | changes
    net = build_backbone(backbone) if isinstance(backbone, str) else backbone
    return METHODS[name](net, classes, dataclasses.replace(settings, **changes))

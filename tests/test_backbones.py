"""Backbones: channels, strides and maps of every architecture."""

import pytest
import torch

from cmr.backbones import BACKBONES, build_backbone

CASES = [(name, stride) for name, architecture in BACKBONES.items() for stride in architecture.strides]


@pytest.mark.parametrize(("name", "stride"), CASES)
@pytest.mark.parametrize("size", [224, 128, 64])
def test_map_has_the_promised_shape_and_is_after_the_relu(name, stride, size):
    backbone = build_backbone(name, stride=stride).eval()
    with torch.no_grad():
        features = backbone(torch.randn(1, 3, size, size))
    assert features.shape == (1, backbone.channels, size // stride, size // stride)
    assert backbone.stride == stride
    assert features.min() >= 0 and features.max() > 0

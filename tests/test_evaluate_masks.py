"""The pass over a test split, with maps that are known: what it reports where a split has masks."""

import dataclasses
import time

import numpy as np
import pytest
import torch

from cmr.data import load
from cmr.data.images import Batches
from cmr.evaluate import evaluate
from cmr.maps import of_labels
from cmr.presets import make
from cmr.study.provenance import metric_lines

CPU = torch.device("cpu")
SIDE = make("tiny").data_settings.size


def scored(split, maps, test_crop="resize"):
    """Evaluates a method that answers with the given maps, (n, H, W), in the order of the split."""
    config = make("tiny", device="cpu", image_size=SIDE, resize=SIDE, test_crop=test_crop)
    place = iter(range(0, len(split), 8))

    def localize(images):
        part = torch.as_tensor(maps[(first := next(place)) : first + 8]).float()
        return torch.zeros(len(part), len(split.classes)), part[:, None].repeat(1, len(split.classes), 1, 1)

    batches = Batches(split, SIDE, 8, CPU, progress=False)
    return evaluate(of_labels(localize), split, batches, config, progress=False)[0]


@pytest.fixture(scope="module")
def birds():
    return load("toybirds", "", "test", make("tiny").data_settings).subset(range(20))


def test_the_true_masks_have_full_pxap_and_no_masks_none(birds):
    masks = np.stack([birds.masks(i) for i in range(20)])
    assert masks.shape == (20, SIDE, SIDE)
    result = scored(birds, masks)
    assert result.pxap == 100
    assert f"PxAP          {result.pxap:7.2f}" in metric_lines(result)
    assert scored(dataclasses.replace(birds, masks=None), masks).pxap is None
    assert scored(birds, masks, "classic").pxap is None


def test_ignored_pixels_do_not_count(birds):
    flat = np.zeros((20, SIDE, SIDE))
    masks = np.stack([birds.masks(i) for i in range(20)])
    plain = scored(birds, flat).pxap
    assert plain == pytest.approx(100 * masks.mean(), rel=1e-9)  # a constant map: precision is the object's share
    everything = dataclasses.replace(birds, ignore=lambda i: np.ones_like(masks[i]))
    assert scored(everything, flat).pxap == 100


def test_pxap_is_cheap(birds):
    from cmr.evaluate import _on_grid
    from cmr.metrics import PxAP

    start = time.process_time()
    pxap = PxAP()
    maps = torch.rand(500, 64, 64)
    index = np.arange(500) % 20
    pxap.update(maps, _on_grid(birds.masks, index, 64), None, [str(i) for i in range(500)])
    assert 0 < pxap.compute() < 100
    assert time.process_time() - start < 1

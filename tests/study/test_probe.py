"""The probe: features of a part are the mean over its pixels, and what can be read off them is read off."""

import numpy as np
import pytest
import torch
from torch import nn

from cmr.data.images import normalise
from cmr.errors import UserError
from cmr.nets.backbones import Backbone
from cmr.study import probe
from cmr.study.probe import part_features, part_probe


class Pixels(nn.Module):
    """Stands for a network: the pixels themselves, averaged over cells of 8."""

    def forward(self, images):
        return nn.functional.avg_pool2d(images, 8)


def pixels() -> Backbone:
    return Backbone("pixels", Pixels(), 3, 8)


def test_features_of_a_part_by_hand():
    images = np.zeros((1, 16, 16, 3), np.uint8)
    images[:, :8, :8] = 255  # one white cell of four
    owners = np.zeros((1, 16, 16), np.uint8)
    owners[:, :8, :8] = 1  # the head is the white cell
    owners[:, :, 8:] = 3  # the body is two black ones
    owners[:, 8:, :4] = 4  # the wing is half of a black one
    owners[0, :4, :8] = 4  # and half of the white one, which the head loses
    features = part_features(pixels(), images, owners[:, None] == np.arange(1, 7)[:, None, None])
    white, black = (normalise(torch.full((1, 3, 1, 1), value, dtype=torch.uint8)).flatten() for value in (255, 0))
    torch.testing.assert_close(features[0, 0], white)
    torch.testing.assert_close(features[0, 2], black)
    torch.testing.assert_close(features[0, 3], (white + black) / 2)
    assert not features[0, [1, 4, 5]].any()  # hidden parts


def test_looks_that_the_features_tell_are_named_and_chance_is_one_in_twenty(monkeypatch):
    def told(backbone, settings, split):
        count = getattr(settings, split)
        rng = np.random.default_rng(count)
        looks = torch.from_numpy(rng.integers(20, size=(count, 6)))
        features = torch.nn.functional.one_hot(looks, 20).float()
        features[:, 1:] = torch.from_numpy(rng.normal(size=(count, 5, 20))).float()  # only the head's tell
        return features, torch.ones(count, 6, dtype=bool), looks

    monkeypatch.setattr(probe, "_side", told)
    scores = part_probe(pixels(), train=2000, test=1000)
    assert scores["head"] == 100.0
    assert all(1.5 < score < 8.5 for part, score in scores.items() if part != "head")


def test_too_few_images_are_refused():
    with pytest.raises(UserError, match="train 1 and test 5 must be 2 or more"):
        part_probe(pixels(), train=1, test=5)

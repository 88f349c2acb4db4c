"""One pass over a test split, with a method whose maps are known."""

import dataclasses

import numpy as np
import pytest
import torch
from torchvision.transforms import CenterCrop

from cmr.assemble import batches_for_test
from cmr.data.images import Batches, normalise
from cmr.evaluate import Scores, _seen, evaluate, target_boxes
from cmr.maps import of_labels
from cmr.presets import make
from cmr.study.splits import splits

CONFIG = make("tiny", device="cpu")


@pytest.fixture(scope="module")
def split():
    return splits(CONFIG)[1]


class Oracle:
    """Knows the masks, so its boxes are nearly right; scores class 0 highest."""

    def __init__(self, split, classes=4):
        self.split, self.classes, self.next = split, classes, 0

    def localize(self, images):
        count, side = len(images), images.shape[-1]
        masks = np.stack([self.split.masks(self.next + i) for i in range(count)])
        self.next += count
        maps = torch.nn.functional.interpolate(torch.from_numpy(masks).float()[:, None], (side, side), mode="area")
        logits = torch.zeros(count, self.classes)
        logits[:, 0] = 1
        return logits, maps.expand(-1, self.classes, -1, -1)


def test_maps_that_are_the_masks_find_nearly_every_bird(split):
    batches = batches_for_test(split, CONFIG, torch.device("cpu"), False)
    result, outcomes = evaluate(of_labels(Oracle(split).localize), split, batches, CONFIG, progress=False)
    assert result.gt_known_loc > 90
    assert result.top1_clas == pytest.approx(100 * (split.labels == 0).mean())
    assert result.top1_loc <= min(result.gt_known_loc, result.top1_clas)
    parts = dict(result.parts)
    assert parts.pop("background") < 15 and all(share > 75 for share in parts.values())
    assert result.pxap > 95
    assert set(outcomes) == {"label", "top5", "score", "iou", "box", "maps", "map_index"}
    assert (outcomes["label"] == split.labels).all()


def test_a_flat_map_scores_as_no_box(split):
    def flat(images):
        return torch.zeros(len(images), 4), torch.ones(len(images), 4, 4, 4)

    batches = Batches(split, CONFIG.image_size, 8, progress=False)
    result, outcomes = evaluate(of_labels(flat), split, batches, CONFIG, progress=False)
    assert result.gt_known_loc == 0
    assert (outcomes["box"] == 0).all()
    assert result.parts["head"] == 0


def test_maps_without_logits_are_scored_as_with_them(split):
    """The boxes are the same; what names a class is left out."""
    raw = torch.rand(len(split), 4, 4)
    labels, index = torch.from_numpy(split.labels), np.arange(len(split))
    given = {}
    for name, logits in (("with", torch.zeros(len(split), 4)), ("without", None)):
        scores = Scores(split, CONFIG, torch.device("cpu"))
        scores.update(raw[:20], None if logits is None else logits[:20], labels[:20], index[:20])
        scores.update(raw[20:], None if logits is None else logits[20:], labels[20:], index[20:])
        given[name] = scores.compute(), scores.outcomes()
    (result, outcomes), (bare, bare_outcomes) = given["with"], given["without"]
    assert (bare.top1_loc, bare.top1_clas) == (None, None) and None not in (result.top1_loc, result.top1_clas)
    assert set(outcomes) - set(bare_outcomes) == {"top5", "score"}
    for name in ("gt_known_loc", "max_box_acc_v2", "pxap", "parts", "baselines"):
        assert getattr(result, name) == getattr(bare, name) is not None
    assert all((outcomes[name] == bare_outcomes[name]).all() for name in bare_outcomes)


def test_target_boxes_of_both_crops(split):
    plain = target_boxes(split, CONFIG)
    for box, own, size in zip(plain, split.boxes, split.sizes, strict=True):
        scaled = own * 32 / np.tile(size, 2)
        assert np.abs(box + [0, 0, 1, 1] - scaled).max() <= 1  # whole pixels, both ends inside
    classic = target_boxes(split, dataclasses.replace(CONFIG, test_crop="classic"))
    x0 = split.boxes[0][0, 0]  # images of 36 px: nothing is resized, two pixels are cut on each side
    assert classic[0][0, 0] == max(0, int(x0 - 2))


@pytest.mark.parametrize(("side", "crop"), [(36, 32), (37, 32), (36, 31), (32, 32)])
def test_the_network_sees_the_middle_of_an_image_under_the_classic_crop(side, crop):
    images = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
    config = make("tiny", image_size=crop, resize=max(side, crop), test_crop="classic")
    assert torch.equal(_seen(images, config), normalise(CenterCrop(crop)(images)))


def test_classic_crop_is_evaluated_without_masks(split):
    config = dataclasses.replace(CONFIG, test_crop="classic")
    seen = []

    def noise(images):
        seen.append(tuple(images.shape[1:]))
        return torch.zeros(len(images), 4), torch.rand(len(images), 4, 4, 4)

    batches = batches_for_test(split, config, torch.device("cpu"), False)
    result, _ = evaluate(of_labels(noise), split, batches, config, progress=False)
    assert set(seen) == {(3, 32, 32)}
    assert result.gt_known_loc is not None and result.parts is result.pxap is None

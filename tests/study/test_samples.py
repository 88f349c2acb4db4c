"""Single images for figures: maps and boxes where the record has them, pixels as they were."""

import numpy as np
import pytest
import torch

from cmr.data.images import normalise
from cmr.errors import UserError
from cmr.presets import make
from cmr.study import models, samples
from cmr.study.splits import splits


@pytest.fixture(scope="module")
def test_split(tiny_run):
    return splits(tiny_run.config)[1]


def test_recorded_items_agree_with_the_outcomes(tiny_run, test_split):
    outcomes = tiny_run.outcomes()
    positions = outcomes["map_index"][:3]
    items = samples.recorded_items(tiny_run, test_split, positions)
    for item, i in zip(items, positions, strict=True):
        assert item["image"].shape == (256, 256, 3)
        assert item["scoremap"].min() == 0
        assert item["scoremap"].max() == 1
        scale = 256 / tiny_run.config.image_size
        np.testing.assert_allclose(item["box"], (outcomes["box"][i] + np.array([0, 0, 1, 1])) * scale)
        np.testing.assert_allclose(item["gt_boxes"], test_split.boxes[i] * (256 / 36))


def test_the_map_of_the_model_is_the_map_of_the_record(tiny_run, test_split):
    method = models.load_method(tiny_run, 4)
    i = int(tiny_run.outcomes()["map_index"][1])
    images = samples.network_images(test_split, [i], tiny_run.config)
    now = samples.scoremaps(method, images, torch.from_numpy(test_split.labels[[i]]), tiny_run.config, side=256)
    then = samples.recorded_items(tiny_run, test_split, [i])[0]["scoremap"]
    np.testing.assert_allclose(now[0].numpy(), then, atol=1e-4)


def test_side_by_side(tiny_run, test_split):
    rows = samples.side_by_side({"a": tiny_run, "b": tiny_run}, test_split, tiny_run.outcomes()["map_index"][:3])
    assert [[item["title"] for item in row] for row in rows] == [["a", "b"]] * 3


def test_what_the_record_does_not_hold(tiny_run, test_split):
    with pytest.raises(UserError, match="holds no map of test image 999"):
        samples.recorded_items(tiny_run, test_split, [999])
    other = splits(make("tiny", data_settings={"seed": 5}))[1]
    with pytest.raises(UserError, match="was not scored on this ToyBirds test split"):
        samples.recorded_items(tiny_run, other, [0])


def test_pictures_invert_the_normalisation():
    pixels = torch.randint(0, 256, (2, 3, 5, 4), dtype=torch.uint8)
    back = samples.pictures(normalise(pixels))
    assert (back == pixels.permute(0, 2, 3, 1).numpy()).all()


def test_views_are_drawn_with_a_seed_of_their_own():
    images = torch.randn(2, 3, 16, 16)
    before = torch.random.get_rng_state()
    first, second = samples.views(images, [4], seed=3), samples.views(images, [4], seed=3)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[0] + first[1], images)
    assert torch.equal(torch.random.get_rng_state(), before)

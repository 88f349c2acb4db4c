"""Faithfulness: by hand, by what must hold for every network, against NumPy and torchcam, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cmr.errors import UserError
from cmr.metrics import faithfulness
from cmr.metrics.faithfulness import (
    Confidence,
    area,
    blurred,
    class_score,
    confidence,
    deletion,
    insertion,
    masked_scores,
    pixel_counts,
    pixel_ranks,
    scores_of,
)

ZERO, ONE = torch.tensor([0]), torch.tensor([1])


def one_pixel(row: int, column: int, scale: float = 1.0):
    """A network of two classes that looks at one pixel: its softmax for class 0 is the pixel's sigmoid."""

    def classify(images):
        seen = scale * images[:, 0, row, column]
        return torch.stack((seen, torch.zeros_like(seen)), 1)

    return classify


def net():
    torch.manual_seed(3)
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    return nn.Sequential(*layers).eval()


def pictures(count=3, side=8):
    generator = torch.Generator().manual_seed(5)
    drawn = 3 * torch.randn(count, 3, side, side, generator=generator)
    return drawn, torch.arange(count) % 5, torch.randn(count, side, side, generator=generator)


def test_ranks_by_hand():
    maps = torch.tensor([[[0.5, 3.0], [-1.0, 0.7]], [[1.0, 2.0], [3.0, 4.0]]])
    assert pixel_ranks(maps).tolist() == [[2, 0, 3, 1], [3, 2, 1, 0]]


def test_equal_pixels_have_one_random_order_for_all_images_and_maps():
    ranks = pixel_ranks(torch.zeros(2, 6, 6))
    assert ranks[0].tolist() == ranks[1].tolist() != list(range(36))
    assert sorted(ranks[0].tolist()) == list(range(36))
    half = torch.zeros(1, 6, 6)
    half[0, 3:] = 1
    ranks = pixel_ranks(half)[0]
    assert ranks[18:].max() == 17  # the lower half goes first, whatever the order inside it


@given(st.lists(st.integers(-50, 50), min_size=9, max_size=9))
def test_only_the_order_of_a_map_counts(values):
    maps = torch.tensor(values, dtype=torch.float64).view(1, 3, 3)
    ranks = pixel_ranks(maps)
    assert sorted(ranks[0].tolist()) == list(range(9))
    for same in (3 * maps - 7, maps**3, (maps / 50).exp()):
        assert pixel_ranks(same).tolist() == ranks.tolist()
    flat = maps.flatten()
    assert all(flat[i] >= flat[j] for i in range(9) for j in range(9) if ranks[0, i] < ranks[0, j])


@given(st.integers(1, 300), st.data())
def test_steps_are_as_even_as_whole_numbers_can_be(pixels, data):
    steps = data.draw(st.integers(1, pixels))
    counts = pixel_counts(pixels, steps)
    assert counts[0] == 0 and counts[-1] == pixels and len(counts) == steps + 1
    assert set(counts.diff().tolist()) <= {pixels // steps, -(-pixels // steps)}


def test_deletion_and_insertion_by_hand():
    """The pixel that decides is the second to go, of four; its sigmoid is 0.8, and 0.5 without it."""
    images = torch.full((1, 3, 2, 2), float(np.log(4)))
    maps = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
    gone = deletion(one_pixel(0, 1), images, ZERO, maps, steps=4)
    assert gone[0].tolist() == pytest.approx([0.8, 0.8, 0.5, 0.5, 0.5])
    assert area(gone).item() == pytest.approx((0.8 + 0.65 + 0.5 + 0.5) / 4)
    come = insertion(one_pixel(0, 1), images, ZERO, maps, torch.zeros_like(images), steps=4)
    assert come[0].tolist() == pytest.approx([0.5, 0.5, 0.8, 0.8, 0.8])
    other = deletion(one_pixel(0, 1), images, ONE, maps, steps=2)  # the other class has what is left of 1
    assert other[0].tolist() == pytest.approx([0.2, 0.5, 0.5])


@pytest.mark.parametrize("steps", [4, 16])
def test_the_perfect_map_for_one_pixel_is_best_and_its_opposite_worst(steps):
    images = torch.full((1, 3, 4, 4), 6.0)
    perfect = torch.zeros(1, 4, 4)
    perfect[0, 2, 1] = 1
    scores = {}
    for name, maps in {"perfect": perfect, "opposite": -perfect}.items():
        gone = area(deletion(one_pixel(2, 1), images, ZERO, maps, steps=steps)).item()
        come = area(insertion(one_pixel(2, 1), images, ZERO, maps, 0 * images, steps=steps)).item()
        scores[name] = gone, come
    top = float(torch.tensor(6.0).sigmoid())
    share = 1 / (2 * steps)  # the trapezoid of the one step in which the pixel goes
    assert scores["perfect"] == pytest.approx((0.5 + share * (top - 0.5), top - share * (top - 0.5)))
    assert scores["opposite"] == pytest.approx((top - share * (top - 0.5), 0.5 + share * (top - 0.5)))


def test_insertion_is_deletion_of_the_turned_map_read_backwards():
    images, classes, maps = pictures()
    base = torch.randn(images.shape)
    come = insertion(net(), images, classes, maps, base, steps=16)
    gone = deletion(net(), images, classes, -maps, base, steps=16)
    torch.testing.assert_close(come, gone.flip(1))


def test_the_ends_are_the_image_and_the_baseline():
    images, classes, maps = pictures()
    whole, mean, soft = (class_score(net()(x), classes) for x in (images, 0 * images, blurred(images)))
    gone, come = deletion(net(), images, classes, maps), insertion(net(), images, classes, maps, blurred(images))
    for found, wanted in ((gone[:, 0], whole), (gone[:, -1], mean), (come[:, 0], soft), (come[:, -1], whole)):
        torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(insertion(net(), images, classes, maps), come)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_the_size_of_a_batch_changes_nothing(batch, monkeypatch):
    given = pictures()
    wanted = deletion(net(), *given)
    monkeypatch.setattr(faithfulness, "BATCH", batch)
    torch.testing.assert_close(deletion(net(), *given), wanted)


def test_ends_that_are_known_are_taken():
    images, classes, maps = pictures()
    whole, mean = (scores_of(net(), seen, classes) for seen in (images, 0 * images))
    wanted = deletion(net(), images, classes, maps)
    torch.testing.assert_close(deletion(net(), images, classes, maps, ends=(whole, mean)), wanted)
    torch.testing.assert_close(deletion(net(), images, classes, maps, ends=(mean, whole))[:, 1:-1], wanted[:, 1:-1])
    one = deletion(net(), images, classes, maps, steps=1, ends=(whole, mean))
    assert torch.equal(one, torch.stack((whole, mean), 1))


def by_numpy(classify, image, label, scoremap, start, end, steps):
    """One image, one pixel at a time, in NumPy: what is counted, and the area with a sum by hand."""
    order = sorted(range(scoremap.size), key=lambda i: -scoremap.flat[i])
    seen, scores, shares = start.copy(), [], []
    counts = [int(np.floor(scoremap.size * t / steps + 0.5)) for t in range(steps + 1)]
    for taken in range(scoremap.size + 1):
        if taken:
            row, column = divmod(order[taken - 1], scoremap.shape[1])
            seen[:, row, column] = end[:, row, column]
        if taken in counts:
            logits = classify(torch.from_numpy(seen[None])).detach().numpy()[0].astype(float)
            scores.append(np.exp(logits[label]) / np.exp(logits).sum())
            shares.append(taken / scoremap.size)
    total = sum((b - a) * (x + y) / 2 for a, b, x, y in zip(shares, shares[1:], scores, scores[1:], strict=False))
    return scores, total


@pytest.mark.parametrize("steps", [1, 7, 64])
def test_against_a_loop_in_numpy(steps):
    images, classes, maps = pictures()
    base = blurred(images)
    gone, come = (
        deletion(net(), images, classes, maps, steps=steps),
        insertion(net(), images, classes, maps, base, steps),
    )
    for i in range(3):
        image, label = images[i].numpy(), int(classes[i])
        for found, start, end in ((gone, image, 0 * image), (come, base[i].numpy(), image)):
            scores, total = by_numpy(net(), image, label, maps[i].numpy(), start, end, steps)
            np.testing.assert_allclose(found[i].numpy(), scores, rtol=1e-4, atol=1e-6)
            assert area(found[i : i + 1], 64).item() == pytest.approx(total, rel=1e-4)


class Given:
    """A torchcam extractor that gives maps made before."""

    def __init__(self, model, maps):
        self.model, self.maps = model, maps

    def __call__(self, *_args, **_kwargs):
        return [self.maps]

    def fuse_cams(self, maps):
        return maps[0]

    def _hooks_off(self):
        from contextlib import nullcontext

        return nullcontext()


def test_against_torchcam():
    from torchcam import metrics

    images, classes, maps = pictures()
    maps = (maps - maps.amin((1, 2), keepdim=True)) / (
        maps.amax((1, 2), keepdim=True) - maps.amin((1, 2), keepdim=True)
    )

    def softmax(logits):
        return logits.softmax(1)

    theirs = metrics.DeletionInsertionMetric(Given(net(), maps), softmax, steps=16)
    theirs.update(images, classes.tolist())
    ours = deletion(net(), images, classes, maps), insertion(net(), images, classes, maps, torch.zeros_like(images))
    assert sorted(theirs.summary().values()) == pytest.approx(sorted(area(one).mean().item() for one in ours), abs=1e-6)
    change = metrics.ClassificationMetric(Given(net(), maps), softmax)
    change.update(images, classes.tolist())
    found = confidence(scores_of(net(), images, classes), masked_scores(net(), images, classes, maps))
    assert found.average_drop == pytest.approx(100 * change.summary()["avg_drop"], abs=1e-3)
    assert found.increase == pytest.approx(100 * change.summary()["conf_increase"])


def test_confidence_by_hand():
    before, after = torch.tensor([0.8, 0.5, 0.4, 0.4]), torch.tensor([0.2, 0.6, 0.4, 0.0])
    assert confidence(before, after) == Confidence(pytest.approx((75 + 0 + 0 + 100) / 4), 25.0)


def test_a_map_of_ones_changes_nothing_and_an_empty_one_leaves_the_mean_colour():
    images, classes, _ = pictures()
    before, after = scores_of(net(), images, classes), masked_scores(net(), images, classes, torch.ones(3, 8, 8))
    assert torch.equal(before, after) and confidence(before, after) == Confidence(0.0, 0.0)
    after = masked_scores(net(), images, classes, torch.zeros(3, 8, 8))
    torch.testing.assert_close(after, class_score(net()(0 * images), classes))


def test_blur_against_scipy():
    from scipy.ndimage import correlate1d

    images = pictures(2, 16)[0]
    at = np.arange(-5, 6)
    weights = np.exp(-(at**2) / 50)
    wanted = images.numpy().astype(float)
    for axis in (2, 3):
        wanted = correlate1d(wanted, weights / weights.sum(), axis=axis, mode="mirror")
    np.testing.assert_allclose(blurred(images).numpy(), wanted, atol=1e-5)


BAD_CALLS = {
    "map 0 holds NaN, which has no place in an order": lambda: pixel_ranks(torch.tensor([[[1.0, float("nan")]]])),
    r"shape \(2, 0, 4\); expected at least one pixel": lambda: pixel_ranks(torch.zeros(2, 0, 4)),
    "5 for 4 pixels; give 1 or more, and no more than pixels": lambda: pixel_counts(4, 5),
    "0 for 4 pixels": lambda: pixel_counts(4, 0),
    "blurred: images of 5 pixels; give images of 6 or more": lambda: blurred(torch.zeros(1, 3, 5, 9)),
    r"shape \(3,\); expected \(images, steps \+ 1\)": lambda: area(torch.zeros(3)),
    "resize them to the image's pixels first": lambda: deletion(net(), *pictures()[:2], torch.zeros(3, 4, 4)),
    r"classes \(1,\); expected \(B, 3, H, W\)": lambda: deletion(net(), pictures()[0], ZERO, torch.zeros(3, 8, 8)),
    r"baseline: has shape \(3, 3, 4, 4\) for images of": lambda: deletion(net(), *pictures(), torch.zeros(3, 3, 4, 4)),
    r"baseline: has shape \(3, 3, 2, 2\) for images of": lambda: insertion(net(), *pictures(), torch.zeros(3, 3, 2, 2)),
    r"values outside \[0, 1\]; normalise them first": lambda: masked_scores(net(), *pictures()),
    "is not above 0, and no share of it can be lost": lambda: confidence(torch.zeros(2), torch.ones(2)),
    r"shapes \(2,\) and \(3,\); expected \(images,\) twice": lambda: confidence(torch.ones(2), torch.ones(3)),
}


@pytest.mark.parametrize("message", BAD_CALLS)
def test_what_cannot_be_is_refused(message):
    with pytest.raises(UserError, match=message):
        BAD_CALLS[message]()


def test_one_step_asks_the_network_for_no_empty_batch():
    images, classes, maps = pictures()
    whole = net()

    def classify(x):
        assert len(x)
        return whole(x)

    assert deletion(classify, images, classes, maps, steps=1).shape == (len(images), 2)

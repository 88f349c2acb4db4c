"""CutMix: exact boxes, areas and label weights, the distributions they are drawn from, and that test has none of it."""

import functools

import numpy as np
import pytest
import scipy.stats
import torch
from torch.nn import functional

from cmr.methods import cutmix
from cmr.methods.cutmix import box_around
from tests.methods import small
from tests.methods.small import LABELS, images

build = functools.partial(small.build, "cutmix")


@pytest.mark.parametrize(
    ("row", "column", "share", "box"),
    [
        (4, 6, 0.25, (2, 6, 3, 9)),  # 8 x 12 pixels: half of each side is 4 x 6
        (0, 0, 0.25, (0, 2, 0, 3)),  # a quarter of that is left in the corner
        (7, 11, 0.25, (5, 8, 8, 12)),
        (4, 6, 1.0, (0, 8, 0, 12)),
        (4, 6, 0.0, (4, 4, 6, 6)),
        (4, 6, 0.5, (2, 7, 2, 10)),  # 5.66 x 8.49 becomes 5 x 8
    ],
)
def test_box_by_hand(row, column, share, box):
    assert box_around(row, column, share, height=8, width=12) == box


def test_box_is_inside_and_never_larger_than_its_share():
    for row in range(5):
        for column in range(7):
            for share in (0.0, 0.1, 0.37, 0.9, 1.0):
                y0, y1, x0, x1 = box_around(row, column, share, 5, 7)
                assert 0 <= y0 <= y1 <= 5 and 0 <= x0 <= x1 <= 7
                assert (y1 - y0) * (x1 - x0) <= share * 35 + 1e-9
                if y1 > y0 and x1 > x0:
                    assert y0 <= row < y1 and x0 <= column < x1


@pytest.mark.parametrize("beta", [1.0, 0.3, 4.0])
def test_shares_and_centres_have_their_distributions(monkeypatch, beta):
    drawn = []
    monkeypatch.setattr(cutmix, "box_around", lambda *args: drawn.append(args) or (0, 0, 0, 0))
    for _ in range(1500):
        cutmix.draw_box(4, 6, beta)
    rows, columns, shares, heights, widths = (np.asarray(values) for values in zip(*drawn, strict=True))
    assert set(heights) == {4} and set(widths) == {6}
    assert scipy.stats.kstest(shares, scipy.stats.beta(beta, beta).cdf).pvalue > 1e-3
    counts = np.histogram2d(rows, columns, bins=(4, 6), range=((0, 4), (0, 6)))[0]
    assert scipy.stats.chisquare(counts.ravel()).pvalue > 1e-3


def test_mix_pastes_the_box_and_nothing_else(monkeypatch):
    monkeypatch.setattr(cutmix, "draw_box", lambda *_: (1, 3, 2, 7))
    whole = images(8)
    before = whole.clone()
    mixed, order, kept = build().mix(whole)
    assert whole.equal(before)
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[1:3, 2:7] = True
    assert mixed[:, :, inside].equal(whole[order][:, :, inside])
    assert mixed[:, :, ~inside].equal(whole[:, :, ~inside])
    assert kept == 1 - 10 / 64


def test_label_weight_is_exactly_the_area_that_is_kept():
    method = build()
    whole = torch.arange(4.0)[:, None, None, None].expand(4, 3, 12, 20)  # image i is i everywhere
    weights = set()
    for _ in range(200):
        mixed, order, kept = method.mix(whole)
        assert order.sort().values.equal(torch.arange(4))
        own = (mixed[:, 0] == torch.arange(4.0)[:, None, None]).sum((1, 2))
        pasted = (mixed[:, 0] == order[:, None, None].float()).sum((1, 2))
        moved = order != torch.arange(4)
        assert (own[moved] + pasted[moved] == 240).all()
        assert (own[moved] / 240 == torch.tensor(kept)).all()
        assert (own[~moved] == 240).all()  # its own box, pasted where it was
        weights.add(kept)
    assert len(weights) > 50


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_probability_is_the_share_of_steps_that_mix(monkeypatch, probability):
    monkeypatch.setattr(cutmix, "draw_box", lambda *_: (0, 2, 0, 2))
    method = build(probability=probability)
    kept = [method.mix(images(4))[2] for _ in range(500)]
    assert set(kept) <= {1.0, 0.75}
    assert kept.count(0.75) / 500 == pytest.approx(probability, abs=0.08 if 0 < probability < 1 else 0)


def test_total_is_the_cross_entropy_with_the_mixed_label(monkeypatch):
    method = build().eval()
    seen = []
    mix = method.mix
    monkeypatch.setattr(method, "mix", lambda whole: seen.append(mix(whole)) or seen[-1])
    for _ in range(4):
        losses = method.losses(images(), LABELS)
        mixed, order, kept = seen[-1]
        one_hot = functional.one_hot(LABELS, 3).float()
        soft = kept * one_hot + (1 - kept) * one_hot[order]
        want = functional.cross_entropy(method.localize(mixed)[0], soft)  # the oracle takes probabilities
        torch.testing.assert_close(losses["total"], want)
        torch.testing.assert_close(losses["ce_image"] + losses["ce_pasted"], losses["total"])
    assert len({kept for _, _, kept in seen}) == 4


def test_accuracy_counts_each_label_by_its_area(monkeypatch):
    method = build()
    monkeypatch.setattr(method, "mix", lambda whole: (whole, torch.tensor([1, 2, 0]), 0.75))
    method.head.weight.data.zero_()
    method.head.bias.data.copy_(torch.tensor([0.0, 0.0, 1.0]))  # always says class 2
    # labels 0, 2, 1 with pasted 2, 1, 0: right by 0.25, by 0.75 and not at all
    assert method.losses(images(), LABELS)["accuracy"].item() == pytest.approx((0.25 + 0.75) / 3)


def test_without_mixing_it_is_cam():
    method, cam = build(probability=0.0).eval(), small.build("cam").eval()
    assert method.state_dict().keys() == cam.state_dict().keys()
    torch.testing.assert_close(method.losses(images(), LABELS)["total"], cam.losses(images(), LABELS)["total"])
    assert method.losses(images(), LABELS)["ce_pasted"] == 0


def test_gradient_goes_to_the_image_that_each_pixel_came_from(monkeypatch):
    monkeypatch.setattr(cutmix, "draw_box", lambda *_: (0, 2, 1, 4))
    whole = images(4).requires_grad_()
    mixed, order, _ = build().mix(whole)
    weight = torch.randn_like(mixed)
    (mixed * weight).sum().backward()
    want = weight.clone()
    want[order, :, 0:2, 1:4] = weight[:, :, 0:2, 1:4]
    assert whole.grad.equal(want)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mix_keeps_type_and_memory_format(dtype):
    whole = images(16).to(dtype, memory_format=torch.channels_last)
    mixed, _, _ = build().mix(whole)
    assert mixed.dtype == dtype
    assert mixed.is_contiguous(memory_format=torch.channels_last)


def test_same_seed_same_mixture():
    method = build()
    draws = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        draws.append(method.mix(images()))
    assert draws[0][0].equal(draws[1][0]) and draws[0][2] == draws[1][2]
    assert draws[0][2] != draws[2][2]


def test_steps_show_the_mixture_and_both_maps():
    method = build().eval()
    shown = method.steps(images(), LABELS)
    order, mixed = torch.tensor([2, 0, 1]), shown["mixed image"]  # no image is its own other
    assert shown["other image"].equal(images()[order])
    height, width = (side // 2 for side in images().shape[2:])
    assert mixed[:, :, height:, width:].equal(images()[order][:, :, height:, width:])
    assert mixed[:, :, :height].equal(images()[:, :, :height])
    assert mixed[:, :, :, :width].equal(images()[:, :, :, :width])
    maps = method.localize(mixed)[1]
    torch.testing.assert_close(shown["own class map"], maps[torch.arange(3), LABELS])
    torch.testing.assert_close(shown["pasted class map"], maps[torch.arange(3), LABELS[order]])

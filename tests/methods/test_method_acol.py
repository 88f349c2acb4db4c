"""ACoL: what B loses sight of, what teaches whom, and the two heads' common map."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from cmr.methods.acol import erased_region, minmax
from tests.methods import small
from tests.methods.small import LABELS, images

build = functools.partial(small.build, "acol")
BOTH = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


class Fixed(nn.Module):
    """A head whose maps are given."""

    def __init__(self, maps):
        super().__init__()
        self.maps = maps

    def forward(self, features):
        return self.maps


def hand_maps():
    """Three classes on 8x8: class 0 is sure in one corner, class 1 in the opposite one, class 2 in a row of slopes."""
    maps = torch.zeros(1, 3, 8, 8)
    maps[0, 0, :2, :2] = 10.0
    maps[0, 1, 5:, 4:] = 10.0  # 12 cells against 4: the highest score
    maps[0, 2, 3] = torch.arange(8.0) - 7.0
    return maps


def test_erased_region_by_hand():
    # scaled to [0, 1]: 0 0.2 0.7 1 | 0 0.5 0.6875 1; the second map has another scale and a shift
    maps = torch.tensor([[[0.0, 2.0], [7.0, 10.0]], [[-3.0, 5.0], [8.0, 13.0]]])
    assert erased_region(maps, 0.7).flatten(1).tolist() == [[False, False, True, True], [False, False, False, True]]
    assert erased_region(maps, 0.5).flatten(1).tolist() == [[False, False, True, True], [False, True, True, True]]
    assert erased_region(maps, 0.0).all()
    assert erased_region(maps, 1.0).flatten(1).sum(1).tolist() == [1, 1]  # the maximum alone


def test_a_flat_map_erases_nothing():
    assert not erased_region(torch.full((2, 4, 4), 3.0), 0.1).any()
    assert (minmax(torch.full((2, 4, 4), -3.0)) == 0).all()


@BOTH
def test_minmax_against_numpy(dtype):
    maps = torch.randn(2, 3, 5, 7).to(dtype)
    scaled = minmax(maps)
    assert scaled.dtype == torch.float32
    plain = maps.float().numpy()
    for i in np.ndindex(2, 3):
        want = (plain[i] - plain[i].min()) / np.ptp(plain[i])
        np.testing.assert_allclose(scaled[i].numpy(), want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("smooth", [False, True])
@torch.no_grad()
def test_b_sees_the_features_without_the_region_and_nothing_else_is_gone(smooth):
    method = build(smooth=smooth).eval()
    features = method.backbone(images(batch=1)) + 0.1  # nowhere 0, so that a zero means erased
    method.backbone.forward = lambda _images: features
    method.head_a, method.head_b = Fixed(hand_maps()), nn.Identity()
    _, region, seen = method.look(images(batch=1), torch.tensor([0]))
    corner = torch.zeros(8, 8, dtype=torch.bool)
    corner[:2, :2] = True
    assert torch.equal(region[0], corner)
    whole = nn.functional.avg_pool2d(features, 3, 1, 1) if smooth else features
    assert (seen[0, :, corner] == 0).all()
    assert torch.equal(seen[0, :, ~corner], whole[0, :, ~corner])
    assert (seen[0, :, ~corner] != 0).all()


def test_smoothing_is_a_mean_over_nine_cells_with_zeros_outside():
    method = build(smooth=True, erase_threshold=1.0)
    method.backbone.forward = lambda _images: torch.ones(1, 4, 8, 8)
    seen = []
    method.head_a = Fixed(hand_maps())
    method.head_a.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    method.head_b = nn.Identity()
    method.look(images(batch=1))
    corner, edge, inside = seen[0][0, 0, 0, 0], seen[0][0, 0, 0, 3], seen[0][0, 0, 3, 3]
    torch.testing.assert_close(torch.stack((corner, edge, inside)), torch.tensor([4 / 9, 6 / 9, 1.0]))


def test_training_erases_by_the_label_and_test_by_the_highest_score():
    method = build(smooth=False)
    method.head_a, method.head_b = Fixed(hand_maps()), nn.Identity()
    by_label = method.look(images(batch=1), torch.tensor([2]))[1][0]
    assert by_label.nonzero()[:, 0].unique().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]  # all but the low end of the row
    assert by_label[3].tolist() == [False] * 5 + [True] * 3  # -7 .. 0: from 0.7 * 7 - 7 = -2.1 on
    by_score = method.look(images(batch=1))[1][0]
    assert by_score.nonzero().amin(0).tolist() == [5, 4]
    assert by_score.sum() == 12


def test_losses_pass_the_labels_on():
    method = build()
    seen = []
    method.head_b.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    method.eval()
    method.losses(images(), LABELS)
    want = method.look(images(), LABELS)[1]
    assert torch.equal((seen[0] == 0).all(1), want)


def test_total_is_the_sum_of_both_cross_entropies():
    method = build()
    method.eval()
    maps_a, _, maps_b = (part.detach().double().numpy() for part in method.look(images(), LABELS))
    losses = method.losses(images(), LABELS)
    want = {}
    for name, maps in (("ce_a", maps_a), ("ce_b", maps_b)):
        logits = maps.mean((2, 3))
        want[name] = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(3), LABELS.numpy()])
        assert losses[name].item() == pytest.approx(want[name], rel=1e-5)
    assert losses["total"].item() == pytest.approx(sum(want.values()), rel=1e-5)
    assert losses["accuracy"].item() == pytest.approx((maps_a.mean((2, 3)).argmax(1) == LABELS.numpy()).mean())


def test_the_erasing_map_gets_no_gradient_from_b():
    method = build()
    losses = method.losses(images(), LABELS)
    losses["ce_b"].backward()
    assert all(parameter.grad is None for parameter in method.head_a.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in method.head_b.parameters())
    assert next(method.backbone.parameters()).grad.abs().sum() > 0


def test_a_alone_does_not_teach_b():
    method = build()
    method.losses(images(), LABELS)["ce_a"].backward()
    assert all(parameter.grad is None for parameter in method.head_b.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in method.head_a.parameters())


def test_erased_features_get_no_gradient_from_b():
    method = build(smooth=False)
    features = torch.rand(1, 128, 8, 8, requires_grad=True)
    method.backbone.forward = lambda _images: features
    method.head_a = Fixed(hand_maps())
    _, region, maps_b = method.look(images(batch=1), torch.tensor([1]))
    maps_b[:, 1].mean().backward()
    assert (features.grad[0, :, region[0]] == 0).all()
    assert (features.grad[0, :, ~region[0]].abs().sum(0) > 0).all()


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_every_parameter_is_reached_at_both_ends_of_the_threshold(threshold):
    method = build(erase_threshold=threshold)
    losses = method.losses(images(), LABELS)
    losses["total"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_localize_by_hand():
    method = build().eval()
    maps_a = torch.tensor([[[[0.0, 4.0], [2.0, 1.0]], [[8.0, 8.0], [0.0, 8.0]]]])
    maps_b = torch.tensor([[[[5.0, 5.0], [5.0, 9.0]], [[1.0, 0.0], [-1.0, -3.0]]]])
    method.head_a, method.head_b = Fixed(maps_a), Fixed(maps_b)
    method.backbone.forward = lambda _images: torch.ones(1, 128, 2, 2)
    logits, maps = method.localize(images(batch=1))
    assert logits.tolist() == [[1.75, 6.0]]  # A's means; B has no vote
    want = [[[[0.0, 1.0], [0.5, 1.0]], [[1.0, 1.0], [0.5, 1.0]]]]
    assert maps.tolist() == want


@BOTH
@torch.no_grad()
def test_maps_lie_in_the_unit_range_and_reach_its_end(dtype):
    method = build().eval()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        logits, maps = method.localize(images())
        losses = method.losses(images(), LABELS)
    assert {logits.dtype, maps.dtype, losses["total"].dtype} == {torch.float32}
    assert maps.min() >= 0
    assert (maps.amax((2, 3)) == 1).all()


@torch.no_grad()
def test_an_image_is_located_alike_alone_and_in_a_batch():
    method = build().eval()
    together = method.localize(images())
    for i in range(3):
        alone = method.localize(images()[i : i + 1])
        torch.testing.assert_close(alone[0][0], together[0][i], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(alone[1][0], together[1][i], atol=1e-3, rtol=1e-3)


def test_steps_show_what_training_does():
    method = build().eval()
    steps = method.steps(images(), LABELS)
    assert list(steps) == ["image", "map of A", "erased", "map of B", "both"]
    assert steps["image"].shape == (3, 3, 64, 64)
    assert all(step.shape == (3, 8, 8) and not step.requires_grad for step in list(steps.values())[1:])
    assert torch.equal(steps["erased"], steps["map of A"] >= 0.7)
    assert torch.equal(steps["both"], torch.stack((steps["map of A"], steps["map of B"])).amax(0))
    again = method.steps(images(), LABELS)
    assert all(torch.equal(steps[name], again[name]) for name in steps)

"""Fusion loss and total loss (equations 14 and 15)."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine
from scipy.special import log_softmax

from cmr.errors import UserError
from cmr.losses import fusion_loss, total_loss


def maps(seed: int = 0, batch: int = 4, side: int = 7, dtype: torch.dtype = torch.float32) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(batch, side, side, generator=generator, dtype=dtype) for _ in range(2))


def test_equal_maps_cost_0_and_opposite_ones_4() -> None:
    a, _ = maps()
    assert fusion_loss(a, a, "sum").item() == 0
    assert fusion_loss(a, -a, "sum").item() == pytest.approx(4, rel=1e-6)
    assert fusion_loss(a, -a, "mean").item() == pytest.approx(4 / 49, rel=1e-6)


def test_by_hand() -> None:
    # (3, 4) / 5 = (.6, .8) and (1, 0): squares of (-.4, .8), 0.16 + 0.64; the second image costs 0
    a_x = torch.tensor([[[3.0, 4.0]], [[2.0, 2.0]]])
    a_xt = torch.tensor([[[7.0, 0.0]], [[5.0, 5.0]]])
    assert fusion_loss(a_x, a_xt, "sum").item() == pytest.approx(0.8 / 2)
    assert fusion_loss(a_x, a_xt, "mean").item() == pytest.approx(0.8 / 4)


def test_mean_is_the_default_and_n_times_smaller() -> None:
    a, b = maps()
    assert fusion_loss(a, b).item() == fusion_loss(a, b, "mean").item()
    assert fusion_loss(a, b, "sum").item() == pytest.approx(49 * fusion_loss(a, b).item(), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_sum_is_2_minus_2_cos_whatever_the_scale(seed: int, scale_x: float, scale_xt: float) -> None:
    a, b = maps(seed)
    expected = np.mean([2 * cosine(u, v) for u, v in zip(a.flatten(1).numpy(), b.flatten(1).numpy(), strict=True)])
    assert fusion_loss(scale_x * a, scale_xt * b, "sum").item() == pytest.approx(expected, rel=1e-4)
    assert fusion_loss(b, a, "sum").item() == pytest.approx(expected, rel=1e-4)


def test_flat_maps_cost_nothing() -> None:
    assert fusion_loss(torch.full((1, 7, 7), 0.01), torch.full((1, 7, 7), 30.0)).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients(reduction: str) -> None:
    a, b = (m.requires_grad_() for m in maps(batch=2, side=3, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda x, y: fusion_loss(x, y, reduction), (a, b))


@pytest.mark.parametrize("zero", ["x", "xt", "both"])
def test_an_all_zero_map_gives_no_nan_and_no_huge_gradient(zero: str) -> None:
    a, b = (m.detach() for m in maps(batch=2))
    if zero != "xt":
        a[0] = 0
    if zero != "x":
        b[0] = 0
    a.requires_grad_(), b.requires_grad_()
    loss = fusion_loss(a, b, "sum")
    loss.backward()
    others = 2 * cosine(a[1].detach().flatten().numpy(), b[1].detach().flatten().numpy())
    # a unit vector against the zero vector is at distance 1, two zero vectors at 0
    assert loss.item() == pytest.approx(((0 if zero == "both" else 1) + others) / 2, rel=1e-5)
    for grad in (a.grad, b.grad):
        assert grad.isfinite().all()
        assert grad.abs().max() < 10
        assert grad[1].abs().max() > 0


@pytest.mark.parametrize("scale", [1e-10, 1e15])
def test_maps_of_extreme_size_keep_their_direction(scale: float) -> None:
    a, b = maps()
    expected = fusion_loss(a, b).item()
    a, b = (a * scale).requires_grad_(), (b * scale).requires_grad_()
    loss = fusion_loss(a, b)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert a.grad.isfinite().all()
    assert b.grad.isfinite().all()


def test_computed_in_float32_also_under_autocast() -> None:
    a, b = (m.bfloat16() for m in maps())
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.arange(4)
    with torch.autocast("cpu", torch.bfloat16):
        low = total_loss(logits, -logits, labels, a, b)
    high = total_loss(logits.float(), -logits.float(), labels, a.float(), b.float())
    for name, value in low.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(high[name].item(), rel=1e-6), name


def test_total_is_two_cross_entropies_and_beta_times_fusion() -> None:
    generator = np.random.default_rng(0)
    logits_x, logits_xt = generator.normal(size=(2, 4, 6)) * 3
    labels = np.array([0, 5, 2, 2])
    a, b = maps(dtype=torch.float64)
    losses = total_loss(
        torch.from_numpy(logits_x), torch.from_numpy(logits_xt), torch.from_numpy(labels), a, b, beta=7.0
    )
    ce_x, ce_xt = (-log_softmax(z, axis=1)[range(4), labels].mean() for z in (logits_x, logits_xt))
    assert losses["ce_x"].item() == pytest.approx(ce_x, rel=1e-12)
    assert losses["ce_xt"].item() == pytest.approx(ce_xt, rel=1e-12)
    assert losses["fusion"].item() == fusion_loss(a, b).item()
    assert losses["total"].item() == pytest.approx(ce_x + ce_xt + 7 * fusion_loss(a, b).item(), rel=1e-12)
    assert losses["total"].dtype == torch.float64


def test_beta_50_and_even_logits() -> None:
    a, _ = maps()
    losses = total_loss(torch.zeros(4, 200), torch.zeros(4, 200), torch.arange(4), a, -a, reduction="sum")
    assert losses["total"].item() == pytest.approx(2 * math.log(200) + 50 * 4, rel=1e-6)


def test_every_input_gets_its_gradient() -> None:
    a, b = (m.requires_grad_() for m in maps())
    logits = [torch.randn(4, 5, requires_grad=True) for _ in range(2)]
    total_loss(*logits, torch.arange(4), a, b)["total"].backward()
    assert all(t.grad.abs().sum() > 0 for t in (a, b, *logits))


def test_mistakes_are_named() -> None:
    a, b = maps()
    with pytest.raises(UserError, match=r"maps \(4, 7, 7\) and \(4, 7, 6\) must both be \(B, H, W\)"):
        fusion_loss(a, b[:, :, :6])
    with pytest.raises(UserError, match=r"must both be \(B, H, W\)"):
        fusion_loss(a[:, None], b[:, None])
    with pytest.raises(UserError, match="unknown fusion reduction 'summ': did you mean 'sum'"):
        fusion_loss(a, b, "summ")

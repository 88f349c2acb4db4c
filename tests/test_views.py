"""Complementary views (section 3.2): cells, frequencies, fills, and X + X~ - fill == image."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmr.errors import UserError
from cmr.views import complementary_views, hide_masks


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def constant_in_cells(mask: np.ndarray, size: int) -> bool:
    """Whether one (H, W) mask has one value in each cell; loops on purpose, unlike the code under test."""
    height, width = mask.shape
    return all(
        np.unique(mask[top : top + size, left : left + size]).size == 1
        for top in range(0, height, size)
        for left in range(0, width, size)
    )


def test_4x4_with_cells_of_3_has_exactly_these_16_masks() -> None:
    drawn = hide_masks(2000, 4, 4, sizes=[3], generator=seeded())
    by_hand = {
        ((a, a, a, b), (a, a, a, b), (a, a, a, b), (c, c, c, d))
        for a, b, c, d in itertools.product((False, True), repeat=4)
    }
    assert {tuple(map(tuple, mask)) for mask in drawn[:, 0].tolist()} == by_hand


def test_44_in_224_leaves_a_strip_of_4_pixels() -> None:
    mask = hide_masks(64, 224, 224, sizes=[44], generator=seeded())[:, 0].numpy()
    changes = (mask[:, :, 1:] != mask[:, :, :-1]).any(axis=(0, 1))
    assert (np.flatnonzero(changes) + 1).tolist() == [44, 88, 132, 176, 220]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 45), st.integers(0, 99))
def test_masks_are_constant_in_cells_for_every_size(height: int, width: int, size: int, seed: int) -> None:
    masks = hide_masks(3, height, width, sizes=[size], generator=seeded(seed))
    assert masks.shape == (3, 1, height, width)
    assert masks.dtype == torch.bool
    assert all(constant_in_cells(mask, size) for mask in masks[:, 0].numpy())


def test_mixed_draws_every_size_equally_often_one_an_image() -> None:
    sizes = (3, 5, 7)  # no size divides another one, so that a mask on 35 x 35 tells its size
    masks = hide_masks(600, 35, 35, sizes, generator=seeded())[:, 0].numpy()
    fits = np.array([[constant_in_cells(mask, size) for size in sizes] for mask in masks])
    assert (fits.sum(axis=1) == 1).all()
    # 600 draws of 1/3: 200 +- 12; four standard deviations
    assert np.abs(fits.sum(axis=0) - 200).max() < 47


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_cells_are_hidden_with_probability_p_and_independently(p: float) -> None:
    cells = hide_masks(500, 14, 14, sizes=[1], p=p, generator=seeded())[:, 0].double()  # 98,000 cells
    deviation = (p * (1 - p) / cells.numel()) ** 0.5
    assert abs(cells.mean().item() - p) < 4 * deviation
    centred = cells - p
    for one, other in (
        (centred[:, 1:], centred[:, :-1]),  # row by row
        (centred[:, :, 1:], centred[:, :, :-1]),  # column by column
        (centred[1:], centred[:-1]),  # image by image
    ):
        covariance = (one * other).mean().item()
        assert abs(covariance) < 4 * p * (1 - p) / one.numel() ** 0.5


def test_p_0_hides_nothing_and_p_1_everything() -> None:
    assert not hide_masks(4, 9, 9, [2], p=0.0).any()
    assert hide_masks(4, 9, 9, [2], p=1.0).all()


def test_a_size_above_the_side_hides_all_of_one_view() -> None:
    masks = hide_masks(200, 8, 6, sizes=[100], generator=seeded()).flatten(1)
    assert (masks.all(dim=1) | ~masks.any(dim=1)).all()
    assert masks.any()
    assert not masks.all()


def test_same_generator_state_same_masks_and_the_global_one_counts_without() -> None:
    draw = {"batch": 5, "height": 30, "width": 20, "sizes": (16, 7)}
    assert torch.equal(hide_masks(**draw, generator=seeded(3)), hide_masks(**draw, generator=seeded(3)))
    assert not torch.equal(hide_masks(**draw, generator=seeded(3)), hide_masks(**draw, generator=seeded(4)))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first = hide_masks(**draw)
        torch.manual_seed(5)
        assert torch.equal(first, hide_masks(**draw))


def test_an_empty_batch_stays_empty() -> None:
    assert hide_masks(0, 8, 8, [4]).shape == (0, 1, 8, 8)


def test_numpy_sizes_are_whole_numbers_too() -> None:
    assert constant_in_cells(hide_masks(1, 8, 8, np.array([3]), generator=seeded())[0, 0].numpy(), 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": []}, "the list is empty; give at least one patch size"),
        ({"sizes": [16, 0]}, "0 is not a patch size in pixels; give a whole number, 1 or more"),
        ({"sizes": [5.5]}, "5.5 is not a patch size"),
        ({"p": 1.5}, "hide probability: 1.5 is outside"),
        ({"p": -0.1}, "hide probability: -0.1 is outside"),
        ({"p": float("nan")}, "hide probability: nan is outside"),
        ({"height": 0}, "0 x 8 pixels has no cells"),
    ],
)
def test_mistakes_in_the_grid_are_named(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        hide_masks(**({"batch": 2, "height": 8, "width": 8, "sizes": [4]} | change))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 45), st.sampled_from(["number", "channel", "noise"]))
def test_views_add_up_to_the_image(height: int, width: int, size: int, kind: str) -> None:
    generator = seeded(height * 41 + width)
    images = torch.randn(2, 3, height, width, generator=generator)
    fill = {"number": 0.7, "channel": torch.randn(3, generator=generator), "noise": torch.randn_like(images)}[kind]
    masks = hide_masks(2, height, width, [size], generator=generator)
    x, x_tilde = complementary_views(images, masks, fill)
    whole = fill[:, None, None] if kind == "channel" else fill
    torch.testing.assert_close(x + x_tilde - whole, images, atol=1e-6, rtol=1e-6)
    # and not by halves: each pixel is whole in one view and filled in the other one
    assert torch.equal(torch.where(masks, x_tilde, x), images)
    assert torch.equal(torch.where(masks, x, x_tilde), torch.broadcast_to(torch.as_tensor(whole), images.shape))


@pytest.mark.parametrize("size", [16, 32, 44, 56])
def test_with_fill_0_the_sum_is_exact(size: int) -> None:
    images = torch.randn(2, 3, 224, 224, generator=seeded())
    x, x_tilde = complementary_views(images, hide_masks(2, 224, 224, [size], generator=seeded(1)))
    assert torch.equal(x + x_tilde, images)
    assert not torch.equal(x, images)


def test_views_by_hand() -> None:
    images = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]])  # (1, 3, 1, 2)
    masks = torch.tensor([[[[True, False]]]])
    x, x_tilde = complementary_views(images, masks, torch.tensor([-1.0, -2.0, -3.0]))
    assert x.tolist() == [[[[-1.0, 2.0]], [[-2.0, 4.0]], [[-3.0, 6.0]]]]
    assert x_tilde.tolist() == [[[[1.0, -1.0]], [[3.0, -2.0]], [[5.0, -3.0]]]]


def test_views_keep_the_dtype_and_the_gradient() -> None:
    images = torch.randn(1, 3, 4, 4, dtype=torch.bfloat16, requires_grad=True)
    x, x_tilde = complementary_views(images, hide_masks(1, 4, 4, [2]), torch.ones(3, dtype=torch.float64))
    assert x.dtype == x_tilde.dtype == torch.bfloat16
    (x + x_tilde).sum().backward()
    assert torch.equal(images.grad, torch.ones_like(images))


def test_mistakes_in_the_views_are_named() -> None:
    images, masks = torch.zeros(2, 3, 8, 8), hide_masks(2, 8, 8, [4])
    with pytest.raises(UserError, match="images are torch.uint8; normalise them first"):
        complementary_views(images.byte(), masks)
    with pytest.raises(UserError, match=r"masks are torch.bool \(2, 8, 8\); images \(2, 3, 8, 8\) need bool"):
        complementary_views(images, masks[:, 0])
    with pytest.raises(UserError, match="masks are torch.float32"):
        complementary_views(images, masks.float())
    with pytest.raises(UserError, match=r"fill: shape \(8,\) does not go with images \(2, 3, 8, 8\)"):
        complementary_views(images, masks, torch.zeros(8))

import cv2
import numpy as np
import pytest
import torch

from cmr.errors import UserError
from cmr.maps.locate import NORMALISERS, largest_box, normalise, resize

# The reference evaluator's own unit values: maps and the box of the largest contour at tau = 0, .2, .4, .6, .8.
TAUS = (0.0, 0.2, 0.4, 0.6, 0.8)
PLATEAUS = [[0, 0, 0, 0, 0], [0, 0.4, 0.4, 0.4, 0.6], [0, 0.4, 1, 0.8, 0.6], [0, 0.4, 0.4, 0.4, 0.6]]
PIECES = [[0.4, 0, 0.2, 0.2, 0.2], [0.4, 0.4, 0, 0.4, 0], [0, 0, 0, 0.4, 0], [1, 0.6, 0.8, 0.2, 0.2]]


@pytest.mark.parametrize(
    ("scoremap", "boxes"),
    [
        (np.zeros((3, 3)), [[0, 0, 0, 0]] * 5),
        (PLATEAUS, [[1, 1, 4, 3], [1, 1, 4, 3], [2, 1, 4, 3], [2, 2, 4, 3], [2, 2, 3, 3]]),
        (PIECES, [[0, 0, 4, 3], [0, 0, 2, 2], [0, 3, 3, 3], [2, 3, 3, 3], [0, 3, 1, 3]]),
    ],
    ids=["zeros", "plateaus", "pieces"],
)
def test_largest_box_gives_the_references_unit_values(scoremap, boxes):
    maps = torch.tensor(np.array(scoremap))[None]
    assert [largest_box(maps, tau)[0].tolist() for tau in TAUS] == boxes


def test_largest_box_takes_a_batch_of_any_float_type_and_numpy():
    maps = np.zeros((2, 6, 8))
    maps[0, 1:4, 2:6] = 1
    maps[1, 3:5, 0:3] = 0.5
    expected = [[2, 1, 6, 4], [0, 3, 3, 5]]
    for given in (maps, maps.astype(np.float32), torch.tensor(maps).half(), torch.tensor(maps).bfloat16()):
        assert largest_box(given, 0.2).tolist() == expected


def test_largest_box_of_an_empty_map_or_batch():
    assert largest_box(torch.zeros(1, 0, 0), 0.2).tolist() == [[0, 0, 0, 0]]
    assert largest_box(torch.zeros(0, 4, 4), 0.2).shape == (0, 4)


def test_largest_box_threshold_is_strict_and_relative_to_the_highest_level():
    maps = torch.tensor([[[100, 50, 51, 52, 0]]], dtype=torch.uint8)
    # int(.5 * 100) = 50: the pixel of level 50 is not above, those of 51 and 52 are, and all are lines of area 0, of
    # which the last in raster order is taken.
    assert largest_box(maps, 0.5).tolist() == [[2, 0, 4, 0]]
    assert largest_box(maps, 0.51).tolist() == [[3, 0, 4, 0]]


def test_largest_box_refuses_what_is_no_score_map():
    with pytest.raises(UserError, match=r"score map of image 1 lies between nan"):
        largest_box(torch.tensor([[[0.0]], [[float("nan")]]]), 0.2)
    with pytest.raises(UserError, match=r"lies between -1 and 0.5"):
        largest_box(torch.tensor([[[-1.0, 0.5]]]), 0.2)
    with pytest.raises(UserError, match=r"threshold is 1.5; expected a number in \[0, 1\]"):
        largest_box(torch.zeros(1, 2, 2), 1.5)
    with pytest.raises(UserError, match=r"shape \(2, 2\); expected three axes"):
        largest_box(torch.zeros(2, 2), 0.5)


@pytest.mark.parametrize("size", [(56, 40), (224, 224), (9, 30)])
def test_resize_is_opencvs_cubic(size):
    maps = np.random.default_rng(0).standard_normal((3, 14, 11)).astype(np.float32)
    height, width = size
    expected = np.stack([cv2.resize(m, (width, height), interpolation=cv2.INTER_CUBIC) for m in maps])
    np.testing.assert_allclose(resize(maps, size).numpy(), expected, atol=2e-5)


def test_resize_gives_a_square_for_one_number_and_float32():
    assert resize(torch.ones(2, 3, 5, dtype=torch.bfloat16), 7).dtype == torch.float32
    assert resize(torch.ones(2, 3, 5), 7).shape == (2, 7, 7)
    with pytest.raises(UserError, match=r"resize: maps have shape \(3, 5\)"):
        resize(torch.ones(3, 5), 7)


def test_normalisers_by_hand():
    row = torch.tensor([[[-2.0, 0.0, 1.0, 2.0, 8.0]]])
    assert normalise(row, "minmax").flatten().tolist() == pytest.approx([0, 0.2, 0.3, 0.4, 1])
    assert normalise(row, "max").flatten().tolist() == pytest.approx([0, 0, 0.125, 0.25, 1])
    # Shifted: 0 2 3 4 10; the 90th percentile lies at rank 3.6, 4 + .6 * 6 = 7.6.
    assert normalise(row, "pas").flatten().tolist() == pytest.approx([0, 2 / 7.6, 3 / 7.6, 4 / 7.6, 1])
    # The 45th percentile lies at rank 1.8: .8; above it 0.2, 1.2 and 7.2.
    assert normalise(row, "ivr").flatten().tolist() == pytest.approx([0, 0, 0.2 / 7.2, 1.2 / 7.2, 1], abs=1e-6)


@pytest.mark.parametrize("how", NORMALISERS)
def test_normalisers_stay_in_range_and_do_not_mix_images(how):
    maps = torch.randn(4, 9, 7, generator=torch.Generator().manual_seed(3))
    maps[1] = 2.5
    maps[2] = maps[2] * 1e-4 - 1e3
    result = normalise(maps, how)
    assert result.amin() >= 0 and result.amax() <= 1
    alone = torch.cat([normalise(maps[i : i + 1], how) for i in range(4)])
    assert torch.equal(result, alone)
    assert result[0].amax() == 1
    assert (result[1] == 0).all()


def test_a_map_with_nothing_above_zero_becomes_zeros_where_only_that_counts():
    assert (normalise(torch.tensor([[[-1.0, -2.0, 0.0]]]), "max") == 0).all()
    assert (normalise(torch.tensor([[[-1.0, 5.0, 5.0, 5.0]]]), "ivr") == 0).all()  # the percentile is the maximum


@pytest.mark.parametrize("how", NORMALISERS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_bad_number_is_not_hidden_by_normalising(how, bad):
    maps = torch.rand(2, 3, 3)
    maps[1, 0, 0] = bad
    result = normalise(maps, how)
    assert result[0].isfinite().all()
    assert result[1].isnan().all()


def test_pas_of_a_mostly_flat_map_is_cut_at_one():
    maps = torch.zeros(1, 10, 10)
    maps[0, 0, 0] = 3  # the 90th percentile is 0
    assert normalise(maps, "pas").sum() == 1


def test_percentiles_are_numpys():
    maps = torch.randn(1, 6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    shifted = maps[0].numpy() - maps[0].numpy().min()
    expected = np.minimum(shifted / np.percentile(shifted, 90), 1)
    np.testing.assert_allclose(normalise(maps, "pas")[0].numpy(), expected, rtol=1e-12)


def test_unknown_normaliser_names_the_nearest():
    with pytest.raises(UserError, match="unknown normaliser 'minmaxx': did you mean 'minmax'"):
        normalise(torch.zeros(1, 2, 2), "minmaxx")

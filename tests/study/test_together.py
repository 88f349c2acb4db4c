"""Rank correlation over maps: against SciPy, its interval on data whose answer is known, and what is refused."""

import numpy as np
import pytest
from scipy import stats

from cmr.errors import UserError
from cmr.study.together import Correlation, spearman, together


def test_against_scipy_with_ties():
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 5, (20, 9)), generator.normal(size=(20, 9))
    wanted = [stats.spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman(a, b), wanted, atol=1e-12)


def test_by_hand():
    assert spearman(np.array([1, 2, 3, 4]), np.array([10, 30, 20, 40])) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert np.isnan(spearman(np.ones(3), np.arange(3)))


def test_the_best_threshold_is_chosen_for_each_map():
    """Map by map the share of right boxes at the better of two thresholds: 0, 1/2 and 1; areas in the same order."""
    right = np.zeros((3, 4, 2), bool)
    right[1, :2, 0], right[2, :, 1] = True, True
    found = together(right, np.array([[0.2] * 4, [0.3] * 4, [0.9] * 4]))
    assert found.rho == pytest.approx(1.0)
    assert together(right, -np.array([[0.2] * 4, [0.3] * 4, [0.9] * 4])).rho == pytest.approx(-1.0)


def test_the_interval_is_narrow_where_images_agree_and_wide_where_they_do_not():
    generator = np.random.default_rng(1)
    levels = np.linspace(0.1, 0.9, 8)[:, None]
    right = generator.random((8, 400, 1)) < levels[..., None]
    sure = together(right, np.broadcast_to(levels, (8, 400)))
    assert sure.low > 0.8 and sure.low <= sure.rho <= sure.high
    unsure = together(right[:, :10], generator.random((8, 10)))
    assert unsure.high - unsure.low > 0.5


def test_the_interval_is_always_the_same():
    generator = np.random.default_rng(2)
    right, areas = generator.random((5, 30, 3)) < 0.5, generator.random((5, 30))
    assert together(right, areas) == together(right, areas)
    assert str(Correlation(0.5, -0.25, 1.0)) == "+0.50 [-0.25, +1.00]"


@pytest.mark.parametrize(("right", "areas"), [((2, 4, 1), (2, 4)), ((3, 4, 1), (3, 5)), ((3, 0, 1), (3, 0))])
def test_what_cannot_be_is_refused(right, areas):
    with pytest.raises(UserError, match="expected"):
        together(np.zeros(right, bool), np.zeros(areas))

"""Whether two ways to judge maps order them alike: a rank correlation over maps, and how sure it is over images."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from cmr.errors import UserError

DRAWS = 2000  # resamplings of the images


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation, -1 to 1, with its 95 % interval over other images of the same kind."""

    rho: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.rho:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation along the last axis, equal values sharing their ranks.

    Args:
        a, b: (..., M).

    Returns:
        (...) in [-1, 1]; NaN where all values of one side are equal.

    Example:
        >>> spearman(np.array([1.0, 5.0, 9.0]), np.array([2.0, 4.0, 3.0])).item()
        0.5
    """
    ranks = [stats.rankdata(values, axis=-1) for values in (a, b)]
    first, second = (rank - rank.mean(-1, keepdims=True) for rank in ranks)
    spread = np.sqrt((first**2).sum(-1) * (second**2).sum(-1))
    return np.divide((first * second).sum(-1), spread, out=np.full(spread.shape, np.nan), where=spread > 0)


def together(right: np.ndarray, areas: np.ndarray) -> Correlation:
    """Do maps with more right boxes also have the larger areas?

    Each draw takes the images with replacement, the same for all maps, chooses each map's best threshold on them
    (MaxBoxAcc), takes the mean areas, and ranks the maps by both. The maps stay as they are: somebody chose them, so
    the interval says nothing of other maps.

    Args:
        right: (M, n, T) bool, of `cmr.study.layers.right_boxes`.
        areas: (M, n), of deletion or insertion.

    Returns:
        Spearman's correlation between MaxBoxAcc and the mean area, its interval from the 2.5 and 97.5 percentiles.

    Raises:
        UserError: fewer than three maps, no image, or shapes that do not fit.

    Example:
        >>> right = np.array([[[True]] * 4, [[True], [True], [False], [False]], [[False]] * 4])
        >>> round(together(right, np.array([[0.9] * 4, [0.5] * 4, [0.1] * 4])).rho, 2)
        1.0
    """
    if right.ndim != 3 or areas.shape != right.shape[:2] or len(areas) < 3 or not areas.size:
        raise UserError(
            f"together: boxes of shape {right.shape} and areas of {areas.shape}; expected (maps, images, taus) and "
            "(maps, images), of three maps or more"
        )
    n = areas.shape[1]
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=DRAWS)
    counts = np.concatenate([np.ones((1, n), counts.dtype), counts]).astype(np.float32)  # the images as they are first
    boxed = np.stack([(counts @ one.astype(np.float32)).max(1) for one in right], axis=1)  # (draws + 1, M)
    found = spearman(boxed, counts.astype(float) @ areas.T.astype(float))
    low, high = np.nanpercentile(found[1:], (2.5, 97.5))
    return Correlation(float(found[0]), float(low), float(high))

"""How sure a difference between two methods is: a paired bootstrap over test images and seeds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas

from cmr.errors import UserError, require_known
from cmr.metrics.result import TITLES
from cmr.study.groups import Group
from cmr.study.runs import Run
from cmr.study.tables import NBSP

LOC, CLAS = TITLES["gt_known_loc"], TITLES["top1_clas"]
PER_IMAGE = (LOC, TITLES["top1_loc"], CLAS)  # metrics that are the share of images that are right
KEPT = 6000  # images; the resamplings of so many take 60 MB


@dataclass(frozen=True)
class Difference:
    """The difference A - B of a metric in percentage points, with its 95 % interval.

    Attributes:
        mean, low, high: in points.
        seeds: of the side that has fewer; with one the interval speaks of images only.
    """

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def verdict(self) -> str:
        """Whether 0 lies outside the interval: "higher", "lower", or "no difference found"."""
        return "higher" if self.low > 0 else "lower" if self.high < 0 else "no difference found"

    def __str__(self) -> str:
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def right(run: Run, metric: str) -> np.ndarray:
    """Which test images a run got right, at its fixed threshold and IoU 0.5.

    Args:
        run: a finished run.
        metric: one of `PER_IMAGE`; the two that choose their threshold on all images have no right or wrong an image.

    Returns:
        (n,) bool, of all images for Top-1 Clas, and else of those that have a true box.

    Raises:
        UserError: another metric, or none of the images has what it asks for.
    """
    require_known(metric, "metric of single images", PER_IMAGE)
    outcomes = run.outcomes()
    if metric != LOC and "top5" not in outcomes:
        raise UserError(f"{run.id}: it names no classes, so there is no {metric}")
    named = outcomes["top5"][:, 0] == outcomes["label"] if metric != LOC else True
    if metric == CLAS:
        return np.asarray(named)
    located = ~np.isnan(outcomes["iou"])
    if not located.any():
        raise UserError(f"{run.id}: no test image has a true box, so there is no {metric}")
    return ((outcomes["iou"] >= 0.5) & named)[located]


def bootstrap(a: np.ndarray, b: np.ndarray, draws: int = 10_000, seed: int = 0) -> Difference:
    """Paired bootstrap of the difference of two means.

    Every draw takes test images with replacement, the same for A and B, and seeds of each with replacement. So the
    interval speaks of other images of the same kind and of other seeds, as far as the few seeds can tell; with one
    seed a side it speaks of images only.

    Args:
        a, b: (seeds, n) bool, what each training got right on the same n images; the numbers of seeds may differ.
        draws: number of resamplings.
        seed: of the draws.

    Returns:
        Difference in percentage points, its interval from the 2.5 and 97.5 percentiles.

    Example:
        >>> a = np.array([[1, 1, 1, 1]] * 2, bool)
        >>> str(bootstrap(a, ~a))
        '+100.0 [+100.0, +100.0]'
    """
    means = _means(np.concatenate((a, b)), draws, seed)
    generator = np.random.default_rng((seed, 1))
    drawn = []
    for part in (means[:, : len(a)], means[:, len(a) :]):
        picked = generator.integers(part.shape[1], size=part.shape)
        drawn.append(np.take_along_axis(part, picked, 1).mean(1))
    low, high = np.percentile(drawn[0] - drawn[1], (2.5, 97.5))
    mean, low, high = (100 * float(x) for x in (a.mean() - b.mean(), low, high))
    return Difference(mean, low, high, min(len(a), len(b)))


def _means(right: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """The means (draws, k) of k rows (k, n) over the same resamplings of their n images."""
    n = right.shape[1]
    chunks = _kept(n, draws, seed) if n <= KEPT else _counts(n, draws, seed)
    columns = right.T.astype(np.float32)  # sums of so few whole numbers are exact in it
    return np.concatenate([counts.astype(np.float32) @ columns for counts in chunks]).astype(float) / n


def _counts(n: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of n images is in each resampling, a thousand resamplings at a time, (1000, n) uint8."""
    generator = np.random.default_rng(seed)
    for start in range(0, draws, 1000):
        yield generator.multinomial(n, np.full(n, 1 / n), size=min(1000, draws - start)).astype(np.uint8)


@lru_cache(maxsize=4)
def _kept(n: int, draws: int, seed: int) -> tuple[np.ndarray, ...]:
    """The same, drawn once: drawing takes twenty times as long as all else, and a page has a hundred differences."""
    return tuple(_counts(n, draws, seed))


def difference(a: Sequence[Run], b: Sequence[Run], metric: str = LOC, draws: int = 10_000) -> Difference:
    """The difference of two groups of runs, each one setting with its seeds.

    Args:
        a, b: finished runs on the same test split.
        metric: one of `PER_IMAGE`.
        draws: number of resamplings.

    Raises:
        UserError: no runs, or runs on different test images.
    """
    if not a or not b:
        raise UserError("difference: a side holds no run; train it first")
    tests = {fingerprint for run in (*a, *b) for fingerprint in _tested_on(run)}
    if len(tests) > 1:
        raise UserError(f"difference: the runs were tested on different images ({', '.join(sorted(tests))})")
    if metric != CLAS and len({np.isnan(run.outcomes()["iou"]).tobytes() for run in (*a, *b)}) > 1:
        raise UserError("difference: the crop at test took the boxes of other images; compare runs with one test_crop")
    right_a, right_b = (np.stack([right(run, metric) for run in side]) for side in (a, b))
    return bootstrap(right_a, right_b, draws)


def against(
    groups: Mapping[str, Group], reference: str, metrics: Sequence[str] = PER_IMAGE, draws: int = 10_000
) -> pandas.DataFrame:
    """A table of differences from one group: a row for every other one, a column for every metric.

    Args:
        groups: of `cmr.study.groups`.
        reference: key of the group that all others are compared with.
        metrics: of `PER_IMAGE`.
        draws: number of resamplings.

    Returns:
        Printed cells "+1.2 [-0.4, +2.7]"; those whose interval holds 0 end in " (no difference found)". Where a side
        has one seed, so that the interval speaks of images only, they say so.
    """
    require_known(reference, "reference", groups)
    base = groups[reference].runs
    rows = {}
    for key, group in groups.items():
        if key != reference:
            gaps = {metric: difference(group.runs, base, metric, draws) for metric in metrics}
            rows[group.title] = {metric: _cell(gap) for metric, gap in gaps.items()}
    return pandas.DataFrame.from_dict(rows, orient="index", columns=list(metrics))


def gaps(groups: Mapping[str, Group], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Differences in GT-known Loc for a page's text: {"has_over_cam": "+1.2 [-0.4, +2.7]", ...}.

    Args:
        groups: of `cmr.study.groups`.
        pairs: keys, first the one from which the other is taken; a pair of which one was not run is left out.
    """
    return {
        f"{one}_over_{other}": str(difference(groups[one].runs, groups[other].runs))
        for one, other in pairs
        if one in groups and other in groups
    }


def _cell(gap: Difference) -> str:
    """The numbers in one line, the remark beside or below them."""
    remarks = ["no difference found"] * (gap.verdict == "no difference found") + ["one seed"] * (gap.seeds == 1)
    parts = [str(gap), *([f"({', '.join(remarks)})"] if remarks else [])]
    return " ".join(part.replace(" ", NBSP) for part in parts)


def _tested_on(run: Run) -> list[str]:
    return [part.fingerprint for split, part in run.record.data.items() if split != "train"]

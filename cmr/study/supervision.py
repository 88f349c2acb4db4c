"""How much supervision is in a number: what it is worth to choose threshold, epoch or normaliser on boxes.

Everything is read from records: nothing is trained and nothing is tested again.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cmr.metrics.result import TITLES, known
from cmr.study.groups import Group
from cmr.study.identity import essence
from cmr.study.runs import Run

CHOICES = ("threshold", "epoch", "normaliser")
LOC = TITLES["gt_known_loc"]


def at_tau(run: Run, tau: float) -> float:
    """GT-known Loc of a run at another threshold than its own, in percent, from its recorded curve.

    Args:
        run: a finished run.
        tau: the threshold; the nearest in the curve is taken.

    Example:
        >>> from types import SimpleNamespace
        >>> from cmr.metrics.result import Curves, Result
        >>> curves = Curves([0.1, 0.2], {}, {50: [40.0, 45.0]}, [], [])
        >>> at_tau(SimpleNamespace(result=Result(curves=curves)), 0.19)
        45.0
    """
    curves = known(run.result.curves)
    nearest = int(np.abs(np.array(curves.tau) - tau).argmin())
    return curves.largest_contour[50][nearest]


def held_out(run: Run, searches: Sequence[Run]) -> list[Run]:
    """The runs of a search that trained as this run did, but for the seed, on a part of the training images."""

    def training(one: Run) -> object:
        return essence(replace(one.config, holdout=0.0, seed=0))

    return [one for one in searches if one.config.holdout and training(one) == training(run)]


def threshold(run: Run, searches: Sequence[Run]) -> dict[str, float]:
    """GT-known Loc at the fixed threshold, at the best on test boxes, and on held-out boxes where a search has them."""
    found = {"fixed": known(run.result.gt_known_loc), "test boxes": known(run.result.max_box_acc)}
    if similar := held_out(run, searches):
        found["held-out boxes"] = at_tau(run, statistics.fmean(known(one.result.best_tau) for one in similar))
    return found


def epoch(run: Run) -> dict[str, float]:
    """GT-known Loc after the last epoch, and after the best of those that were tested."""
    tested, last = [float(row[LOC]) for row in run.history if LOC in row], known(run.result.gt_known_loc)
    return {"fixed": last, "test boxes": max([*tested, last])} if tested else {}


def normaliser(run: Run, tests: Sequence[Run]) -> dict[str, float]:
    """GT-known Loc under min-max, and under the normaliser that is best on the test boxes, at one threshold."""
    same = [
        known(one.result.gt_known_loc)
        for one in tests
        if one.record.trained
        and one.record.trained.id == run.id
        and not one.record.maps
        and essence(replace(one.config, normalise=run.config.normalise)) == essence(run.config)
    ]
    own = known(run.result.gt_known_loc)
    return {"fixed": own, "test boxes": max([*same, own])} if same else {}


def worth(groups: Mapping[str, Group], searches: Sequence[Run] = (), tests: Sequence[Run] = ()) -> list[dict[str, Any]]:
    """What each choice is worth, for each method, in points of GT-known Loc.

    Args:
        groups: of `cmr.study.groups`.
        searches: runs that were tested on held-out training images.
        tests: trained runs, tested again.

    Returns:
        One row for each group, choice (of `CHOICES`) and source of boxes: "method", "choice", "chosen on" ("held-out
        boxes" or "test boxes"), "points" more than by the fixed rule, "fixed" and "seeds"; means over the seeds.
        A choice of which the records know nothing has no row.
    """
    rows = []
    for group in groups.values():
        for choice in CHOICES:
            of_seeds = [_chosen(choice, run, searches, tests) for run in group.runs]
            for source in ("held-out boxes", "test boxes"):
                known = [one for one in of_seeds if source in one]
                if known:
                    points = statistics.fmean(one[source] - one["fixed"] for one in known)
                    fixed = statistics.fmean(one["fixed"] for one in known)
                    about = {"method": group.title, "choice": choice, "chosen on": source}
                    rows.append({**about, "points": points, "fixed": fixed, "seeds": len(known)})
    return rows


def _chosen(choice: str, run: Run, searches: Sequence[Run], tests: Sequence[Run]) -> dict[str, float]:
    if choice == "threshold":
        return threshold(run, searches)
    return epoch(run) if choice == "epoch" else normaliser(run, tests)

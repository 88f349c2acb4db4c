"""How much supervision is in a number: what it is worth to choose threshold, epoch or normaliser on boxes.

Everything is read from records: nothing is trained and nothing is tested again.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cmr.study.groups import Group
from cmr.study.identity import essence
from cmr.study.runs import Run

CHOICES = ("threshold", "epoch", "normaliser")
LOC = "GT-known Loc"


def at_tau(run: Run, tau: float) -> float:
    """GT-known Loc of a run at another threshold than its own, in percent, from its recorded curve.

    Args:
        run: a finished run.
        tau: the threshold; the nearest in the curve is taken.

    Example:
        >>> from types import SimpleNamespace
        >>> curves = {"tau": [0.1, 0.2], "largest contour": {"50": [40.0, 45.0]}}
        >>> at_tau(SimpleNamespace(result={"curves": curves}), 0.19)
        45.0
    """
    curves = run.result["curves"]
    nearest = int(np.abs(np.array(curves["tau"]) - tau).argmin())
    return float(curves["largest contour"]["50"][nearest])


def held_out(run: Run, searches: Sequence[Run]) -> list[Run]:
    """The runs of a search that trained as this run did, but for the seed, on a part of the training images."""

    def training(one: Run) -> object:
        return essence(replace(one.config, holdout=0.0, seed=0))

    return [one for one in searches if one.config.holdout and training(one) == training(run)]


def threshold(run: Run, searches: Sequence[Run]) -> dict[str, float]:
    """GT-known Loc at the fixed threshold, at the best on test boxes, and on held-out boxes where a search has them."""
    found = {"fixed": run.result[LOC], "test boxes": run.result["MaxBoxAcc"]}
    if similar := held_out(run, searches):
        found["held-out boxes"] = at_tau(run, statistics.fmean(one.result["best tau"] for one in similar))
    return found


def epoch(run: Run) -> dict[str, float]:
    """GT-known Loc after the last epoch, and after the best of those that were tested."""
    tested = [float(row[LOC]) for row in run.history if LOC in row]
    return {"fixed": run.result[LOC], "test boxes": max([*tested, run.result[LOC]])} if tested else {}


def normaliser(run: Run, tests: Sequence[Run]) -> dict[str, float]:
    """GT-known Loc under min-max, and under the normaliser that is best on the test boxes, at one threshold."""
    same = [
        one.result[LOC]
        for one in tests
        if one.record.get("trained", {}).get("id") == run.id
        and not one.record.get("maps")
        and essence(replace(one.config, normalise=run.config.normalise)) == essence(run.config)
    ]
    return {"fixed": run.result[LOC], "test boxes": max([*same, run.result[LOC]])} if same else {}


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

"""What the raw maps that records keep consist of, where they are high, and how far those of two views agree."""

import statistics
from collections.abc import Mapping, Sequence

import numpy as np
import pandas

from cmr.study.groups import Group
from cmr.study.runs import Run


def own_parts(tests: Sequence[Run]) -> dict[str, Run]:
    """The tests of trained runs whose maps lack what all classes share, by the id of the trained run."""
    return {
        run.record.trained.id: run
        for run in tests
        if run.record.trained and getattr(run.config.settings, "test_map", "") == "mean_free"
    }


def map_parts(groups: Mapping[str, Group], tests: Sequence[Run]) -> dict[str, dict[str, np.ndarray]]:
    """The raw maps of the true class, and the two parts that they are the sum of where these are known.

    Paper: equation 13. What the maps of all classes have in common adds the same to every logit, so the softmax, and
    with it the cross-entropy, does not see it; the fusion loss (equation 14) does.

    Args:
        groups: trained runs, of each group the first is looked at.
        tests: tests of trained runs; of them those with `test_map = "mean_free"` are used.

    Returns:
        Title to "map", and for a model with such a test "shared" (the mean over all classes' maps) and "own" (the
        rest), each (B, h, w), for the test images whose maps the records keep.
    """
    owns = own_parts(tests)
    parts = {}
    for group in groups.values():
        run = group.runs[0]
        parts[group.title] = {"map": run.outcomes()["maps"].astype(float)}
        if run.id in owns:
            own = owns[run.id].outcomes()["maps"].astype(float)
            parts[group.title] |= {"shared": parts[group.title]["map"] - own, "own": own}
    return parts


def agreement(groups: Mapping[str, Group], tests: Sequence[Run]) -> dict[str, dict[str, float]]:
    """How far the maps of the two views agree, as tests of trained models have measured it.

    Paper: equation 14; see `cmr.study.agreement.view_agreement`.

    Args:
        groups: trained runs.
        tests: tests of trained runs, of which those of the paper's method measure it.

    Returns:
        Key to "seeds", and the mean cosine of "map" and "own", -1 to 1; groups without such a test are left out.
    """
    measured = {run.record.trained.id: run.result.agreement for run in tests if run.record.trained}
    rows = {}
    for key, group in groups.items():
        found = [one for run in group.runs if (one := measured.get(run.id))]
        if found:
            means = {name: statistics.fmean(getattr(one, name) for one in found) for name in ("map", "own")}
            rows[key] = {"seeds": len(found)} | means
    return rows


def map_shape(maps: np.ndarray) -> dict[str, float]:
    """Where raw maps are high.

    Paper: equation 13, the map before any normalisation.

    Args:
        maps: (B, h, w) with 4 cells per side or more, for instance a run's `outcomes()["maps"]`.

    Returns:
        Means over central quarter and the rest, the share of images in which the centre is the lower one in percent,
        and the constant part: the share of a map's sum of squares that its mean explains, in percent (100: flat).

    Example:
        >>> map_shape(np.array([[[2.0, 2.0, 2.0, 2.0], [2.0, 1.0, 1.0, 2.0]] * 2]))["centre"]
        1.5
    """
    maps = np.asarray(maps, float)
    height, width = maps.shape[1:]
    inner = np.zeros((height, width), bool)
    inner[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    inside, outside = maps[:, inner].mean(1), maps[:, ~inner].mean(1)
    constant = maps.mean((1, 2)) ** 2 / np.maximum((maps**2).mean((1, 2)), np.finfo(float).tiny)
    return {
        "centre": float(inside.mean()),
        "around it": float(outside.mean()),
        "centre lower, % of images": 100 * float((inside < outside).mean()),
        "constant part, %": 100 * float(constant.mean()),
    }


def map_shapes(parts: Mapping[str, Mapping[str, np.ndarray]]) -> pandas.DataFrame:
    """A row for each map and part that `map_parts` gives, as `map_shape` describes it."""
    rows = {
        title if part == "map" else f"{title}: {part}": map_shape(maps)
        for title, of_title in parts.items()
        for part, maps in of_title.items()
    }
    return pandas.DataFrame(rows).T.round(1)

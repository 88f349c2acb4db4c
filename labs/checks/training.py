"""Checks of lab 7: a fair comparison of CAM and the method, its part coverage and its interval."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from . import check, compare, done

MOST = "Keep this order in mind; step 4 asks what it is worth."
COVERAGE = (
    "A map that is high everywhere covers every part. Coverage of the bird says something only beside coverage of the "
    "background."
)
PAIRED = (
    "Both methods see the same images, and an easy image is easy for both. Resampling them together takes this common "
    "part out."
)
CLAIM = (
    "The interval covers other images of the same kind. With one seed a method, it knows nothing of another training, "
    "and it says nothing about other data."
)


def configurations(cam: Any, literal: Any, positive: Any) -> None:
    """Step 1: three settings that differ in nothing but the method."""
    for name, config in {"cam": cam, "literal": literal, "positive": positive}.items():
        check(hasattr(config, "method"), f"`{name}` is {config!r}; make it with `cmr.make`")
    check(cam.method == "cam", f"`cam` trains {cam.method}; its method is cam")
    check(
        literal.method == positive.method == "cmr",
        f"`literal` trains {literal.method} and `positive` {positive.method}; the method of both is cmr",
    )
    check(literal.settings.fusion_map == "raw", "`literal` compares signed maps: fusion_map raw, the default")
    check(positive.settings.fusion_map == "relu", "`positive` compares positive parts: fusion_map relu")
    for name, config in {"literal": literal, "positive": positive}.items():
        for field in ("seed", "epochs", "lr", "data_settings", "weights"):
            check(
                getattr(config, field) == getattr(cam, field),
                f"`{name}` and `cam` differ in {field}; then the method is not all that differs",
            )
    check(replace(literal.settings, fusion_map="relu") == positive.settings, "the two differ in more than fusion_map")
    done(1, "the method is all that differs.")


def coverage(function: Callable) -> None:
    """Step 3: the share of a part's pixels above the threshold, over all images."""
    above = np.array([[[1, 1], [1, 1]], [[1, 0], [0, 0]]], bool)
    part = np.array([[[1, 0], [0, 0]], [[1, 1], [1, 0]]], bool)
    mistakes = [
        (100 * (1 + 1 / 3) / 2, "you took the mean over images; count the pixels of all images together"),
        (100 * 2 / 5, "you divided by what is above the threshold; divide by the pixels of the part"),
        (0.5, "this is a share; give percent"),
        (25.0, "you divided by all pixels; divide by the pixels of the part"),
    ]
    compare(function(above, part), 50.0, mistakes, "your coverage")
    done(3, "coverage counts pixels of a part.")


def right(function: Callable) -> None:
    """Step 5: which images have a right box."""
    compare(
        function(np.array([0.2, 0.5, 0.8])),
        [False, True, True],
        [
            ([False, False, True], "an IoU of exactly one half counts as right; use >= and not >"),
            (100 * 2 / 3, "this is the accuracy; return one answer per image"),
        ],
        "your function",
    )
    done(5, "each image is right or wrong.")


def bootstrap(function: Callable) -> None:
    """Step 6: the interval of a paired bootstrap."""
    rng = np.random.default_rng(0)
    a = rng.random(400) < 0.6
    b = a ^ (rng.random(400) < 0.1)  # right on nearly the same images
    given = function(a, b)
    check(
        isinstance(given, tuple | list | np.ndarray) and len(given) == 2,
        f"your function gives {given!r}; return the lower and the upper end",
    )
    low, high = map(float, given)
    check(low <= high, "the ends are exchanged; the lower one comes first")
    gaps = 100 * (a.astype(float) - b)
    wide = 2 * 1.96 * gaps.std() / 20
    unpaired = 2 * 1.96 * 100 * np.hypot(a.std(), b.std()) / 20
    width = high - low
    check(width > 0.2, f"your interval is {width:.3f} wide; give percentage points, and draw with replacement")
    check(
        width < (wide + unpaired) / 2,
        "your interval is too wide; draw the images once, and take the same ones of both methods",
    )
    check(width > 0.7 * wide, "your interval is too narrow; take the 2.5 and 97.5 percentiles of the differences")
    check(
        low <= gaps.mean() <= high, "the difference itself lies outside your interval; it is the first minus the second"
    )
    done(6, "the interval is that of a paired bootstrap.")

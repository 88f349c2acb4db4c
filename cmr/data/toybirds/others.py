"""Sixty other species, from which the start of ToyBirds learns what parts look like; none is one of the twenty."""

import colorsys
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np

from cmr.data.toybirds.brush import Colour
from cmr.data.toybirds.species import SPECIES, Beak, Body, Head, Legs, Species, Tail, Wing

COUNT = 60
#: Two colours nearer than this (distance in RGB, each channel 0 to 1) count as the same.
NEAR = 0.15

_MARKS = ("cap", "crown", "mask", "eyeline", "brow", "bib", "cheek", "nape", "face", "stripes", "collar", "spectacle")
_BEAKS = tuple({(s.beak.length, s.beak.depth): None for s in SPECIES})  # lengths and depths, in the order of the twenty
_WING_PATTERNS = ("plain", "bar", "bars", "tips", "panel", "spots", "edges")


def alike(one: Any, other: Any) -> bool:
    """Says whether two parts have the same markings and, place by place, colours that are near.

    Example:
        >>> alike(SPECIES[0].legs, SPECIES[0].legs), alike(SPECIES[0].legs, SPECIES[1].legs)
        (True, False)
    """
    return all(_alike(getattr(one, item.name), getattr(other, item.name)) for item in fields(one))


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    if isinstance(one, tuple) and one and isinstance(one[0], float):
        return sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) < NEAR**2
    if isinstance(one, tuple):
        return len(one) == len(other) and all(_alike(a, b) for a, b in zip(one, other, strict=True))
    return True  # lengths and widths are too small a difference at 64 pixels


@lru_cache(maxsize=1)
def others() -> tuple[Species, ...]:
    """Invents the sixty species: markings recombined, in colours drawn anew.

    Returns:
        The species, the same every time. No part of theirs is alike to that part of any of the twenty.

    Example:
        >>> len(others()), others()[7].name
        (60, 'Other 07')
    """
    rng = np.random.default_rng(20211)
    return tuple(_invent(rng, number) for number in range(COUNT))


def _invent(rng: np.random.Generator, number: int) -> Species:
    makers = {"head": _head, "beak": _beak, "body": _body, "wing": _wing, "tail": _tail, "legs": _legs}
    parts: dict[str, Any] = {}
    for name, make in makers.items():
        part = make(rng)
        while any(alike(part, getattr(species, name)) for species in SPECIES):
            part = make(rng)
        parts[name] = part
    return Species(f"Other {number:02d}", **parts)


def _colour(rng: np.random.Generator) -> Colour:
    """Any hue; from black over grey and pastel to vivid, about as often as among the twenty."""
    hue, vivid = rng.random(), rng.random() < 0.65
    lightness = rng.uniform(0.3, 0.65) if vivid else rng.uniform(0.1, 0.95)
    return colorsys.hls_to_rgb(hue, lightness, rng.uniform(0.5, 0.95) if vivid else rng.uniform(0.0, 0.4))


def _one(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _head(rng: np.random.Generator) -> Head:
    kinds = rng.choice(len(_MARKS), size=1 + int(rng.random() < 0.4), replace=False)
    marks = tuple((_MARKS[kind], _colour(rng)) for kind in kinds)
    return Head(_colour(rng), marks, crest=rng.uniform(0.3, 1.0) if rng.random() < 0.25 else 0.0)


def _beak(rng: np.random.Generator) -> Beak:
    colour, (length, depth) = _colour(rng), _one(rng, _BEAKS)
    return Beak(colour, length, depth, bend=rng.uniform(0.0, 0.05))


def _body(rng: np.random.Generator) -> Body:
    patterns = ("plain", "spots", "streaks", "bars", "breast")
    return Body(_colour(rng), _colour(rng), _one(rng, patterns), _colour(rng))


def _wing(rng: np.random.Generator) -> Wing:
    return Wing(_colour(rng), _colour(rng), _one(rng, _WING_PATTERNS), _colour(rng))


def _tail(rng: np.random.Generator) -> Tail:
    patterns, shapes = ("plain", "tip", "bands", "edges", "root"), ("square", "fork", "wedge", "round", "long")
    return Tail(_colour(rng), _one(rng, patterns), _colour(rng), _one(rng, shapes))


def _legs(rng: np.random.Generator) -> Legs:
    return Legs(_colour(rng), rng.uniform(0.05, 0.075))

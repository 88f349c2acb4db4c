"""Things with the colours and patterns of a species drawn at random, that are not birds."""

import math
from collections.abc import Sequence

import numpy as np

from cmr.data.toybirds.bird import head_colours
from cmr.data.toybirds.brush import Patch, blend, clip01, dots, ellipse, mix, taper, wave
from cmr.data.toybirds.plants import Painter, flower, leaf
from cmr.data.toybirds.species import INK, Species


def draw_distractor(painter: Painter, flock: Sequence[Species]) -> None:
    """Something with the colours and patterns of a species drawn at random, but not a bird."""
    rng, between = painter.rng, painter.between
    species = flock[int(rng.random() * len(flock))]
    draw = (_beetle, _moth, _plume, _fruit, _blossom)[int(rng.random() * 5)]
    draw(painter, species, between(0.04, 0.96), between(0.04, 0.96), between(0.0, 6.28))


def _beetle(painter: Painter, species: Species, x: float, y: float, angle: float) -> None:
    """A beetle on a leaf, its back in the head's colours and markings."""
    canvas, a = painter.canvas, painter.between(0.026, 0.058)
    cos, sin = math.cos(angle + 0.5), math.sin(angle + 0.5)
    leaf(painter, x - 2.0 * a * cos, y - 2.0 * a * sin, angle + 0.5, 4.4 * a)
    for turn in (0.9, 1.57, 2.3, -0.9, -1.57, -2.3):
        patch = canvas.patch(x, y, angle + turn, 1.4 * a)
        edge, _ = taper(canvas, patch, 1.2 * a, 0.07 * a, 0.05 * a)
        canvas.paint(patch, edge, INK, 0.8)
    patch = canvas.patch(x + 0.9 * a * math.cos(angle), y + 0.9 * a * math.sin(angle), angle, a)
    canvas.paint(patch, ellipse(canvas, patch, 0.3 * a, 0.4 * a), mix(INK, species.beak.colour, 0.2))
    patch = canvas.patch(x, y, angle, 1.2 * a)
    edge = ellipse(canvas, patch, a, 0.76 * a)
    scale = 1.0 / (a * canvas.size)
    u, v = patch.u * scale, patch.v * scale
    colour = head_colours(species.head, u, np.abs(v) * 1.6 - 0.4, scale)
    colour = blend(colour, clip01((0.035 - np.abs(v)) * (0.6 / scale) + 0.4) * 0.8, INK)
    rim = clip01(edge * (scale * 2.2) + 1.0)
    canvas.paint(patch, edge - 0.07 / scale, INK, 0.85)
    canvas.paint(patch, edge, colour * (1.04 - 0.3 * rim))
    glint = canvas.patch(x - 0.25 * a, y - 0.3 * a, 0.5, 0.3 * a)
    canvas.paint(glint, ellipse(canvas, glint, 0.2 * a, 0.09 * a), (1.0, 1.0, 0.97), 0.6)


def _moth(painter: Painter, species: Species, x: float, y: float, angle: float) -> None:
    """A butterfly in the wing's colours."""
    canvas, reach, wing = painter.canvas, painter.between(0.035, 0.075), species.wing
    for turn, share in ((2.25, 0.72), (-2.25, 0.72), (1.05, 1.0), (-1.05, 1.0)):
        patch = canvas.patch(x, y, angle + turn, reach * 0.95, ahead=reach * 0.55)
        edge, along = taper(canvas, patch, 0.75 * reach * share, reach * 0.04, reach * 0.36 * share, reach * 0.06)
        line = 0.05 * reach * canvas.size
        rim = clip01((edge + 3.0 * line) * (1.0 / line) + 0.5)
        colour = blend(blend(wing.coverts, along * along * 0.5, wing.flight), rim, wing.flight)
        spot = ellipse(canvas, _shifted(patch, 0.62 * reach * share * canvas.size), 0.14 * reach, 0.14 * reach)
        colour = blend(colour, clip01(0.5 - spot), wing.ink)
        canvas.paint(patch, edge - line, mix(wing.flight, INK, 0.75), 0.85)
        canvas.paint(patch, edge, colour)
    patch = canvas.patch(x, y, angle, reach * 0.8)
    edge, _ = taper(canvas, patch, reach * 0.5, reach * 0.09, reach * 0.07)
    canvas.paint(patch, edge, INK, 0.9)
    for turn in (0.35, -0.35):
        patch = canvas.patch(x, y, angle + turn, reach, ahead=0.5 * reach)
        edge, _ = taper(canvas, patch, reach * 0.9, reach * 0.02, reach * 0.025)
        canvas.paint(patch, edge, INK, 0.7)


def _shifted(patch: Patch, ahead: float) -> Patch:
    return Patch(patch.rows, patch.cols, patch.u - ahead, patch.v)


def _plume(painter: Painter, species: Species, x: float, y: float, angle: float) -> None:
    """A falling feather in the tail's colours and pattern."""
    canvas, length = painter.canvas, painter.between(0.10, 0.22)
    bend = length * painter.between(-0.25, 0.25)
    patch = canvas.patch(x, y, angle, 0.75 * length, ahead=0.5 * length)
    quill, _ = taper(canvas, patch, length, 0.008 * length, 0.008 * length, 0.0, bend)
    canvas.paint(patch, quill - 0.3, mix(species.tail.base, INK, 0.5), 0.8)
    vane = _shifted(patch, 0.22 * length * canvas.size)
    edge, along = taper(canvas, vane, 0.76 * length, 0.05 * length, 0.06 * length, 0.06 * length, bend)
    bands = {"bands": wave(along * 3.5), "tip": (along - 0.8) * 8.0, "root": (0.5 - along) * 8.0}
    cover = bands.get(species.tail.pattern, (edge * (1.0 / (length * canvas.size)) + 0.03) * 40.0)
    colour = blend(species.tail.base, clip01(cover * 2.0 + 0.5), species.tail.ink)
    canvas.paint(patch, edge - 0.018 * length * canvas.size, mix(species.tail.base, INK, 0.7), 0.8)
    canvas.paint(patch, edge, colour * (0.9 + 0.2 * along))
    canvas.paint(patch, np.maximum(quill, edge), mix(species.tail.base, INK, 0.6), 0.7)


def _fruit(painter: Painter, species: Species, x: float, y: float, angle: float) -> None:
    """A speckled fruit on a stalk, in the body's colours."""
    canvas, a = painter.canvas, painter.between(0.026, 0.055)
    stalk = painter.between(2.5, 6.0) * a
    patch = canvas.patch(x, y, -math.pi / 2, 0.5 * stalk + a, ahead=0.5 * stalk)
    edge, _ = taper(canvas, patch, stalk, 0.07 * a, 0.05 * a, 0.0, painter.between(-a, a))
    canvas.paint(patch, edge, mix(painter.colours[5], INK, 0.3), 0.9)
    patch = canvas.patch(x, y, 0.0, 1.3 * a)
    edge = ellipse(canvas, patch, 0.86 * a, a)
    scale = 1.0 / (a * canvas.size)
    u, v = patch.u * scale, patch.v * scale
    colour = blend(species.body.belly, clip01(0.3 - 1.2 * v), species.body.back)
    if species.body.pattern != "plain":
        colour = blend(colour, clip01(1.2 - 3.4 * dots(u * 2.3, v * 2.3)), species.body.ink)
    canvas.paint(patch, edge - 0.07 / scale, mix(species.body.back, INK, 0.75), 0.85)
    canvas.paint(patch, edge, colour * (1.02 - 0.2 * clip01(edge * (2.0 * scale) + 1.0) - 0.12 * v))
    for turn in (0.5, 2.6):
        leaf(painter, x, y - a, turn + math.pi, 1.7 * a)


def _blossom(painter: Painter, species: Species, x: float, y: float, angle: float) -> None:
    """A flower whose petals have the head's colour and whose eye has its marking's."""
    heart = species.head.marks[0][1]
    flower(painter, x, y, angle, painter.between(0.035, 0.07), species.head.base, heart)

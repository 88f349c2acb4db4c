"""Wing and tail: flight feathers fanned out, with their light and ink. Lengths in bird units."""

import math

import numpy as np

from cmr.data.toybirds.brush import Canvas, Colour, Field, Patch, blend, clip01, dots, mix, scallops, taper, wave
from cmr.data.toybirds.pose import RUMP, TAIL, WING, Pose
from cmr.data.toybirds.species import INK, Tail, Wing


def inked(colour: Colour) -> Colour:
    """The ink of an outline around a colour."""
    return mix(INK, colour, 0.18)


def shade(canvas: Canvas, pose: Pose, patch: Patch, distance: Field, depth: float, colour: np.ndarray) -> np.ndarray:
    """Light from above and a side: brighter towards it, darker along the lower rim."""
    scale = 1.0 / (canvas.size * pose.unit)
    rim = clip01(distance * (scale / depth) + 1.0)  # 0 in the middle, 1 at the edge
    rim *= rim
    down = (canvas.grid[patch.rows, None] - pose.y * canvas.size) * (0.17 * scale)
    side = (canvas.grid[patch.cols] - pose.x * canvas.size) * (0.05 * pose.light * scale)
    tone = 1.03 - down + side
    tone -= rim * (0.16 + 0.9 * np.maximum(down, 0.0))
    return colour * np.minimum(np.maximum(tone, 0.35), 1.35)


def draw_tail(canvas: Canvas, pose: Pose, tail: Tail) -> None:
    """Paints five tail feathers, the outer ones under the inner; the species gives length and outline."""
    shapes = {"square": (1.05, 0.0), "fork": (1.0, 0.34), "wedge": (1.15, -0.3), "round": (1.0, -0.14)}
    length, outer = shapes.get(tail.shape, (1.45, -0.42))
    away = math.pi + pose.droop
    for place in (1.0, 0.5, 0.0):
        for side in (1.0, -1.0) if place else (1.0,):
            offset = side * place
            pattern = "plain" if tail.pattern == "edges" and place < 1.0 else tail.pattern
            base = tail.ink if tail.pattern == "edges" and place == 1.0 else tail.base
            _feather(
                canvas,
                pose,
                (RUMP[0] + 0.22 + 0.02 * place, RUMP[1] + 0.02 - 0.09 * offset),
                away + offset * pose.fan,
                0.3 + length + outer * place,
                0.25,
                TAIL,
                base,
                tail.ink,
                pattern,
                0.92 if place else 1.04,
                0.04 * offset,
            )


def draw_wing(canvas: Canvas, pose: Pose, wing: Wing, far: bool) -> None:
    """Flight feathers fanned from an arm, then coverts over their roots; the same for a folded and a raised wing."""
    unit, size, up = pose.unit, canvas.size, pose.raised
    shoulder = (0.28, -0.24) if not far else (0.52, -0.30)
    arm_angle = math.pi - 0.06 + up * (1.05 if not far else 1.55)
    arm = 0.34 + 0.50 * up
    dim = 0.80 if far else 1.0
    hand = (shoulder[0] + arm * math.cos(arm_angle), shoulder[1] + arm * math.sin(arm_angle))
    count = 7
    for k in range(count):
        share = k / (count - 1)  # 0 at the hand .. 1 at the body
        root = (hand[0] + (shoulder[0] - hand[0]) * share * 0.85, hand[1] + (shoulder[1] - hand[1]) * share * 0.85)
        first, last = math.pi - 0.10 + up * (1.25 if not far else 1.75), math.pi - 0.16 + up * 0.12
        angle = first + (last - first) * share
        length = (1.22 - 0.55 * share) * (1.0 - up) + (1.12 - 0.38 * share) * up
        width = 0.19 + 0.10 * up
        drop = (1.0 - up) * (0.10 - 0.20 * share)
        pattern = wing.pattern if wing.pattern in ("tips", "edges") else "plain"
        base = wing.ink if wing.pattern == "panel" and k >= count - 3 else wing.flight
        _feather(
            canvas, pose, (root[0], root[1] + drop), angle, length, width, WING, base, wing.ink, pattern,
            dim * (0.9 + 0.05 * (k % 2) + 0.08 * share), 0.05,
        )  # fmt: skip

    reach = arm + 0.45
    patch = pose.patch(canvas, *shoulder, arm_angle + 0.10 * (1 - up), 0.5 * reach + 0.45, 0.5 * reach, flip=True)
    length = reach - 0.12
    edge, along = taper(canvas, patch, length * unit, 0.30 * unit, 0.10 * unit, 0.10 * unit)
    per = 1.0 / (size * unit)
    v, pixel = patch.v * per, max(per * 1.5, 0.03)
    colour = blend(wing.coverts, clip01(0.25 + v * 1.6) * 0.25, wing.flight)
    if per < 0.07:
        colour = colour * (0.88 + 0.24 * scallops(along * 5.0, v * 4.6))
    if wing.pattern in ("bar", "bars"):
        cover = clip01((0.055 - np.abs(along - 0.88 + 0.55 * v)) * (1.0 / pixel) + 0.5)
        if wing.pattern == "bars":
            cover = np.maximum(cover, clip01((0.05 - np.abs(along - 0.52 + 0.55 * v)) * (1.0 / pixel) + 0.5))
        colour = blend(colour, cover, wing.ink)
    elif wing.pattern == "spots":
        field = 0.85 - 2.6 * dots(along * 4.4 + 0.3, v * 5.2)
        colour = blend(colour, clip01(field * (0.12 / pixel) + 0.5), wing.ink)
    elif wing.pattern == "edges":
        colour = blend(colour, clip01((wave(along * 3.2) + 0.1) * (-0.12 / pixel) + 0.3) * 0.7, wing.ink)
    colour = shade(canvas, pose, patch, edge, 0.3, colour) * dim
    line = 0.03 * unit * size
    canvas.paint(patch, edge - line, inked(wing.coverts), 0.8, owner=WING)
    canvas.paint(patch, edge, colour, owner=WING)


def _feather(
    canvas: Canvas,
    pose: Pose,
    root: tuple[float, float],
    angle: float,
    length: float,
    width: float,
    owner: int,
    base: Colour,
    ink: Colour,
    pattern: str,
    dim: float,
    bend: float = 0.0,
) -> None:
    """One flight or tail feather, with the part of its wing's or tail's pattern that falls on it."""
    unit, size = pose.unit, canvas.size
    patch = pose.patch(canvas, *root, angle, 0.5 * length + width * 1.6 + abs(bend), 0.5 * length)
    edge, along = taper(
        canvas, patch, length * unit, 0.5 * width * unit, 0.55 * width * unit, 0.45 * width * unit, bend * unit
    )
    if edge.size == 0:
        return
    pixel = max(1.5 / (length * unit * size), 0.04)
    colour: Colour | np.ndarray = base
    if pattern in ("tip", "tips"):
        colour = blend(base, clip01((along - 0.80) * (1.0 / pixel) + 0.5), ink)
    elif pattern == "bands":
        colour = blend(base, clip01(wave(along * 3.5 + 0.25) * (0.12 / pixel) + 0.5), ink)
    elif pattern == "root":
        colour = blend(base, clip01((0.5 - along) * (1.0 / pixel) + 0.5), ink)
    elif pattern == "edges":
        colour = blend(base, clip01((edge * (1.0 / (unit * size)) + 0.42 * width) * (9.0 / width) + 0.5) * 0.9, ink)
    # Light falls off towards the root and the shaft shows as a fine line.
    tone = dim * (0.86 + 0.16 * along)
    colour = (np.array(colour, np.float32)[:, None, None] if isinstance(colour, tuple) else colour) * tone
    line = 0.026 * unit * size
    canvas.paint(patch, edge - line, inked(base), 0.85, owner=owner)
    canvas.paint(patch, edge + 0.4 * line, colour, owner=owner)
    if unit * size > 18.0:
        shaft = np.abs(patch.v - along * along * (bend * unit * size)) - 0.010 * unit * size
        canvas.paint(patch, np.maximum(shaft, edge + 2 * line), mix(INK, base, 0.5), 0.45)

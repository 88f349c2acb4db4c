"""The bird: its six parts painted back to front. Lengths in bird units (pose.py)."""

import math
from collections.abc import Sequence

import numpy as np

from cmr.data.toybirds.brush import (
    Canvas,
    Colour,
    Field,
    Patch,
    blend,
    clip01,
    dots,
    ellipse,
    lookup,
    mix,
    noise,
    smooth_min,
    taper,
    wave,
)
from cmr.data.toybirds.feathers import draw_tail, draw_wing, inked, shade
from cmr.data.toybirds.pose import BEAK, BODY, CHEST, HEAD, LEGS, RUMP, Pose
from cmr.data.toybirds.species import INK, SNOW, SOOT, Beak, Body, Head, Legs, Species


def draw_bird(canvas: Canvas, pose: Pose, looks: Sequence[Species], rng: np.random.Generator) -> None:
    """Paints the bird.

    Args:
        canvas: painted on; its owner map gets 1 + the part's index.
        pose: from `draw_pose`.
        looks: for each of PARTS the species whose look it has.
        rng: for what belongs to no species (ruffles of the plumage).
    """
    head, beak, body = looks[0].head, looks[1].beak, looks[2].body
    wing, tail, legs = looks[3].wing, looks[4].tail, looks[5].legs
    ruffles = noise(rng, 24, 24, 24)
    if pose.raised > 0.5:
        draw_wing(canvas, pose, wing, far=True)
    draw_tail(canvas, pose, tail)
    _legs(canvas, pose, legs)
    _torso(canvas, pose, head, body, ruffles)
    draw_wing(canvas, pose, wing, far=False)
    _face(canvas, pose, head, beak)


def head_colours(head: Head, u: Field, v: Field, pixel: float) -> np.ndarray:
    """(3, h, w) colours of a head's plumage; `pixel` is one pixel in head radii."""
    colour: np.ndarray | Colour = head.base
    for kind, mark in head.marks:
        cover = clip01(head_mark(kind, u, v) * (-1.0 / max(pixel, 0.10)) + 0.5)
        colour = blend(colour, cover, mark)
    return np.broadcast_to(colour, (3, *u.shape)) if isinstance(colour, np.ndarray) else blend(colour, u * 0.0, colour)


def head_mark(kind: str, u: Field, v: Field) -> Field:
    """Signed field of a marking on the head, in head radii from its middle (u to the beak, v down); negative inside."""
    if kind == "cap":
        return v + 0.26 + 0.10 * u
    if kind == "crown":
        return np.maximum(v + 0.42 + 0.18 * u, -0.75 - u)
    if kind == "mask":
        return _stripe(u, v + 0.06 + 0.12 * u, -0.42) - 0.27
    if kind == "eyeline":
        return _stripe(u, v + 0.08 + 0.10 * u, -0.72) - 0.12
    if kind == "brow":
        return _stripe(u, v + 0.46 - 0.10 * u, -0.70) - 0.18
    if kind == "bib":
        return np.maximum(0.24 - v + 0.15 * u, -0.45 - u)
    if kind == "cheek":
        return np.sqrt((u + 0.02) * (u + 0.02) + (v - 0.30) * (v - 0.30)) - 0.44
    if kind == "nape":
        return u + 0.22 - 0.35 * v
    if kind == "face":
        return 0.10 - u + 0.15 * v
    if kind == "stripes":
        return np.minimum(np.abs(v + 0.10) - 0.11, np.minimum(np.abs(v + 0.68) - 0.16, np.abs(v - 0.36) - 0.10))
    if kind == "collar":
        return np.abs(v - 0.55 + 0.55 * u) - 0.24
    if kind == "spectacle":
        ring = np.sqrt((u - 0.26) * (u - 0.26) + (v + 0.10) * (v + 0.10))
        return ring - 0.42
    raise ValueError(kind)


def _stripe(u: Field, v: Field, end: float) -> Field:
    """Distance to the line v = 0 that comes from the beak and ends at u = `end`."""
    over = np.maximum(end - u, 0.0)
    return np.sqrt(over * over + v * v)


def _plumage(body: Body, u: Field, v: Field, along: Field, pixel: float) -> Field:
    """Colours of the body: back above, belly below, a pattern on breast and flanks.

    `along` runs from chest to rump, 0 to 1; `pixel` is how soft the borders are, in bird units.
    """
    low = v - 0.02 - 0.30 * u
    tint = blend(body.back, clip01(low * (1.0 / 0.22) + 0.5), body.belly)
    flank = clip01(low * 4.0 + 0.6) * clip01(1.2 - along * 1.1)
    if body.pattern == "breast":
        cover = clip01(1.7 - 2.2 * np.sqrt((u - 0.62) * (u - 0.62) + (v - 0.05) * (v - 0.05)))
        tint = blend(tint, cover, body.ink)
    elif body.pattern != "plain":
        p, q = u * 0.94 + v * 0.34, v * 0.94 - u * 0.34
        if body.pattern == "spots":
            field = 0.9 - 3.0 * dots(p * 4.2, q * 4.2)
        elif body.pattern == "streaks":
            field = -wave(q * 4.0) - 0.7 - 0.9 * wave(p * 1.7)
            field = np.minimum(field, -wave(q * 4.0) - 0.25)
        else:
            field = -wave(p * 3.4) - 0.1
        tint = blend(tint, clip01(field * (0.10 / pixel) + 0.5) * flank * 0.9, body.ink)
    return tint


def _torso(canvas: Canvas, pose: Pose, head: Head, body: Body, ruffles: Field) -> None:
    """Trunk, neck, skull and crest melted into one outline, with the plumage of body and head inside."""
    size, unit = canvas.size, pose.unit
    per = 1.0 / (size * unit)  # bird units in a pixel
    facing = math.pi - pose.nod if pose.back else pose.nod
    patch = pose.patch(canvas, 0.0, 0.0, 0.0, 2.0)
    u, v = patch.u * per, patch.v * per

    axis = math.atan2(RUMP[1] - CHEST[1], RUMP[0] - CHEST[0])
    trunk = _moved(patch, u, v, CHEST, axis, size * unit)
    length = math.hypot(RUMP[0] - CHEST[0], RUMP[1] - CHEST[1])
    belly_edge, along = taper(canvas, trunk, length * unit, 0.66 * unit, 0.24 * unit, 0.06 * unit)
    neck = _moved(patch, u, v, CHEST, math.atan2(pose.head[1] - CHEST[1], pose.head[0] - CHEST[0]), size * unit)
    reach = math.hypot(pose.head[0] - CHEST[0], pose.head[1] - CHEST[1])
    neck_edge, _ = taper(canvas, neck, reach * unit, 0.56 * unit, 0.44 * unit)
    skull = _moved(patch, u, v, pose.head, facing, size * unit, flip=pose.back)
    skull_edge = ellipse(canvas, skull, 0.56 * unit, 0.52 * unit)
    if head.crest:
        for lean, share in ((2.75, 1.0), (2.45, 0.92), (2.15, 0.7)):
            tuft = _moved(skull, skull.u * per, skull.v * per, (0.05, -0.22), -lean, size * unit)
            tuft_edge, _ = taper(
                canvas, tuft, (0.36 + 0.5 * head.crest * share) * unit, 0.22 * unit, 0.03 * unit, 0.0, 0.08 * unit
            )
            skull_edge = smooth_min(skull_edge, tuft_edge, 0.12 * size * unit)
    rest = smooth_min(belly_edge, neck_edge, 0.5 * size * unit)
    edge = smooth_min(rest, skull_edge, 0.22 * size * unit)

    pixel = max(per * 1.5, 0.05)
    tint = _plumage(body, u, v, along, pixel)

    # Plumage of the head, whose border to the body is ruffled.
    ragged = lookup(ruffles, u * 2.6, v * 2.6)
    border = skull_edge * per - 0.05 + 0.16 * (ragged - 0.5)
    r = 0.54
    hu, hv = skull.u * (per / r) - 0.35 * pose.turn, skull.v * (per / r)
    is_head = clip01(border * (-1.0 / max(per, 0.06)) + 0.5)
    tint = blend(tint, is_head, head_colours(head, hu, hv, per / r))

    # Soft light, fine feathers, then everything inside one ink line.
    tint = shade(canvas, pose, patch, edge, 0.42, tint)
    glow = clip01(1.0 - 1.6 * np.sqrt((u - pose.head[0]) * (u - pose.head[0]) + (v - pose.head[1] + 0.3) ** 2))
    tint = blend(tint, glow * 0.16, (1.0, 0.98, 0.92))
    if per < 0.06:
        fine = lookup(ruffles, u * 9.0 + v * 4.0, v * 16.0 - u * 7.0) - 0.5
        tint = tint * (1.0 + 0.16 * fine)
    line = 0.035 * unit * size
    canvas.paint(patch, edge - line, inked(body.back), 0.9, owner=BODY)
    canvas.paint(patch, edge, tint, owner=BODY)
    owner = canvas.owner[patch.rows, patch.cols]
    owner[(is_head >= 0.5) & (owner == BODY)] = HEAD


def _moved(
    patch: Patch, u: Field, v: Field, origin: tuple[float, float], angle: float, scale: float, flip: bool = False
) -> Patch:
    """The patch with other axes: origin in bird units, angle from the old u."""
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    du, dv = u - origin[0], v - origin[1]
    side = -1.0 if flip else 1.0
    return Patch(patch.rows, patch.cols, du * cos + dv * sin, dv * (cos * side) - du * (sin * side))


def _legs(canvas: Canvas, pose: Pose, legs: Legs) -> None:
    """Thigh, shank and three toes a leg; upright however the trunk is pitched."""
    unit, (hip_x, hip_y), (foot_x, foot_y) = pose.unit, pose.hip, pose.feet
    for k, gap in enumerate((-0.17, 0.13)):
        dim = (0.78, 1.0)[k]
        colour = mix(INK, legs.colour, 0.9 * dim)
        ground = foot_y + (gap * math.tan(pose.slope) * (-1 if pose.left else 1) if pose.stance == "perch" else 0.0)
        if pose.stance == "air":
            knee, foot = (hip_x + gap - 0.10, hip_y + 0.35), (hip_x + gap - 0.42, foot_y - 0.05)
        else:
            knee, foot = (hip_x + gap - 0.10, hip_y + 0.42), (foot_x + gap, ground)
        strokes = [((hip_x + gap, hip_y), knee, legs.width * 2.2), (knee, foot, legs.width)]
        tilt = pose.slope * (-1 if pose.left else 1) if pose.stance == "perch" else 0.0
        for toe, long in ((tilt + 0.12, 0.30), (tilt + 0.55, 0.24), (math.pi + tilt - 0.1, 0.2)):
            end = (foot[0] + long * math.cos(toe), foot[1] + long * math.sin(toe))
            strokes.append((foot, end, legs.width * 0.85))
        edges = []
        for start, end, width in strokes:
            length = math.hypot(end[0] - start[0], end[1] - start[1])
            angle = math.atan2(end[1] - start[1], end[0] - start[0])
            patch = pose.patch(canvas, *start, angle, 0.5 * length + 0.2, 0.5 * length, pitched=False)
            first = max(width * unit, 0.55 / canvas.size)
            edges.append((patch, taper(canvas, patch, length * unit, first, legs.width * 0.8 * unit)[0]))
        for patch, edge in edges:  # all the ink first, so that joints show no lines
            canvas.paint(patch, edge - 0.02 * unit * canvas.size, inked(colour), 0.8, owner=LEGS)
        for patch, edge in edges:
            canvas.paint(patch, edge, colour, owner=LEGS)


def _face(canvas: Canvas, pose: Pose, head: Head, beak: Beak) -> None:
    """Beak and eye."""
    unit, size = pose.unit, canvas.size
    facing = math.pi - pose.nod if pose.back else pose.nod
    forward = -1.0 if pose.back else 1.0
    cos, sin = math.cos(pose.nod), math.sin(pose.nod)

    def on_head(u: float, v: float) -> tuple[float, float]:
        return pose.head[0] + forward * (u * cos - v * sin), pose.head[1] + u * sin + v * cos

    slim = 1.0 - 0.35 * pose.turn
    length, depth = beak.length * slim + 0.12, beak.depth
    patch = pose.patch(canvas, *on_head(0.44 * slim, 0.06), facing, 0.5 * length + 0.4, 0.5 * length, flip=pose.back)
    edge, along = taper(canvas, patch, length * unit, depth * unit, 0.018 * unit, 0.0, (beak.bend + 0.02) * unit)
    line = 0.03 * unit * size
    below = clip01(patch.v * (1.0 / (0.05 * unit * size)) + 0.5)
    colour = blend(mix(beak.colour, SNOW, 0.12), below, mix(beak.colour, SOOT, 0.28))
    canvas.paint(patch, edge - line, inked(beak.colour), 0.9, owner=BEAK)
    canvas.paint(patch, edge, colour, owner=BEAK)
    middle = patch.v - along * along * (beak.bend * unit * size)
    canvas.paint(patch, np.maximum(np.abs(middle) - 0.4 * line, edge), INK, 0.5)

    place = on_head(0.16 * slim - 0.02, -0.07)
    patch = pose.patch(canvas, *place, facing, 0.3, flip=pose.back)
    near = np.sqrt(patch.u * patch.u + patch.v * patch.v)
    scale = unit * size
    if head.eye is not INK:
        canvas.paint(patch, near - 0.165 * scale, head.eye, owner=HEAD)
    canvas.paint(patch, near - 0.128 * scale, mix(SNOW, SOOT, 0.25), 0.55, owner=HEAD)
    canvas.paint(patch, near - 0.108 * scale, (0.05, 0.04, 0.05), owner=HEAD)
    x, y = pose.at(*place)
    shine = canvas.patch(x - 0.03 * unit, y - 0.035 * unit, 0.0, 0.08 * unit)
    spot = np.sqrt(shine.u * shine.u + shine.v * shine.v)
    canvas.paint(shine, spot - 0.038 * scale, (1.0, 1.0, 1.0), 0.95)

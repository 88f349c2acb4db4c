"""The bird: a pose drawn from chance, and its six parts painted back to front.

Bird units: the chest's radius is 0.66, the folded bird about 3.6 long; x forward, y down, origin in the body's middle.
"""

import math
from dataclasses import dataclass

import numpy as np

from cmr.data.toyart.brush import (
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
    scallops,
    smooth_min,
    taper,
    wave,
)
from cmr.data.toyart.species import INK, SNOW, SOOT, SPECIES, Beak, Head, Legs, Tail, Wing

PARTS = ("head", "beak", "body", "wing", "tail", "legs")
HEAD, BEAK, BODY, WING, TAIL, LEGS = range(1, 7)  # a canvas's owner values
CHEST, RUMP = (0.30, 0.06), (-0.98, -0.06)


@dataclass(frozen=True)
class Pose:
    """Where a bird is and how it holds itself; the same whatever species its parts are drawn from."""

    x: float
    y: float
    unit: float  # one bird unit as a share of the image's side
    left: bool  # faces left
    pitch: float  # radians, positive: chest down
    head: tuple[float, float]  # the head's middle, bird units
    nod: float  # radians, the beak's direction
    back: bool  # looks over its shoulder
    turn: float  # 0 in profile .. 1 towards the viewer
    raised: float  # 0 wing folded .. 1 wing up
    droop: float  # radians, the tail's angle to the body
    fan: float  # how far tail feathers are spread
    stance: str  # perch, ground, air
    slope: float  # radians, of the perch
    light: float  # -1 from the left .. 1 from the right

    def at(self, x: float, y: float, pitched: bool = True) -> tuple[float, float]:
        """Place in the image of a point in bird units."""
        if pitched:
            cos, sin = math.cos(self.pitch), math.sin(self.pitch)
            x, y = x * cos - y * sin, x * sin + y * cos
        return self.x + (-x if self.left else x) * self.unit, self.y + y * self.unit

    def patch(
        self,
        canvas: Canvas,
        x: float,
        y: float,
        angle: float,
        reach: float,
        ahead: float = 0.0,
        flip: bool = False,
        pitched: bool = True,
    ) -> Patch:
        """Axes at a point of the bird, all in bird units: u in direction `angle`, v towards the bird's right of it."""
        angle += self.pitch if pitched else 0.0
        return canvas.patch(
            *self.at(x, y, pitched),
            math.pi - angle if self.left else angle,
            reach * self.unit,
            self.left != flip,
            ahead * self.unit,
        )

    @property
    def foot(self) -> tuple[float, float]:
        """Where the bird stands, as a place in the image."""
        return self.at(*self._foot, pitched=False)

    @property
    def _foot(self) -> tuple[float, float]:
        hip = self._hip
        return hip[0] + 0.05, hip[1] + (0.62 if self.stance == "air" else 0.78)

    @property
    def _hip(self) -> tuple[float, float]:
        cos, sin = math.cos(self.pitch), math.sin(self.pitch)
        return -0.12 * cos - 0.42 * sin, -0.12 * sin + 0.42 * cos


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draws a pose; the place is such that beak, tail, feet and wing stay within the image."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * rng.random()

    unit = 0.078 * 2.9 ** rng.random()
    kind, raised = rng.random(), rng.random()
    stance = "perch" if kind < 0.62 else "ground" if kind < 0.9 else "air"
    lift = between(0.75, 1.0) if stance == "air" or raised < 0.22 else between(0.0, 0.12)
    pitch = between(-0.15, 0.2) if stance == "air" else between(-0.75, 0.2)
    back = rng.random() < 0.2 and lift < 0.5  # a raised wing would cover the face
    head = (between(0.62, 0.82) - 0.28 * back, between(-0.92, -0.72))
    pose = Pose(
        x=0.0,
        y=0.0,
        unit=unit,
        left=rng.random() < 0.5,
        pitch=pitch,
        head=head,
        nod=(pitch if back else -pitch) * 0.8 + between(-0.35, 0.35),
        back=back,
        turn=between(0.0, 0.55),
        raised=lift,
        droop=between(-0.35, 0.4),
        fan=between(0.03, 0.16) + 0.1 * (stance == "air"),
        stance=stance,
        slope=between(-0.28, 0.28),
        light=between(-1.0, 1.0),
    )
    tips = [(head[0], head[1] - 0.9), (head[0] + (-1.0 if back else 1.0), head[1])]
    tips += [(RUMP[0] - 1.45 * math.cos(pose.droop), RUMP[1] + 1.45 * math.sin(-pose.droop)), (0.9, 0.4)]
    tips += [(-0.9, -1.9), (-0.1, -1.9)] if lift > 0.5 else []
    corners = np.array([pose.at(*tip) for tip in tips] + [pose.foot])
    low, high = 0.02 - corners.min(0), 0.98 - corners.max(0)
    place = [a + (b - a) * rng.random() if a < b else 0.5 * (a + b) for a, b in zip(low, high, strict=True)]
    return Pose(**{**pose.__dict__, "x": float(place[0]), "y": float(place[1])})


def draw_bird(canvas: Canvas, pose: Pose, looks: tuple[int, ...], rng: np.random.Generator) -> None:
    """Paints the bird.

    Args:
        canvas: painted on; its owner map gets 1 + the part's index.
        pose: from `draw_pose`.
        looks: for each of PARTS the species whose look it has.
        rng: for what belongs to no species (ruffles of the plumage).
    """
    head, beak, body = SPECIES[looks[0]].head, SPECIES[looks[1]].beak, SPECIES[looks[2]].body
    wing, tail, legs = SPECIES[looks[3]].wing, SPECIES[looks[4]].tail, SPECIES[looks[5]].legs
    ruffles = noise(rng, 24, 24, 24)
    if pose.raised > 0.5:
        _wing(canvas, pose, wing, far=True)
    _tail(canvas, pose, tail)
    _legs(canvas, pose, legs)
    _torso(canvas, pose, head, body, ruffles)
    _wing(canvas, pose, wing, far=False)
    _face(canvas, pose, head, beak)


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


def head_colours(head: Head, u: Field, v: Field, pixel: float) -> np.ndarray:
    """(3, h, w) colours of a head's plumage; `pixel` is one pixel in head radii."""
    colour: np.ndarray | Colour = head.base
    for kind, mark in head.marks:
        cover = clip01(head_mark(kind, u, v) * (-1.0 / max(pixel, 0.10)) + 0.5)
        colour = blend(colour, cover, mark)
    return np.broadcast_to(colour, (3, *u.shape)) if isinstance(colour, np.ndarray) else blend(colour, u * 0.0, colour)


def _shade(canvas: Canvas, pose: Pose, patch: Patch, distance: Field, depth: float, colour: np.ndarray) -> np.ndarray:
    """Light from above and a side: brighter towards it, darker along the lower rim."""
    scale = 1.0 / (canvas.size * pose.unit)
    rim = clip01(distance * (scale / depth) + 1.0)  # 0 in the middle, 1 at the edge
    rim *= rim
    down = (canvas.grid[patch.rows, None] - pose.y * canvas.size) * (0.17 * scale)
    side = (canvas.grid[patch.cols] - pose.x * canvas.size) * (0.05 * pose.light * scale)
    tone = 1.03 - down + side
    tone -= rim * (0.16 + 0.9 * np.maximum(down, 0.0))
    return colour * np.minimum(np.maximum(tone, 0.35), 1.35)


def _torso(canvas: Canvas, pose: Pose, head: Head, body, ruffles: Field) -> None:
    size, unit = canvas.size, pose.unit
    per = 1.0 / (size * unit)  # bird units in a pixel
    facing = math.pi + pose.nod * -1.0 if pose.back else pose.nod
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

    # Plumage of the body: back above, belly below, a pattern on breast and flanks.
    pixel = max(per * 1.5, 0.05)
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

    # Plumage of the head, whose border to the body is ruffled.
    ragged = lookup(ruffles, u * 2.6, v * 2.6)
    border = skull_edge * per - 0.05 + 0.16 * (ragged - 0.5)
    r = 0.54
    hu, hv = skull.u * (per / r) - 0.35 * pose.turn, skull.v * (per / r)
    is_head = clip01(border * (-1.0 / max(per, 0.06)) + 0.5)
    tint = blend(tint, is_head, head_colours(head, hu, hv, per / r))

    # Soft light, fine feathers, then everything inside one ink line.
    tint = _shade(canvas, pose, patch, edge, 0.42, tint)
    glow = clip01(1.0 - 1.6 * np.sqrt((u - pose.head[0]) * (u - pose.head[0]) + (v - pose.head[1] + 0.3) ** 2))
    tint = blend(tint, glow * 0.16, (1.0, 0.98, 0.92))
    if per < 0.06:
        fine = lookup(ruffles, u * 9.0 + v * 4.0, v * 16.0 - u * 7.0) - 0.5
        tint = tint * (1.0 + 0.16 * fine)
    line = 0.035 * unit * size
    canvas.paint(patch, edge - line, _inked(body.back), 0.9, owner=BODY)
    canvas.paint(patch, edge, tint, owner=BODY)
    owner = canvas.owner[patch.rows, patch.cols]
    owner[(is_head >= 0.5) & (owner == BODY)] = HEAD


def _moved(patch: Patch, u: Field, v: Field, origin: tuple[float, float], angle: float, scale: float, flip=False):
    """The patch with other axes: origin in bird units, angle from the old u."""
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    du, dv = u - origin[0], v - origin[1]
    side = -1.0 if flip else 1.0
    return Patch(patch.rows, patch.cols, du * cos + dv * sin, dv * (cos * side) - du * (sin * side))


def _inked(colour: Colour) -> Colour:
    return mix(INK, colour, 0.18)


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
    canvas.paint(patch, edge - line, _inked(base), 0.85, owner=owner)
    canvas.paint(patch, edge + 0.4 * line, colour, owner=owner)
    if unit * size > 18.0:
        shaft = np.abs(patch.v - along * along * (bend * unit * size)) - 0.010 * unit * size
        canvas.paint(patch, np.maximum(shaft, edge + 2 * line), mix(INK, base, 0.5), 0.45)


def _tail(canvas: Canvas, pose: Pose, tail: Tail) -> None:
    shapes = {"square": (1.05, 0.0), "fork": (1.0, 0.34), "wedge": (1.15, -0.3), "round": (1.0, -0.14)}
    length, outer = shapes.get(tail.shape, (1.45, -0.42))
    away = math.pi + pose.droop
    pairs = (1.0, 0.5, 0.0)
    # Outer feathers lie under the middle one.
    for place in pairs:
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


def _wing(canvas: Canvas, pose: Pose, wing: Wing, far: bool) -> None:
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
    colour = _shade(canvas, pose, patch, edge, 0.3, colour) * dim
    line = 0.03 * unit * size
    canvas.paint(patch, edge - line, _inked(wing.coverts), 0.8, owner=WING)
    canvas.paint(patch, edge, colour, owner=WING)


def _legs(canvas: Canvas, pose: Pose, legs: Legs) -> None:
    unit, (hip_x, hip_y), (foot_x, foot_y) = pose.unit, pose._hip, pose._foot
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
            canvas.paint(patch, edge - 0.02 * unit * canvas.size, _inked(colour), 0.8, owner=LEGS)
        for patch, edge in edges:
            canvas.paint(patch, edge, colour, owner=LEGS)


def _face(canvas: Canvas, pose: Pose, head: Head, beak: Beak) -> None:
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
    canvas.paint(patch, edge - line, _inked(beak.colour), 0.9, owner=BEAK)
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

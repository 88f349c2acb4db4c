"""What is around the bird: habitats, perches, and leaves in front.

Nothing here depends on the bird's class: the only thing a background can teach a classifier is to look elsewhere.
"""

import math
from collections.abc import Sequence

import numpy as np

from cmr.data.toybirds.brush import Canvas, Colour, Field, blend, clip01, clouds, ellipse, lookup, mix, noise, taper
from cmr.data.toybirds.distractors import draw_distractor
from cmr.data.toybirds.plants import Painter, blade, branch, leaf, twig, wild_flower
from cmr.data.toybirds.pose import Pose
from cmr.data.toybirds.species import INK, Species


def draw_background(canvas: Canvas, pose: Pose, flock: Sequence[Species], rng: np.random.Generator) -> Painter:
    """Paints everything behind the bird, with things in the flock's colours; its painter goes to `draw_foreground`."""
    painter = Painter(canvas, rng)
    _far(painter)
    _bokeh(painter)
    for _ in range(1 + int(painter.between(0.0, 3.0))):
        twig(painter, blurred=True)
    _habitat(painter)
    for _ in range(1 + int(painter.between(0.0, 2.5))):
        twig(painter, blurred=False)
    for _ in range(1 + int(painter.between(0.0, 3.0))):
        draw_distractor(painter, flock)
    _perch(painter, pose)
    return painter


def draw_foreground(painter: Painter, pose: Pose) -> None:
    """Paints blurred leaves or blades in front, near the image's border, and the light over all."""
    canvas, between = painter.canvas, painter.between
    head = pose.at(*pose.head)
    for _ in range(int(between(0.0, 4.0))):
        side, place = painter.rng.random(), painter.rng.random()
        x, y, angle = (place, 1.05, -1.57) if side < 0.6 else (-0.05, place, 0.0) if side < 0.8 else (1.05, place, 3.14)
        angle += between(-0.6, 0.6)
        length, width = between(0.14, 0.36), between(0.012, 0.03)
        colour = mix(painter.colours[3], painter.colours[int(between(0.0, 3.0))], between(0.0, 0.5))
        if math.hypot(x + length * math.cos(angle) - head[0], y + length * math.sin(angle) - head[1]) < 0.9 * pose.unit:
            continue
        patch = canvas.patch(x, y, angle, 0.5 * length + 0.08, ahead=0.5 * length)
        edge, along = taper(canvas, patch, length, 0.6 * width, 0.001, 0.7 * width, between(-0.08, 0.08))
        tone = blend(mix(colour, INK, 0.25), along, colour)
        canvas.paint(patch, edge, tone, 0.92, soft=between(0.006, 0.02), owner=0)
    canvas.rgb *= _light(painter)


def _light(painter: Painter) -> Field:
    """Paper grain, and a little less light in the corners: (size, size) factors."""
    canvas = painter.canvas
    middle = canvas.grid * (1.0 / canvas.size) - 0.5
    middle *= middle
    tone = 1.04 - 0.30 * (middle + middle[:, None])
    tone += (noise(painter.rng, canvas.size, 96, 96) - 0.5) * 0.035
    return tone


def _far(painter: Painter) -> None:
    """Sky or out-of-focus foliage: a gradient from light to shade, moved about by two fields of noise."""
    canvas, rng, size = painter.canvas, painter.rng, painter.canvas.size
    light, middle, shade = (np.array(c, np.float32)[:, None, None] for c in painter.colours[:3])
    broad = clouds(rng, size, 2, 2, 3)
    stretch = painter.habitat in ("marsh", "sky", "dusk")
    fine = clouds(rng, size, 2 if stretch else 5, 12 if stretch else 5, 3)
    down = (canvas.grid * (1.0 / size))[:, None]
    weight = painter.between(0.35, 0.9)
    level = (down - 0.5) * weight + (broad - 0.5) * 1.7 + 0.5
    first, second = clip01(level * 2.0), clip01(level * 2.0 - 1.0)
    canvas.rgb += light
    canvas.rgb += first * (middle - light)
    canvas.rgb += second * (shade - middle)
    strength = painter.between(0.15, 0.5)
    lumps = clip01((fine - 0.52) * 5.0)
    canvas.rgb *= 1.0 - strength * 0.6 * lumps
    glints = clip01((0.40 - fine) * 6.0) * (strength * 0.8)
    canvas.rgb += glints * (light - canvas.rgb)


def _bokeh(painter: Painter) -> None:
    canvas, between = painter.canvas, painter.between
    for _ in range(int(between(0.0, 9.0))):
        radius = between(0.02, 0.09)
        patch = canvas.patch(between(0.0, 1.0), between(0.0, 1.0), 0.0, radius + 0.03)
        near = np.sqrt(patch.u * patch.u + patch.v * patch.v) - radius * canvas.size
        colour = mix(painter.colours[int(between(0.0, 5.0))], painter.colours[0], between(0.2, 0.8))
        canvas.paint(patch, near, colour, between(0.15, 0.45), soft=between(0.008, 0.04))


def _habitat(painter: Painter) -> None:
    """The things of the place: trunks, reeds, grass, stones, flowers."""
    between, habitat = painter.between, painter.habitat
    if habitat in ("wood", "autumn", "frost", "dusk"):
        for _ in range(1 + int(between(0.0, 3.0))):
            _trunk(painter)
    if habitat == "marsh":
        for _ in range(5 + int(between(0.0, 6.0))):
            blade(painter, 1.02, between(0.35, 0.9), reed=painter.rng.random() < 0.4)
    if habitat == "meadow":
        _ground(painter, between(0.55, 0.8))
        for _ in range(8 + int(between(0.0, 6.0))):
            blade(painter, between(0.85, 1.02), between(0.1, 0.35), reed=False)
        for _ in range(1 + int(between(0.0, 4.0))):
            wild_flower(painter, between(0.03, 0.06))
    if habitat in ("spring", "sky", "wood", "autumn"):
        for _ in range(4 + int(between(0.0, 5.0))):
            leaf(painter, between(0.0, 1.0), between(0.0, 1.0), between(0.0, 6.3), between(0.05, 0.12))
    if habitat in ("spring",):
        for _ in range(1 + int(between(0.0, 3.0))):
            wild_flower(painter, between(0.03, 0.055))


def _trunk(painter: Painter) -> None:
    canvas, between = painter.canvas, painter.between
    width = between(0.02, 0.07)
    patch = canvas.patch(between(-0.05, 1.05), -0.1, math.pi / 2 + between(-0.15, 0.15), 1.4)
    edge, _ = taper(canvas, patch, 1.4, width, width * 1.2, 0.0, between(-0.1, 0.1))
    side = patch.v * (1.0 / (width * canvas.size))
    bark = mix(painter.colours[5], painter.colours[1], between(0.25, 0.65))
    canvas.paint(
        patch, edge, blend(bark, clip01(0.5 + 0.5 * side) * 0.5, painter.colours[2]), between(0.6, 0.95), 0.012
    )


def _ground(painter: Painter, horizon: float) -> None:
    canvas = painter.canvas
    patch = painter.whole()
    edge = (horizon * canvas.size - canvas.grid)[:, None] + (noise(painter.rng, canvas.size, 4, 2) - 0.5) * (
        0.16 * canvas.size
    )
    tufts = noise(painter.rng, canvas.size, 110, 14) * 0.5 + clouds(painter.rng, canvas.size, 3, 6, 3) * 0.5
    colour = blend(mix(painter.colours[3], painter.colours[1], 0.5), clip01(tufts * 2.4 - 0.8), painter.colours[2])
    canvas.paint(patch, edge, colour, 0.92, 0.02)


def _perch(painter: Painter, pose: Pose) -> None:
    """What the bird's feet stand on."""
    between = painter.between
    x, y = pose.foot
    bark = mix(painter.colours[5], painter.colours[2], between(0.0, 0.25))
    if pose.stance == "perch":
        thick = pose.unit * between(0.13, 0.24)
        cos, sin = math.cos(pose.slope), math.sin(pose.slope)
        before, after = between(0.3, 1.2), between(0.3, 1.2)
        y += thick
        branch(
            painter,
            x - before * cos,
            y - before * sin,
            pose.slope,
            before + after,
            thick * 1.15,
            thick * 0.85,
            0.0,
            bark,
        )
        for share in (0.25, 0.8):
            along = before * share if painter.rng.random() < 0.5 else before + after * share
            px, py = x + (along - before) * cos, y + (along - before) * sin
            turn = pose.slope + (1 if painter.rng.random() < 0.5 else -1) * between(0.5, 1.3)
            leaf(painter, px, py, turn, between(0.06, 0.14))
    elif pose.stance == "ground":
        (_boulder if y > 0.6 else _post)(painter, x, y, pose.unit, bark)


def _boulder(painter: Painter, x: float, y: float, unit: float, bark: Colour) -> None:
    """A stone that rests below the image's lower border, so that nothing floats."""
    canvas, between = painter.canvas, painter.between
    tall = max(0.62 * (1.04 - y), 0.5 * unit)
    wide = max(unit * between(1.1, 1.9), tall * between(1.3, 2.2))
    patch = canvas.patch(x + between(-0.3, 0.3) * unit, y + tall * 0.96, 0.0, 1.2 * max(wide, tall))
    edge = ellipse(canvas, patch, wide, tall)
    edge += (noise(painter.rng, canvas.size, 7, 7)[patch.rows, patch.cols] - 0.5) * (0.07 * unit * canvas.size)
    grain = clouds(painter.rng, canvas.size, 12, 12, 3)[patch.rows, patch.cols]
    stone = mix(bark, (0.62, 0.61, 0.58), between(0.4, 0.9))
    down = patch.v * (1.0 / (unit * canvas.size)) + tall / unit
    tone = blend(
        mix(stone, (1.0, 1.0, 0.95), 0.3),
        clip01(0.1 + 0.42 * down * unit / tall + 0.9 * (grain - 0.5)),
        mix(stone, INK, 0.5),
    )
    moss = clip01((grain - 0.42) * 6.0) * clip01(1.5 - 1.4 * down)
    tone = blend(tone, moss * 0.85, mix(painter.colours[3], painter.colours[2], 0.2)) * (0.86 + 0.28 * grain)
    canvas.paint(patch, edge - 0.004 * canvas.size, mix(stone, INK, 0.75), 0.8)
    canvas.paint(patch, edge, tone)


def _post(painter: Painter, x: float, y: float, unit: float, bark: Colour) -> None:
    """A weathered post that goes down to the image's lower border."""
    canvas, wide = painter.canvas, unit * painter.between(0.55, 0.8)
    patch = canvas.patch(x, y, math.pi / 2, 1.0 - y + 0.1 + wide, ahead=0.5 * (1.1 - y))
    flat = np.maximum(np.abs(patch.v) - wide * canvas.size, -patch.u)
    per = 1.0 / (wide * canvas.size)
    table = noise(painter.rng, 32, 32, 32)
    grain = lookup(table, patch.u * (per * 1.1), patch.v * (per * 7.0)) - 0.5
    wood = mix(bark, (0.70, 0.66, 0.58), painter.between(0.2, 0.6))
    tone = blend(
        mix(wood, (1.0, 0.97, 0.9), 0.2), clip01(0.45 + patch.v * (-0.4 * per) + 0.7 * grain), mix(wood, INK, 0.5)
    )
    canvas.paint(patch, flat - 0.004 * canvas.size, mix(wood, INK, 0.75), 0.8)
    canvas.paint(patch, flat, tone)
    top = canvas.patch(x, y + 0.08 * wide, 0.0, 1.3 * wide)
    lid = ellipse(canvas, top, 1.06 * wide, 0.2 * wide)
    canvas.paint(top, lid - 0.004 * canvas.size, mix(wood, INK, 0.75), 0.8)
    canvas.paint(top, lid, mix(wood, (1.0, 0.96, 0.86), 0.3))

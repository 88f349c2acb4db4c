"""What is around the bird: habitats, perches, leaves in front, and distractors with the colours of birds.

Nothing here depends on the bird's class: the only thing a background can teach a classifier is to look elsewhere.
"""

import math

import numpy as np

from cmr.data.toyart.bird import Pose, head_colours
from cmr.data.toyart.brush import Canvas, Colour, Field, Patch, blend, clip01, clouds, ellipse, mix, noise, taper, wave
from cmr.data.toyart.species import INK, SPECIES, _rgb

#: For each habitat: sky or far light, middle, shade, leaf, blossom or berry, bark or stone.
PALETTES = {
    "wood": ("dfe6c4", "86a05a", "2f4a34", "6f9440", "d9485a", "6b5442"),
    "spring": ("f3efe2", "bcd3a4", "6d9a74", "8fb04a", "f2b6c6", "7a6250"),
    "autumn": ("f4e2bc", "cf9a4c", "6b4630", "d07a2c", "b3282d", "5a4434"),
    "sky": ("f6f0e2", "b9d7e4", "6fa7c9", "6c8f4e", "e8e2d0", "75604d"),
    "marsh": ("e9ecd9", "a5c2b4", "4d7a7e", "8d9a4c", "c98b4a", "7f6f50"),
    "meadow": ("d8e8ea", "a9c370", "5f8138", "7da23e", "f2d14a", "8d8676"),
    "dusk": ("f7d9b8", "c98f8c", "4d4a68", "58664c", "e9a23b", "4a3d3a"),
    "frost": ("f2f4f2", "c3d0d6", "77899a", "8a9a86", "c4344a", "64605e"),
}


class Painter:
    """A canvas, the chance that fills it, and the colours of its habitat."""

    def __init__(self, canvas: Canvas, rng: np.random.Generator):
        self.canvas, self.rng = canvas, rng
        self.habitat = list(PALETTES)[int(rng.random() * len(PALETTES))]
        self.colours = [self.vary(_rgb(code), 0.05) for code in PALETTES[self.habitat]]

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def vary(self, colour: Colour, width: float) -> Colour:
        red, green, blue = (min(max(c + self.between(-width, width), 0.0), 1.0) for c in colour)
        return red, green, blue

    def whole(self) -> Patch:
        return self.canvas.patch(0.5, 0.5, 0.0, 0.5)


def draw_background(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> Painter:
    """Paints everything behind the bird; the painter returned goes on to `draw_foreground`."""
    painter = Painter(canvas, rng)
    _far(painter)
    _bokeh(painter)
    for _ in range(1 + int(painter.between(0.0, 3.0))):
        _twig(painter, blurred=True)
    _habitat(painter)
    for _ in range(1 + int(painter.between(0.0, 2.5))):
        _twig(painter, blurred=False)
    for _ in range(1 + int(painter.between(0.0, 3.0))):
        _distractor(painter)
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
            _blade(painter, 1.02, between(0.35, 0.9), reed=painter.rng.random() < 0.4)
    if habitat == "meadow":
        _ground(painter, between(0.55, 0.8))
        for _ in range(3 + int(between(0.0, 4.0))):
            _blade(painter, between(0.9, 1.02), between(0.15, 0.4), reed=False)
        for _ in range(1 + int(between(0.0, 4.0))):
            _flower(painter, between(0.03, 0.06), painter.vary(painter.colours[4], 0.12))
    if habitat in ("spring", "sky", "wood", "autumn"):
        for _ in range(4 + int(between(0.0, 5.0))):
            _leaf(painter, between(0.0, 1.0), between(0.0, 1.0), between(0.0, 6.3), between(0.05, 0.12))
    if habitat in ("spring",):
        for _ in range(1 + int(between(0.0, 3.0))):
            _flower(painter, between(0.03, 0.055), painter.vary(painter.colours[4], 0.06))


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
    tufts = noise(painter.rng, canvas.size, 48, 12)
    colour = blend(mix(painter.colours[3], painter.colours[1], 0.5), clip01(tufts * 1.4 - 0.3), painter.colours[2])
    canvas.paint(patch, edge, colour, 0.92, 0.02)


def _blade(painter: Painter, y: float, length: float, reed: bool) -> None:
    canvas, between = painter.canvas, painter.between
    x, angle, width = between(0.0, 1.0), -math.pi / 2 + between(-0.3, 0.3), between(0.005, 0.011)
    bend = between(-0.12, 0.12)
    patch = canvas.patch(x, y, angle, 0.5 * length + 0.14, ahead=0.5 * length)
    edge, along = taper(canvas, patch, length, width, 0.001, 0.0, bend)
    colour = mix(painter.colours[3], painter.colours[int(between(0.0, 3.0))], between(0.0, 0.6))
    canvas.paint(patch, edge, blend(mix(colour, INK, 0.25), along, colour), 0.95, between(0.002, 0.01))
    if reed:
        head = np.maximum(np.abs(along - 0.88) * (length * canvas.size) - 0.04 * canvas.size, 0.0)
        across = patch.v - along * along * (bend * canvas.size)
        plume = np.sqrt(head * head + across * across) - 0.014 * canvas.size
        canvas.paint(patch, plume, mix(painter.colours[5], painter.colours[4], 0.4), 0.95, 0.003)


def _leaf(
    painter: Painter, x: float, y: float, angle: float, length: float, soft: float = 0.0, colour: Colour | None = None
) -> None:
    canvas, between = painter.canvas, painter.between
    if colour is None:
        colour = painter.vary(
            mix(painter.colours[3], painter.colours[int(between(0.0, 3.0))], between(0.0, 0.45)), 0.05
        )
    width, bend = length * between(0.14, 0.24), length * between(-0.2, 0.2)
    patch = canvas.patch(x, y, angle, 0.62 * length, ahead=0.5 * length)
    edge, along = taper(canvas, patch, length, 0.0, 0.0, width, bend)
    if edge.size == 0:
        return
    middle = patch.v - along * along * (bend * canvas.size)
    half = clip01(middle * (1.0 / max(1.0, 0.006 * canvas.size)) + 0.5)
    tone = blend(mix(colour, painter.colours[0], 0.22), half, mix(colour, INK, 0.16))
    if soft == 0.0 and length * canvas.size > 12.0:
        canvas.paint(patch, edge - 0.003 * canvas.size, mix(colour, INK, 0.55), 0.7)
        canvas.paint(patch, edge, tone)
        vein = np.maximum(np.abs(middle) - 0.0018 * canvas.size, edge)
        canvas.paint(patch, vein, mix(colour, painter.colours[0], 0.5), 0.6)
    else:
        canvas.paint(patch, edge, tone, 0.95, soft)


def _twig(painter: Painter, blurred: bool) -> None:
    """A twig from outside the image, with leaves and sometimes berries."""
    canvas, between = painter.canvas, painter.between
    side, place = painter.rng.random(), painter.rng.random()
    if side < 0.36:
        x, y, angle = -0.03, place, between(-0.6, 0.5)
    elif side < 0.72:
        x, y, angle = 1.03, place, math.pi + between(-0.5, 0.6)
    else:
        x, y, angle = place, -0.03, math.pi / 2 + between(-0.7, 0.7)
    length, width, bend = between(0.25, 0.7), between(0.006, 0.013), between(-0.12, 0.12)
    soft = between(0.012, 0.03) if blurred else 0.0
    bark = mix(painter.colours[5], painter.colours[1 if blurred else 2], 0.45 if blurred else 0.15)
    _branch(painter, x, y, angle, length, width, 0.3 * width, bend, bark, soft)
    berries = painter.rng.random() < 0.35 and not blurred
    for _ in range(3 + int(between(0.0, 4.0))):
        along = between(0.25, 1.0)
        cos, sin = math.cos(angle), math.sin(angle)
        across = bend * along * along
        px, py = x + length * along * cos - across * sin, y + length * along * sin + across * cos
        turn = angle + (1 if painter.rng.random() < 0.5 else -1) * between(0.4, 1.2)
        if berries and painter.rng.random() < 0.6:
            _berry(painter, px + 0.02 * math.cos(turn), py + 0.02 * abs(math.sin(turn)), between(0.012, 0.022))
        else:
            _leaf(painter, px, py, turn, between(0.06, 0.13) * (1.5 if blurred else 1.0), soft)


def _branch(
    painter: Painter,
    x: float,
    y: float,
    angle: float,
    length: float,
    start: float,
    end: float,
    bend: float,
    bark: Colour,
    soft: float = 0.0,
) -> None:
    """A stroke of bark, light above and dark below."""
    canvas = painter.canvas
    patch = canvas.patch(x, y, angle, 0.5 * length + start + abs(bend), ahead=0.5 * length)
    edge, along = taper(canvas, patch, length, start, end, 0.0, bend)
    if edge.size == 0:
        return
    down = (patch.v - along * along * (bend * canvas.size)) * ((1.0 if math.cos(angle) >= 0 else -1.0) / canvas.size)
    dark = clip01(0.5 + down * (0.5 / start))
    if soft == 0.0 and start * canvas.size > 3.0:
        rough = wave(along * (9.0 * length / 0.3) + down * (0.5 / start)) * wave(along * 5.3 + down * (1.1 / start))
        dark = clip01(dark + 0.22 * rough)
    tone = blend(mix(bark, painter.colours[0], 0.35), dark, mix(bark, INK, 0.45))
    if soft == 0.0:
        canvas.paint(patch, edge - 0.004 * canvas.size, mix(bark, INK, 0.7), 0.75)
    canvas.paint(patch, edge, tone, 0.97, soft)


def _berry(painter: Painter, x: float, y: float, radius: float) -> None:
    canvas = painter.canvas
    patch = canvas.patch(x, y, 0.6, radius * 1.6)
    near = np.sqrt(patch.u * patch.u + patch.v * patch.v)
    scale = radius * canvas.size
    colour = painter.vary(painter.colours[4], 0.06)
    canvas.paint(patch, near - 1.12 * scale, mix(colour, INK, 0.6), 0.8)
    canvas.paint(patch, near - scale, blend(colour, clip01(0.4 + patch.u * (0.6 / scale)), mix(colour, INK, 0.35)))
    glint = np.sqrt((patch.u + 0.4 * scale) ** 2 + (patch.v + 0.1 * scale) ** 2)
    canvas.paint(patch, glint - 0.22 * scale, (1.0, 0.98, 0.94), 0.8)


def _flower(painter: Painter, radius: float, colour: Colour) -> None:
    canvas, between = painter.canvas, painter.between
    x, y, first = between(0.0, 1.0), between(0.0, 1.0), between(0.0, 1.2)
    for k in range(5):
        angle = first + k * 2.0 * math.pi / 5
        patch = canvas.patch(x, y, angle, radius * 0.75, ahead=radius * 0.5)
        edge, along = taper(canvas, patch, radius * 0.8, radius * 0.10, radius * 0.22, radius * 0.22)
        canvas.paint(patch, edge - 0.0025 * canvas.size, mix(colour, INK, 0.5), 0.6)
        canvas.paint(patch, edge, blend(mix(colour, painter.colours[2], 0.35), along, colour))
    patch = canvas.patch(x, y, 0.0, radius * 0.4)
    near = np.sqrt(patch.u * patch.u + patch.v * patch.v) - 0.24 * radius * canvas.size
    canvas.paint(patch, near, mix(colour, (0.95, 0.75, 0.15), 0.7))


def _distractor(painter: Painter) -> None:
    """Something with the colours and patterns of a species drawn at random, but not a bird."""
    kind = painter.rng.random()
    species = SPECIES[int(painter.rng.random() * len(SPECIES))]
    canvas, between = painter.canvas, painter.between
    x, y, angle = between(0.02, 0.98), between(0.02, 0.98), between(0.0, 6.28)
    if kind < 0.34:  # a painted pebble: the head's marking without eye or beak
        a, b = between(0.03, 0.075), 0.0
        b = a * between(0.7, 0.95)
        patch = canvas.patch(x, y, angle, a * 1.3)
        edge = ellipse(canvas, patch, a, b)
        scale = 1.0 / (b * canvas.size)
        colour = head_colours(species.head, patch.u * scale, patch.v * scale, scale)
    elif kind < 0.62:  # a moth: four wings in the wing's colours
        _moth(painter, x, y, angle, between(0.03, 0.065), species.wing.coverts, species.wing.ink)
        return
    elif kind < 0.82:  # a leaf in the tail's colours
        _leaf(painter, x, y, angle, between(0.08, 0.17), colour=species.tail.base)
        return
    else:  # a speckled egg in the body's
        a = between(0.03, 0.065)
        b = a * 0.75
        patch = canvas.patch(x, y, angle, a * 1.3)
        edge = ellipse(canvas, patch, a, b)
        scale = 1.0 / (a * canvas.size)
        u, v = patch.u * scale, patch.v * scale
        dots = -0.5 * (wave(u * 1.5 + v * 0.8) + wave(u * 1.5 - v * 0.8)) - 0.2
        colour = blend(species.body.belly, clip01(dots * 3.0 + 0.4), species.body.ink)
    if edge.size == 0:
        return
    low = (canvas.grid[patch.rows, None] - y * canvas.size) * (0.22 / (a * canvas.size))
    canvas.paint(patch, edge - 0.004 * canvas.size, mix(species.body.ink, INK, 0.7), 0.7)
    canvas.paint(patch, edge, colour * (1.0 - low), 1.0)


def _moth(painter: Painter, x: float, y: float, angle: float, reach: float, colour: Colour, ink: Colour) -> None:
    canvas = painter.canvas
    for turn, share in ((0.75, 1.0), (-0.75, 1.0), (2.2, 0.75), (-2.2, 0.75)):
        patch = canvas.patch(x, y, angle + turn, reach * 0.85, ahead=reach * 0.6)
        edge, along = taper(canvas, patch, reach * share, reach * 0.05, reach * 0.34, reach * 0.1)
        canvas.paint(patch, edge - 0.003 * canvas.size, mix(colour, INK, 0.6), 0.8)
        band = clip01((along - 0.72) * 12.0 + 0.5)
        canvas.paint(patch, edge, blend(colour, band, ink))
    patch = canvas.patch(x, y, angle, reach * 0.7)
    edge, _ = taper(canvas, patch, reach * 0.5, reach * 0.09, reach * 0.07)
    canvas.paint(patch, edge, INK, 0.9)


def _perch(painter: Painter, pose: Pose) -> None:
    """What the bird's feet stand on."""
    canvas, between = painter.canvas, painter.between
    x, y = pose.foot
    bark = mix(painter.colours[5], painter.colours[2], between(0.0, 0.25))
    if pose.stance == "perch":
        thick = pose.unit * between(0.13, 0.24)
        cos, sin = math.cos(pose.slope), math.sin(pose.slope)
        before, after = between(0.3, 1.2), between(0.3, 1.2)
        y += thick
        _branch(
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
            _leaf(painter, px, py, turn, between(0.06, 0.14))
    elif pose.stance == "ground":
        wide = pose.unit * between(1.0, 1.9)
        tall = wide * between(0.35, 0.6)
        patch = canvas.patch(x, y + tall * 0.93, 0.0, wide * 1.2)
        edge = ellipse(canvas, patch, wide, tall)
        edge += (noise(painter.rng, canvas.size, 9, 9)[patch.rows, patch.cols] - 0.5) * (0.05 * wide * canvas.size)
        stone = mix(painter.colours[5], (0.62, 0.61, 0.58), between(0.3, 0.9))
        low = clip01(0.5 + patch.v * (0.5 / (tall * canvas.size)))
        grain = noise(painter.rng, canvas.size, 40, 40)[patch.rows, patch.cols]
        tone = blend(mix(stone, (1.0, 1.0, 0.95), 0.25), low, mix(stone, INK, 0.55)) * (0.9 + 0.2 * grain)
        canvas.paint(patch, edge - 0.004 * canvas.size, mix(stone, INK, 0.75), 0.8)
        canvas.paint(patch, edge, tone)

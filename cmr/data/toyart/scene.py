"""What is around the bird: habitats, perches, leaves in front, and distractors with the colours of birds.

Nothing here depends on the bird's class: the only thing a background can teach a classifier is to look elsewhere.
"""

import math

import numpy as np

from cmr.data.toyart.bird import Pose, head_colours
from cmr.data.toyart.brush import (
    Canvas,
    Colour,
    Field,
    Patch,
    blend,
    clip01,
    clouds,
    dots,
    ellipse,
    lookup,
    mix,
    noise,
    taper,
    wave,
)
from cmr.data.toyart.species import INK, SPECIES, Species, _rgb

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
        for _ in range(8 + int(between(0.0, 6.0))):
            _blade(painter, between(0.85, 1.02), between(0.1, 0.35), reed=False)
        for _ in range(1 + int(between(0.0, 4.0))):
            _wild_flower(painter, between(0.03, 0.06))
    if habitat in ("spring", "sky", "wood", "autumn"):
        for _ in range(4 + int(between(0.0, 5.0))):
            _leaf(painter, between(0.0, 1.0), between(0.0, 1.0), between(0.0, 6.3), between(0.05, 0.12))
    if habitat in ("spring",):
        for _ in range(1 + int(between(0.0, 3.0))):
            _wild_flower(painter, between(0.03, 0.055))


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


def _blade(painter: Painter, y: float, length: float, reed: bool) -> None:
    canvas, between = painter.canvas, painter.between
    x, angle, width = between(0.0, 1.0), -math.pi / 2 + between(-0.3, 0.3), between(0.005, 0.011)
    bend = between(-0.12, 0.12)
    patch = canvas.patch(x, y, angle, 0.5 * length + 0.14, ahead=0.5 * length)
    edge, along = taper(canvas, patch, length, width, 0.001, 0.0, bend)
    colour = mix(painter.colours[3], painter.colours[int(between(0.0, 3.0))], between(0.0, 0.6))
    canvas.paint(patch, edge, blend(mix(colour, INK, 0.25), along, colour), 0.95, between(0.002, 0.01))
    if reed:
        head = np.maximum(np.abs(patch.u - 0.86 * length * canvas.size) - 0.04 * canvas.size, 0.0)
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
    if length * canvas.size < 12.0:  # its two halves would be under two pixels wide
        canvas.paint(patch, edge, mix(colour, INK, 0.04), 0.95, soft)
        return
    middle = patch.v - along * along * (bend * canvas.size)
    half = clip01(middle * (1.0 / max(1.0, 0.006 * canvas.size)) + 0.5)
    tone = blend(mix(colour, painter.colours[0], 0.22), half, mix(colour, INK, 0.16))
    if soft == 0.0:
        canvas.paint(patch, edge - 0.003 * canvas.size, mix(colour, INK, 0.55), 0.7)
        canvas.paint(patch, edge, tone)
        vein = np.maximum(np.abs(middle) - 0.0018 * canvas.size, edge)
        canvas.paint(patch, vein, mix(colour, painter.colours[0], 0.5), 0.6)
    else:
        canvas.paint(patch, edge, tone, 0.95, soft)


def _twig(painter: Painter, blurred: bool) -> None:
    """A twig from outside the image, with leaves and sometimes berries."""
    between = painter.between
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
        table = noise(painter.rng, 32, 32, 32)
        grain = lookup(table, along * (length * 22.0), down * (2.6 / start)) - 0.5
        fine = lookup(table, along * (length * 70.0), down * (6.0 / start)) - 0.5
        dark = clip01(dark + 0.9 * grain + 0.35 * fine)
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


def _flower(painter: Painter, x: float, y: float, first: float, radius: float, colour: Colour, heart: Colour) -> None:
    canvas = painter.canvas
    for k in range(5):
        angle = first + k * 2.0 * math.pi / 5
        patch = canvas.patch(x, y, angle, radius * 0.75, ahead=radius * 0.5)
        edge, along = taper(canvas, patch, radius * 0.8, radius * 0.10, radius * 0.22, radius * 0.22)
        canvas.paint(patch, edge - 0.0025 * canvas.size, mix(colour, INK, 0.5), 0.6)
        canvas.paint(patch, edge, blend(mix(colour, heart, 0.45), along, colour))
    patch = canvas.patch(x, y, 0.0, radius * 0.4)
    near = np.sqrt(patch.u * patch.u + patch.v * patch.v) - 0.24 * radius * canvas.size
    canvas.paint(patch, near - 0.0025 * canvas.size, mix(heart, INK, 0.6), 0.6)
    canvas.paint(patch, near, heart)


def _wild_flower(painter: Painter, radius: float) -> None:
    between, colour = painter.between, painter.vary(painter.colours[4], 0.1)
    heart = mix(colour, (0.93, 0.72, 0.15), 0.7)
    _flower(painter, between(0.0, 1.0), between(0.0, 1.0), between(0.0, 1.2), radius, colour, heart)


def _distractor(painter: Painter) -> None:
    """Something with the colours and patterns of a species drawn at random, but not a bird."""
    rng, between = painter.rng, painter.between
    species = SPECIES[int(rng.random() * len(SPECIES))]
    draw = (_beetle, _moth, _plume, _fruit, _blossom)[int(rng.random() * 5)]
    draw(painter, species, between(0.04, 0.96), between(0.04, 0.96), between(0.0, 6.28))


def _beetle(painter: Painter, species: Species, x: float, y: float, angle: float) -> None:
    """A beetle on a leaf, its back in the head's colours and markings."""
    canvas, a = painter.canvas, painter.between(0.026, 0.058)
    cos, sin = math.cos(angle + 0.5), math.sin(angle + 0.5)
    _leaf(painter, x - 2.0 * a * cos, y - 2.0 * a * sin, angle + 0.5, 4.4 * a)
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
        _leaf(painter, x, y - a, turn + math.pi, 1.7 * a)


def _blossom(painter: Painter, species: Species, x: float, y: float, angle: float) -> None:
    """A flower whose petals have the head's colour and whose eye has its marking's."""
    heart = species.head.marks[0][1]
    _flower(painter, x, y, angle, painter.between(0.035, 0.07), species.head.base, heart)


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

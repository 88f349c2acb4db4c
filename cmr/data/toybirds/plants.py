"""Twigs, leaves, berries, flowers and blades, in the colours of a habitat."""

import math

import numpy as np

from cmr.data.toybirds.brush import Canvas, Colour, Patch, blend, clip01, lookup, mix, noise, taper
from cmr.data.toybirds.species import INK, rgb

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
        self.colours = [self.vary(rgb(code), 0.05) for code in PALETTES[self.habitat]]

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def vary(self, colour: Colour, width: float) -> Colour:
        red, green, blue = (min(max(c + self.between(-width, width), 0.0), 1.0) for c in colour)
        return red, green, blue

    def whole(self) -> Patch:
        return self.canvas.patch(0.5, 0.5, 0.0, 0.5)


def leaf(painter: Painter, x: float, y: float, angle: float, length: float, soft: float = 0.0) -> None:
    canvas, between = painter.canvas, painter.between
    colour = painter.vary(mix(painter.colours[3], painter.colours[int(between(0.0, 3.0))], between(0.0, 0.45)), 0.05)
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


def twig(painter: Painter, blurred: bool) -> None:
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
    branch(painter, x, y, angle, length, width, 0.3 * width, bend, bark, soft)
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
            leaf(painter, px, py, turn, between(0.06, 0.13) * (1.5 if blurred else 1.0), soft)


def branch(
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


def blade(painter: Painter, y: float, length: float, reed: bool) -> None:
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


def flower(painter: Painter, x: float, y: float, first: float, radius: float, colour: Colour, heart: Colour) -> None:
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


def wild_flower(painter: Painter, radius: float) -> None:
    between, colour = painter.between, painter.vary(painter.colours[4], 0.1)
    heart = mix(colour, (0.93, 0.72, 0.15), 0.7)
    flower(painter, between(0.0, 1.0), between(0.0, 1.0), between(0.0, 1.2), radius, colour, heart)

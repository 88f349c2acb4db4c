"""Shapes on a canvas: signed distances, anti-aliased by formula, so that one drawing renders at any size.

Per pixel only + - * / sqrt, minimum and maximum are used. Those are exact in IEEE arithmetic, so that the pixels are
the same on every machine, whatever its vector units and however many threads it has.

Lengths and places are fractions of the image's side (x right, y down); distances that a shape returns are in pixels.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Colour = tuple[float, float, float]
Field = np.ndarray  # (h, w) float32


def clip01(field: Field) -> Field:
    """Clips a field to 0..1 in place, and returns it (np.clip costs five times as much on a small array)."""
    return np.minimum(np.maximum(field, 0.0, out=field), 1.0, out=field)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour at `share` of the way from the first to the second."""
    a, b, c = (p + (q - p) * share for p, q in zip(first, second, strict=True))
    return a, b, c


def smooth_min(first: Field, second: Field, width: float) -> Field:
    """Union of two distances whose seam is rounded over `width` pixels."""
    seam = np.abs(first - second)
    seam = np.maximum(width - seam, 0.0, out=seam)
    seam *= seam
    seam *= -0.25 / width
    seam += np.minimum(first, second)
    return seam


def wave(phase: Field) -> Field:
    """Triangle wave of period 1 between -1 (at whole phases) and 1 (halfway)."""
    out = phase - np.floor(phase + 0.5)
    np.abs(out, out=out)
    out *= 4.0
    out -= 1.0
    return out


def dots(across: Field, down: Field) -> Field:
    """Distance to the nearest point of a staggered lattice with one row and one column per unit."""
    row = np.floor(down + 0.5)
    y = down - row
    across = across + 0.5 * row
    x = across - np.floor(across + 0.5)
    return np.sqrt(x * x + y * y)


def scallops(along: Field, across: Field) -> Field:
    """Rows of overlapping feathers, 0 at the root of each to 1 at its rounded tip."""
    row = np.floor(along)
    bulge = wave(across + 0.5 * row)
    phase = along + 0.3 * bulge * bulge
    return phase - np.floor(phase)


@dataclass(frozen=True)
class Patch:
    """A window of the canvas with its own axes: `u` along, `v` across, both in pixels from the patch's origin."""

    rows: slice
    cols: slice
    u: Field
    v: Field


class Canvas:
    """An image being painted, and which part of the bird each of its pixels shows.

    Args:
        size: side in pixels.

    Attributes:
        rgb: (3, size, size) float32, 0..1.
        owner: (size, size) uint8, 0 where there is no bird, else 1 + the part's index.
    """

    def __init__(self, size: int):
        self.size = size
        self.rgb = np.zeros((3, size, size), np.float32)
        self.owner = np.zeros((size, size), np.uint8)
        self.grid = np.arange(size, dtype=np.float32) + np.float32(0.5)  # pixel centres

    def patch(
        self, x: float, y: float, angle: float = 0.0, reach: float = 2.0, mirror: bool = False, ahead: float = 0.0
    ) -> Patch:
        """Axes at (x, y) turned by `angle` (radians, clockwise on the screen), over the square window around them.

        Args:
            x: origin of u and v.
            y: origin of u and v.
            angle: direction of u.
            reach: half the window's side; the shape drawn must fit into it.
            mirror: let v point the other way.
            ahead: how far along u the window's centre lies.
        """
        size, cos, sin = self.size, math.cos(angle), math.sin(angle)
        middle_x, middle_y, half = (x + ahead * cos) * size, (y + ahead * sin) * size, reach * size + 2.0
        left, right = min(max(int(middle_x - half), 0), size), min(max(int(middle_x + half) + 1, 0), size)
        top, bottom = min(max(int(middle_y - half), 0), size), min(max(int(middle_y + half) + 1, 0), size)
        dx = self.grid[left:right] - x * size
        dy = self.grid[top:bottom, None] - y * size
        side = -1.0 if mirror else 1.0
        return Patch(
            slice(top, bottom), slice(left, right), dx * cos + dy * sin, dx * (-sin * side) + dy * (cos * side)
        )

    def paint(
        self,
        patch: Patch,
        distance: Field,
        colour: Colour | np.ndarray,
        alpha: float = 1.0,
        soft: float = 0.0,
        owner: int | None = None,
    ) -> None:
        """Lays a colour over the inside of a shape.

        Args:
            patch: where.
            distance: (h, w) signed, in pixels, negative inside.
            colour: one colour, or (3, h, w).
            alpha: opacity of the inside, 0..1.
            soft: width of the blurred edge as a share of the image's side; 0 is sharp (one pixel).
            owner: value to write where the shape hides what is behind it; None leaves the owner alone.
        """
        cover = distance * (-1.0 / max(1.0, soft * self.size))
        cover += 0.5
        clip01(cover)
        if owner is not None:
            self.owner[patch.rows, patch.cols][cover * alpha >= 0.5] = owner
        if alpha != 1.0:
            cover *= alpha
        self.blend(patch, cover, colour)

    def blend(self, patch: Patch, cover: Field, colour: Colour | np.ndarray) -> None:
        """Moves the window's pixels towards a colour by `cover` (h, w), 0..1."""
        view = self.rgb[:, patch.rows, patch.cols]
        step = solid(colour) - view
        step *= cover
        view += step

    def bytes(self) -> np.ndarray:
        """The image as (size, size, 3) uint8."""
        levels = clip01(self.rgb.copy()) * 255.0 + 0.5
        return np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))  # (3, H, W) -> (H, W, 3)


def solid(colour: Colour | np.ndarray) -> np.ndarray:
    """A colour as something that broadcasts over a (3, h, w) window."""
    return colour if isinstance(colour, np.ndarray) else np.array(colour, np.float32)[:, None, None]


def blend(colour: Colour | np.ndarray, cover: Field, other: Colour | np.ndarray) -> np.ndarray:
    """(3, h, w): a colour moved towards another by `cover` (h, w)."""
    base = solid(colour)
    return base + cover * (solid(other) - base)


def taper(
    canvas: Canvas, patch: Patch, length: float, start: float, end: float, bulge: float = 0.0, bend: float = 0.0
) -> tuple[Field, Field]:
    """A stroke along u whose half-width goes from `start` to `end`: feather, leaf, beak, twig, leg.

    Args:
        canvas: gives the scale.
        patch: its origin is where the stroke starts.
        length: of the stroke.
        start: half-width where it starts.
        end: half-width where it ends.
        bulge: what is added to the half-width in the middle (start = end = 0 and a bulge make a leaf).
        bend: how far across the stroke's end has moved.

    Returns:
        Signed distance in pixels, and how far along (0..1) each pixel lies; both (h, w).
    """
    size = canvas.size
    along = patch.u * (1.0 / (length * size))
    clip01(along)
    across = patch.v
    if bend:
        across = across - along * along * (bend * size)
    radius = along * ((end - start) * size)
    radius += start * size
    if bulge:
        radius += along * (1.0 - along) * (4.0 * bulge * size)
    over = patch.u - along * (length * size)
    over *= over
    over += across * across
    np.sqrt(over, out=over)
    over -= radius
    return over, along


def ellipse(canvas: Canvas, patch: Patch, a: float, b: float) -> Field:
    """Signed distance (first order) to an ellipse with half-axes a along u and b along v."""
    a, b = a * canvas.size, b * canvas.size
    p, q = patch.u * (1.0 / a), patch.v * (1.0 / b)
    near = np.sqrt(p * p + q * q)
    p *= 1.0 / a
    q *= 1.0 / b
    slope = np.sqrt(p * p + q * q)
    slope += 1e-6
    return near * (near - 1.0) / slope


@lru_cache(maxsize=64)
def _lattice(size: int, cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    place = (np.arange(size) + 0.5) * (cells / size)
    low = place.astype(np.intp)
    rest = (place - low).astype(np.float32)
    return low, low + 1, rest * rest * (3.0 - 2.0 * rest)


def noise(rng: np.random.Generator, size: int, across: int, down: int) -> Field:
    """(size, size) value noise in 0..1 with `across` x `down` cells; the same at every size."""
    values = rng.random((down + 1, across + 1)).astype(np.float32)
    low, high, share = _lattice(size, down)
    first = values[low]
    first += (values[high] - first) * share[:, None]  # (H, across + 1)
    low, high, share = _lattice(size, across)
    out = first[:, low]
    out += (first[:, high] - out) * share  # (H, W)
    return out


def clouds(rng: np.random.Generator, size: int, across: int, down: int, octaves: int) -> Field:
    """(size, size) noise of several scales in about 0..1; each octave has twice the cells and half the weight."""
    total = noise(rng, size, across, down)
    weight = 1.0
    for octave in range(1, octaves):
        weight *= 0.5
        total += noise(rng, size, across << octave, down << octave) * weight
    total *= 1.0 / (2.0 - weight)
    return total


def lookup(table: Field, x: Field, y: Field) -> Field:
    """Noise at any place: the table is repeated, and smooth between its cells."""
    n = table.shape[0]
    left, top = np.floor(x), np.floor(y)
    fx, fy = x - left, y - top
    i, j = left.astype(np.intp) % n, top.astype(np.intp) % n
    k, m = (i + 1) % n, (j + 1) % n
    upper = table[j, i] + (table[j, k] - table[j, i]) * fx
    lower = table[m, i] + (table[m, k] - table[m, i]) * fx
    return upper + (lower - upper) * fy

"""What is drawn in many figures: images, heat, boxes, remarks; and the checks of what comes in.

Ground truth is red and solid, prediction green and dashed (figure 6 of the paper uses the same two
colours); the line style and the halo tell them apart where the colours do not.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Rectangle

from cmr.errors import UserError
from cmr.figures.style import GT_COLOUR, HEAT, PREDICTION_COLOUR, WIDTH, Card


def as_array(values: Any, what: str, ndim: int) -> np.ndarray:
    """A numpy array of a numpy array or torch tensor (any device), with its number of axes checked."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().float().numpy() if values.is_floating_point() else values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.ndim != ndim:
        raise UserError(f"{what}: has shape {array.shape}; give {ndim} axes")
    return array


def as_image(image: object, what: str = "image") -> np.ndarray:
    """Checks an image: (H, W, 3) uint8."""
    array = as_array(image, what, 3)
    if array.shape[2] != 3 or array.dtype != np.uint8:
        raise UserError(f"{what}: has shape {array.shape} and type {array.dtype}; give (H, W, 3) uint8")
    return array


def as_scoremap(scoremap: object, image: np.ndarray, what: str = "scoremap") -> np.ndarray:
    """Checks a map: the image's height and width, values in [0, 1]."""
    array = as_array(scoremap, what, 2)
    if array.shape != image.shape[:2]:
        raise UserError(f"{what}: has shape {array.shape}, its image {image.shape[:2]}; resize the map first")
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise UserError(f"{what}: values run from {array.min():.3g} to {array.max():.3g}; normalise it to [0, 1] first")
    return array


def as_boxes(boxes: object, what: str = "boxes") -> np.ndarray:
    """Checks boxes: (4,) or (k, 4) xyxy -> (k, 4) float; None and an empty list -> (0, 4)."""
    if boxes is None:
        return np.zeros((0, 4))
    if hasattr(boxes, "detach"):
        boxes = boxes.detach().cpu().numpy()
    array = np.asarray(boxes, dtype=float)
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim > 2 or array.shape[-1] != 4:
        raise UserError(f"{what}: has shape {array.shape}; give (4,) or (k, 4), xyxy")
    return array.reshape(-1, 4)


def need(row: Mapping, keys: Sequence[str], what: str) -> None:
    """Checks that a record holds these keys."""
    missing = [key for key in keys if key not in row]
    if missing:
        raise UserError(f"{what}: lacks {', '.join(missing)}; it has {', '.join(map(str, row)) or 'nothing'}")


def heat_overlay(image: np.ndarray, scoremap: np.ndarray, alpha: float = 0.8) -> np.ndarray:
    """Lays a map over an image as heat: weak responses dim the image, strong ones colour it.

    Args:
        image: (H, W, 3) uint8.
        scoremap: (H, W) in [0, 1].
        alpha: opacity of the heat where the map is 1; where it is 0, 0.45 of that.

    Returns:
        (H, W, 3) uint8.

    Raises:
        UserError: wrong shapes, or a map out of [0, 1].

    Example:
        >>> heat_overlay(np.full((2, 2, 3), 200, np.uint8), np.eye(2), alpha=1.0)[0, 0]
        array([252, 255, 164], dtype=uint8)
    """
    image = as_image(image)
    scoremap = as_scoremap(scoremap, image)
    colour = mpl.colormaps[HEAT](scoremap)[..., :3] * 255
    opacity = (alpha * (0.45 + 0.55 * scoremap))[..., None]  # (H, W, 1)
    return np.round(image * (1 - opacity) + colour * opacity).astype(np.uint8)


def show_image(ax: Axes, image: np.ndarray, title: str = "", **kwargs: Any) -> None:
    """Shows an image or map on axes whose units are its pixels' edges: half-open xyxy boxes lie exactly.

    Image (H, W, 3) or map (H, W); the axes run from (0, 0) at the top left to (W, H).
    """
    height, width = image.shape[:2]
    if image.ndim == 3:
        kwargs = {"interpolation": "bicubic" if height < 160 else "antialiased"} | kwargs
    shown = ax.imshow(image, extent=(0, width, height, 0), **kwargs)
    rounding = 0.035 * min(height, width)
    corners = FancyBboxPatch(
        (0, 0), width, height, boxstyle=f"round,pad=0,rounding_size={rounding}", transform=ax.transData
    )
    shown.set_clip_path(corners)
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    ax.set_axis_off()
    if title:
        ax.set_title(title, pad=4)


def tiles(
    rows: int,
    columns: int,
    aspect: float = 1.0,
    heads: float | Sequence[float] = 0.0,
    left: float = 0.0,
    foot: float = 0.0,
) -> tuple[Card, np.ndarray]:
    """A card with a grid of axes for images of one shape, placed exactly.

    Args:
        rows, columns: of the grid.
        aspect: height of an image divided by its width.
        heads: room above each row for a title, inches; one for all or one per row.
        left: room at the left, inches.
        foot: room at the bottom, inches.

    Returns:
        The figure, WIDTH inches wide, and its axes (rows, columns).
    """
    gap, edge = 0.07, 0.1  # inches
    heads = [heads] * rows if isinstance(heads, int | float) else list(heads)
    wide = (WIDTH - 2 * edge - left - (columns - 1) * gap) / columns
    tall = wide * aspect
    height = 2 * edge + foot + sum(heads) + rows * tall + (rows - 1) * gap
    figure = Card(figsize=(WIDTH, height))
    axes = np.empty((rows, columns), dtype=object)
    top = height - edge
    for i in range(rows):
        top -= heads[i] + tall
        for j in range(columns):
            x = edge + left + j * (wide + gap)
            axes[i, j] = figure.add_axes((x / WIDTH, top / height, wide / WIDTH, tall / height))
        top -= gap
    return figure, axes


def common_aspect(images: Sequence[np.ndarray]) -> float:
    """Height by width that suits most of these images (H, W, 3), within 0.6 to 1.4."""
    return float(np.clip(np.median([image.shape[0] / image.shape[1] for image in images]), 0.6, 1.4))


def wrapped(text: str, inches: float, points: float) -> str:
    """Breaks a text into lines that are about so wide in letters of so many points."""
    return textwrap.fill(text, max(int(inches * 72 / (0.6 * points)), 8))


def row_name(ax: Axes, text: str) -> None:
    """Writes a row's name at the left of its first tile, upwards."""
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right", "va": "center"}
    ax.annotate(text, (0, 0.5), (-5, 0), rotation=90, **place)


def draw_boxes(ax: Axes, boxes: np.ndarray, kind: str) -> None:
    """Draws boxes (k, 4), xyxy, half-open pixels of the shown image; kind "gt" or "prediction"."""
    colour, style = (GT_COLOUR, "-") if kind == "gt" else (PREDICTION_COLOUR, (0, (3.2, 1.4)))
    for x0, y0, x1, y1 in boxes:
        halo = [patheffects.withStroke(linewidth=4.2, foreground="white" if kind == "gt" else "black", alpha=0.75)]
        ax.add_patch(
            Rectangle(
                (x0, y0),
                x1 - x0,
                y1 - y0,
                fill=False,
                edgecolor=colour,
                linewidth=2.4,
                linestyle=style,
                joinstyle="miter",
                path_effects=halo,
                gid=f"box-{kind}",
            )
        )


def box_legend(figure: Figure, predicted: bool = True) -> None:
    """Puts the legend of the kinds of box that are drawn at the foot of a figure (0.4 inches)."""
    dark = [patheffects.withStroke(linewidth=4.2, foreground="black", alpha=0.75)]
    handles = [
        Line2D([], [], color=GT_COLOUR, linewidth=2.4, label="ground truth"),
        Line2D(
            [],
            [],
            color=PREDICTION_COLOUR,
            linewidth=2.4,
            linestyle=(0, (3.2, 1.4)),
            path_effects=dark,
            label="prediction",
        ),
    ]
    figure.legend(handles=handles[: 1 + predicted], loc="lower center", ncols=2, handlelength=3.4, borderaxespad=0.3)


def badge(ax: Axes, text: str, good: bool) -> None:
    """Writes a short remark on the lower left corner of an image; good or bad shows in mark and colour."""
    mark, face = ("✓ ", "#0b5d34") if good else ("✗ ", "#8d1011")
    ax.text(
        0.03,
        0.03,
        mark + text,
        transform=ax.transAxes,
        color="white",
        fontsize=10.5,
        fontweight="bold",
        va="bottom",
        ha="left",
        bbox={"boxstyle": "round,pad=0.25", "facecolor": face, "edgecolor": "none", "alpha": 0.92},
    )


def grid_lines(ax: Axes, axis: Literal["both", "x", "y"] = "both") -> None:
    """Puts a thin grid behind what is drawn."""
    ax.grid(True, axis=axis, linewidth=0.8)
    ax.set_axisbelow(True)


def legend_of(axes: Iterable[Axes]) -> tuple[list, list[str]]:
    """The legend that several axes share: each label once, in order of first appearance."""
    pairs = [pair for ax in axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
    first = {label: handle for handle, label in reversed(pairs)}
    labels = list(dict.fromkeys(label for _, label in pairs))
    return [first[label] for label in labels], labels


def is_number(value: object) -> bool:
    """Says whether a record's value can be drawn: a finite number, not a flag."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))

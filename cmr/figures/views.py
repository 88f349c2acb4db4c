"""Figure 1 and the complementary views (section 3.2), redrawn."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from cmr.errors import UserError
from cmr.figures.draw import (
    as_boxes,
    as_image,
    as_scoremap,
    box_legend,
    common_aspect,
    draw_boxes,
    heat_overlay,
    show_image,
    tiles,
)
from cmr.figures.style import MUTED, WIDTH, Card, themed

_NAME = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}


def arrow(
    figure: Figure,
    start: Axes,
    end: Axes,
    start_xy: tuple[float, float] = (1.0, 0.5),
    end_xy: tuple[float, float] = (0.0, 0.5),
    curve: float = 0.0,
) -> None:
    """Draws an arrow from one axes to another, each end in its axes' fractions."""
    figure.add_artist(
        ConnectionPatch(
            start_xy,
            end_xy,
            start.transAxes,
            end.transAxes,
            arrowstyle="-|>,head_length=0.45,head_width=0.22",
            connectionstyle=f"arc3,rad={curve}",
            color=MUTED,
            linewidth=1.8,
            shrinkA=5,
            shrinkB=5,
        )
    )


@themed
def overview(
    image: np.ndarray,
    x: np.ndarray,
    x_tilde: np.ndarray,
    scoremap: np.ndarray,
    box: np.ndarray | None = None,
    gt_boxes: np.ndarray | None = None,
) -> Figure:
    """The idea in one picture: an image, its two complementary views, the map and box (figure 1).

    Args:
        image: (H, W, 3) uint8.
        x: the view X, (H, W, 3) uint8.
        x_tilde: the view X~, (H, W, 3) uint8.
        scoremap: (H, W) in [0, 1].
        box: the predicted box (4,), xyxy, pixels of the image, half-open; or None.
        gt_boxes: the true boxes (k, 4), the same way; or None.

    Returns:
        The figure, with four axes: image, X, X~, map.

    Raises:
        UserError: wrong shapes, or views of another size than the image.

    Example:
        >>> grey = np.full((16, 16, 3), 90, np.uint8)
        >>> len(overview(grey, grey, grey, np.zeros((16, 16)), [2, 2, 9, 9]).axes)
        4
    """
    image, x, x_tilde = as_image(image), as_image(x, "view X"), as_image(x_tilde, "view X~")
    for name, view in (("X", x), ("X~", x_tilde)):
        if view.shape != image.shape:
            raise UserError(f"view {name}: has shape {view.shape}, its image {image.shape}; give the same size")
    tall = min(max(image.shape[0] / image.shape[1], 0.6), 1.4)
    side, small, gap, top, foot = 2.0, 1.55, 0.75, 0.34, 0.42  # inches
    height = 2 * (small * tall + top) + 0.2 + foot
    figure = Card(figsize=(WIDTH, height))

    def place(left: float, bottom: float, width: float) -> Axes:
        return figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, width * tall / height))

    free = (WIDTH - 2 * side - small - 2 * gap) / 2
    middle = foot + (height - foot - side * tall - top) / 2
    whole = place(free, middle, side)
    upper = place(free + side + gap, foot + small * tall + top + 0.1, small)
    lower = place(free + side + gap, foot, small)
    result = place(free + side + small + 2 * gap, middle, side)
    show_image(whole, image, "image")
    show_image(upper, x, "view $X$")
    show_image(lower, x_tilde, r"view $\tilde{X}$")
    show_image(result, heat_overlay(image, as_scoremap(scoremap, image)), "map and box")
    draw_boxes(result, as_boxes(gt_boxes, "gt_boxes"), "gt")
    draw_boxes(result, as_boxes(box, "box"), "prediction")
    arrow(figure, whole, upper, (1.0, 0.7), (0.0, 0.5), curve=-0.15)
    arrow(figure, whole, lower, (1.0, 0.3), (0.0, 0.5), curve=0.15)
    arrow(figure, upper, result, (1.0, 0.5), (0.0, 0.7), curve=-0.15)
    arrow(figure, lower, result, (1.0, 0.5), (0.0, 0.3), curve=0.15)
    box_legend(figure)
    return figure


@themed
def views_grid(image: np.ndarray, views: Mapping[object, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """The two complementary views for several patch sizes (section 3.2, table 6).

    Args:
        image: (H, W, 3) uint8.
        views: heading -> (X, X~), each (H, W, 3) uint8; a heading that is a number is a patch
            size in pixels, any other is printed as it is ("Mixed").

    Returns:
        The figure: the image at the left, then one column per heading, X above X~.

    Raises:
        UserError: no view, wrong shapes.

    Example:
        >>> grey = np.full((16, 16, 3), 90, np.uint8)
        >>> len(views_grid(grey, {4: (grey, grey), "Mixed": (grey, grey)}).axes)
        5
    """
    image = as_image(image)
    if not views:
        raise UserError("views: none given; give heading -> (X, X~)")
    columns = len(views) + 1
    figure, grid = tiles(2, columns, common_aspect([image]), heads=(0.27, 0.0), left=0.0)
    upper, lower = (ax.get_position() for ax in grid[:, 0])
    for ax in grid[:, 0]:
        ax.remove()
    middle = (upper.y0 + lower.y0) / 2
    show_image(figure.add_axes((upper.x0, middle, upper.width, upper.height)), image, "image")
    for (heading, pair), axes in zip(views.items(), grid.T[1:], strict=True):
        for name, view, ax in zip(("$X$", r"$\tilde{X}$"), pair, axes, strict=True):
            show_image(ax, as_image(view, f"view {heading}"))
            if ax is axes[0]:
                ax.set_title(f"{heading} px" if isinstance(heading, int | np.integer) else str(heading), pad=4)
            if ax in grid[:, 1]:
                ax.text(0.04, 0.04, name, transform=ax.transAxes, bbox=_NAME, fontsize=10.5)
    return figure

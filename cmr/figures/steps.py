"""What a method does to a few images, step by step: one row per image."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from cmr.errors import UserError
from cmr.figures.draw import as_image, show_image, tiles
from cmr.figures.style import HEAT, themed


@themed
def steps(shown: Mapping[str, np.ndarray]) -> Figure:
    """Rows of images with what a method makes of them, in its own order.

    Args:
        shown: heading -> (B, H, W, 3) uint8 pictures, (B, h, w) bool masks (True is drawn white), or (B, h, w) maps of
            any range, each drawn as heat from its lowest to its highest value and with its cells as they are.

    Returns:
        The figure: B rows, a column per heading.

    Raises:
        UserError: nothing to show, wrong shapes, or different numbers of images.

    Example:
        >>> grey = np.full((2, 16, 16, 3), 90, np.uint8)
        >>> len(steps({"image": grey, "map": np.random.rand(2, 4, 4)}).axes)
        4
    """
    shown = {name: np.asarray(value) for name, value in shown.items()}
    counts = {len(value) for value in shown.values()}
    if len(counts) != 1:
        found = ", ".join(f"{name} {len(value)}" for name, value in shown.items()) or "nothing"
        raise UserError(f"steps: {found}; give as many images for each heading")
    figure, grid = tiles(counts.pop(), len(shown), heads=(0.27, *[0.0] * (len(next(iter(shown.values()))) - 1)))
    for (name, values), axes in zip(shown.items(), grid.T, strict=True):
        for value, ax in zip(values, axes, strict=True):
            title = name if ax is axes[0] else ""
            if value.ndim == 3:
                show_image(ax, as_image(value, name), title)
            elif value.ndim == 2:
                mask = value.dtype == bool
                limits = {"vmin": 0, "vmax": 1} if mask else {}
                show_image(
                    ax, value.astype(float), title, cmap="gray" if mask else HEAT, interpolation="none", **limits
                )
            else:
                raise UserError(
                    f"steps: '{name}' has shape {values.shape}; give (B, H, W, 3) pictures or (B, h, w) maps"
                )
    return figure

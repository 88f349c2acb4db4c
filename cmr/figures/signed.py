"""Maps with their signs: what is evidence for a class and what against it."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from cmr.errors import UserError
from cmr.figures.draw import as_array, row_name, show_image, tiles
from cmr.figures.style import themed

SIGNED = "RdBu_r"  # white at 0, red above, blue below


@themed
def signed_maps(maps: Mapping[str, np.ndarray]) -> Figure:
    """Raw maps of the same images under several names, all in one colour scale that is white at 0.

    Paper: equation 13, the maps before any normalisation.

    Args:
        maps: name -> (B, h, w) raw maps, for instance a map and the two parts that add up to it.

    Returns:
        The figure: a row per name, a column per image, the scale below.

    Raises:
        UserError: nothing to show, wrong shapes, or different numbers of images.

    Example:
        >>> own = np.eye(4)[None]
        >>> len(signed_maps({"map": own - 2, "shared": np.full((1, 4, 4), -2.0), "own": own}).axes)
        4
    """
    shown = {name: as_array(values, f"signed maps' '{name}'", 3).astype(float) for name, values in maps.items()}
    counts = {len(values) for values in shown.values()}
    if len(counts) != 1 or 0 in counts:
        found = ", ".join(f"{name} {len(values)}" for name, values in shown.items()) or "nothing"
        raise UserError(f"signed maps: {found}; give as many images under each name, one or more")
    top = max(float(np.abs(values).max()) for values in shown.values()) or 1.0
    figure, grid = tiles(len(shown), counts.pop(), left=0.45, foot=0.62)
    for (name, values), axes in zip(shown.items(), grid, strict=True):
        for value, ax in zip(values, axes, strict=True):
            show_image(ax, value, cmap=SIGNED, vmin=-top, vmax=top, interpolation="none")
        row_name(axes[0], name)
    height = figure.get_figheight()
    scale = figure.add_axes((0.25, 0.38 / height, 0.5, 0.12 / height))
    figure.colorbar(grid[0, 0].images[0], cax=scale, orientation="horizontal")
    scale.tick_params(labelsize=9.5, length=3)
    return figure

"""Two metrics of the same things against each other."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmr.errors import UserError
from cmr.figures.draw import grid_lines, is_number, need
from cmr.figures.style import INK, WIDTH, Card, method_colours, themed

MARKERS = "os^DvP*hd"
WITHOUT = "X"  # of a row that has no shape


@themed
def scatter(rows: Sequence[Mapping], x: str, ys: Sequence[str], colour: str = "map", xlabel: str = "") -> Figure:
    """One panel per metric against another: colour says what a point is of, its shape where it comes from.

    Args:
        rows: records {`colour`: name, "layer": name or "", `x`: number, metric: number}, one per point.
        x: the key of the horizontal axis.
        ys: the keys of the vertical axes, one panel each.
        colour: the key of the names that have colours; layers have shapes, and no layer is a cross.
        xlabel: the name of the horizontal axis, of all panels.

    Returns:
        The figure.

    Raises:
        UserError: no row, or one that lacks a key or a number.

    Example:
        >>> row = {"map": "CAM", "layer": "layer4", "MaxBoxAcc": 60.0, "deletion": 12.0}
        >>> len(scatter([row], "MaxBoxAcc", ["deletion"]).axes)
        1
    """
    if not rows or not ys:
        raise UserError("scatter: nothing to draw; give rows and metrics")
    for row in rows:
        need(row, (colour, "layer", x, *ys), "scatter: a row")
        if wrong := [key for key in (x, *ys) if not is_number(row[key])]:
            raise UserError(f"scatter: '{wrong[0]}' of {row[colour]} is {row[wrong[0]]!r}; give a number")
    colours = method_colours(str(row[colour]) for row in rows)
    shapes = list(dict.fromkeys(str(row["layer"]) for row in rows if row["layer"]))
    markers = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(shapes)} | {"": WITHOUT}
    figure = Card(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.subplots(1, len(ys), squeeze=False)[0]
    for ax, metric in zip(axes, ys, strict=True):
        for row in rows:
            look = {"color": colours[str(row[colour])], "marker": markers[str(row["layer"])]}
            ax.plot(row[x], row[metric], linestyle="none", markersize=9.5, markeredgecolor="white", **look)
        ax.set(title=metric)
        ax.margins(0.08)
        grid_lines(ax)
    figure.supxlabel(xlabel or x, fontsize=11.5)
    plain: dict[str, Any] = {"color": "none", "markeredgecolor": INK, "linestyle": "none", "markersize": 8}
    handles = [Line2D([], [], color=tone, marker="s", linestyle="none", label=name) for name, tone in colours.items()]
    handles += [Line2D([], [], marker=markers[name], label=name, **plain) for name in shapes]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, columnspacing=1.0, handletextpad=0.3)
    return figure

"""Differences with their intervals: one panel per question, one row per condition."""

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from cmr.errors import UserError, require_known
from cmr.figures.draw import grid_lines, need
from cmr.figures.style import INK, MUTED, WIDTH, Card, themed

ABOVE, BELOW = "#08803a", "#c8141b"  # both at least 4.5 : 1 on the card


@themed
def forest(
    rows: Sequence[Mapping],
    xlabel: str = "points of GT-known Loc",
    columns: int = 2,
    conditions: Sequence[str] = (),
) -> Figure:
    """A forest plot: where each difference lies, and whether its interval keeps clear of 0.

    Args:
        rows: records {"panel", "condition", "mean", "low", "high"}; panels stand in order of appearance. A condition
            that a panel lacks is left blank there: it was not run.
        xlabel: what the numbers are.
        columns: panels side by side, 1 or more.
        conditions: the rows from top to bottom; empty: those of the records, in order of appearance.

    Returns:
        The figure. Filled green: above 0; filled red, a square: below; open and grey: the interval holds 0.

    Raises:
        UserError: no row, one without one of the keys, or one whose condition is not among those given.

    Example:
        >>> row = {"panel": "CMR over CAM", "condition": "ToyBirds", "mean": 3.0, "low": 1.0, "high": 5.0}
        >>> [ax.get_title(loc="left") for ax in forest([row]).axes]
        ['CMR over CAM']
    """
    if not rows:
        raise UserError("forest: there is no difference to draw")
    for row in rows:
        need(row, ["panel", "condition", "mean", "low", "high"], "forest's record")
    panels = list(dict.fromkeys(row["panel"] for row in rows))
    conditions = list(conditions or dict.fromkeys(row["condition"] for row in rows))
    for row in rows:
        require_known(row["condition"], "condition of a forest", conditions)
    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    figure = Card(figsize=(WIDTH, down * (0.9 + 0.22 * len(conditions)) + 0.3), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for panel, ax in zip(panels, axes.flat[: len(panels)], strict=True):
        ax.axvline(0, color=MUTED, linewidth=1.2, zorder=1)
        for row in (row for row in rows if row["panel"] == panel):
            at, clear = conditions.index(row["condition"]), row["low"] > 0 or row["high"] < 0
            colour = MUTED if not clear else ABOVE if row["low"] > 0 else BELOW
            ax.plot((row["low"], row["high"]), (at, at), color=colour, linewidth=2.2, zorder=2)
            marker = "s" if clear and row["high"] < 0 else "o"
            face = colour if clear else "white"
            ax.plot(row["mean"], at, marker, color=face, markeredgecolor=colour, markersize=7, zorder=3)
        ax.set_title(textwrap.fill(panel, 50 // across), loc="left", fontsize=11.5, color=INK)
        ax.set_yticks(range(len(conditions)), conditions, fontsize=10)
        ax.set_ylim(len(conditions) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        grid_lines(ax, "x")
    figure.supxlabel(xlabel, fontsize=11)
    return figure

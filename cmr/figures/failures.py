"""Where runs fail: by size of the object, by kind of error, by IoU; from results as `Result.to_dict` gives them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cmr.errors import UserError
from cmr.figures.draw import grid_lines, need
from cmr.figures.style import INK, MUTED, WIDTH, Card, method_colours, method_label, themed

# seaborn's colour-blind palette; a kind has its colour wherever it stands in the bar
_KINDS = {
    "right": "#029e73",
    "wrong class": "#949494",
    "several objects": "#cc78bc",
    "too small": "#56b4e9",
    "too large": "#de8f05",
    "elsewhere": "#d55e00",
}
_DARK = {"#029e73", "#d55e00"}  # white figures are read on these
_LABELLED = 5.0  # percent; a shorter piece of a bar has no room for its figure


@themed
def size_bars(results: Mapping[str, Mapping]) -> Figure:
    """Accuracy by size of the object: one group per size, one bar per run.

    Args:
        results: label -> a result's dictionary, whose "sizes" holds {size: {"images": count, "GT-known Loc": percent}}.

    Returns:
        The figure; each bar carries its number, each group the count of its images.

    Raises:
        UserError: no run, or a result without the numbers.

    Example:
        >>> sizes = {"small": {"images": 4, "GT-known Loc": 25.0}, "large": {"images": 6, "GT-known Loc": 50.0}}
        >>> [text.get_text() for text in size_bars({"cam": {"sizes": sizes}}).axes[0].get_xticklabels()]
        ['small\\n4 images', 'large\\n6 images']
    """
    by_label = _of_runs(results, "sizes", "size bars")
    sizes = list(dict.fromkeys(size for of_run in by_label.values() for size in of_run))
    counts = {size: entry["images"] for of_run in by_label.values() for size, entry in of_run.items()}
    colours = method_colours(by_label)
    wide = 0.8 / len(by_label)
    figure = Card(figsize=(WIDTH, 3.7), layout="constrained")
    ax = figure.subplots()
    for j, (label, of_run) in enumerate(by_label.items()):
        for size, entry in of_run.items():
            need(entry, ["images", "GT-known Loc"], f"size bars: {label}, {size}")
        present = [i for i, size in enumerate(sizes) if size in of_run]
        at = np.array(present) + (j - (len(by_label) - 1) / 2) * wide
        values = [of_run[sizes[i]]["GT-known Loc"] for i in present]
        drawn = ax.bar(at, values, wide * 0.92, color=colours[label], label=method_label(label))
        ax.bar_label(drawn, [f"{value:.1f}" for value in values], padding=2, fontsize=9.5, color=INK)
    ax.set_xticks(range(len(sizes)), [f"{size}\n{counts[size]} images" for size in sizes])
    ax.set(ylim=(0, 105), ylabel="GT-known Loc (percent)")
    ax.tick_params(axis="x", length=0)
    grid_lines(ax, "y")
    figure.legend(loc="outside upper center", ncols=min(len(by_label), 5))
    return figure


@themed
def error_bars(results: Mapping[str, Mapping]) -> Figure:
    """The kinds of errors of each run as one bar that adds up to all images (see `cmr.metrics.failures`).

    Args:
        results: label -> a result's dictionary, whose "errors" holds {kind: percent}.

    Returns:
        The figure, one bar per run from top to bottom; kinds in the order of the first result.

    Raises:
        UserError: no run, a result without the numbers, or shares that do not add up to 100.

    Example:
        >>> figure = error_bars({"cam": {"errors": {"right": 40.0, "too small": 60.0}}})
        >>> [round(bar.get_width()) for bar in figure.axes[0].patches]
        [40, 60]
    """
    by_label = _of_runs(results, "errors", "error bars")
    kinds = list(dict.fromkeys(kind for of_run in by_label.values() for kind in of_run))
    spare = method_colours(kinds)
    figure = Card(figsize=(WIDTH, 1.45 + 0.5 * len(by_label)), layout="constrained")
    ax = figure.subplots()
    left = np.zeros(len(by_label))
    for kind in kinds:
        shares = np.array([of_run.get(kind, 0.0) for of_run in by_label.values()])
        colour = _KINDS.get(kind, spare[kind])
        drawn = ax.barh(
            range(len(by_label)), shares, 0.68, left=left, color=colour, edgecolor="white", linewidth=1, label=kind
        )
        texts = [f"{share:.1f}" if share >= _LABELLED else "" for share in shares]
        ax.bar_label(drawn, texts, label_type="center", fontsize=9.5, color="white" if colour in _DARK else INK)
        left += shares
    for label, total in zip(by_label, left, strict=True):
        if not abs(total - 100) < 0.1:
            raise UserError(f"error bars: the shares of {label} add up to {total:g}; give percentages of all images")
    ax.set_yticks(range(len(by_label)), [method_label(label) for label in by_label])
    ax.set_ylim(len(by_label) - 0.5, -0.5)
    ax.set(xlim=(0, 100), xlabel="percent of the images")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, handlelength=1.2)
    return figure


@themed
def iou_histograms(results: Mapping[str, Mapping]) -> Figure:
    """How the IoU of the predicted box at the fixed tau is spread over the images, one line of steps a run.

    Args:
        results: label -> a result's dictionary, whose "IoU histogram" holds the counts of equal bins over [0, 1].

    Returns:
        The figure; the dotted line is IoU 0.5, right of which an image counts.

    Raises:
        UserError: no run, or a histogram that is empty.

    Example:
        >>> len(iou_histograms({"cam": {"IoU histogram": [1, 2, 5, 2]}}).axes)
        1
    """
    by_label = _of_runs(results, "IoU histogram", "IoU histograms")
    colours = method_colours(by_label)
    figure = Card(figsize=(WIDTH, 3.5), layout="constrained")
    ax = figure.subplots()
    for label, counts in by_label.items():
        counts = np.asarray(counts, float)
        if counts.ndim != 1 or not counts.sum() > 0:
            raise UserError(f"IoU histograms: that of {label} counts no image; give the counts of equal bins")
        edges = np.linspace(0, 1, len(counts) + 1)
        share = 100 * counts / counts.sum()
        ax.stairs(share, edges, color=colours[label], linewidth=2.2, label=method_label(label))
        ax.stairs(share, edges, color=colours[label], fill=True, alpha=0.13)
    ax.axvline(0.5, color=MUTED, linestyle=(0, (1, 1)), linewidth=1.8)
    ax.set(
        xlim=(0, 1), xlabel=r"IoU of the box at the fixed $\tau$ with the nearest true box", ylabel="images (percent)"
    )
    ax.set_ylim(bottom=0)
    grid_lines(ax)
    figure.legend(loc="outside upper center", ncols=min(len(by_label), 5))
    return figure


def _of_runs(results: Mapping[str, Mapping], key: str, what: str) -> dict[str, Any]:
    if not results:
        raise UserError(f"{what}: nothing to draw; give label -> result of a run")
    for label, result in results.items():
        need(result, [key], f"{what}: result of {label}")
        if not len(result[key]):
            raise UserError(f"{what}: result of {label} holds nothing under '{key}'")
    return {label: result[key] for label, result in results.items()}

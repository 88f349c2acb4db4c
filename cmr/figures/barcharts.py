"""Bars with error bars, and coverage of the object's parts: means over runs with their standard deviation."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from cmr.errors import UserError
from cmr.figures.draw import (
    grid_lines,
    is_number,
    legend_of,
    need,
)
from cmr.figures.style import INK, MUTED, WIDTH, Card, method_colours, method_label, themed


def mean_std(rows: Sequence[Mapping], by: Sequence[str], value: str) -> dict[tuple, tuple[float, float, int]]:
    """Mean and standard deviation of one number over the rows that agree in some keys.

    Args:
        rows: records; those whose `value` is missing, None or NaN are left out.
        by: the keys that make a group.
        value: the number's key.

    Returns:
        group -> (mean, sample standard deviation, count), in order of first appearance; the
        deviation of a single row is NaN, never zero.

    Raises:
        UserError: a row lacks one of the keys `by`.

    Example:
        >>> mean_std([{"m": "cam", "v": 1.0}, {"m": "cam", "v": 3.0}], ["m"], "v")
        {('cam',): (2.0, 1.4142135623730951, 2)}
    """
    groups: dict[tuple, list[float]] = {}
    for row in rows:
        need(row, by, "row")
        number = row.get(value)
        if number is not None and not np.isnan(number):
            groups.setdefault(tuple(row[key] for key in by), []).append(float(number))
    return {
        group: (float(np.mean(v)), float(np.std(v, ddof=1)) if len(v) > 1 else float("nan"), len(v))
        for group, v in groups.items()
    }


@themed
def bars(
    rows: Sequence[Mapping],
    metrics: str | Sequence[str],
    by: str = "method",
    split_by: str | None = None,
    baseline: Mapping[str, float] | None = None,
) -> Figure:
    """Bars with error bars: mean over the rows of a group, and their standard deviation (seeds).

    Args:
        rows: records, one per run: {"method": "cam", "seed": 0, "Top-1 Loc": 41.0}.
        metrics: the key or keys to draw, in percent; one panel each.
        by: the key that makes the bars.
        split_by: a second key that splits each bar ("source": paper and ours); None: not split.
        baseline: metric -> level of the centred box, drawn as a dotted line; None: not drawn.

    Returns:
        The figure; each bar carries its mean (and deviation, where there are at least two runs)
        in figures, each run is a dot.

    Raises:
        UserError: no row that holds one of the metrics, a row without `by`.

    Example:
        >>> rows = [{"method": "cam", "GT-known Loc": 44.0}, {"method": "cmr", "GT-known Loc": 46.5}]
        >>> [t.get_text() for t in bars(rows, "GT-known Loc").axes[0].get_yticklabels()]
        ['CAM', 'CMR']
    """
    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    keys = [by] + ([split_by] if split_by else [])
    tables = {metric: mean_std(rows, keys, metric) for metric in metrics}
    for metric, table in tables.items():
        if not table:
            raise UserError(f"bars: no row holds a number under '{metric}'")
    names = list(dict.fromkeys(row[by] for row in rows))
    splits = list(dict.fromkeys(row[split_by] for row in rows)) if split_by else [None]
    colours = method_colours(map(str, names))
    thick = 0.74 / len(splits)
    figure = Card(figsize=(WIDTH, 0.95 + 0.32 * len(names) * max(1, 0.55 * len(splits))), layout="constrained")
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for ax, metric in zip(axes, metrics, strict=True):
        longest = 0.0
        for i, name in enumerate(names):
            for j, part in enumerate(splits):
                group = (name, part) if split_by else (name,)
                at = i + (j - (len(splits) - 1) / 2) * thick
                if group not in tables[metric]:
                    ax.text(0, at, " not run", va="center", fontsize=9.5, color=MUTED)
                    continue
                mean, deviation, count = tables[metric][group]
                ax.barh(at, mean, thick * 0.9, color=colours[str(name)], **_split_look(j))
                reach = mean
                if count > 1:
                    ax.errorbar(mean, at, xerr=deviation, color=INK, capsize=3.5, linewidth=1.5)
                    runs = [row for row in rows if tuple(row[key] for key in keys) == group]
                    dots = [row[metric] for row in runs if is_number(row.get(metric))]
                    ax.plot(dots, [at] * len(dots), "o", color=INK, markersize=3.2, alpha=0.65)
                    reach = max(mean + deviation, *dots)
                text = f"{mean:.1f}" + (f" ± {deviation:.1f}" if count > 1 else "")
                ax.annotate(text, (reach, at), (5, 0), textcoords="offset points", va="center", fontsize=9.5)
                longest = max(longest, reach)
        if baseline and metric in baseline:
            longest = max(longest, baseline[metric])
            ax.axvline(baseline[metric], color=MUTED, linestyle=(0, (1, 1)), linewidth=1.8, label="centred box")
        ax.set(title=metric, xlabel="percent", xlim=(0, longest * (1.2 + 0.14 * len(metrics))))
        ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
        ax.set_yticks(range(len(names)), [method_label(str(name)) for name in names])
        ax.set_ylim(len(names) - 0.45, -0.55)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        grid_lines(ax, "x")
    handles, labels = legend_of(axes)
    if split_by:
        handles = [Patch(facecolor=MUTED, **_split_look(j)) for j in range(len(splits))] + handles
        labels = [str(part) for part in splits] + labels
    if handles:
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def _split_look(part: int) -> dict:
    """How the bars of one part of a split look: full, or paler and hatched."""
    hatch, alpha = ("", "///", "...", "xx")[part % 4], (1.0, 0.5, 0.7, 0.3)[part % 4]
    return {"hatch": hatch, "alpha": alpha, "edgecolor": "white", "linewidth": 0}


@themed
def part_coverage(rows: Sequence[Mapping]) -> Figure:
    """How much of each part of the object a method's region covers.

    Args:
        rows: records {"method", "part", "coverage" in percent}, one per run and part; several rows of
            the same method and part (seeds) become a mean with its standard deviation.

    Returns:
        The figure: parts from top to bottom in order of appearance, one bar per method.

    Raises:
        UserError: no row holds the number; a row without method or part.

    Example:
        >>> rows = [{"method": "cam", "part": part, "coverage": c} for part, c in (("head", 90), ("tail", 20))]
        >>> len(part_coverage(rows).axes)
        1
    """
    table = mean_std(rows, ["method", "part"], "coverage")
    if not table:
        raise UserError("part coverage: no row holds a number under 'coverage'")
    methods, parts = list(dict.fromkeys(g[0] for g in table)), list(dict.fromkeys(g[1] for g in table))
    colours = method_colours(methods)
    thick = 0.78 / len(methods)
    figure = Card(figsize=(WIDTH, 1.1 + max(0.4, 0.17 * len(methods)) * len(parts)), layout="constrained")
    ax = figure.subplots()
    for j, method in enumerate(methods):
        found = [(i, *table[(method, part)]) for i, part in enumerate(parts) if (method, part) in table]
        at = np.array([i for i, *_ in found]) + (j - (len(methods) - 1) / 2) * thick
        mean, deviation = np.array([m for _, m, _, _ in found]), np.array([d for *_, d, _ in found])
        ax.barh(at, mean, thick * 0.9, color=colours[method], label=method_label(method))
        known = np.isfinite(deviation)
        ax.errorbar(mean[known], at[known], xerr=deviation[known], fmt="none", color=INK, capsize=2.5, linewidth=1.3)
    ax.set_yticks(range(len(parts)), parts)
    ax.set_ylim(len(parts) - 0.45, -0.55)
    ax.set(xlim=(0, 100), xlabel="covered (percent of the part's visible pixels)")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    grid_lines(ax, "x")
    longest = max(len(method_label(method)) for method in methods)
    figure.legend(loc="outside upper center", ncols=max(1, min(len(methods), 100 // (longest + 7))))
    return figure

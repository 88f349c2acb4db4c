"""Lines: training over the epochs, localization against the threshold, a metric against ToyBirds' dial."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cmr.errors import UserError
from cmr.figures.barcharts import mean_std
from cmr.figures.draw import (
    as_array,
    grid_lines,
    is_number,
    legend_of,
    need,
)
from cmr.figures.style import MUTED, WIDTH, Card, line_styles, method_label, themed


@themed
def curves(
    history: Sequence[Mapping] | Mapping[str, Sequence[Mapping]],
    panels: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Training over the epochs: losses, accuracies, the attention's scalars.

    Args:
        history: one record per epoch, or label -> such records, to compare runs. A key that
            a record lacks (evaluation every so many epochs) is skipped there.
        panels: title -> keys to draw in it. None sorts the numeric keys by their names: "delta..." and
            "alpha..." are scalars of the attention, "accuracy" is a share of the training images, other names with
            "Top-", "Loc", "Acc" are percent, "fusion" has a panel to itself, being far smaller than the other losses,
            which are "total", "ce..." and names with "loss"; the rest is left out.

    Returns:
        The figure, one axes per panel.

    Raises:
        UserError: no record, no key to draw, a record without its epoch.

    Example:
        >>> history = [{"epoch": 1, "total": 2.0, "Top-1 Loc": 10.0}, {"epoch": 2, "total": 1.0, "Top-1 Loc": 30.0}]
        >>> [ax.get_title() for ax in curves(history).axes]
        ['losses', 'held-out images, percent']
    """
    runs = history if isinstance(history, Mapping) else {"": history}
    for rows in runs.values():
        for row in rows:
            need(row, ["epoch"], "history's record")
    keys = list(dict.fromkeys(key for rows in runs.values() for row in rows for key, v in row.items() if is_number(v)))
    panels = _sorted_keys(keys) if panels is None else panels
    panels = {title: [key for key in wanted if key in keys] for title, wanted in panels.items()}
    panels = {title: wanted for title, wanted in panels.items() if wanted}
    if not panels:
        raise UserError(f"curves: nothing to draw; the records hold {', '.join(keys) or 'no number'}")
    columns = min(len(panels), 3 if len(panels) > 4 else 2)
    rows_of_axes = -(-len(panels) // columns)
    several = len(runs) > 1
    shared = several and len(panels) > 1 and all(len(wanted) == 1 for wanted in panels.values())  # one legend for all
    named = len(runs) * max(map(len, panels.values())) if several and not shared else 0  # lines of a legend below
    figure = Card(figsize=(WIDTH, (2.9 + 0.2 * named) * rows_of_axes), layout="constrained")
    axes = figure.subplots(rows_of_axes, columns, squeeze=False).ravel()
    for ax in axes[len(panels) :]:
        ax.remove()
    for ax, (title, wanted) in zip(axes, panels.items(), strict=False):
        by_run, by_key = line_styles(runs), line_styles(wanted)
        for label, rows in runs.items():
            for key in wanted:
                points = [(row["epoch"], row[key]) for row in rows if is_number(row.get(key))]
                if not points:
                    continue
                # several runs: colour tells the run, dash and marker the key, unless there is one key only
                look = by_run[label] if several and len(wanted) == 1 else by_key[key]
                look = look | ({"color": by_run[label]["color"]} if several else {})
                if several and wanted.index(key) % 2:  # hollow markers tell it from the first key
                    look = look | {"markerfacecolor": "white"}
                look = look if len(points) <= 30 else look | {"marker": ""}
                names = [method_label(label)] * several + [_name(key)] * (not several or len(wanted) > 1)
                ax.plot(*zip(*points, strict=True), **look, markersize=4.5, label=", ".join(names))
        ax.set(title=title, xlabel="epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        grid_lines(ax)
    drawn = axes[: len(panels)]
    if shared:
        handles, labels = legend_of(drawn)
        across = max(1, min(len(labels), 100 // (max(map(len, labels)) + 9)))
        figure.legend(handles, labels, loc="outside upper center", ncols=across, handlelength=2.6)
        return figure
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)} if several else {"loc": "best"}
    for ax in drawn:
        ax.legend(fontsize=9.5, handlelength=2.6, **below)
    return figure


def _name(key: str) -> str:
    known = {
        "ce_x": r"cross-entropy $X$",
        "ce_xt": r"cross-entropy $\tilde{X}$",
        "ce": "cross-entropy",
        "delta_x": r"$\delta_x$",
        "delta_xt": r"$\delta_{\tilde{x}}$",
        "alpha_x": r"$\alpha_x$",
        "alpha_xt": r"$\alpha_{\tilde{x}}$",
    }
    return known.get(key, key)


def _sorted_keys(keys: Sequence[str]) -> dict[str, list[str]]:
    titles = ("losses", "fusion loss", "training accuracy", "held-out images, percent", "scalars")
    panels: dict[str, list[str]] = {title: [] for title in titles}
    for key in keys:
        name = key.lower()
        if key == "epoch":
            continue
        if name.startswith(("delta", "alpha")):
            panels["scalars"].append(key)
        elif name == "accuracy":
            panels["training accuracy"].append(key)
        elif any(part in name for part in ("top-", "loc", "acc")):
            panels["held-out images, percent"].append(key)
        elif "fusion" in name:
            panels["fusion loss"].append(key)
        elif name == "total" or name.startswith("ce") or "loss" in name:
            panels["losses"].append(key)
    return panels


@themed
def tau_curves(
    results: Mapping[str, Mapping[float, tuple[np.ndarray, np.ndarray]]],
    baseline: Mapping[float, float] | float | None = None,
    fixed: float | None = 0.2,
) -> Figure:
    """Localization against the threshold on the map: one panel per IoU, one line per method.

    Args:
        results: label -> IoU (0.5, or 50) -> (taus (T,) in [0, 1], accuracy (T,) in percent).
        baseline: accuracy in percent of the centred box, one for all panels or one per IoU; None: not drawn.
        fixed: the fixed threshold of Top-1 Loc and GT-known Loc, marked; None: not drawn.

    Returns:
        The figure; the best threshold of each line is marked, since MaxBoxAcc reads that point.

    Raises:
        UserError: no curve, lengths that differ.

    Example:
        >>> taus = np.linspace(0, 1, 5)
        >>> line = {0.5: (taus, np.array([10.0, 40.0, 60.0, 20.0, 0.0]))}
        >>> len(tau_curves({"cam": line}, baseline=45.0).axes)
        1
    """
    ious = sorted({iou for lines in results.values() for iou in lines})
    if not ious:
        raise UserError("tau curves: nothing to draw; give label -> IoU -> (taus, accuracy)")
    figure = Card(figsize=(WIDTH, 3.7 if len(ious) > 1 else 4.0), layout="constrained")
    axes = figure.subplots(1, len(ious), sharey=True, squeeze=False)[0]
    styles = line_styles(results)
    for ax, iou in zip(axes, ious, strict=True):
        for label, lines in results.items():
            if iou not in lines:
                continue
            taus, accuracy = (as_array(v, f"tau curve of {label}", 1) for v in lines[iou])
            if taus.shape != accuracy.shape or not len(taus):
                raise UserError(
                    f"tau curve of {label}: {len(taus)} thresholds, {len(accuracy)} accuracies; give as many"
                )
            best = int(accuracy.argmax())
            marked = {"markevery": [best], "markersize": 8.5, "markeredgecolor": "white"}
            ax.plot(taus, accuracy, **styles[label], **marked, label=method_label(label))
        level = baseline.get(iou) if isinstance(baseline, Mapping) else baseline
        if level is not None:
            ax.axhline(level, color=MUTED, linestyle=(0, (1, 1)), linewidth=1.8, label="centred box")
        if fixed is not None:
            ax.axvline(fixed, color="#b6bcc4", linewidth=1.2, zorder=0.5)
            ax.annotate(
                rf"$\tau$ = {fixed:g}",
                (fixed, 0),
                (3, 3),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                color=MUTED,
                fontsize=10,
            )
        ax.set(title=f"IoU ≥ {iou:g}" + (" %" if iou > 1 else ""), xlim=(0, 1), ylim=(0, 100), xticks=[0, 0.5, 1])
        grid_lines(ax)
    axes[0].set_ylabel("localized (percent)")
    figure.supxlabel(r"threshold $\tau$ on the map", fontsize=11.5)
    handles, labels = legend_of(axes)
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4), handlelength=2.6)
    return figure


@themed
def evidence_lines(
    rows: Sequence[Mapping],
    metrics: str | Sequence[str],
    dial: str = "dial",
    xlabel: str = "where the evidence is: 0 head only, 1 every part",
) -> Figure:
    """A metric as ToyBirds' dial moves from evidence in the head only to evidence everywhere.

    Args:
        rows: records {"method", `dial`: number, metric: percent}, one per run; several rows of the
            same method and dial (seeds) become a mean with a band of one standard deviation.
        metrics: the key or keys to draw; one panel each.
        dial: the key of the horizontal axis.
        xlabel: its name.

    Returns:
        The figure, one line per method.

    Raises:
        UserError: no row that holds one of the metrics, a row without method or dial.

    Example:
        >>> rows = [{"method": "cam", "dial": d, "GT-known Loc": 40 + 20 * d} for d in (0.0, 0.5, 1.0)]
        >>> len(evidence_lines(rows, "GT-known Loc").axes)
        1
    """
    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    tables = {metric: mean_std(rows, ["method", dial], metric) for metric in metrics}
    for metric, table in tables.items():
        if not table:
            raise UserError(f"evidence: no row holds a number under '{metric}'")
    methods = list(dict.fromkeys(row["method"] for row in rows))
    styles = line_styles(methods)
    figure = Card(figsize=(WIDTH, 4.0), layout="constrained")
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for ax, metric in zip(axes, metrics, strict=True):
        for method in methods:
            line = sorted((d, m, s) for (name, d), (m, s, _) in tables[metric].items() if name == method)
            if not line:
                continue
            at, mean, deviation = map(np.array, zip(*line, strict=True))
            ax.plot(at, mean, **styles[method], markersize=7, markeredgecolor="white", label=method_label(method))
            if np.isfinite(deviation).any():
                spread = np.nan_to_num(deviation)
                ax.fill_between(
                    at, mean - spread, mean + spread, color=styles[method]["color"], alpha=0.16, linewidth=0
                )
        ax.set(title=metric)
        ax.set_ylim(bottom=0)
        grid_lines(ax)
    axes[0].set_ylabel("percent")
    figure.supxlabel(xlabel, fontsize=11.5)
    handles, labels = legend_of(axes)
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4), handlelength=2.8)
    return figure

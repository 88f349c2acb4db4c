"""Attention on a real sample (figures 3 and 4) and what the fusion loss does to the maps (figure 5)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from cmr.errors import UserError
from cmr.figures.draw import (
    as_array,
    as_image,
    as_scoremap,
    common_aspect,
    heat_overlay,
    need,
    row_name,
    show_image,
    tiles,
)
from cmr.figures.style import HEAT, METHOD_COLOURS, MUTED, WIDTH, Card, themed

_QUERY_COLOURS = ("#56b4e9", "#ece133", "#fbafe4", "#ffffff", "#de8f05", "#4be3b5")


def effective_count(weights: np.ndarray) -> np.ndarray:
    """How many entries a row of weights is spread over: exp(entropy), from 1 (one entry) to its length.

    Args:
        weights: (..., n) not negative; rows need not sum to one (they are divided by their sum).

    Returns:
        (...,) float64; a row of zeros gives 0.

    Example:
        >>> effective_count(np.array([[1.0, 0.0], [0.5, 0.5]]))
        array([1., 2.])
    """
    weights = np.asarray(weights, dtype=np.float64)
    total = weights.sum(-1, keepdims=True)
    share = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    return np.where(total[..., 0] > 0, np.exp(-(share * logs).sum(-1)), 0.0)


@themed
def channel_attention(
    image: np.ndarray,
    f_x: np.ndarray,
    f_xt: np.ndarray,
    q: np.ndarray,
) -> Figure:
    """CAAM on one sample: which channels of X~ assist which channel of X (figure 3, eq. 1-4).

    Args:
        image: (H, W, 3) uint8.
        f_x: features of X, (C, h, w).
        f_xt: features of X~, (C, h, w).
        q: the attention matrix Q_x, (C, C), not negative; the weights of channel i are q[:, i] (eq. 4).

    Returns:
        The figure: image, mean features of both views, Q as a heat map (its 48 strongest channels),
        the histogram of effective channels exp(entropy), and for each of the three strongest channels of X a row of
        maps, its own and those of the three channels of X~ that weigh most.

    Raises:
        UserError: wrong shapes.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> q = np.full((8, 8), 1 / 8)
        >>> grey = np.full((16, 16, 3), 90, np.uint8)
        >>> len(channel_attention(grey, rng.random((8, 4, 4)), rng.random((8, 4, 4)), q).axes)
        18
    """
    image = as_image(image)
    f_x, f_xt = as_array(f_x, "features of X", 3), as_array(f_xt, "features of X~", 3)
    q = as_array(q, "attention Q", 2).astype(np.float64)
    count = f_x.shape[0]
    if f_xt.shape != f_x.shape or q.shape != (count, count):
        raise UserError(
            f"channel attention: features {f_x.shape} and {f_xt.shape}, Q {q.shape}; give (C,h,w) twice and (C,C)"
        )
    weights = q.T  # (C, C): row i holds the weights of channel i
    strength = f_x.mean((1, 2))
    channels = np.argsort(-strength, kind="stable")[:3].tolist()
    rows = partners = len(channels)
    figure = Card(figsize=(WIDTH, 4.9 + 1.62 * rows))
    figure.set_layout_engine("constrained", w_pad=0.07, h_pad=0.07, hspace=0.02, wspace=0.02)
    top, middle, bottom = figure.subfigures(3, 1, squeeze=False, height_ratios=[2.1, 2.6, 1.62 * rows + 0.2])[:, 0]
    for part in (top, middle, bottom):
        part.patch.set_alpha(0.0)

    titled = {
        "image": image,
        "$F_x$, mean of channels": f_x.mean(0),
        r"$F_{\tilde{x}}$, mean of channels": f_xt.mean(0),
    }
    for ax, (title, shown) in zip(top.subplots(1, 3), titled.items(), strict=True):
        show_image(ax, shown, title, **({} if shown.ndim == 3 else {"cmap": HEAT}))
    left, right = middle.subplots(1, 2)
    drawn = _matrix(left, q, strength)
    middle.colorbar(drawn, ax=left, shrink=0.9).outline.set_visible(False)
    _spread(right, weights)
    for axes, channel in zip(bottom.subplots(rows, partners + 1, squeeze=False), channels, strict=True):
        show_image(axes[0], f_x[channel], f"$X$: channel {channel}", cmap=HEAT)
        best = np.argsort(-weights[channel], kind="stable")[:partners]
        for ax, partner in zip(axes[1:], best, strict=True):
            show_image(ax, f_xt[partner], rf"$\tilde{{X}}$: {partner}, {weights[channel, partner]:.2f}", cmap=HEAT)
    return figure


def _matrix(ax: Axes, q: np.ndarray, strength: np.ndarray) -> AxesImage:
    """Q between the 48 strongest channels, as a heat map."""
    order = np.sort(np.argsort(-strength, kind="stable")[:48])
    drawn = ax.imshow(q[np.ix_(order, order)], cmap=HEAT, vmin=0, interpolation="nearest")
    few = "" if len(q) <= 48 else f", {len(order)} strongest of {len(q)}"
    ax.set(title=f"$Q_x${few}", xlabel="channel of $X$", ylabel=r"channel of $\tilde{X}$", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return drawn


def _spread(ax: Axes, weights: np.ndarray) -> None:
    """How many channels the weights of each one, (C, C) by rows, are spread over: a histogram."""
    count, spread = len(weights), effective_count(weights)
    ax.hist(np.clip(spread, 1, count), bins=np.geomspace(1, max(count, 2), 25).tolist(), color=METHOD_COLOURS["cmr"])
    ax.axvline(np.median(spread), color=MUTED, linestyle="--", linewidth=1.5)
    ax.annotate(
        f"median {np.median(spread):.3g}", (np.median(spread), 1.0), (4, -2), xycoords=("data", "axes fraction"),
        textcoords="offset points", va="top", color=MUTED,
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set(title="how widely a channel looks", xlabel=f"effective channels (1 to {count})", ylabel="channels of $X$")
    ax.xaxis.set_major_formatter("{x:.0f}")


@themed
def spatial_attention(
    image: np.ndarray,
    k: np.ndarray,
    points: Sequence[tuple[float, float]],
) -> Figure:
    """SSAM on one sample: where the feature at a position takes its help from (figure 4, eq. 7-8).

    Args:
        image: (H, W, 3) uint8.
        k: the attention matrix K, (N, N) with the N = h*h positions of a square map in raster order; row i holds
            the weights of query position i, not negative.
        points: query positions (x, y), pixels of the image.

    Returns:
        The figure: the image with its query points, then a map over the image for each point, with
        the effective number of positions exp(entropy) of its row.

    Raises:
        UserError: wrong shapes, a point outside the image, no point.

    Example:
        >>> grey = np.full((16, 16, 3), 90, np.uint8)
        >>> len(spatial_attention(grey, np.full((16, 16), 1 / 16), [(2, 2), (12, 9)]).axes)
        3
    """
    image = as_image(image)
    k = as_array(k, "attention K", 2).astype(np.float64)
    h = w = int(round(k.shape[0] ** 0.5))
    if k.shape != (h * w, h * w):
        raise UserError(f"spatial attention: K has shape {k.shape}; give (h*h, h*h) for a map of h x h")
    height, width = image.shape[:2]
    if not points:
        raise UserError("spatial attention: no query point; give at least one (x, y)")
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise UserError(f"spatial attention: point ({x}, {y}) lies outside the image, {width} x {height}")

    panels = len(points) + 1
    columns = min(panels, 4 if panels != 5 else 3)
    rows = -(-panels // columns)
    figure, grid_of_axes = tiles(rows, columns, height / width, heads=0.27)
    axes = grid_of_axes.ravel()
    for ax in axes[panels:]:
        ax.remove()
    show_image(axes[0], image, "query positions")
    for number, ((x, y), ax) in enumerate(zip(points, axes[1:panels], strict=True), start=1):
        row, column = int(y * h / height), int(x * w / width)
        weights = k[row * w + column].reshape(h, w)  # (h, w)
        peak = weights.max()
        # one feature cell is a block of pixels: shown as it is, so that the resolution stays visible
        cells_y, cells_x = np.arange(height) * h // height, np.arange(width) * w // width
        heat = (weights / peak if peak > 0 else weights)[np.ix_(cells_y, cells_x)]  # (H, W)
        show_image(ax, heat_overlay(image, heat), f"{number}: over {effective_count(weights.ravel()):.0f} of {h * w}")
        for target in (axes[0], ax):
            colour = _QUERY_COLOURS[(number - 1) % len(_QUERY_COLOURS)]
            target.plot(x, y, "o", color=colour, markersize=13, markeredgecolor="black", markeredgewidth=1.3)
            target.text(
                x, y, str(number), color="black", fontsize=9.5, fontweight="bold", ha="center", va="center_baseline"
            )
    return figure


@themed
def fusion_sequence(rows: Sequence[Mapping]) -> Figure:
    """What the fusion loss does to the two classifiers' maps (figure 5, eq. 14).

    Args:
        rows: one record per row: `image` (H, W, 3) uint8; `map_x`, `map_xt` and `map_fused`, each
            (H, W) in [0, 1]; and, optionally, `epoch` (any number or text) and `loss` (the fusion
            loss of the pair), which are written at the left and under the maps.

    Returns:
        The figure: image, both maps, fused map; one row per record.

    Raises:
        UserError: no row, a row that lacks one of the four, wrong shapes.

    Example:
        >>> zero = np.zeros((16, 16))
        >>> row = {"image": np.full((16, 16, 3), 90, np.uint8), "map_x": zero, "map_xt": zero, "map_fused": zero}
        >>> len(fusion_sequence([row]).axes)
        4
    """
    if not rows:
        raise UserError("fusion sequence: has no row; give at least one")
    for row in rows:
        need(row, ["image", "map_x", "map_xt", "map_fused"], "fusion sequence's row")
    images = [as_image(row["image"]) for row in rows]
    noted = any("epoch" in row or row.get("loss") is not None for row in rows)
    heads = [0.27] + [0.0] * (len(rows) - 1)
    figure, grid = tiles(len(rows), 4, common_aspect(images), heads, left=0.45 * noted)
    titles = ("image", "classifier $X$", r"classifier $\tilde{X}$", "fused")
    for i, (row, image, axes) in enumerate(zip(rows, images, grid, strict=True)):
        heats = [heat_overlay(image, as_scoremap(row[key], image, key)) for key in ("map_x", "map_xt", "map_fused")]
        for ax, shown, title in zip(axes, [image, *heats], titles, strict=True):
            show_image(ax, shown, title if i == 0 else "")
        notes = [f"epoch {row['epoch']}"] if "epoch" in row else []
        notes += [f"loss {row['loss']:.3g}"] if row.get("loss") is not None else []
        row_name(axes[0], "\n".join(notes))
    return figure

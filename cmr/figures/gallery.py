"""Pictures with boxes: the gallery of figure 6, contact sheets of a data set, the cover."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cmr.errors import UserError
from cmr.figures.draw import (
    as_boxes,
    as_image,
    as_scoremap,
    badge,
    box_legend,
    common_aspect,
    draw_boxes,
    heat_overlay,
    need,
    row_name,
    show_image,
    tiles,
    wrapped,
)
from cmr.figures.style import INK, WIDTH, Card, themed


@themed
def gallery(
    items: Sequence[Mapping] | Sequence[Sequence[Mapping]],
    columns: int = 3,
) -> Figure:
    """Images with their maps and boxes; several methods side by side (figure 6 of the paper).

    Args:
        items: one record per tile, or one list of records per row (the same image under several
            methods; the titles of the first row become the columns' headings). A record holds
            `image` (H, W, 3) uint8; and, each optional: `scoremap` (H, W) in [0, 1];
            `gt_boxes` (k, 4) and `box` (4,), both xyxy, pixels of `image`, half-open;
            `iou` in [0, 1], right from 0.5 on; `title` above the tile; `label`, of the first
            record of a row, at its left.
        columns: tiles a row where `items` is one flat list.

    Returns:
        The figure: a ground-truth box is red and solid, a predicted one green and dashed.

    Raises:
        UserError: no item, a record without image, wrong shapes, rows of different lengths.

    Example:
        >>> bird = np.full((32, 32, 3), 120, np.uint8)
        >>> item = {"image": bird, "gt_boxes": [[4, 4, 20, 20]], "box": [4, 4, 28, 28], "iou": 0.44}
        >>> len(gallery([item, item]).axes)
        2
    """
    nested = bool(items) and not isinstance(items[0], Mapping)
    rows: list[list[Any]] = (
        [list(row) for row in items]
        if nested
        else [list(items[i : i + columns]) for i in range(0, len(items), columns)]
    )
    if not rows or not all(rows):
        raise UserError("gallery: has no item; give at least one")
    across = max(map(len, rows))
    if nested and any(len(row) != across for row in rows):
        raise UserError(
            f"gallery: rows of {', '.join(str(len(row)) for row in rows)} items; give each row the same methods"
        )
    flat = [item for row in rows for item in row]
    for item in flat:
        need(item, ["image"], "gallery's item")
    images = [as_image(item["image"]) for item in flat]
    titled = [any(item.get("title") for item in row) for row in rows]
    room = WIDTH / max(across, 2) * common_aspect(images)
    titles = [[wrapped(item.get("title", ""), WIDTH / across, 11) for item in row] for row in rows]
    lines = [max(title.count("\n") + 1 for title in row) for row in titles]
    heads = [(0.09 + 0.18 * lines[i]) * (titled[i] and (i == 0 or not nested)) for i in range(len(rows))]
    names = [wrapped(row[0].get("label", ""), room, 11) if nested else "" for row in rows]
    left = 0.08 + 0.18 * max(name.count("\n") + 1 for name in names) if any(names) else 0.0
    figure, grid = tiles(len(rows), across, common_aspect(images), heads, left, foot=0.36)
    for i, row in enumerate(rows):
        for ax, item, title in zip(grid[i], row, titles[i], strict=False):
            _tile(ax, item, title if i == 0 or not nested else "")
        if names[i]:
            row_name(grid[i, 0], names[i])
        for ax in grid[i, len(row) :]:
            ax.remove()
    box_legend(figure, predicted=any(item.get("box") is not None for item in flat))
    return figure


def _tile(ax: Axes, item: Mapping, title: str = "") -> None:
    image = as_image(item["image"])
    scoremap = item.get("scoremap")
    shown = image if scoremap is None else heat_overlay(image, as_scoremap(scoremap, image), 0.8)
    show_image(ax, shown, title)
    draw_boxes(ax, as_boxes(item.get("gt_boxes"), "gt_boxes"), "gt")
    draw_boxes(ax, as_boxes(item.get("box"), "box"), "prediction")
    if item.get("iou") is not None:
        iou = float(item["iou"])
        badge(ax, f"IoU {math.floor(100 * iou) / 100:.2f}", good=iou >= 0.5)  # no 0.50 that is wrong


@themed
def contact_sheet(
    images: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray] | None = None,
    labels: Sequence[str] | None = None,
) -> Figure:
    """Many small images with what is known of them: a page of a data set.

    Args:
        images: n arrays (H, W, 3) uint8.
        boxes: n arrays (k, 4), xyxy, pixels of the image, half-open; drawn red.
        labels: n short texts.

    Returns:
        The figure, one axes per image, five in a row.

    Raises:
        UserError: no image, wrong shapes, lists of different lengths.

    Example:
        >>> pictures = [np.full((16, 16, 3), 90, np.uint8)] * 3
        >>> len(contact_sheet(pictures, labels=["wren", "tit", "gull"]).axes)
        3
    """
    images = [as_image(image) for image in images]
    if not images:
        raise UserError("contact sheet: has no image; give at least one")
    for name, given in (("boxes", boxes), ("labels", labels)):
        if given is not None and len(given) != len(images):
            raise UserError(f"contact sheet: {len(given)} {name} for {len(images)} images; give one per image")
    columns = 5
    rows = -(-len(images) // columns)
    names = [wrapped(text, WIDTH / columns, 10) for text in labels or []]
    lines = max((name.count("\n") + 1 for name in names), default=0)
    figure, grid = tiles(rows, columns, common_aspect(images), heads=0.08 + 0.165 * lines if lines else 0.0)
    for i, ax in enumerate(grid.flat):
        if i >= len(images):
            ax.remove()
            continue
        show_image(ax, images[i])
        if names:
            ax.set_title(names[i], fontsize=10, pad=3, linespacing=1.05)
        if boxes is not None:
            draw_boxes(ax, as_boxes(boxes[i]), "gt")
    return figure


@themed
def cover(
    items: Sequence[Mapping | np.ndarray],
) -> Figure:
    """The picture of the README and of the book's cover: a title beside a mosaic of birds.

    Args:
        items: one per tile: an image (H, W, 3) uint8, or a record as in `gallery` (`image`, and
            optionally `scoremap`, `box`, `gt_boxes`), so that plain birds, half-hidden birds,
            maps and boxes can be mixed. Tiles are cut square.

    Returns:
        The figure, on a dark card; one axes per tile.

    Raises:
        UserError: no item, wrong shapes.

    Example:
        >>> len(cover([np.full((16, 16, 3), 90, np.uint8)] * 8).axes)
        8
    """
    records = [item if isinstance(item, Mapping) else {"image": item} for item in items]
    if not records:
        raise UserError("cover: has no item; give at least one")
    columns = 4
    rows = -(-len(records) // columns)
    tile, gap, edge, text = 1.25, 0.07, 0.16, 3.3  # inches
    width, height = text + columns * (tile + gap) + edge, max(rows * (tile + gap) - gap + 2 * edge, 2.4)
    figure = Card(figsize=(width, height), face=INK)
    for i, item in enumerate(records):
        need(item, ["image"], "cover's item")
        column, row = i % columns, i // columns
        left, bottom = text + column * (tile + gap), height - edge - tile - row * (tile + gap)
        ax = figure.add_axes((left / width, bottom / height, tile / width, tile / height))
        image = as_image(item["image"])
        tall, wide = image.shape[:2]
        side = min(tall, wide)
        _tile(ax, item)
        ax.set_xlim((wide - side) / 2, (wide + side) / 2)
        ax.set_ylim((tall + side) / 2, (tall - side) / 2)
    title, subtitle = "Where\nto Look?", "Complementary image regions\nfor weakly supervised\nobject localization"
    figure.text(0.32 / width, 0.6, title, color="white", fontsize=31, fontweight="bold", va="center", linespacing=1.05)
    figure.text(
        0.34 / width, 0.56 - 1.0 / height, subtitle, color="#c9d1d9", fontsize=12.5, va="center", linespacing=1.3
    )
    return figure

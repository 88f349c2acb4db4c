"""A picture with its map, its boxes and their names drawn on it."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

COLOURS = ((0, 200, 60), (255, 150, 0), (60, 160, 255), (240, 80, 160), (190, 200, 0))  # one per class


def annotate(
    picture: Image.Image,
    scoremap: np.ndarray,
    boxes: Sequence[Sequence[float]],
    texts: Sequence[str],
    groups: Sequence[int] = (),
) -> Image.Image:
    """Draws a map over a picture, and boxes with their names.

    Args:
        picture: RGB; it stays as it is.
        scoremap: (h, w) in [0, 1], of any size.
        boxes: k of xyxy, half-open, the picture's pixels.
        texts: k names, in any script; a font here that has the letters is looked for.
        groups: k numbers; boxes of one number have one colour.

    Returns:
        The new picture. Lines and letters grow with it.

    Example:
        >>> grey = Image.new("RGB", (60, 40), "grey")
        >>> drawn = annotate(grey, np.zeros((4, 4)), [(10, 5, 50, 35)], ["bird 0.93"])
        >>> drawn.size, drawn.getpixel((10, 34)), grey.getpixel((10, 34))
        ((60, 40), (0, 200, 60), (128, 128, 128))
    """
    from matplotlib import colormaps

    heat = Image.fromarray((colormaps["magma"](scoremap)[..., :3] * 255).astype(np.uint8))
    opacity = Image.fromarray((scoremap * 150).astype(np.uint8))
    heat, opacity = (image.resize(picture.size, Image.Resampling.BICUBIC) for image in (heat, opacity))
    result = Image.composite(heat, picture, opacity)
    draw = ImageDraw.Draw(result)
    for box, text, group in zip(boxes, texts, groups or [0] * len(boxes), strict=True):
        _box(draw, picture, box, text, COLOURS[group % len(COLOURS)])
    return result


def _box(
    draw: ImageDraw.ImageDraw, picture: Image.Image, box: Sequence[float], text: str, colour: tuple[int, int, int]
) -> None:
    line = max(2, round(min(picture.size) / 120))
    x0, y0, x1, y1 = box
    draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=line)
    text, font = _written(text, max(11, min(picture.size) // 22))
    left, _, right, bottom = draw.textbbox((0, 0), text, font=font)
    at = (min(x0, max(0, picture.width - right - 8)), y0 - bottom - 6 if y0 > bottom + 6 else y0)
    draw.rectangle((at[0], at[1], at[0] + right - left + 8, at[1] + bottom + 6), fill=tuple(c // 2 for c in colour))
    draw.text((at[0] + 4, at[1] + 2), text, fill="white", font=font)


def _written(text: str, size: int) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """The text as it can be drawn here, and a font with its letters."""
    if text.isascii():
        return text, ImageFont.load_default(size)
    from cmr.figures.fonts import legible  # matplotlib's list of fonts takes seconds to load

    text, file = legible(text)
    return text, ImageFont.truetype(file, size)

"""Names in any script: a font of this machine that has their letters, or the letters' numbers, but no empty squares."""

import functools
import unicodedata
import warnings
from pathlib import Path

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter


@functools.cache
def legible(text: str) -> tuple[str, str]:
    """The text as it can be drawn here, and the file of the font that draws it.

    matplotlib's own font comes first, which has Latin, Greek and Cyrillic letters among others; then those of the
    system. Where none has all letters, the one that lacks fewest is taken, and what it lacks is written as Python
    escapes it; marks that are not seen are left out.

    Args:
        text: one line.

    Returns:
        The text, changed only where letters are missing, and a path.

    Example:
        >>> text, font = legible("Зимородок 0.93")
        >>> text, Path(font).name
        ('Зимородок 0.93', 'DejaVuSans.ttf')
        >>> print(legible("no letter: \\uffff")[0])
        no letter: \\uffff
    """
    needed = {ord(letter) for letter in text if not letter.isspace()}
    font = next((font for font in _fonts() if needed <= _letters(font)), None)
    font = font or min(_fonts(), key=lambda font: len(needed - _letters(font)))
    return "".join(c if c.isspace() or ord(c) in _letters(font) else _escaped(c) for c in text), font


def make_legible(figure: Figure) -> None:
    """Gives each text of a figure a font that has its letters; warns once of letters that none has."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if any(_changed(label.get_text()) for label in axis.get_majorticklabels()):
            inner = axis.get_major_formatter()
            axis.set_major_formatter(FuncFormatter(lambda x, pos, inner=inner: legible(inner(x, pos))[0]))
    lacking: dict[str, None] = {}
    for text in figure.findobj(Text):
        words = text.get_text()
        if words.isascii():
            continue
        drawn, font = legible(words)
        lacking |= {words: None} if drawn != words else {}
        text.set_text(drawn)
        if font != _own():
            font_manager.fontManager.addfont(font)
            text.set_fontfamily([*text.get_fontfamily(), FT2Font(font).family_name])
    if lacking:
        warnings.warn(without_font(list(lacking)), stacklevel=2)


def without_font(texts: list[str]) -> str:
    """What is said of texts that no font here can draw."""
    return (
        f"no font here has all letters of {', '.join(map(repr, texts[:3]))}{', ...' * (len(texts) > 3)}, "
        f"so what is missing is written as in '{legible(texts[0])[0]}'; install one, for example Noto Sans CJK"
    )


def _changed(text: str) -> bool:
    return not text.isascii() and legible(text)[0] != text


def _own() -> str:
    return font_manager.findfont("DejaVu Sans")


@functools.cache
def _fonts() -> tuple[str, ...]:
    """Files of fonts: matplotlib's own, then those of the system, Noto's and upright ones first."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist} | set(font_manager.findSystemFonts())

    def order(path: str) -> tuple[bool, bool, str]:
        name = Path(path).name.lower()
        return any(style in name for style in ("bold", "italic", "oblique")), "noto" not in name, name

    # the last resort has a square for every letter, and pictures of letters need another way of drawing
    usable = (path for path in known if not any(w in Path(path).name.lower() for w in ("lastresort", "color")))
    return (_own(), *sorted(usable, key=order))


@functools.cache
def _letters(font: str) -> frozenset[int]:
    try:
        face = FT2Font(font)
    except (RuntimeError, OSError):
        return frozenset()
    return frozenset(face.get_charmap()) if face.scalable else frozenset()


def _escaped(letter: str) -> str:
    return "" if unicodedata.category(letter) == "Cf" else letter.encode("ascii", "backslashreplace").decode()

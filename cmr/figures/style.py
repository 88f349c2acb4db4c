"""What the figures share: colours, theme, the card that they are drawn on.

Every figure lies on an opaque, rounded, near-white card. Its file says whether it is a chart or shows pictures, so
that a dark page can invert the one and leave the other. Colours are seaborn's colour-blind palette, one fixed colour
per method.
"""

import functools
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from cmr.errors import UserError
from cmr.figures.fonts import make_legible
from cmr.files import write_aside

P = ParamSpec("P")
R = TypeVar("R")

GT_COLOUR = "#d7191c"
PREDICTION_COLOUR = "#2fe04b"
INK = "#23272e"
MUTED = "#5d6673"
PAPER = "#fcfcfa"
HEAT = "inferno"
WIDTH = 7.2  # inches: at phone width (about 360 CSS px) 11 pt text is still 7.6 px high
DPI = 144

# seaborn's colour-blind palette (Okabe and Ito's, adjusted) and two darker ones
PALETTE = (
    "#de8f05", "#029e73", "#0173b2", "#cc78bc", "#56b4e9", "#a89a00",
    "#d55e00", "#949494", "#fbafe4", "#8c613c", "#ca9161", "#7a3b4e",
)  # fmt: skip
# Names as the tables print them, each with the colour of its place; tests hold this against the methods.
METHOD_LABELS = {
    "cam": "CAM", "has": "HaS", "cmr": "CMR", "acol": "ACoL", "adl": "ADL", "ccam": "CCAM",
    "cutmix": "CutMix", "danet": "DANet", "eil": "EIL", "meil": "MEIL", "spg": "SPG",
    "tscam": "TS-CAM",
}  # fmt: skip
METHOD_COLOURS: dict[str, str] = dict(zip(METHOD_LABELS, PALETTE, strict=False))
VARIANT_COLOURS = {  # of the rows that stand beside the methods in many figures; the method itself is on positive parts
    "cmr (positive parts)": METHOD_COLOURS["cmr"], "cmr (literal)": "#6a2c91", "cmr, no fusion loss": "#0f8b8d",
    "views only": "#2f4858", "has, 2 views": "#0b5f43",
}  # fmt: skip

_DASHES = ("-", (0, (5, 1.6)), (0, (1.2, 1.1)), (0, (6, 1.5, 1.2, 1.5)), (0, (2.6, 1.2)), (0, (9, 2)))
_MARKERS = "osD^vPX*hd"

_RC = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("notebook"),
    "font.size": 11.0,
    "axes.titlesize": 12.0,
    "axes.labelsize": 11.5,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a929c",
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.titlecolor": INK,
    "grid.color": "#e2e4e6",
    "lines.linewidth": 2.0,
    "svg.hashsalt": "cmr",
}


class Card(Figure):
    """A matplotlib Figure on a rounded near-white card, which a notebook shows without pyplot.

    Figures made through pyplot stay open until they are closed; a bare Figure is printed by a
    notebook as text. This one holds its own picture.

    Example:
        >>> figure = Card(figsize=(2, 1))
        >>> figure._repr_png_()[1:4]
        b'PNG'
    """

    def __init__(self, figsize: tuple[float, float], face: str = PAPER, **kwargs: Any) -> None:
        super().__init__(figsize=figsize, dpi=100, **kwargs)
        self.patch.set_alpha(0.0)
        width, height = figsize
        card = FancyBboxPatch(
            (0, 0),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.12",
            transform=self.dpi_scale_trans,
            facecolor=face,
            edgecolor="none",
            zorder=-10,
        )
        self.add_artist(card)

    @property
    def kind(self) -> str:
        """Whether it shows "pictures", or is a "chart": lines and letters alone, which a dark page may invert."""
        return "pictures" if any(axes.images for axes in self.axes) else "chart"

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI, metadata={"Description": self.kind})
        return buffer.getvalue()


def themed(draw: Callable[P, R]) -> Callable[P, R]:
    """Draws under the project's theme (seaborn's), in letters that a font here has, and restores the caller's theme."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_RC):
            drawn = draw(*args, **kwargs)
            if isinstance(drawn, Figure):
                make_legible(drawn)
            return drawn

    return wrapper


def save(figure: Figure, path: str | Path, dpi: int = DPI) -> Path:
    """Saves a figure, whole or not at all.

    Args:
        figure: any matplotlib figure.
        path: where to; the ending gives the format (.png, .svg, .pdf).
        dpi: dots per inch of a raster format.

    Returns:
        The path.

    Raises:
        UserError: the ending is not a format that matplotlib writes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(Card(figsize=(1, 1)), folder + "/card.png").name
        'card.png'
    """
    path = Path(path)
    kind = path.suffix[1:]
    if kind not in figure.canvas.get_supported_filetypes():
        raise UserError(f"figure's file: '{path}' ends in no known format; use .png, .svg or .pdf")
    return write_aside(path, lambda file: figure.savefig(file, format=kind, dpi=dpi))


def method_label(name: str) -> str:
    """The name of a method as the tables print it; an unknown one is printed as it is given.

    Example:
        >>> method_label("has"), method_label("CMR, beta 0")
        ('HaS', 'CMR, beta 0')
    """
    return METHOD_LABELS.get(name.lower(), name)


def line_styles(names: Iterable[str]) -> dict[str, dict]:
    """Colour, dash and marker of each name's line, as keywords of matplotlib's `plot`.

    Args:
        names: methods' names, in any case, or any other labels.

    Returns:
        name -> {"color", "linestyle", "marker"}; those of a method are the same in every figure.

    Example:
        >>> line_styles(["cmr"])["cmr"]
        {'color': '#0173b2', 'linestyle': (0, (1.2, 1.1)), 'marker': 'D'}
    """
    order = list(dict.fromkeys([*PALETTE, *VARIANT_COLOURS.values(), *map(_darker, PALETTE)]))
    styles = {}
    for name, colour in method_colours(names).items():
        i = order.index(colour)
        styles[name] = {"color": colour, "linestyle": _DASHES[i % len(_DASHES)], "marker": _MARKERS[i % len(_MARKERS)]}
    return styles


def method_colours(names: Iterable[str]) -> dict[str, str]:
    """One colour per name: a method or known variant has its own, two forms of one its own and a darker one.

    Args:
        names: methods' names, in any case, or any other labels.

    Returns:
        name -> colour as "#rrggbb", in the order given.

    Example:
        >>> method_colours(["CAM", "beta 0"])
        {'CAM': '#de8f05', 'beta 0': '#029e73'}
        >>> method_colours(["CAM, dial 0", "CAM, dial 1"])
        {'CAM, dial 0': '#de8f05', 'CAM, dial 1': '#7a4f03'}
    """
    names, known = list(dict.fromkeys(names)), METHOD_COLOURS | VARIANT_COLOURS
    known |= {METHOD_LABELS[name].lower(): colour for name, colour in METHOD_COLOURS.items()}
    fixed = {name: known[name.lower()] for name in names if name.lower() in known}
    for stem in dict.fromkeys(name.partition(", ")[0] for name in names if name not in fixed):
        pair = [name for name in names if name.partition(", ")[0] == stem]  # "CAM, dial 0" and "CAM, dial 1"
        if stem.lower() in known and len(pair) == 2 and stem not in fixed:
            fixed |= zip(pair, (known[stem.lower()], _darker(known[stem.lower()])), strict=True)
    left = [colour for colour in (*PALETTE, *map(_darker, PALETTE)) if colour not in fixed.values()]
    others = [name for name in names if name not in fixed]
    free = {name: left[i % len(left)] for i, name in enumerate(others)}
    return {name: fixed.get(name) or free[name] for name in names}


def _darker(colour: str) -> str:
    red, green, blue = mpl.colors.to_rgb(colour)
    return mpl.colors.to_hex((0.55 * red, 0.55 * green, 0.55 * blue))

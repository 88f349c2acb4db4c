"""Letters that matplotlib's own font lacks: a font of the system draws them, or their numbers stand there."""

import warnings

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from cmr.figures import fonts
from cmr.figures.fonts import legible
from cmr.figures.style import Card, themed


@themed
def named(name, tick="a"):
    figure = Card(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.set_title(name)
    axes.set_yticks([0, 1], [tick, "b"])
    return figure


@pytest.fixture
def kingfisher(tmp_path, monkeypatch):
    """A font of the system that has two letters; each is a filled square without the frame of a missing one."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 800), (800, 800), (800, 0)):
        pen.lineTo(point)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "letter"])
    builder.setupCharacterMap(dict.fromkeys(map(ord, "翠鸟 0.93"), "letter"))
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "letter": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (900, 0), "letter": (900, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Noto Kingfisher", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path = str(tmp_path / "NotoKingfisher.ttf")
    builder.save(path)
    found = list(font_manager.fontManager.ttflist)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [path])
    yield path
    font_manager.fontManager.ttflist[:] = found


@pytest.fixture(autouse=True)
def _no_memory(monkeypatch):
    """No font but matplotlib's, whatever this machine has; nothing is remembered."""
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    own = [e for e in font_manager.fontManager.ttflist if "mpl-data" in e.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    for kept in (fonts._fonts, fonts._letters, fonts.legible):
        kept.cache_clear()
    yield
    for kept in (fonts._fonts, fonts._letters, fonts.legible):
        kept.cache_clear()


@pytest.mark.parametrize("name", ["Kingfisher", "Eisvögel ñ é", "зимородок", "Αλκυόνα"])
def test_matplotlibs_own_font_comes_first(name):
    text, font = legible(name)
    assert text == name and font.endswith("DejaVuSans.ttf")


def test_letters_that_no_font_has_are_written_as_numbers():
    assert legible("翠鸟  0.93")[0] == "\\u7fe0\\u9e1f  0.93"
    assert legible("Vogel \U0001f9ff\U000e0020")[0] == "Vogel \\U0001f9ff"


def test_a_font_of_the_system_is_taken(kingfisher):
    assert legible("翠鸟  0.93") == ("翠鸟  0.93", kingfisher)
    assert legible("翠鸟 カ")[0] == "翠鸟 \\u30ab"  # the font that lacks fewest


def test_figures_have_the_letters(kingfisher):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = named("翠鸟", "鸟")
        figure._repr_png_()
    assert "Noto Kingfisher" in figure.axes[0].title.get_fontfamily()
    assert figure.axes[0].get_yticklabels()[0].get_text() == "鸟"


def test_figures_say_what_is_missing_and_draw_no_empty_squares():
    with pytest.warns(UserWarning, match="no font here has all letters of '鸟', '翠鸟', so what is missing") as said:
        figure = named("翠鸟", "鸟")
    figure._repr_png_()  # a letter without a font would warn here
    assert len(said) == 1
    assert figure.axes[0].get_title() == "\\u7fe0\\u9e1f"
    assert figure.axes[0].get_yticklabels()[0].get_text() == "\\u9e1f"

"""The built book in a browser: every page in two widths and two themes; and each check finds the defect it is for.

It needs a Chromium on this machine and, for the pages of the book, a built one (`make book`). CMR_BOOK names another.
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from browser import defects, links

from book.build import pages

ROOT = Path(__file__).resolve().parents[2]
BOOK = Path(os.environ.get("CMR_BOOK") or ROOT / "book" / "_build" / "html")
PAGES = sorted(
    page.relative_to(BOOK).as_posix() for part in ("book", "notebooks") for page in BOOK.glob(f"{part}/**/*.html")
)
MOST_SCREENS = 6  # of 1280 x 900 pixels
TOC = list(pages(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))))
LONG = {  # pages that may be longer, and why
    **{page: "looked up, not read" for page in TOC if page.startswith("book/reference/api/")},
    "book/reference/parameters": "looked up, not read",
    "book/reference/changelog": "looked up, not read, and grows",
    "book/teach/quiz": "a work sheet",
    "book/teach/slides-50": "turned slide by slide",
    "book/teach/slides-90": "turned slide by slide",
}
WITHOUT = "no built book here; `make book` builds it"


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES or [pytest.param("", marks=pytest.mark.skip(reason=WITHOUT))])
def test_a_page_fits_can_be_read_needs_no_network_and_is_short(browser, name):
    found = defects(browser, BOOK / name)
    if name.removesuffix(".html") not in LONG and browser.screens > MOST_SCREENS:
        found.append(f"{browser.screens:.1f} screens; fold what few readers need into appendices (_ext/appendix.py)")
    assert found == []


def test_pages_that_may_be_long_are_pages():
    assert set(LONG) <= set(TOC)


def dead(pages: dict[Path, tuple[set[str], list[str]]]) -> list[str]:
    """Links to a file that is not there, or to an anchor that its page lacks."""
    found = []
    for page, (_, addresses) in pages.items():
        for address in addresses:
            to = urlsplit(address)
            file = Path(unquote(to.path))
            if not file.is_file():
                found.append(f"{page.name}: no file {file.name}")
            elif to.fragment and file in pages and unquote(to.fragment) not in pages[file][0]:
                found.append(f"{page.name}: no anchor {to.fragment} in {file.name}")
    return found


@pytest.mark.slow
@pytest.mark.skipif(not PAGES, reason=WITHOUT)
def test_links_lead_somewhere(browser):
    assert dead({BOOK / name: links(browser, BOOK / name) for name in PAGES}) == []


@pytest.mark.skipif(not PAGES, reason=WITHOUT)
def test_the_slider_moves_by_keyboard(browser):
    browser.open(
        next(BOOK / name for name in PAGES if 'class="cmr-slider"' in (BOOK / name).read_text(encoding="utf-8"))
    )
    shown = "document.querySelector('.cmr-slider output').textContent"
    before = browser.run(f"document.querySelector('.cmr-slider input').focus(); {shown}")
    browser.press("ArrowRight", 39)
    assert browser.run(shown) != before


@pytest.mark.slow
@pytest.mark.skipif(not PAGES, reason=WITHOUT)
@pytest.mark.parametrize("name", ["slides-50", "slides-90"])
def test_each_slide_fits_a_projector(browser, name):
    browser.open(BOOK / "book" / "teach" / f"{name}.html")
    browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=720, deviceScaleFactor=1, mobile=False)
    browser.run("document.querySelector('.cmr-deck-start').click()")
    tall = browser.run("""
        Array.from(document.querySelectorAll('.bd-article section > section'), () => {
            const slide = document.querySelector('.cmr-now');
            const over = Math.max(slide.scrollHeight - slide.clientHeight, slide.scrollWidth - slide.clientWidth);
            document.querySelector('.cmr-deck-nav [aria-label="next slide"]').click();
            return over > 1 ? `${slide.id}: ${over} px` : '';
        }).filter(Boolean)
    """)
    assert tall == []


PASTED = "<section>{}<div class='output text_html'><table><tr><td>1</td></tr></table></div></section>"
GOOD = "<h1>Good</h1><p>Words.</p><img alt='a dot' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"
GOOD += "<table><caption>One.</caption><tr><td>1</td></tr></table>" + PASTED.format("<p>The pasted one.</p>")
DEFECTS = {
    "<div style='width: 3000px'>wide</div>": "px wider than its window: div",
    "<pre style='overflow: auto'>" + "x" * 400 + "</pre>": "code is cut off by",
    "<div style='overflow: auto'><table><tr><td>" + "x" * 400 + "</td></tr></table></div>": "a table is cut off by",
    "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>": "a picture without alt text",
    "<p>Above.</p><table><tr><td>bare</td></tr></table>": "a table without a caption: bare",
    "<table><caption> </caption><tr><td>empty</td></tr></table>": "a table without a caption: empty",
    PASTED.format("<h2>Result</h2>"): "a table without a caption: 1",
    "<mjx-container><g data-mjx-error='No brace'></g></mjx-container>": "a formula with a mistake: No brace",
    "<p style='color: #999'>pale</p>": "contrast 2.85 : 1 of 'pale' in p",
    "<div style='opacity: .4'><p>faint</p></div>": "of 'faint' in p",
    "<details><summary>more</summary><p style='color: #eee'>folded</p></details>": "of 'folded' in p",
    "<script>console.error('it broke')</script>": "console: it broke",
    "<script>missing.call()</script>": "script error: ReferenceError: missing is not defined",
    "<img alt='far' src='http://192.0.2.1/far.png'>": "asks the network for http://192.0.2.1/far.png",
    "<link rel='stylesheet' href='gone.css'>": "log: Failed to load resource: net::ERR_FILE_NOT_FOUND",
}


def written(folder: Path, body: str, name: str = "page.html") -> Path:
    (folder / name).write_text(
        f"<!doctype html><meta charset='utf-8'><body style='background: #fff'><article>{body}</article>"
    )
    return folder / name


def test_a_good_page_has_no_defect(browser, tmp_path):
    assert defects(browser, written(tmp_path, GOOD)) == []


@pytest.mark.parametrize(("body", "found"), DEFECTS.items(), ids=[found[:30] for found in DEFECTS.values()])
def test_a_planted_defect_is_found(browser, tmp_path, body, found):
    told = defects(browser, written(tmp_path, GOOD + body))
    assert any(found in line for line in told), told


def test_a_defect_of_the_dark_theme_alone_is_found(browser, tmp_path):
    style = "<style>html[data-theme=dark] p { color: #ddd }</style>"
    told = defects(browser, written(tmp_path, GOOD + style))
    assert told and all("dark: contrast" in line for line in told)


def test_dead_links_are_found(browser, tmp_path):
    first = written(tmp_path, "<a href='b.html#here'>a</a><a href='b.html#gone'>b</a><a href='c.html'>c</a>", "a.html")
    second = written(tmp_path, "<p id='here'>here</p><a href='a.html'>back</a>", "b.html")
    assert dead({page: links(browser, page) for page in (first, second)}) == [
        "a.html: no anchor gone in b.html",
        "a.html: no file c.html",
    ]

"""The whole built book as one PDF: each page printed by a headless Chromium, joined in the order of the contents.

python -m book.pdf    what `make pdf` does: builds the book where it is not current, prints it into book/_build/cmr.pdf

Pages are opened as files, with the network blocked. Links from page to page become links inside the PDF; a first part
lists the contents with page numbers.
"""

import argparse
import base64
import html
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import Fit, NameObject
from tqdm import tqdm

from book import seen
from book.build import ROOT, build, pages
from book.chromium import Browser, executable
from cmr.errors import UserError
from cmr.files import write_aside

WITHOUT = (
    "no Chromium on this machine (looked for chromium, chromium-browser, google-chrome and chrome), and it prints the "
    "pages; install one, or print single pages with your own browser"
)
STYLE = """
@page { size: A4; margin: 18mm 16mm 20mm;
  @bottom-left { content: %s; font: 8pt sans-serif; color: #555 }
  @bottom-right { content: counter(page%s); font: 8pt sans-serif; color: #555 } }
@media print { html { counter-reset: page %d } }
"""
# A light page, whole pictures, and a link to each place that other pages lead to: only such places are told of.
PREPARE = """
(async (style, ids) => {
    document.documentElement.dataset.theme = document.documentElement.dataset.mode = 'light';
    document.head.append(Object.assign(document.createElement('style'), {textContent: style}));
    const within = document.querySelector('article') || document.body;
    for (const id of ids.filter(id => document.getElementById(id))) {
        const link = Object.assign(document.createElement('a'), {href: '#' + id, textContent: '.'});
        link.style = 'position: absolute; top: 0; left: 0; font-size: 1px; color: transparent';
        within.prepend(link);
    }
    await Promise.all(Array.from(document.images, picture => {
        picture.loading = 'eager';
        return picture.decode().catch(() => 0);
    }));
})
"""
LOOK = """
(() => {
    const head = document.querySelector('h1');
    const links = Array.from(document.querySelectorAll('a[href]'), link => link.href);
    const title = head && Array.from(head.childNodes, node => node.className === 'headerlink' ? '' : node.textContent);
    return {title: title ? title.join('').trim() : document.title, links};
})()
"""
CONTENTS = """<!doctype html><meta charset="utf-8"><title>Contents</title><style>
body { font: 11pt/1.5 sans-serif } h1 { font-size: 20pt } h2 { font-size: 12pt; margin: 1em 0 .3em; break-after: avoid }
a { color: inherit; text-decoration: none; display: flex; gap: .5em } a i { flex: 1; border-bottom: 1px dotted #999 }
</style><article><h1>%s</h1>%s</article>"""


@dataclass
class Chapter:
    """A page of the book on paper.

    Attributes:
        part: caption of the part that it belongs to.
        file: the built page.
        title: its first heading.
        wanted: ids that links of other pages lead to.
        sheets: the printed pages.
        places: id to (sheet, from left, from below) of what links may lead to, in points.
    """

    part: str
    file: Path
    title: str = ""
    wanted: set[str] = field(default_factory=set)
    sheets: PdfReader | None = None
    places: dict[str, tuple[int, float, float]] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """The number of its sheets."""
        return len(self.sheets.pages) if self.sheets else 0


def parts(toc: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each page of a table of contents in reading order, without suffix, after the caption of its part.

    Example:
        >>> list(parts({"root": "a", "parts": [{"caption": "One", "chapters": [{"file": "b"}]}]}))
        [('', 'a'), ('One', 'b')]
    """
    top = {name: value for name, value in toc.items() if name != "parts"}
    yield from (("", page) for page in pages(top))
    for part in toc.get("parts", ()):
        yield from ((part.get("caption", ""), page) for page in pages(part))


def print_book(built: Path, toc: Mapping[str, Any], out: Path, chromium: str, title: str = "") -> int:
    """Prints the pages of a built book into one PDF.

    Args:
        built: folder of the HTML.
        toc: the table of contents.
        out: the file to write; it is written whole or not at all.
        chromium: path of the program.
        title: of the book.

    Returns:
        The number of pages of the PDF.

    Raises:
        UserError: a page is missing, or asks for something on a network.
    """
    chapters = [Chapter(part, built / f"{page}.html") for part, page in parts(toc)]
    if missing := [chapter.file.name for chapter in chapters if not chapter.file.is_file()]:
        raise UserError(f"{built}: {', '.join(missing)} is not there; build the book first: make book")
    known = {chapter.file.resolve(): chapter for chapter in chapters}
    with Browser(chromium) as browser, tempfile.TemporaryDirectory() as aside:
        browser.call("Network.setBlockedURLs", urls=["http://*", "https://*", "ws://*", "wss://*"])
        for chapter in tqdm(chapters, desc="reading", unit="page"):
            _look(browser, chapter, known)
        sheets = 0
        for chapter in tqdm(chapters, desc="printing", unit="page"):
            _print(browser, chapter, sheets)
            sheets += chapter.length
        contents = Chapter("", Path(aside) / "contents.html", title or "Contents")
        contents.file.write_text(_contents(chapters, contents.title), encoding="utf-8")
        _print(browser, contents, 0, "lower-roman")
        return _join(contents, chapters, out)


def _look(browser: Browser, chapter: Chapter, known: Mapping[Path, Chapter]) -> None:
    """Reads a page's title, and notes the places that it leads to."""
    browser.open(chapter.file)
    if asked := browser.asked():
        raise UserError(
            f"{chapter.file.name} asks for {asked[0]}, and nothing is fetched for print; build the book where npm can "
            "fetch MathJax"
        )
    seen = browser.run(LOOK)
    chapter.title = seen["title"]
    for link in seen["links"]:
        target, place = _target(link, known)
        if target and target is not chapter and place:
            target.wanted.add(place)


def _target(link: str, known: Mapping[Path, Chapter]) -> tuple[Chapter | None, str]:
    """The chapter that an address leads to, where it is one, and the place in it."""
    to = urlsplit(link)
    if to.scheme != "file":
        return None, ""
    return known.get(Path(unquote(to.path)).resolve()), unquote(to.fragment)


def _print(browser: Browser, chapter: Chapter, before: int, numerals: str = "") -> None:
    """Prints a page; its sheets are numbered from `before` + 1."""
    browser.open(chapter.file)
    style = STYLE % (json.dumps(chapter.title, ensure_ascii=False), numerals and f", {numerals}", before)
    browser.run(f"({PREPARE})({json.dumps(style)}, {json.dumps(sorted(chapter.wanted))})")
    printed = browser.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True, scale=0.85)
    chapter.sheets = PdfReader(io.BytesIO(base64.b64decode(printed["data"])))
    for name, place in chapter.sheets.named_destinations.items():
        sheet = chapter.sheets.get_destination_page_number(place)
        if sheet is not None:
            chapter.places[name.removeprefix("/")] = (sheet, float(place.left or 0), float(place.top or 0))


def _contents(chapters: Sequence[Chapter], title: str) -> str:
    """A page that lists the chapters with the numbers of their first sheets."""
    lines, sheet, part = [], 1, ""
    for chapter in chapters:
        if chapter.part != part:
            part = chapter.part
            lines.append(f"<h2>{html.escape(part)}</h2>")
        lines.append(f'<a href="{chapter.file.as_uri()}">{html.escape(chapter.title)}<i></i>{sheet}</a>')
        sheet += chapter.length
    return CONTENTS % (html.escape(title), "\n".join(lines))


def _join(contents: Chapter, chapters: Sequence[Chapter], out: Path) -> int:
    """Writes the sheets of all chapters into one file, with links, bookmarks and page labels."""
    writer, links = PdfWriter(), []
    known = {chapter.file.resolve(): chapter for chapter in chapters}
    begins: dict[Path, int] = {}
    for chapter in (contents, *chapters):
        begins[chapter.file] = len(writer.pages)
        for number, sheet in enumerate(chapter.sheets.pages if chapter.sheets else ()):
            links += [(begins[chapter.file] + number, *link) for link in _links(sheet, chapter, known)]
            sheet.pop(NameObject("/Annots"), None)
            writer.add_page(sheet)
    for at, rectangle, target, place in links:
        if isinstance(target, str):
            writer.add_annotation(at, Link(rect=rectangle, border=[0, 0, 0], url=target))
        else:
            sheet, left, top = target.places.get(place, (0, 0.0, 842.0))
            fit = Fit.xyz(left=left, top=top)
            to = begins[target.file] + sheet
            writer.add_annotation(at, Link(rect=rectangle, border=[0, 0, 0], target_page_index=to, fit=fit))
    above: dict[str, Any] = {}
    for chapter in chapters:
        if chapter.part and chapter.part not in above:
            above[chapter.part] = writer.add_outline_item(title=chapter.part, page_number=begins[chapter.file])
        writer.add_outline_item(title=chapter.title, page_number=begins[chapter.file], parent=above.get(chapter.part))
    writer.set_page_label(0, contents.length - 1, style="/r")
    writer.set_page_label(contents.length, len(writer.pages) - 1, style="/D")
    writer.metadata = {"/Title": contents.title}
    writer.compress_identical_objects()
    whole = io.BytesIO()
    writer.write(whole)
    write_aside(out, whole.getvalue())
    return len(writer.pages)


def _links(sheet: Any, chapter: Chapter, known: Mapping[Path, Chapter]) -> Iterator[tuple[Any, Chapter | str, str]]:
    """The links of a sheet: where they are, the chapter or address that they lead to, and the place in the chapter."""
    for reference in sheet.get("/Annots") or ():
        note = reference.get_object()
        address = note.get("/A", {}).get("/URI")
        if "/Dest" in note:
            yield note["/Rect"], chapter, str(note["/Dest"]).removeprefix("/")
        elif address and urlsplit(address).scheme != "file":
            yield note["/Rect"], str(address), ""
        elif address and (found := _target(address, known))[0]:
            yield note["/Rect"], found[0], found[1]  # other files of this machine are not for the reader


def main() -> int:
    """Prints the book; the exit status is 1 where it cannot, so that scripts see that there is no PDF."""
    argparse.ArgumentParser(prog="python -m book.pdf", description="Prints the whole book into one PDF.").parse_args()
    try:
        if (chromium := executable()) is None:  # told before the notebooks run
            raise UserError(WITHOUT)
        built, begun = seen.current(ROOT) or build(), time.monotonic()
        toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
        config = yaml.safe_load((ROOT / "book" / "_config.yml").read_text(encoding="utf-8"))
        out = built.parent / "cmr.pdf"
        count = print_book(built, toc, out, chromium, config["title"])
    except UserError as error:
        print(f"pdf: {error}", file=sys.stderr)
        return 1
    size = out.stat().st_size / 1e6
    print(f"{out.relative_to(ROOT)}: {count} pages, {size:.0f} MB, printed in {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The book on paper: order, contents, links inside the file, page numbers; what is said where it cannot be printed."""

from pathlib import Path

import browser
import pypdf
import pytest

from book import pdf
from cmr.errors import UserError

TOC = {"root": "intro", "parts": [{"caption": "Part one", "chapters": [{"file": "deep/second"}]}]}
INTRO = """<title>x</title><article><h1>First page<a class="headerlink" href="#first">#</a></h1>
<p><a href="deep/second.html#place">over there</a> <a href="https://example.org/far">far</a>
<a href="labs.zip">a file</a> <a href="#end">down</a></p>
<p style="break-before: page" id="end">The end of the first page.</p></article>"""
SECOND = """<article><h1>Second page</h1><p>Words.</p><p style="break-before: page" id="place">The place.</p>
<p><a href="../intro.html">back</a></p></article>"""


def written(folder: Path, intro: str = INTRO) -> Path:
    (folder / "deep").mkdir()
    for name, text in {"intro.html": intro, "deep/second.html": SECOND}.items():
        (folder / name).write_text(f"<!doctype html><meta charset='utf-8'>{text}", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def chromium() -> str:
    return browser.chromium()


@pytest.fixture(scope="module")
def printed(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    out = folder / "book.pdf"
    assert pdf.print_book(written(folder), TOC, out, chromium, "A book") == 5
    return out


def test_pages_come_in_the_order_of_the_contents_with_their_numbers(printed):
    sheets = [" ".join(sheet.extract_text().split()) for sheet in pypdf.PdfReader(printed).pages]
    for text, parts in zip(
        sheets,
        [
            ("A book", "First page", "Part one", "Second page 3"),
            ("First page", "over there", "1First page"),
            ("The end of the first page.", "2First page"),
            ("Second page", "Words.", "3Second page"),
            ("The place.", "4Second page"),
        ],
        strict=True,
    ):
        assert all(part in text for part in parts), (text, parts)
    reader = pypdf.PdfReader(printed)
    assert list(reader.page_labels) == ["i", "1", "2", "3", "4"]
    assert reader.metadata.title == "A book"
    top = [
        (item.title, reader.get_destination_page_number(item)) for item in reader.outline if not isinstance(item, list)
    ]
    assert top == [("First page", 1), ("Part one", 3)]


def test_links_lead_inside_the_file_or_to_a_public_address_and_to_no_place_of_this_machine(printed):
    reader = pypdf.PdfReader(printed)
    found = []
    for at, sheet in enumerate(reader.pages):
        for note in (reference.get_object() for reference in sheet.get("/Annots", ())):
            if "/A" in note:
                found.append((at, note["/A"]["/URI"]))
            else:
                number = reader.get_page_number(note["/Dest"][0].get_object())
                found.append((at, number))
    # Contents to both pages; over there, far, down; back. Each link of a page to itself is one that print needs.
    assert {(0, 1), (0, 3), (1, 4), (1, "https://example.org/far"), (1, 2), (4, 1)} <= set(found)
    assert all(target == "https://example.org/far" for _, target in found if isinstance(target, str))
    content = printed.read_bytes()
    assert b"file:" not in content
    assert str(printed.parent).encode() not in content


def test_what_would_need_a_network_is_named(chromium, tmp_path):
    built = written(tmp_path, INTRO + "<img alt='far' src='http://192.0.2.1/far.png'>")
    with pytest.raises(UserError, match=r"intro\.html asks for http://192\.0\.2\.1/far\.png, and nothing is fetched"):
        pdf.print_book(built, TOC, tmp_path / "book.pdf", chromium)
    assert not (tmp_path / "book.pdf").exists()


def test_a_missing_page_is_named_before_anything_is_printed(tmp_path):
    with pytest.raises(UserError, match=r"intro\.html, second\.html is not there; build the book first"):
        pdf.print_book(tmp_path, TOC, tmp_path / "book.pdf", "no-chromium")


def test_without_a_chromium_one_sentence_says_so_and_nothing_is_built(monkeypatch, capsys):
    monkeypatch.setattr(pdf, "executable", lambda: None)
    monkeypatch.setattr(pdf, "build", lambda: pytest.fail("the book was built"))
    monkeypatch.setattr("sys.argv", ["book.pdf"])
    assert pdf.main() == 1
    told = capsys.readouterr()
    assert told.err.startswith("pdf: no Chromium on this machine")
    assert told.err.count("\n") == 1
    assert told.out == ""

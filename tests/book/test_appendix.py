"""Appendices: folded at a page's end, left out of its time, opened by a link into them, whole on paper."""

import re
from pathlib import Path

import pytest
from minibook import build

PAGE = f"""\
# A page

:::{{goals}}
:before: nothing

- Count words.
:::

[Down](#place) and [to all of it](#whole).

(whole)=
## Appendix: many words

{"There are ten words in this line, and none counts. " * 200}

(place)=
### A place

Here.

## Appendix: the last

Folded.

---

Where the numbers come from.

```{{toctree}}
other
```
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A book of two pages: one with two appendices, and one that is an appendix by its title."""
    folder = tmp_path_factory.mktemp("appendix")
    (folder / "index.md").write_text(PAGE)
    (folder / "other.md").write_text("# Appendix: a page\n\nWords.\n")
    out = build(folder, "goals", "appendix")
    assert (folder / "warnings").read_text() == ""
    page = out / "index.html"  # the theme has no article; the book's has
    page.write_text(page.read_text().replace('<div class="body"', '<div class="body bd-article"'))
    return out


def test_each_appendix_is_a_closed_box_under_its_heading_up_to_a_rule(built):
    text = (built / "index.html").read_text(encoding="utf-8")
    heads = re.findall(r"<details><summary><h2>(.*?)<a", text)
    assert heads == ["Appendix: many words", "Appendix: the last"]
    assert text.count("</details>") == 2 and "<hr" not in text
    assert "Where the numbers come from." in text.rpartition("</details>")[2]
    assert "<details>" not in (built / "other.html").read_text(encoding="utf-8")


def test_what_is_folded_does_not_count_in_the_time(built):
    assert "about 1 minute<" in (built / "index.html").read_text(encoding="utf-8")


OPEN = "[...document.querySelectorAll('.cmr-appendix > details')].map((e) => e.open)"


@pytest.mark.parametrize("place", ["place", "whole"])
def test_a_link_opens_what_it_leads_to_once_and_again(browser, built, place):
    browser.open_folded(built / "index.html")
    assert browser.run(OPEN) == [False, False]
    for _ in range(2):  # the second click changes no address
        click = f"document.querySelector('a[href=\"#{place}\"]:not(.headerlink)').click()"
        browser.run(f"new Promise((done) => {{ {click}; setTimeout(done, 100, 1); }})")
        assert browser.run(OPEN) == [True, False]
        browser.run("document.querySelector('.cmr-appendix > details').open = false")


def test_an_address_with_a_place_opens_it(browser, built):
    browser.open_folded(built / "index.html", "place")
    assert browser.run(OPEN) == [True, False]
    assert browser.run("document.getElementById('place').getBoundingClientRect().top < innerHeight")


def test_on_paper_all_are_open_and_closed_again_afterwards(browser, built):
    browser.open_folded(built / "index.html")
    seen = f"new Promise((done) => addEventListener('beforeprint', () => done({OPEN})))"
    browser.run(f"window.seen = {seen}; 1")
    browser.call("Page.printToPDF")
    assert browser.run("window.seen") == [True, True]
    assert browser.run(OPEN) == [False, False]

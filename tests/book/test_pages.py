"""What frames a page of the book: goals, what to read before, the time; a take-away, and appendices, at its end."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from minibook import build
from prose import ENDS

from book.build import pages, source

ROOT = Path(__file__).resolve().parents[2]
PAGES = list(pages(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))))
LOOKED_UP = "read in pieces, to look something up, at any time"
PROJECTED = "its plan has goals, prerequisites and take-away; in front of a class they would be in the way"
WITHOUT = {  # pages without the frame, and why
    "book/intro": "the cover: it leads to the pages, and nothing is learnt on it",
    "book/teach/slides-50": PROJECTED,
    "book/teach/slides-90": PROJECTED,
    "book/teach/quiz": "asks about all pages; below each question stands the page that answers it",
    "book/reference/parameters": LOOKED_UP,
    **{page: LOOKED_UP for page in PAGES if page.startswith("book/reference/api")},
    "book/reference/status": LOOKED_UP,
    "book/reference/changelog": LOOKED_UP,
    "book/reference/notation": LOOKED_UP,
    "book/reference/glossary": LOOKED_UP,
    "book/reference/bibliography": LOOKED_UP,
}
WHAT_TO_DO = (
    "give it :::{goals} with :before: under its title and :::{take-away} before the exercises or at the end "
    "(book/_ext/goals.py says how), or a reason to do without in WITHOUT"
)
GOALS = re.compile(r":::\{goals\}\n:before: (.+)\n\n((?:- .+\n)+):::\n")
TAKE_AWAY = re.compile(r":::\{take-away\}\n(.+?)\n:::$", re.DOTALL | re.MULTILINE)
ON_TOP = re.compile(r"(?:\([\w-]+\)=\n)?# .+\n\n(?:\*.+\*\n\n)?")  # a label, the title, the line of sources
VAGUE = {"Understand", "Know", "Learn", "Get", "Appreciate", "Be", "Become", "See", "To", "How", "You"}
RESULTS = ("notebooks/", "book/verdict/")


def text_of(page: str) -> str:
    """A page as Markdown; a notebook's code cells are left out."""
    file = source(ROOT, page)
    assert file is not None, page
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell["source"]) for cell in cells) + "\n"


FRAMED = [page for page in PAGES if page not in WITHOUT]


def test_pages_without_the_frame_are_pages_and_have_none_of_it():
    assert set(WITHOUT) <= set(PAGES)
    assert [page for page in WITHOUT if re.search(r"\{(goals|take-away)\}", text_of(page))] == []


@pytest.mark.parametrize("page", FRAMED)
def test_goals_and_what_to_read_before_stand_on_top(page):
    text = text_of(page)
    found = GOALS.findall(text)
    assert len(found) == 1, f"{page}: {WHAT_TO_DO}"
    assert ON_TOP.fullmatch(text.partition(":::{goals}")[0]), f"{page}: the goals stand directly under the title"
    before, listed = found[0]
    goals = re.findall(r"^- (.+)$", listed, re.MULTILINE)
    assert 1 <= len(goals) <= 3
    for goal in goals:
        first = goal.split()[0]
        assert first[0].isupper() and first not in VAGUE and goal.endswith("."), (
            f"{page}: a goal is a sentence that begins with what one can do, not with {first!r}: {goal}"
        )
    if before != "nothing":
        linked = re.findall(r"\[[^\]]+\]\(([^)#]+)[^)]*\)", before)
        assert 1 <= len(linked) <= 3
        assert re.sub(r"\[[^\]]+\]\([^)]+\)", "", before).strip(", ") == "", f"{page}: only links in {before!r}"
        for link in linked:
            to, suffix = os.path.splitext(os.path.normpath(os.path.join(os.path.dirname(page), link)))
            assert suffix in (".md", ".ipynb") and to in PAGES, f"{page}: no page {link}"
            assert PAGES.index(to) < PAGES.index(page), (
                f"{page}: {link} comes later in book/_toc.yml; what is read before stands before"
            )


@pytest.mark.parametrize("page", FRAMED)
def test_a_take_away_stands_before_the_exercises_or_at_the_end(page):
    text = text_of(page)
    found = list(TAKE_AWAY.finditer(text))
    assert len(found) == 1, f"{page}: {WHAT_TO_DO}"
    after = text[found[0].end() :].strip()
    assert not after or re.match(r"(?:\([\w-]+\)=\n)?## (?:Exercises?\n|Appendix: )|`{3,}\{exercise\}", after), (
        f"{page}: after the take-away come exercises, appendices or nothing, not: {after[:60]}"
    )
    said = " ".join(found[0][1].split())
    sentences = [sentence for sentence in ENDS.split(said) if sentence]
    assert 1 <= len(sentences) <= 3, f"{page}: a take-away has one to three sentences"
    elsewhere = " ".join((text[: found[0].start()] + after).split())
    assert [sentence for sentence in sentences if sentence in elsewhere] == [], f"{page}: said on the page already"


@pytest.mark.parametrize("page", [page for page in FRAMED if page.startswith(RESULTS)])
def test_no_result_is_typed_into_a_take_away(page):
    said = TAKE_AWAY.findall(text_of(page))[0]
    said = re.sub(r"\{glue:text\}`[^`]*`|\]\([^)]*\)|\d×\d", "", said)
    said = re.sub(r"\b(?:equations?|tables?|figures?|Top|CUB|ILSVRC|ResNet|VGG)[- ]?\d+", "", said)
    assert re.findall(r"\d\S*", said) == [], f"{page}: paste numbers from records with glue, or say it in words"


PAGE = """\
# A page

:::{goals}
:before: [The other](other.md)

- Count *words*.
- Look at a figure.
:::

WORDS

$$ a = b $$

| a |
|---|
| 1 2 3 4 5 6 7 8 9 |

```python
print("code")
```

:::{take-away}
It was counted.
:::

```{exercise} One
:label: ex-one

Many words that do not count.
```

```{solution} ex-one
:class: dropdown

Many words that do not count either, and $$ an = equation $$.
```
"""
WRONG = """\
# Wrong

:::{goals}
- No word on what to read before.
:::

:::{goals}
:before: nothing

Not a list.
:::

:::{goals}
:before: nothing

- One.
- Two.
- Three.
- Four.
:::

:::{take-away}
:::
"""
FRAME = ":::{goals}\n:before: nothing\n\n- Do nothing.\n:::\n"
WIDE = "There are ten words in this line, and all count.\n" * 60


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Pages: with all that is counted, nothing but a frame, mistakes, numbers of its own, numbers of another."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "index.md").write_text(
        PAGE.replace("WORDS", WIDE) + "\n```{toctree}\nother\nwrong\npasting\nnotebooks/toy\n```\n"
    )
    (folder / "other.md").write_text(f"# Other\n\n{FRAME}")
    (folder / "wrong.md").write_text(WRONG)
    (folder / "notebooks").mkdir()
    (folder / "notebooks/toy.md").write_text(f"# A toy\n\n{FRAME}\n" + '<details class="provenance" id="records">')
    pasted = "A number: notebooks/toy.ipynb::toy_number, and a [link](notebooks/other.ipynb).\n"
    (folder / "pasting.md").write_text(f"# Pasting\n\n{FRAME}\n{pasted}")
    return build(folder, "sphinx_exercise", "goals")


def plain(page: Path) -> str:
    body = page.read_text(encoding="utf-8").split('<div class="body" role="main">')[1].split("<footer")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_a_page_says_its_goals_what_to_read_before_and_its_time(built):
    said = plain(built / "index.html")
    # 600 words and a few around them: 3 minutes; an equation, a table and a piece of code: 1.5; an exercise: 3
    assert (
        "Goals Count words . Look at a figure. Read before The other Time about 5 minutes, and 3 more for the exercise"
        in said
    )
    assert 'href="other.html"' in (built / "index.html").read_text(encoding="utf-8")
    assert "Take-away It was counted." in said
    assert "Read before nothing Time about 1 minute" in plain(built / "other.html")


def test_a_page_with_numbers_leads_to_their_records(built):
    assert "Records the runs behind this page" in plain(built / "notebooks/toy.html")
    assert 'href="#records"' in (built / "notebooks/toy.html").read_text(encoding="utf-8")
    assert "Records A toy" in plain(built / "pasting.html")
    assert 'href="notebooks/toy.html#records"' in (built / "pasting.html").read_text(encoding="utf-8")
    assert "Records" not in plain(built / "other.html")


def test_mistakes_in_a_frame_are_warnings(built):
    told = (built.parent / "warnings").read_text(encoding="utf-8")
    assert "wrong.md:3: WARNING: goals: no :before:; name the pages to read before, or say: nothing" in told
    for line in (7, 13):
        assert f"wrong.md:{line}: WARNING: goals: expected one list with one to 3 goals" in told
    assert "take-away" in told.split("wrong.md:22")[1]


def test_time_in_words(extension):
    said = extension("goals").said
    assert [said(*found) for found in ((0.2, 0), (1.4, 0), (4.5, 3), (12.6, 9))] == [
        "about 1 minute",
        "about 1 minute",
        "about 4 minutes, and 3 more for the exercise",
        "about 13 minutes, and 9 more for the exercises",
    ]


def test_the_reader_is_told_the_rule_that_counts(extension):
    goals = extension("goals")
    words = {0.5: "half a minute", 3: "three minutes"}
    said = text_of("book/start/reading")
    assert f"{goals.WORDS} words per minute, and {words[goals.LOOK]} for each figure, table, equation or" in said
    assert f"An exercise counts {words[goals.EXERCISE]}." in said

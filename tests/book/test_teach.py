"""The part Teach: the quiz is well formed, its pages work without scripts and by keyboard, the plans' numbers hold."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from minibook import build
from prose import Page, faults, read_page, read_text

from book.build import pages, source

ROOT = Path(__file__).resolve().parents[2]
TEACH = ROOT / "book" / "teach"
QUIZ = yaml.safe_load((TEACH / "quiz.yml").read_text(encoding="utf-8"))
QUESTIONS = [question for group in QUIZ for question in group["questions"]]
PLANS = {"plan-50.md": 50, "plan-90.md": 90}


def texts(question: dict) -> list[str]:
    choices = question["choices"]
    return [question["ask"], *(choice.get("right") or choice.get("wrong") for choice in choices)] + [
        choice["why"] for choice in choices
    ]


def page_exists(address: str) -> bool:
    page = (TEACH / address.partition("#")[0]).resolve().relative_to(ROOT)
    return source(ROOT, page.with_suffix("").as_posix() if page.suffix == ".md" else page.as_posix()) is not None


@pytest.fixture(scope="module")
def quiz(extension):
    return extension("quiz")


def test_the_quiz_is_well_formed(quiz):
    read = [question for group in quiz.read_groups(TEACH / "quiz.yml") for question in group["questions"]]
    assert [question["number"] for question in read] == list(range(1, len(QUESTIONS) + 1))
    assert len(read) >= 30
    assert max(Counter(question["id"] for question in read).values()) == 1
    letters = Counter(quiz.right_letter(question) for question in read)
    assert set(letters) == set("ABCD") and max(letters.values()) < len(read) / 2, letters


def test_each_group_is_on_the_page_once():
    page = (TEACH / "quiz.md").read_text(encoding="utf-8")
    assert re.findall(r"\{quiz\} (\w+)", page) == [group["group"] for group in QUIZ]
    assert re.findall(r"^## (.*)$", page, re.MULTILINE)[:-1] == [group["title"] for group in QUIZ]


@pytest.mark.parametrize("question", QUESTIONS, ids=[question["id"] for question in QUESTIONS])
def test_a_question_is_short_and_its_pages_exist(question):
    page = Page([], [], [], [])
    for text in texts(question):
        read_text(text, question["id"], page, lines=False)
    assert faults(page) == []
    assert len({text.strip() for text in texts(question)}) == len(texts(question))
    linked = re.findall(r"\]\(([^)#]+)[^)]*\)", " ".join(texts(question)))
    pasted = re.findall(r"\{glue:text\}`([^:]+)\.ipynb::", " ".join(texts(question)))
    assert [address for address in [question["read"], *linked, *pasted] if not page_exists(address)] == []


GOOD = """\
- group: one
  title: One
  questions:
  - id: a
    ask: "Is *this* so?"
    read: page
    choices:
    - {right: Yes it is, why: So.}
    - {wrong: "No & never", why: But.}
    - {wrong: Nobody knows, why: We do.}
  - id: b
    ask: And that?
    read: page
    choices:
    - {wrong: It is, why: No.}
    - {wrong: Half, why: No.}
    - {right: It is not, why: Indeed.}
"""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("{right: Yes it is,", "{wrong: Yes it is,"), "question a: 0 right choices; expected one"),
        (("{wrong: Half,", "{right: Half,"), "question b: 2 right choices; expected one"),
        (("    - {wrong: Nobody knows, why: We do.}\n", ""), "question a: 2 choices; expected 3 or 4"),
        (("{wrong: Half, why: No.}", "{wrong: Half}"), "question b: choice B does not say why"),
        (("{wrong: Half,", "{maybe: Half,"), "question b: choice B is neither right nor wrong"),
        (("    ask: And that?\n", ""), "question b: no ask"),
        (("    read: page\n", ""), "question a: no read"),
        (("{wrong: Half,", "{wrong: What: Half,"), "quiz.yml: while parsing a flow mapping"),
    ],
)
def test_a_mistake_in_the_quiz_is_named(quiz, tmp_path, change, told):
    assert change[0] in GOOD
    (tmp_path / "quiz.yml").write_text(GOOD.replace(*change))
    with pytest.raises(ValueError, match=re.escape(told)):
        quiz.read_groups(tmp_path / "quiz.yml")


SLIDES = "# Deck\n\n```{deck} page\n```\n\n## First\n\nOne.\n\n## Second\n\nTwo.\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A book of three pages: a quiz, slides, and one that is neither."""
    folder = tmp_path_factory.mktemp("teach")
    (folder / "quiz.yml").write_text(GOOD)
    (folder / "index.md").write_text(
        "# Quiz\n\n```{quiz} one\n```\n\n```{quiz-key}\n```\n\n```{quiz} two\n```\n\n```{toctree}\npage\nslides\n```\n"
    )
    (folder / "page.md").write_text("# A page\n")
    (folder / "slides.md").write_text(SLIDES)
    return build(folder, "quiz", "deck")


def test_choices_unfold_without_javascript(built):
    text = (built / "index.html").read_text(encoding="utf-8")
    assert text.count('<details class="cmr-choice cmr-right">') == 2
    assert text.count('<details class="cmr-choice cmr-wrong">') == 4
    assert re.search(r"<b>1\.</b>\s*<span>Is <em>this</em> so\?</span>", text)
    assert re.search(r"<b>B</b>\s*<span>No &amp; never</span>\s*</summary><p>\s*<b>No\.</b>\s*<span>But\.</span>", text)
    assert text.count('Read: <span><a class="reference internal" href="page.html">') == 2
    assert "<li><b>One</b>: 1 A, 2 C</li>" in text


def test_a_group_that_is_not_there_is_a_warning(built):
    told = (built.parent / "warnings").read_text()
    assert "index.md:9: WARNING: quiz: no group two; there are one" in told
    assert told.count("WARNING") == 1


def test_scripts_are_on_their_pages_only(built):
    found = {
        page: [name for name in ("quiz.js", "deck.js") if name in (built / f"{page}.html").read_text(encoding="utf-8")]
        for page in ("index", "slides", "page")
    }
    assert found == {"index": ["quiz.js"], "slides": ["deck.js"], "page": []}


def test_the_quiz_counts_first_choices_and_works_by_keyboard(browser, built):
    browser.open_folded(built / "index.html")
    score = "document.querySelector('.cmr-score span').textContent"
    assert browser.run(score) == "0 of 2 right at the first try, 0 answered."
    browser.run("document.querySelectorAll('#quiz-a summary')[1].focus()")
    browser.press("Enter", 13, "\r")
    assert browser.run("document.querySelectorAll('#quiz-a details')[1].open")
    assert browser.run(score) == "0 of 2 right at the first try, 1 answered."
    for choice in ("#quiz-a .cmr-right", "#quiz-b .cmr-right"):
        browser.run(f"document.querySelector('{choice} summary').click()")
    browser.press("Shift", 16)
    assert browser.run(score) == "1 of 2 right at the first try, 2 answered."
    browser.run("document.querySelector('.cmr-score button').click()")
    browser.press("Shift", 16)
    assert browser.run(score) == "0 of 2 right at the first try, 0 answered."
    assert browser.run("document.querySelectorAll('details[open]').length") == 0


def test_slides_turn_by_keyboard(browser, built):
    browser.open_folded(built / "slides.html")
    now = "[document.querySelector('.cmr-now h2')?.firstChild.textContent ?? '', location.hash]"
    assert browser.run(now) == ["", ""]
    browser.run("document.querySelector('.cmr-deck-start').click()")
    assert browser.run(now) == ["First", "#slide-1"]
    for key, code, expected in [
        ("ArrowRight", 39, ["Second", "#slide-2"]),
        ("ArrowRight", 39, ["Second", "#slide-2"]),  # the last one stays
        ("Home", 36, ["First", "#slide-1"]),
        ("End", 35, ["Second", "#slide-2"]),
        ("Escape", 27, ["", "#second"]),
    ]:
        browser.press(key, code)
        assert browser.run(now) == expected
    browser.press("ArrowRight", 39)  # the page's own again
    assert browser.run(now) == ["", "#second"]


def test_an_address_opens_its_slide(browser, built):
    (built / "second.html").write_text(
        (built / "slides.html").read_text().replace("<head>", "<head><script>location.hash = 'slide-2'</script>")
    )
    browser.open_folded(built / "second.html")
    assert browser.run("document.querySelector('.cmr-now').id") == "second"


@pytest.mark.parametrize(("name", "minutes"), PLANS.items())
def test_the_minutes_of_a_plan_follow_one_another(name, minutes):
    text = (TEACH / name).read_text(encoding="utf-8")
    rows = [(int(a), int(b)) for a, b in re.findall(r"^\| (\d+)-(\d+) \|", text, re.MULTILINE)]
    assert rows[0][0] == 0 and rows[-1][1] == minutes
    assert all(end == begin for (_, end), (begin, _) in zip(rows, rows[1:], strict=False))
    assert [(int(a), int(b)) for a, b in re.findall(r"^### (\d+)-(\d+):", text, re.MULTILINE)] == rows


@pytest.mark.parametrize("name", PLANS)
def test_what_a_plan_names_on_a_page_is_there(name):
    """Headings, exercises and bold beginnings that a plan names in italics behind a link."""
    text = (TEACH / name).read_text(encoding="utf-8")
    for row in re.findall(r"^\| \d+-\d+ \|.*$", text, re.MULTILINE):
        linked = [
            source(ROOT, (TEACH / to).resolve().relative_to(ROOT).as_posix())
            for to in re.findall(r"\]\(([^)]+)\)", row)
        ]
        there = " ".join(file.read_text(encoding="utf-8") for file in linked)
        missing = [title for title in re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", row) if title not in there]
        assert missing == [], row[:60]


def test_worked_numbers_of_plans_and_slides():
    import numpy as np
    import torch

    from cmr.losses import fusion_loss
    from cmr.maps.locate import largest_box
    from cmr.metrics import box_iou

    rows = [[0, 0, 0, 0, 0], [0, 0.4, 0.4, 0.4, 0.6], [0, 0.4, 1, 0.8, 0.6], [0, 0.4, 0.4, 0.4, 0.6]]
    boxes = [tuple(largest_box(torch.tensor(rows)[None], tau)[0].tolist()) for tau in (0.2, 0.4, 0.8)]
    assert box_iou(np.array([[1, 2, 5, 6]]), np.array([[3, 1, 4, 5]])).item() == 8 / 27

    def loss(a, b, reduction="sum"):
        return fusion_loss(torch.tensor([[a]]), torch.tensor([[b]]), reduction).item()

    b = np.array([-20.0, -15.0])
    turned = [(np.array(view) + b).tolist() for view in ([2.0, 0.0], [1.0, 1.0])]
    expected = {
        "plan-50.md": [
            f"{loss([3.0, 4.0], [4.0, 3.0]):.2f} summed",
            f"{loss([3.0, 4.0], [4.0, 3.0], 'mean'):.2f} averaged",
        ],
        "plan-90.md": [
            f"{boxes[0]}, {boxes[1]} and {boxes[2]}",
            f"from {loss([2.0, 0.0], [1.0, 1.0]):.3f} to {loss(*turned):.3f}",
        ],
        "slides-50.md": [
            rf"\frac{{3000}}{{4900}} = {3000 / 4900:.2f}",
            f"the cosine is 24/25, the loss {loss([3.0, 4.0], [4.0, 3.0]):.2f}",
        ],
        "slides-90.md": [
            *map(str, boxes),
            f"(2, 0), (1, 1): {loss([2.0, 0.0], [1.0, 1.0]):.3f} \\quad\\to",
            f"(-18, -15), (-19, -14): {loss(*turned):.3f}",
        ],
    }
    assert turned == [[-18.0, -15.0], [-19.0, -14.0]]
    for name, said in expected.items():
        text = (TEACH / name).read_text(encoding="utf-8")
        assert [part for part in said if part not in text] == [], name


def test_the_way_to_cite_agrees_with_the_citation_file():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    page = " ".join((TEACH / "adapt.md").read_text(encoding="utf-8").split())
    for text in (cited["title"], cited["version"], cited["license"], cited["references"][0]["title"]):
        assert text in page


def test_every_drawn_figure_is_offered():
    offered = re.findall(
        r"\{download\}`[^`]*<\.\./_static/(\w+\.svg)>`", (TEACH / "adapt.md").read_text(encoding="utf-8")
    )
    assert sorted(offered) == sorted(file.name for file in (ROOT / "book" / "_static").glob("*.svg"))


@pytest.mark.parametrize("name", ["slides-50.md", "slides-90.md"])
def test_a_slide_fits_a_wall(name):
    text = (TEACH / name).read_text(encoding="utf-8")
    slides = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert len(slides) >= 12
    for slide in slides:
        words = sum(p.words for p in read_from(slide) if p.kind in ("paragraph", "item", "caption"))
        assert words <= 70, slide[:40]


def read_from(text: str) -> list:
    page = Page([], [], [], [])
    read_text(text, "", page, lines=False)
    return page.paragraphs


def test_misconceptions_have_a_number_a_question_and_a_page():
    text = (TEACH / "misconceptions.md").read_text(encoding="utf-8")
    entries = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert len(entries) >= 10
    for entry in entries:
        assert entry.startswith('"') and "*Ask*:" in entry and re.search(r"\*Page\*: \[[^]]+\]\([^)]+\)", entry), entry[
            :60
        ]
    assert sum("{glue:text}" in entry for entry in entries) >= 10
    assert len(entries) == 18 and "\n\nEighteen sentences" in text


def test_the_part_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    part = next(part for part in toc["parts"] if part["caption"] == "Teach")
    assert {f"book/teach/{file.stem}" for file in TEACH.glob("*.md")} <= set(pages(part))
    assert read_page(TEACH / "overview.md").tables

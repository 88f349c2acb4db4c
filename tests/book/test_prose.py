"""The book's language, page by page: lengths, names, terms, alt text, captions; and each check finds its mistake."""

from pathlib import Path

import nbformat
import pytest
import yaml
from prose import TERMS, bare, misnamed, read_page, too_long, unexplained

from book.build import pages, source

ROOT = Path(__file__).resolve().parents[2]
TOC = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [str(file.relative_to(ROOT)) for page in pages(TOC) if (file := source(ROOT, page))]
TEXTS = ["README.md", "CONTRIBUTING.md", "DESIGN.md", "CHANGELOG.md"]  # the last two speak of old and outer names


@pytest.mark.parametrize("name", [*PAGES, *TEXTS])
def test_sentences_and_paragraphs_are_short_and_names_are_the_books(name):
    page = read_page(ROOT / name)
    assert [*too_long(page), *(misnamed(page) if name not in TEXTS[2:] else [])] == []


@pytest.mark.parametrize("name", PAGES)
def test_terms_are_explained_pictures_have_words_and_tables_captions(name):
    page = read_page(ROOT / name)
    assert [*unexplained(page, TERMS), *bare(page)] == []


def page_of(tmp_path: Path, text: str, name: str = "page.md"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_page(tmp_path / name)


def test_words_are_counted_by_hand(tmp_path):
    text = "# A head\n\nOne `two three` $a + b = c$ [four five](there.md) {mark}`six`. Seven (eight)!\n"
    page = page_of(tmp_path, text)
    assert [(p.kind, p.text) for p in page.paragraphs] == [
        ("heading", "A head"),
        ("paragraph", "One `two_three` x four five six. Seven (eight)!"),
    ]
    assert page.paragraphs[1].words == 8
    assert page.paragraphs[1].sentences() == ["One `two_three` x four five six.", "Seven (eight)!"]


@pytest.mark.parametrize(("words", "found"), [(35, 0), (36, 1)])
def test_a_long_sentence_is_found(tmp_path, words, found):
    assert len(list(too_long(page_of(tmp_path, "word " * (words - 1) + "end.\n")))) == found


@pytest.mark.parametrize(("sentences", "found"), [(9, 0), (10, 1)])
def test_a_long_paragraph_is_found_with_its_line(tmp_path, sentences, found):
    text = "Short.\n\n" + "One two three four five six seven eight nine ten. " * sentences
    assert [line.split(": a paragraph")[0] for line in too_long(page_of(tmp_path, text))] == ["page.md:3"] * found


@pytest.mark.parametrize(("numbers", "found"), [(2, 0), (3, 1)])
def test_many_numbers_are_found_in_text_but_belong_in_tables(tmp_path, numbers, found):
    pasted = " and ".join(["{glue:text}`../a.ipynb::b:.1f`"] * numbers)
    assert len(list(too_long(page_of(tmp_path, f"They are {pasted}.\n")))) == found
    table = f":::{{table}} Numbers\n\n| a |\n|---|\n| {pasted} |\n:::\n"
    assert list(too_long(page_of(tmp_path, table))) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("The literal reading fails.", "interpretation"),
        ("At the test it is whole.", None),
        ("The image is whole at the test.", "at test"),
        ("It holds 37 million parameters a branch.", "per"),
        ("Who compares methods compares layers.", "a direct sentence"),
        ("It takes a way around the object.", "shortcut"),
        ("The retest is done.", "re-evaluate"),
        ("Reading it takes two minutes. `reading` is a key, [here](readings.ipynb).", None),
        ("```text\nThe literal reading\n```", None),
    ],
)
def test_a_forbidden_name_is_found_in_prose_but_not_in_code(tmp_path, text, name):
    found = list(misnamed(page_of(tmp_path, text + "\n")))
    assert len(found) == (name is not None)
    assert all(name in line for line in found)


def test_an_unexplained_term_is_found(tmp_path):
    text = "A {term}`run`, a {term}`walk`, {term}`these <run>`. XYZZY is not known; IoU and `QQQ` are, and CPUs.\n"
    assert list(unexplained(page_of(tmp_path, text), {"run", "IoU"})) == [
        "page.md:1: the glossary has no 'walk'",
        "page.md:1: 'XYZZY' is neither in the glossary nor generally known",
    ]
    assert {"MaxBoxAcc", "MaxBoxAccV2", "recipe A", "centred box"} <= TERMS


def test_a_picture_without_words_and_a_table_without_caption_are_found(tmp_path):
    text = """\
![](a.png) ![seen](b.png)

```{figure} c.png
:name: fig-c

A caption that is not an alternative text.
```

```{pasted} ../n.ipynb::d
:alt: Birds.

A caption.
```

| a |
|---|
| 1 |

:::{table} With a caption
| a |
|---|
| 1 |
:::
"""
    assert list(bare(page_of(tmp_path, text))) == [
        "page.md:1: a picture without alt text",
        "page.md:3: a picture without alt text",
        "page.md:15: a table without a caption",
    ]


def test_exercises_captions_and_notebooks_are_read(tmp_path):
    long = "word " * 40 + "end."
    folded = f"```{{exercise}} Title\n:label: ex\n\n{long}\n```\n\n```{{figure}} a.png\n:alt: b\n\n{long}\n```\n"
    found = too_long(page_of(tmp_path, folded))
    assert [line.split(": a sentence")[0] for line in found] == ["page.md:4", "page.md:10"]
    cell = nbformat.v4.new_code_cell("figure")
    cell.metadata.mystnb = {"figure": {"caption": long}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("Fine.\n\n" + long), cell])
    page = page_of(tmp_path, nbformat.writes(notebook), "n.ipynb")
    assert [line.split(": a sentence")[0] for line in too_long(page)] == ["n.ipynb, cell 0", "n.ipynb, cell 1, caption"]
    assert list(bare(page)) == ["n.ipynb, cell 1: a picture without alt text"]


def test_captions_in_code_are_read(tmp_path):
    code = """\
x = captioned(table(1), f"The literal reading of {name}. " "As a retest.")
other("The literal reading", captioned(x, "Fine."))
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    page = page_of(tmp_path, nbformat.writes(notebook), "n.ipynb")
    assert [(p.kind, p.text) for p in page.paragraphs] == [
        ("caption", "The literal reading of 0. As a retest."),
        ("caption", "Fine."),
    ]
    assert [line.split(";")[0] for line in misnamed(page)] == [
        "n.ipynb, cell 0, caption: 'literal reading'",
        "n.ipynb, cell 0, caption: 'retest'",
    ]

"""The book's build: what it stages, what stops it, what it leaves in place, and that its pages need no network."""

import io
import os
import shutil
import tarfile
from pathlib import Path

import nbformat
import pytest
import yaml

from book import build as book
from book import mathjax, seen, status
from book.__main__ import main
from book.offline import external
from cmr.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow
INTRO = """\
# Intro

A number from a run: {glue:text}`../notebooks/toy.ipynb::answer:.1f`. An equation:

$$ a = b $$ (first)

```{toggle}
Equation {eq}`first`, [the notebook](../notebooks/toy), and {ref}`there <there>`.
```
"""
OTHER = "(there)=\n# Other\n\n```{eval-rst}\n.. automodule:: cmr.errors\n```\n"


def write_notebook(path: Path, source: str) -> None:
    first = nbformat.v4.new_code_cell("value: float = 41.5  # a parameter")
    first.metadata.tags = ["parameters"]
    cells = [nbformat.v4.new_markdown_cell("# Toy"), first, nbformat.v4.new_code_cell(source)]
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


@pytest.fixture(scope="module")
def formulas(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mathjax")
    (folder / "tex-svg-full.js").write_text("// MathJax")
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A repository with a book of two pages and the real book's configuration."""
    root = tmp_path_factory.mktemp("repository")
    (root / "book" / "_static").mkdir(parents=True)
    shutil.copy(ROOT / "book" / "_config.yml", root / "book")
    (root / "book" / "_ext").mkdir()
    shutil.copy(ROOT / "book" / "_ext" / "shown.py", root / "book" / "_ext")
    for name in ("logo.svg", "book.css"):
        shutil.copy(ROOT / "book" / "_static" / name, root / "book" / "_static")
    toc = {"format": "jb-book", "root": "book/intro", "chapters": [{"file": "notebooks/toy"}]}
    toc["chapters"] += [{"file": "book/reference/status"}, {"file": "book/other"}]
    (root / "book" / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False))
    (root / "book" / "references.bib").write_text("")
    (root / "book" / "intro.md").write_text(INTRO)
    (root / "book" / "other.md").write_text(OTHER)
    (root / "cmr").mkdir()
    for name in ("__init__", "errors"):
        (root / "cmr" / f"{name}.py").write_text('"""A copy that no page takes its text from."""\n')
    (root / "book" / "reference").mkdir()
    (root / "book" / "reference" / "status.md").write_text("# Status\n\n```{include} ../_made/status.md\n```\n")
    write_notebook(root / "notebooks" / "toy.ipynb", "from myst_nb import glue\nglue('answer', value + 1)")
    return root


@pytest.fixture(scope="module")
def built(root, formulas) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mathjax, "fetch", lambda cache: formulas)
        return book.build(root)


@pytest.fixture(autouse=True)
def _no_npm(monkeypatch, formulas, request):
    if "npm" not in request.keywords:
        monkeypatch.setattr(mathjax, "fetch", lambda cache: formulas)


def test_pages_hold_the_notebooks_numbers_and_need_no_network(root, built):
    assert built == root / "book" / "_build" / "html"
    intro = (built / "book" / "intro.html").read_text()
    assert 'A number from a run: <span class="pasted-text">42.5</span>.' in intro
    assert 'src="../_static/mathjax/tex-svg-full.js' in intro
    assert (built / "_static" / "mathjax" / "tex-svg-full.js").read_text() == "// MathJax"
    assert 'href="../notebooks/toy.html"' in intro
    assert "book/intro.html" in (built / "index.html").read_text()
    assert "A copy that no page" not in (built / "book" / "other.html").read_text()
    assert 'id="module-cmr.errors"' in (built / "book" / "other.html").read_text()
    assert external(built) == []
    for page in built.rglob("*.html"):
        for server in ("unpkg.com", "jsdelivr", "cdnjs", "googleapis"):
            assert server not in page.read_text(), page
    assert str(root) not in "".join(page.read_text() for page in built.rglob("*.html"))
    assert sorted(p.name for p in (root / "book" / "_build").iterdir()) == [
        "html",
        "html.made-of",
        "html.stage",
        "notebooks",
    ]


def test_the_status_page_says_when_the_notebook_ran_and_how_long_all_took(built):
    page = (built / "book" / "reference" / "status.html").read_text()
    assert "All results are of one call, and none was taken from an earlier one." in page
    assert 'href="../../notebooks/toy.html"' in page
    assert "What <code" in page  # the caption of the times
    assert status.PAGES not in page and status.ALL not in page
    assert "not executed" not in page


def test_a_second_call_does_nothing(root, built, capsys, monkeypatch):
    before = (built / "book" / "intro.html").stat()
    with monkeypatch.context() as patch:
        patch.setattr(book, "build", None)
        assert main([], root) == 0
        assert "book: current\nopen book/_build/html/index.html" in capsys.readouterr().out
    after = (built / "book" / "intro.html").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    # not after the address of the repository, a source, or an executed notebook has changed
    with monkeypatch.context() as patch:
        patch.setenv("BOOK_REPOSITORY", "https://example.org/me/cmr")
        assert seen.current(root) is None
    executed = root / "book" / "_build" / "notebooks" / "toy.ipynb"
    executed.rename(executed.with_suffix(".aside"))
    assert seen.current(root) is None
    executed.with_suffix(".aside").rename(executed)
    assert seen.current(root) == built
    (root / "book" / "intro.md").touch()
    assert seen.current(root) is None


def reads(monkeypatch) -> list[bool]:
    """Whether Sphinx is asked to read all, for each build from here on."""
    asked = []

    def run_sphinx(stage: Path, strict: bool, fresh: bool) -> None:
        asked.append(fresh)
        original(stage, strict, fresh)

    original = book.run_sphinx
    monkeypatch.setattr(book, "run_sphinx", run_sphinx)
    return asked


def test_an_edited_page_is_read_alone_and_all_pages_are_right(root, built, monkeypatch):
    asked, page = reads(monkeypatch), root / "book" / "intro.md"
    other = built / "notebooks" / "toy.html"
    written = other.stat().st_mtime_ns
    took = (root / "book" / "_build" / "html.stage" / book.WHOLE).read_text()
    try:
        page.write_text(INTRO.replace("An equation", "Still an equation"))
        assert book.build(root) == built
        assert "Still an equation" in (built / "book" / "intro.html").read_text()
        assert other.stat().st_mtime_ns == written  # it shows nothing of what changed
        page.write_text(INTRO.replace("# Intro", "# Another title"))
        assert book.build(root) == built
    finally:
        page.write_text(INTRO)
    assert asked == [False, False]
    whole = root / "book" / "_build" / "html.stage" / book.WHOLE
    assert whole.read_text() == took  # of all pages, not of these edits
    assert "Another title" in other.read_text()  # in its list of pages
    assert 'class="pasted-text">42.5<' in (built / "book" / "intro.html").read_text()


@pytest.mark.parametrize(
    ("what", "fresh"),
    [
        ("nothing", False),
        ("book/a.md", False),
        ("notebooks/a.ipynb", True),  # its numbers may be pasted elsewhere
        ("book/_static/book.css", True),
        ("book/new.md", True),
        ("a page less", True),
        ("a build that failed", True),
    ],
)
def test_what_changed_decides_what_is_read(what, fresh, tmp_path):
    new, kept = tmp_path / "new", tmp_path / "kept"
    for tree in (new, kept):
        for name in ("book/a.md", "book/b.md", "notebooks/a.ipynb", "book/_static/book.css"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text("before")
    (kept / "_build").mkdir()
    (kept / "_pasted").mkdir()
    (kept / "_pasted" / "a.png").write_text("a picture that Sphinx took out of a notebook")
    if what != "a build that failed":
        (kept / book.WHOLE).touch()
    if what == "a page less":
        (new / "book/b.md").unlink()
    elif "/" in what:
        (new / what).write_text("after!")
        os.utime(new / what, (1, 1))  # older than what it takes the place of
    time = (kept / "book/b.md").stat().st_mtime_ns
    assert book.settle(new, kept) == fresh
    assert not new.exists()
    assert (kept / "_pasted").exists() != fresh
    assert (kept / "book/b.md").exists() == (what != "a page less")
    if what == "book/a.md":
        assert (kept / what).read_text() == "after!"
        assert (kept / what).stat().st_mtime_ns > 2e9  # what Sphinx goes by
        assert (kept / "book/b.md").stat().st_mtime_ns == time


def test_a_page_that_names_what_an_edit_took_away_fails_the_build(root, built, capfd):
    """That page is written again, though it was not read again."""
    other = root / "book" / "other.md"
    try:
        other.write_text("(elsewhere)=\n# Other\n")
        with pytest.raises(UserError, match="the pages have mistakes"):
            book.build(root)
    finally:
        other.write_text(OTHER)
    assert "undefined label: 'there'" in capfd.readouterr().err


def test_a_warning_fails_the_build_and_the_last_good_book_stays(root, built, capfd):
    page = root / "book" / "intro.md"
    good = (built / "book" / "intro.html").read_text()
    page.write_text(INTRO + "\n[gone](../notebooks/gone)\n")
    try:
        for _ in range(2):  # what was read with a warning is not taken for good
            with pytest.raises(UserError, match="the pages have mistakes"):
                book.build(root)
            assert "book/intro.md:11: WARNING: 'myst' cross-reference target not found" in capfd.readouterr().err
            assert (built / "book" / "intro.html").read_text() == good
    finally:
        page.write_text(INTRO)
    assert book.build(root) == built


def test_a_failing_notebook_is_named_and_the_last_good_book_stays(root, built):
    path = root / "notebooks" / "toy.ipynb"
    good, text = (built / "notebooks" / "toy.html").read_text(), path.read_text()
    write_notebook(path, "1 / 0")
    try:
        with pytest.raises(UserError, match=r"toy\.ipynb, cell 3 \(In \[2\]\): ZeroDivisionError: division by zero"):
            book.build(root)
    finally:
        path.write_text(text)
    assert (built / "notebooks" / "toy.html").read_text() == good


def test_a_missing_page_fails_the_build_but_a_draft_leaves_it_out(root, built, capsys, monkeypatch):
    toc = root / "book" / "_toc.yml"
    text = toc.read_text()
    toc.write_text(text + "- file: notebooks/later\n")
    try:
        with pytest.raises(UserError, match="no file for notebooks/later; .* make draft"):
            book.build(root)
        monkeypatch.setattr(mathjax, "fetch", lambda cache: None)
        draft = book.build(root, draft=True)
    finally:
        toc.write_text(text)
    assert draft == root / "book" / "_build" / "draft"
    assert "left out, there is no such file: notebooks/later" in capsys.readouterr().out
    assert built.is_dir()
    assert 'href="../../notebooks/toy.html"' in (draft / "book" / "reference" / "status.html").read_text()
    # without npm the formulas need a network, and the page says so
    intro = (draft / "book" / "intro.html").read_text()
    assert book.NOTE in intro
    assert [line for line in external(draft) if "mathjax" not in line] == []
    assert any(line.startswith("book/intro.html: https://") for line in external(draft))


def test_pages_that_would_fetch_from_elsewhere_are_found(tmp_path):
    (tmp_path / "good.html").write_text(
        '<a href="https://example.org">a link to follow</a><img src="data:image/png;base64,AA"><script src="x.js">'
        "</script><p>url(https://example.org/only-text.png)</p>"
    )
    (tmp_path / "bad.html").write_text(
        '<script src="//cdn.example/a.js"></script><link rel="icon" href="https://b.example/b.svg">'
        '<link rel="canonical" href="https://c.example"><img src="http://d.example/d.png">'
        '<p style="background: url(https://e.example/e.png)"></p><style>@import "https://f.example/f.css";</style>'
    )
    (tmp_path / "a.css").write_text(
        "p { background: url('https://g.example/g.woff') } q { background: url(local.png) }"
    )
    assert external(tmp_path, allowed=("d.example",)) == [
        "a.css: https://g.example/g.woff",
        "bad.html: //cdn.example/a.js",
        "bad.html: https://b.example/b.svg",
        "bad.html: https://e.example/e.png",
        "bad.html: https://f.example/f.css",
    ]


def test_a_record_that_a_page_links_to_comes_with_the_book(tmp_path):
    page, record = tmp_path / "html/notebooks/toy.html", tmp_path / "results/a study/r/record.json"
    for folder in (page.parent, record.parent):
        folder.mkdir(parents=True)
    page.write_text('<a href="../results/a%20study/r/record.json">r</a> <a href="../results/other.html">o</a>')
    with pytest.raises(
        UserError, match=r"notebooks/toy.html: links to results/a study/r/record.json, which is not there"
    ):
        book.bring_records(tmp_path / "html", [tmp_path])
    book.bring_records(tmp_path / "html", [tmp_path], strict=False)
    record.write_text("{}")
    book.bring_records(tmp_path / "html", [tmp_path])
    assert (tmp_path / "html/results/a study/r/record.json").read_text() == "{}"
    (tmp_path.parent / "secret.json").write_text("{}")
    page.write_text('<a href="../results/../../secret.json">r</a>')
    with pytest.raises(UserError, match="not there"):
        book.bring_records(tmp_path / "html", [tmp_path])
    (tmp_path / "next/notebooks").mkdir(parents=True)
    (tmp_path / "next/notebooks/toy.html").write_text('<a href="../results/a%20study/r/record.json">r</a>')
    record.unlink()  # the book before still has it
    book.bring_records(tmp_path / "next", [tmp_path, tmp_path / "html"])
    assert (tmp_path / "next/results/a study/r/record.json").read_text() == "{}"


@pytest.mark.parametrize("address", ["", "https://example.org/me/cmr/"])
def test_pages_lead_to_the_repository_where_its_address_is_known(root, formulas, tmp_path, monkeypatch, address):
    monkeypatch.setenv("BOOK_REPOSITORY", address)
    book.stage_tree(root, tmp_path / "stage", {}, [], formulas)
    config = yaml.safe_load((tmp_path / "stage" / "_config.yml").read_text())
    assert config["html"].get("use_repository_button", False) == bool(address)
    assert config.get("repository") == ({"url": address.rstrip("/")} if address else None)


def test_a_table_of_contents_is_walked_and_pruned():
    toc = {
        "format": "jb-book",
        "root": "a",
        "parts": [
            {"caption": "one", "chapters": [{"file": "b", "sections": [{"file": "c"}]}, {"file": "d"}]},
            {"caption": "two", "chapters": [{"file": "e"}]},
        ],
    }
    assert list(book.pages(toc)) == ["a", "b", "c", "d", "e"]
    assert book.without(toc, {"d", "e"}) == {
        "format": "jb-book",
        "root": "a",
        "parts": [{"caption": "one", "chapters": [{"file": "b", "sections": [{"file": "c"}]}]}],
    }
    assert book.without(toc, {"c"})["parts"][0]["chapters"][0] == {"file": "b"}


def archive(path: Path, **members: bytes) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return path


def test_another_mathjax_than_the_known_one_is_refused(tmp_path):
    packed = archive(tmp_path / "a.tgz", **{"es5/tex-svg-full.js": b"alert(1)", "LICENSE": b"free"})
    with pytest.raises(ValueError, match=r"tex-svg-full\.js has SHA-256 [0-9a-f]{64}, expected a4354ff9"):
        mathjax.unpack(packed, tmp_path)
    assert not (tmp_path / "tex-svg-full.js").exists()
    with pytest.raises(ValueError, match="holds no package/es5/tex-svg-full.js"):
        mathjax.unpack(archive(tmp_path / "b.tgz", LICENSE=b"free"), tmp_path)


@pytest.mark.npm
def test_without_npm_mathjax_is_not_fetched(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert mathjax.fetch(tmp_path / "cache") is None
    assert "npm is not installed; the pages will need a network" in capsys.readouterr().out
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error network' >&2\nexit 1\n")
    npm.chmod(0o755)
    assert mathjax.fetch(tmp_path / "cache") is None
    assert "npm failed (npm error network)" in capsys.readouterr().out
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.npm
def test_mathjax_comes_from_npm_once(tmp_path, capsys, monkeypatch):
    folder = mathjax.fetch(tmp_path)
    if folder is None:
        pytest.skip(capsys.readouterr().out.strip())
    assert sorted(p.name for p in folder.iterdir()) == ["LICENSE", "tex-svg-full.js"]
    monkeypatch.setenv("PATH", "")
    assert mathjax.fetch(tmp_path) == folder


def test_every_page_of_the_book_is_listed_and_every_listed_page_is_there():
    listed = list(book.pages(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())))
    assert len(set(listed)) == len(listed)
    assert [page for page in listed if book.source(ROOT, page) is None] == []
    written = [file for file in (ROOT / "book").rglob("*.md") if not {"_build", "_cache"} & set(file.parts)]
    assert {file.relative_to(ROOT).with_suffix("").as_posix() for file in written} <= set(listed)

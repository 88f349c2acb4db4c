"""Builds the book: runs the notebooks, stages the pages as they lie in the repository, makes HTML, and swaps it in.

The staged tree of the last build is kept, with what Sphinx made of it: where only the text of pages has changed since,
the others are not read again, and written again only if they may show something of the changed ones.

BOOK_REPOSITORY, if it is set, is the repository's address; each page then has a button that leads there.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from book import made, mathjax, seen, status
from book.execute import run_notebooks
from book.offline import external, same
from cmr.errors import UserError
from cmr.files import write_aside
from labs.make import pack
from study import recipes, repeated

ROOT = Path(__file__).resolve().parent.parent
STAGED = ("book", "cmr", "labs", "results")  # the notebooks come as executed copies
NOT_STAGED = shutil.ignore_patterns(
    "_build", "_cache", "runs", "__pycache__", "*.pyc", "_config.yml", "_toc.yml", ".ipynb_checkpoints"
)
LEFT_BY_SPHINX = ("_build", "_pasted")
WHOLE = Path("_build", "whole")  # of a staged tree: its build went well; the seconds that all pages took
REPEATED = ("toybirds-one-rate", "toybirds", "toybirds-readings", "recipes")  # hold trainings that were made twice
RECORD_LINK = re.compile(r'href="\.\./((?:results|runs)/[^"#?]+\.json)"')  # as `cmr.study.provenance` writes them
# The command `jupyter-book`, without two things that take more than half of its time: collecting garbage among the
# millions of parts of pages, of which hardly any is, and a library that jsonschema does without (see `book.__main__`).
JUPYTER_BOOK = (
    "import gc, sys; gc.disable(); sys.modules['rfc3987_syntax'] = None; from jupyter_book.cli.main import main; main()"
)
COLOURS = re.compile("\x1b\\[[0-9;]*m")
NOTE = "Formulas on these pages are drawn by MathJax from a public address: reading them needs a network."


def build(root: Path = ROOT, draft: bool = False) -> Path:
    """Builds the book of the repository at `root`.

    Args:
        root: holds `book/`, `notebooks/` and, where they exist, `cmr/` and `results/`.
        draft: pages only, as they are.

    Returns:
        The folder with the HTML.

    Raises:
        UserError: a page is missing, a notebook failed, Sphinx warned, or a page would need a network. The book that
            was there before stays.
    """
    before = seen.sources(root)
    out = root / "book" / "_build"
    html = out / ("draft" if draft else "html")
    toc = yaml.safe_load((root / "book" / "_toc.yml").read_text(encoding="utf-8"))
    missing = [page for page in pages(toc) if source(root, page) is None]
    if missing and not draft:
        raise UserError(
            f"book/_toc.yml: no file for {', '.join(missing)}; write it, or build what there is: make draft"
        )
    for page in missing:
        print(f"left out, there is no such file: {page}")
    notebooks = [file for page in pages(toc) if (file := source(root, page)) and file.suffix == ".ipynb"]
    if not draft:
        run_notebooks(notebooks, out / "notebooks", read_by_notebooks(root))

    stage, kept = out / f"{html.name}.new", out / f"{html.name}.stage"
    formulas = mathjax.fetch(root / "book" / "_cache")
    stage_tree(root, stage, without(toc, set(missing)), notebooks, formulas)
    executed, setting_up = status.executed(notebooks, out / "notebooks"), status.installed()
    write_made(root, stage, notebooks, status.page(executed, status.older(executed, root / "runs"), setting_up))
    start = time.monotonic()
    fresh = settle(stage, kept)
    all_took = 0.0 if fresh else float((kept / WHOLE).read_text())
    (kept / WHOLE).unlink(missing_ok=True)  # until all has gone well: Sphinx does not warn twice of what it has read
    run_sphinx(kept, strict=not draft, fresh=fresh)
    built = out / f"{html.name}.next"
    shutil.rmtree(built, ignore_errors=True)
    shutil.copytree(kept / "_build" / "html", built)
    bring_records(built, (root, out / "html"), strict=not draft)
    found = external(built, allowed=() if formulas else ("mathjax",), checked=out / "html")
    if found and not draft:
        raise UserError("these pages would need a network:\n" + "\n".join(found))
    seconds = time.monotonic() - start
    status.fill(built / "book" / "reference" / "status.html", executed, setting_up, all_took or seconds)
    swap(built, html)
    (kept / WHOLE).write_text(str(all_took or seconds))  # the status page says what all pages took, after an edit too
    if not draft:
        seen.keep(root, before if formulas else "")  # without them the next call tries to fetch them
    print(f"book: built in {seconds:.0f} s")
    return html


def pages(toc: Any) -> Iterator[str]:
    """The pages of a table of contents in reading order, without suffix."""
    if isinstance(toc, list):
        for item in toc:
            yield from pages(item)
    elif isinstance(toc, dict):
        yield from (toc[name] for name in ("root", "file") if name in toc)
        for name in ("parts", "chapters", "sections", "subtrees", "entries"):
            yield from pages(toc.get(name))


def without(toc: Any, missing: set[str]) -> Any:
    """The table of contents less the missing pages and the lists that they leave empty; None where nothing is left."""
    if isinstance(toc, list):
        return [item for item in (without(item, missing) for item in toc) if item is not None]
    if isinstance(toc, dict):
        kept = {name: without(item, missing) for name, item in toc.items()}
        kept = {name: item for name, item in kept.items() if item != []}
        gone = toc.get("file") in missing or ("chapters" in toc and "chapters" not in kept and "root" not in toc)
        return None if gone else kept
    return toc


def source(root: Path, page: str) -> Path | None:
    """The file of a page, or None."""
    return next((file for suffix in (".md", ".ipynb") if (file := root / f"{page}{suffix}").is_file()), None)


def read_by_notebooks(root: Path) -> list[Path]:
    """What notebooks read: the library, records, installed versions, and whether the shared material is here."""
    return [root / "cmr", root / "results", root / "constraints.txt", seen.shared(root)]


def stage_tree(root: Path, stage: Path, toc: Any, notebooks: list[Path], formulas: Path | None) -> None:
    """Lays out what Sphinx reads: a mirror of the repository, its configuration at the top.

    Args:
        root: the repository.
        stage: the folder to make anew.
        toc: the table of contents.
        notebooks: those in the book; the executed copy is taken where there is one.
        formulas: MathJax's folder, or None to link it.
    """
    shutil.rmtree(stage, ignore_errors=True)
    for name in STAGED:
        if (root / name).is_dir():
            shutil.copytree(root / name, stage / name, ignore=NOT_STAGED)
    if (stage / "labs").is_dir():
        pack(stage / "labs" / "labs.zip", root / "labs")
    (stage / "notebooks").mkdir(parents=True)
    for notebook in notebooks:
        executed = root / "book" / "_build" / "notebooks" / notebook.name
        shutil.copy(executed if executed.is_file() else notebook, stage / "notebooks" / notebook.name)

    config = yaml.safe_load((root / "book" / "_config.yml").read_text(encoding="utf-8"))
    extensions = sorted((stage / "book" / "_ext").glob("*.py"))
    config["sphinx"]["local_extensions"] = {file.stem: "book/_ext" for file in extensions}
    config["sphinx"]["config"]["extensions"] += [file.stem for file in extensions]
    if address := os.environ.get("BOOK_REPOSITORY"):
        config["repository"] = {"url": address.rstrip("/")}
        config["html"]["use_repository_button"] = True
    if formulas:
        shutil.copytree(formulas, stage / "book" / "_static" / "mathjax")
        config["sphinx"]["config"]["mathjax_path"] = "mathjax/tex-svg-full.js"
    else:
        config["html"]["announcement"] = NOTE
    for name, content in {"_config.yml": config, "_toc.yml": toc}.items():
        (stage / name).write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def write_made(root: Path, stage: Path, notebooks: list[Path], status_page: str) -> None:
    """Writes the parts of pages that are made now, as `book/made.py` lists them, into the staged tree."""
    parts = {"status": status_page, "parameters": made.parameters(notebooks)}
    if (root / "CHANGELOG.md").is_file():
        parts["changelog"] = made.changelog((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    if (root / "study" / "recipes.toml").is_file():
        found = list(recipes.read(root).values())
        parts |= {"recipes": made.recipes(found), "commands": made.commands(found)}
        parts["repeated"] = made.repeated(repeated.pairs(*(root / "results" / name for name in REPEATED)))
        parts["materials"] = made.materials([one.run.record for one in found])
    for name, text in parts.items():
        write_aside(stage / "book" / "_made" / f"{name}.md", (text + "\n").encode())


def settle(new: Path, kept: Path) -> bool:
    """Puts a staged tree in the place of the last build's, of which the files stay where only pages differ.

    Args:
        new: the tree; it is gone then.
        kept: that of the last build, with what Sphinx read of it.

    Returns:
        Whether Sphinx has to read all pages.
    """
    names = staged(new)
    changed = [name for name in names if not same(new / name, kept / name)]
    if (kept / WHOLE).is_file() and names == staged(kept) and all(name.suffix == ".md" for name in changed):
        for name in changed:
            shutil.copyfile(new / name, kept / name)  # its time is now, by which Sphinx sees that it changed
        shutil.rmtree(new)
        return False
    shutil.rmtree(kept, ignore_errors=True)
    new.rename(kept)
    return True


def staged(tree: Path) -> set[Path]:
    """The files of a staged tree, less what Sphinx leaves there."""
    names = {file.relative_to(tree) for file in tree.rglob("*") if file.is_file()}
    return {name for name in names if name.parts[0] not in LEFT_BY_SPHINX}


def run_sphinx(stage: Path, strict: bool, fresh: bool) -> None:
    """Builds the HTML of a staged tree into its `_build/html`, all of it or what changed (`book/_ext/shown.py`).

    Raises:
        UserError: Sphinx failed, or warned and `strict` is asked.
    """
    # -P: what a page documents is the library that is installed, not the tree's copy
    command = [sys.executable, "-P", "-c", JUPYTER_BOOK, "build", str(stage), "-q"]
    command += ["--all"] * fresh + ["-W", "-n", "--keep-going"] * strict
    done = subprocess.run(command, cwd=stage, capture_output=True, text=True)
    print(COLOURS.sub("", done.stderr).replace(f"{stage}/", ""), end="", file=sys.stderr)
    if done.returncode:
        raise UserError("the pages have mistakes, named above (each warning is an error); the book before stays")


def bring_records(html: Path, places: Sequence[Path], strict: bool = True) -> None:
    """Copies the records that pages link to, so that the links which work beside the notebooks work in the book.

    Args:
        html: the pages.
        places: where the records may be: the repository, and the book before, since `runs/` may have been cleared.
        strict: whether a record that is in none of them is an error.

    Raises:
        UserError: such a record.
    """
    for page in sorted(html.glob("*/*.html")):  # the folder of a page stands for that of its source
        for link in RECORD_LINK.findall(page.read_text(encoding="utf-8")):
            name = unquote(link)
            if (html / name).exists():
                continue
            files = [place / name for place in places if (place / name).resolve().is_relative_to(place.resolve())]
            record = next((file for file in files if file.is_file()), None)
            if record:
                (html / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(record, html / name)
            elif strict:
                page_name = page.relative_to(html)
                raise UserError(f"{page_name}: links to {name}, which is not there; make clean, and build again")


def swap(new: Path, old: Path) -> None:
    """Puts the new folder in the place of the old one by renaming."""
    aside = old.with_name(f"{old.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists():
        old.rename(aside)
    new.rename(old)
    shutil.rmtree(aside, ignore_errors=True)

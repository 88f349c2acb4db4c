"""The status page: what it says of notebooks that ran, failed or did not run, and of the times."""

import json
from pathlib import Path

import nbformat
from prose import faults, read_page

from book import status
from book.status import Executed, elapsed, executed, fill, older, page

ROOT = Path(__file__).resolve().parents[2]
PLACE = {"commit": "0123456789abcdef", "dirty": True, "cmr": "0.1.0", "python": "3.12.1", "device": "AMD EPYC"}
PLACE |= {"versions": {"torch": "2.15.0"}}


def ran(name: str, began: str, seconds: float, call: str, trained: int = 0) -> Executed:
    return Executed(name, name.title(), "ok", began, seconds, call, trained, PLACE)


FIRST, SECOND = "2026-01-31T12:00:00Z", "2026-02-01T09:00:00Z"
TWO_CALLS = [
    ran("one", FIRST, 100.0, FIRST, 4),
    ran("two", "2026-01-31T12:00:10Z", 60.0, FIRST),
    ran("three", "2026-02-01T09:00:05Z", 20.0, SECOND),
]


def notebook(path: Path, *outputs: nbformat.NotebookNode, start: str = "") -> None:
    cells = [nbformat.v4.new_markdown_cell(f"Some text.\n# The {path.stem.split('.')[0]}\n")]
    cells.append(nbformat.v4.new_code_cell("1", outputs=list(outputs)))
    made = nbformat.v4.new_notebook(cells=cells)
    if start:
        made.metadata.papermill = {"start_time": start}
    path.parent.mkdir(exist_ok=True)
    nbformat.write(made, path)


def test_what_ran_failed_and_did_not_run_is_told_apart(tmp_path):
    paths = [tmp_path / f"{name}.ipynb" for name in ("good", "before", "bad", "new")]
    for path in paths:
        notebook(path)
    out = tmp_path / "out"
    notebook(out / "good.ipynb", start="2026-01-31T13:00:00+01:00")
    state = {"seconds": 12.5, "began": FIRST, "call": FIRST, "trained": 2, "environment": PLACE}
    (out / "good.json").write_text(json.dumps(state))
    notebook(out / "before.ipynb", start="2026-01-31T13:00:00+01:00")  # of a version that noted less
    (out / "before.json").write_text('{"seconds": 3}')
    error = nbformat.v4.new_output("error", ename="ZeroDivisionError", evalue="division by zero", traceback=[])
    notebook(out / "bad.ipynb")
    notebook(out / "bad.failed.ipynb", error, start="2026-02-01T09:00:00+00:00")
    assert executed(paths, out) == [
        Executed("good", "The good", "ok", FIRST, 12.5, FIRST, 2, PLACE),
        Executed("before", "The before", "ok", FIRST, 3),
        Executed("bad", "The bad", "failed in cell 2: ZeroDivisionError", SECOND),
        Executed("new", "The new", "not executed"),
    ]


def test_time_in_which_two_ran_counts_once():
    assert elapsed(TWO_CALLS) == 120.0
    assert elapsed([]) == 0.0


def test_the_page_says_what_is_of_which_call(tmp_path):
    text = page(TWO_CALLS, 0, 200.0)
    assert "The latest call executed one notebook. The other 2 were taken from earlier ones" in text
    assert "| setting up the environment | 3 min 20 s |" in text
    assert "| notebooks, two at a time | 2 min |" in text
    assert "| the same, one after another | 3 min |" in text
    assert "| 1 | 2026-02-01 09:00 | 1 | `0123456789` with local changes | 0.1.0 | 3.12.1 | 2.15.0 | AMD EPYC |" in text
    assert "| [One](../../notebooks/one) | ok | 2026-01-31 12:00 | 1 min 40 s | 4 | 2 |" in text
    assert "All results are of one call" in page(TWO_CALLS[:2], 0, None)
    assert "not set up by `make`" in page(TWO_CALLS[:2], 0, None)


def test_a_draft_says_so_and_runs_from_before_are_told(tmp_path):
    text = page([*TWO_CALLS, Executed("new", "New", "not executed")], 3, None)
    assert "Of 4 notebooks, one has no result here: this is a draft." in text
    assert "In `runs/` there are 3 trainings from before" in text
    assert "| [New](../../notebooks/new) | not executed | – | – | – | – |" in text
    empty = page([Executed("new", "New", "not executed")], 0, None)
    assert "none was executed" in empty and "| – | – |" in empty


def test_the_sentences_are_the_books(tmp_path):
    for text in (page(TWO_CALLS, 3, 1.0), page([Executed("new", "New", "not executed")], 1, None)):
        (tmp_path / "part.md").write_text(text, encoding="utf-8")
        assert faults(read_page(tmp_path / "part.md")) == []


def test_times_that_are_known_after_the_build_are_filled_in(tmp_path):
    built = tmp_path / "status.html"
    built.write_text(f"<td>{status.PAGES}</td><td>{status.ALL}</td>")
    fill(built, TWO_CALLS, 200.0, 40.4)
    assert built.read_text() == "<td>40 s</td><td>6 min</td>"
    fill(tmp_path / "gone.html", TWO_CALLS, None, 1.0)


def test_trainings_from_before_the_first_notebook_are_counted():
    recorded = ROOT / "results" / "tiny"
    assert older([ran("one", "2100-01-01T00:00:00Z", 1.0, FIRST)], recorded) == 3
    assert older([ran("one", "2000-01-01T00:00:00Z", 1.0, FIRST)], recorded) == 0
    assert older([], recorded) == 0

"""The labs: solutions run whole, students' copies stop at their first gap and are what `make labs` makes."""

import json
import re
import shutil
import zipfile
from pathlib import Path

import nbformat
import pytest
from IPython.display import display
from prose import TERMS, faults, read_page

from cmr.errors import UserError
from cmr.study.notebooks import notebook_parameters, run_notebook
from labs import mark
from labs.make import BEGIN, END, GAP, cleared, copies, main, pack, stale, write

ROOT = Path(__file__).resolve().parents[2]
LABS = ROOT / "labs"
SOLUTIONS = sorted((LABS / "solutions").glob("*.ipynb"))
STUDENTS = sorted((LABS / "students").glob("*.ipynb"))


def name(path: Path) -> str:
    return path.stem


def run(path: Path, out: Path) -> list[dict]:
    """The executed cells of a notebook; runs of trainings go to `out`."""
    given = {"out": str(out / "runs")} if "out" in notebook_parameters(path) else {}
    run_notebook(path, out / path.name, given, progress=False)
    return json.loads((out / path.name).read_text(encoding="utf-8"))["cells"]


def test_there_are_eight_labs():
    assert [path.name[0] for path in SOLUTIONS] == list("12345678")


@pytest.mark.slow
@pytest.mark.parametrize("path", SOLUTIONS, ids=name)
def test_a_solution_notebook_runs_whole_and_its_predictions_hold(path, tmp_path):
    outputs = [output for cell in run(path, tmp_path) for output in cell.get("outputs", [])]
    printed = "".join("".join(output.get("text", "")) for output in outputs)
    steps = re.findall(r"^Step (\d) is done", printed, flags=re.MULTILINE)
    assert len(steps) >= 4
    assert steps == sorted(set(steps))
    assert printed.count("You predicted") >= 2
    assert "the run says" not in printed
    assert not [output for output in outputs if output.get("name") == "stderr"]


@pytest.mark.slow
@pytest.mark.parametrize("path", STUDENTS, ids=name)
def test_a_students_notebook_runs_up_to_its_first_gap(path, tmp_path, monkeypatch):
    code = mark.code_of(path)
    first = next(i for i, source in enumerate(code) if GAP[1] in source)
    stops = first + (f"    {GAP[1]}" in code[first])  # a function stops where the check calls it
    monkeypatch.chdir(path.parent)
    monkeypatch.syspath_prepend(path.parent)  # where Jupyter starts a notebook
    names = {"display": display}
    for source in code[:stops]:
        exec(source, names)
        names |= {"out": str(tmp_path)} if "out" in names else {}
    with pytest.raises(NotImplementedError):
        exec(code[stops], names)


@pytest.mark.parametrize("path", SOLUTIONS, ids=name)
def test_a_lab_has_goals_time_four_to_eight_steps_and_predictions(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    head = "".join(cells[0]["source"])
    assert all(word in head for word in ("**You learn**", "**Before this lab**", "**Time**"))
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    steps = [int(found[1]) for text in texts if (found := re.match(r"## Step (\d):", text))]
    assert steps == list(range(1, len(steps) + 1))
    assert 4 <= len(steps) <= 8
    code = mark.code_of(path)
    assert sum("reveal(" in source for source in code) >= 2
    for source in code:
        assert not (BEGIN in source and "reveal(" in source), "a prediction is made in one cell and met in the next"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.parametrize("path", SOLUTIONS, ids=name)
def test_the_labs_speak_as_the_book(path):
    assert faults(read_page(path), TERMS | {"NotImplementedError"}) == []


def test_the_copies_are_what_make_labs_makes():
    assert stale() == []
    assert copies() == copies()


@pytest.mark.parametrize("path", STUDENTS, ids=name)
def test_a_copy_holds_no_solution(path):
    text = path.read_text(encoding="utf-8")
    assert BEGIN not in text and END not in text
    solutions = re.findall(
        rf"{BEGIN}\n(.*?){END}", "\n".join(mark.code_of(LABS / "solutions" / path.name)), flags=re.DOTALL
    )
    assert text.count(GAP[1]) == len(solutions)
    left = "\n".join(mark.code_of(path))
    assert not [solution for solution in solutions if solution.strip() in left]


def test_a_changed_and_a_left_over_copy_are_found(tmp_path):
    shutil.copytree(LABS / "solutions", tmp_path / "solutions", ignore=shutil.ignore_patterns("runs"))
    assert len(write(tmp_path)) == 8
    assert stale(tmp_path) == []
    changed = tmp_path / "students" / SOLUTIONS[0].name
    changed.write_text(changed.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    shutil.copy(changed, tmp_path / "students" / "9-gone.ipynb")
    (tmp_path / "students" / SOLUTIONS[1].name).unlink()
    assert stale(tmp_path) == [SOLUTIONS[0].name, SOLUTIONS[1].name, "9-gone.ipynb"]
    write(tmp_path)
    assert stale(tmp_path) == []


def test_solutions_are_cleared_with_their_indent():
    source = f"a = 1\n{BEGIN}\nb = 2\n{END}\n\n\ndef f():\n    {BEGIN}\n    return 1\n    {END}"
    gap, inner = "\n".join(GAP), "\n".join(f"    {line}" for line in GAP)
    assert cleared(source) == f"a = 1\n{gap}\n\n\ndef f():\n{inner}"
    assert cleared("a = 1\n") == "a = 1"


@pytest.mark.parametrize("source", [f"{BEGIN}\nx", f"x\n{END}", f"{BEGIN}\n{BEGIN}\n{END}"])
def test_a_marker_without_its_partner_is_named_with_its_cell(source, tmp_path):
    with pytest.raises(UserError, match=r"cell: '### (BEGIN|END) SOLUTION' without its partner"):
        cleared(source)
    (tmp_path / "solutions").mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1"), nbformat.v4.new_code_cell(source)])
    nbformat.write(notebook, tmp_path / "solutions" / "1-odd.ipynb")
    with pytest.raises(UserError, match=r"1-odd.ipynb, cell 2: '###"):
        write(tmp_path)


def test_a_folder_without_solutions_is_named(tmp_path):
    with pytest.raises(UserError, match="solutions: holds no notebook"):
        write(tmp_path)


@pytest.mark.slow
def test_a_wrong_answer_in_a_notebook_is_met_with_one_sentence_and_no_traceback(tmp_path):
    (tmp_path / "students").mkdir()
    for part in ("checks", "birds.py"):
        (tmp_path / part).symlink_to(LABS / part)
    path = tmp_path / "students" / "2-boxes.ipynb"
    text = (LABS / "students" / path.name).read_text(encoding="utf-8")
    path.write_text(text.replace("raise NotImplementedError", "return values / values.max()", 1), encoding="utf-8")
    sentence = "you divided by the maximum alone; the lowest value must become 0"
    with pytest.raises(UserError, match=sentence):
        run(path, tmp_path)
    failed = json.loads((tmp_path / "2-boxes.failed.ipynb").read_text(encoding="utf-8"))
    errors = [o for cell in failed["cells"] for o in cell.get("outputs", []) if o["output_type"] == "error"]
    assert errors[0]["traceback"] == [f"Not yet: {sentence}"]


def test_the_page_lists_each_lab_with_its_minutes_and_files():
    page = (ROOT / "book" / "teach" / "labs.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| \d ", line)]
    assert len(rows) == len(SOLUTIONS)
    for row, path in zip(rows, SOLUTIONS, strict=True):
        head = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
        assert re.search(r"\*\*Time\*\*: (\d+) minutes", head)[1] == row.split("|")[4].strip()
        for folder in ("students", "solutions"):
            assert f"<../../labs/{folder}/{path.name}>" in row


@pytest.mark.slow
def test_a_notebook_packed_for_students_runs_and_holds_no_solution(tmp_path, capsys):
    archive = tmp_path / "labs.zip"
    assert main(["--zip", str(archive)]) == 0
    first = archive.read_bytes()
    assert pack(archive).read_bytes() == first
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
        packed.extractall(tmp_path)
    assert len([name for name in names if name.endswith(".ipynb")]) == 8
    assert {"labs/birds.py", "labs/checks/__init__.py", "labs/checks/ddt.py"} <= {*names}
    assert not [name for name in names if "solutions" in name]
    with pytest.raises(UserError, match="NotImplementedError"):
        run(tmp_path / "labs" / "students" / "5-attention.ipynb", tmp_path)


@pytest.mark.slow
def test_marking_says_how_far_each_notebook_gets(tmp_path, capsys):
    text = (LABS / "students" / "5-attention.ipynb").read_text(encoding="utf-8")
    (tmp_path / "ann").mkdir()
    good = text.replace("raise NotImplementedError", "return f_x.flatten(1) @ f_xt.flatten(1).T", 1)
    good = good.replace("raise NotImplementedError", "return scores.softmax(1)", 1)
    (tmp_path / "ann" / "my lab.ipynb").write_text(good.replace("checks.energies(energies)", "pass"), encoding="utf-8")
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "other.ipynb")
    assert mark.main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "ann/my lab.ipynb: 5-attention: 0 of 4 checks passed; "
        "stops: your rows add up to 1; the softmax runs over each column; cells not as handed out: 1"
    )
    assert lines[1].endswith("other.ipynb: is none of the labs")
    (tmp_path / "none").mkdir()
    assert mark.main([str(tmp_path / "none")]) == 1
    assert "holds no notebook" in capsys.readouterr().err


def test_a_notebook_that_never_ends_or_is_broken_does_not_end_the_marking(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(mark, "LIMIT", 10)
    text = (LABS / "students" / "5-attention.ipynb").read_text(encoding="utf-8")
    hangs = text.replace("raise NotImplementedError", "import time; time.sleep(10**6)", 1)
    (tmp_path / "a.ipynb").write_text(hangs, encoding="utf-8")
    (tmp_path / "b.ipynb").write_text('{"cells": [{"cell_type": "code"}], "nbformat": 4, "nbformat_minor": 5}')
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "c.ipynb")
    assert mark.main([str(tmp_path)]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.endswith("stops: a cell ran for more than 10 seconds and was stopped")
    assert second.startswith("b.ipynb: ")
    assert third.endswith("c.ipynb: is none of the labs")

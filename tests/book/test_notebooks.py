"""Every notebook of the book runs through papermill with the tiny preset, and none has anything that rots."""

import json
from pathlib import Path

import pytest

from cmr.errors import UserError
from cmr.study.notebooks import notebook_parameters, run_notebook

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
TINY = {"preset": "tiny", "images": 64, "epochs": 1, "device": "cpu", "train": 100, "test": 50}


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_is_clean(path):
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    assert code[0]["metadata"]["tags"] == ["parameters"]
    for line in "".join(code[0]["source"]).splitlines():
        name, rest = line.split(":", 1)
        assert name.isidentifier()
        assert "  # " in rest, f"parameter {name} has no comment"


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_runs_with_the_tiny_preset(path, tmp_path_factory):
    known = notebook_parameters(path)
    out = tmp_path_factory.getbasetemp() / "runs"  # shared: a run that one notebook made serves the next
    given = {name: value for name, value in {**TINY, "out": str(out)}.items() if name in known}
    run_notebook(path, out.parent / path.name, given, progress=False)
    executed = json.loads((out.parent / path.name).read_text())
    outputs = [output for cell in executed["cells"] for output in cell.get("outputs", [])]
    said = "".join("".join(output["text"]) for output in outputs if output.get("name") == "stderr")
    assert "Warning" not in said
    shown = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    assert any("provenance" in page for page in shown)
    assert [page for page in shown if page.count("<table") != page.count("<caption>")] == []


def test_unknown_parameter_names_the_nearest(tmp_path):
    with pytest.raises(UserError, match="unknown parameter of compare.ipynb 'epoch': did you mean 'epochs'"):
        run_notebook(NOTEBOOKS / "compare.ipynb", tmp_path / "out.ipynb", {"epoch": 1})
    assert not list(tmp_path.iterdir())


def test_a_stopped_notebook_goes_on():
    """What `make book` left unfinished when it was stopped must not stand in the way of the next call."""
    trainings = [
        line for path in NOTEBOOKS.glob("*.ipynb") for line in path.read_text().splitlines() if "train(conf" in line
    ]
    assert trainings
    assert all("resume=True" in line for line in trainings)

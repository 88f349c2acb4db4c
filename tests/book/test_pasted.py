"""Figures of a notebook on other pages: the picture comes out as it was glued, and what is missing is named."""

import base64
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))  # long enough that base64 breaks it into lines


@pytest.fixture(scope="module")
def pasted(extension):
    return extension("pasted")


def glued(name: str, data: dict) -> nbformat.NotebookNode:
    """A cell's output as `myst_nb.glue(name, ..., display=False)` leaves it."""
    return nbformat.v4.new_output("display_data", data, metadata={"scrapbook": {"name": name, "mime_prefix": "x"}})


@pytest.fixture(scope="module")
def notebook(tmp_path_factory) -> Path:
    plain, cell = nbformat.v4.new_code_cell("1 + 1"), nbformat.v4.new_code_cell("glue(...)")
    plain.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="no data, no metadata"),
        nbformat.v4.new_output("display_data", {"image/png": base64.b64encode(b"shown, not glued").decode()}),
    ]
    cell.outputs = [
        glued("answer", {"application/papermill.record/text/plain": "42"}),
        glued("other", {"application/papermill.record/image/png": base64.b64encode(b"another picture").decode()}),
        glued("picture", {"application/papermill.record/image/png": base64.encodebytes(PNG).decode()}),
    ]
    path = tmp_path_factory.mktemp("notebooks") / "toy.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Toy"), plain, cell]), path)
    return path


def test_the_picture_is_the_one_of_that_name(pasted, notebook):
    assert '"iVBORw0KGgo' in notebook.read_text()  # nbformat stores it as lines
    assert pasted.pasted_picture(notebook, "picture") == PNG
    assert pasted.pasted_picture(notebook, "other") == b"another picture"


@pytest.mark.parametrize("name", ["gone", "answer"])
def test_a_name_without_a_picture_is_named(pasted, notebook, name):
    with pytest.raises(ValueError, match=f"^toy.ipynb pasted no picture '{name}'$"):
        pasted.pasted_picture(notebook, name)


def test_a_missing_notebook_is_named(pasted, notebook):
    with pytest.raises(ValueError, match=r"^there is no notebook gone\.ipynb$"):
        pasted.pasted_picture(notebook.with_name("gone.ipynb"), "picture")

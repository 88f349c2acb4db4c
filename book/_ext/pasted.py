"""Figures of a notebook on other pages; MyST-NB pastes text and tables across pages, but no figures.

    ```{pasted} ../../notebooks/methods.ipynb::methods_acol_picture
    :alt: What is seen.
    :name: fig-acol-steps

    The caption.
    ```
takes the picture that the notebook glued under this name. The path is relative to the page. A notebook or a name that
is not there is a warning, and warnings fail the build.
"""

import base64
import json
from pathlib import Path

from docutils import nodes
from sphinx.directives.patches import Figure  # docutils' own names the image, so that no {numref} finds the figure
from sphinx.util.docutils import SphinxDirective

FOLDER = "_pasted"  # of the staged tree, where the pictures become files
MIME = "application/papermill.record/image/png"


def pasted_picture(notebook: Path, name: str) -> bytes:
    """The PNG that an executed notebook glued under a name.

    Raises:
        ValueError: no such notebook, or no picture of that name in it.
    """
    if not notebook.is_file():
        raise ValueError(f"there is no notebook {notebook.name}")
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            if output.get("metadata", {}).get("scrapbook", {}).get("name") == name and MIME in output["data"]:
                return base64.b64decode("".join(output["data"][MIME]))
    raise ValueError(f"{notebook.name} pasted no picture '{name}'")


class Pasted(Figure, SphinxDirective):
    """A figure with caption, name and alt text whose picture comes out of a notebook."""

    def run(self) -> list[nodes.Node]:
        path, _, name = self.arguments[0].partition("::")
        page = Path(self.env.doc2path(self.env.docname))
        try:
            picture = pasted_picture((page.parent / path).resolve(), name)
        except ValueError as error:
            raise self.warning(f"pasted: {error}") from error
        file = Path(self.env.srcdir) / FOLDER / f"{name}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(picture)
        self.arguments[0] = f"/{FOLDER}/{file.name}"
        return Figure.run(self)


def setup(app) -> dict:
    app.add_directive("pasted", Pasted)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

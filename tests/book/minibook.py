"""A small book: a few pages of a test, built with some of the book's extensions and its style."""

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

BOOK = Path(__file__).resolve().parents[2] / "book"


def build(folder: Path, *extensions: str) -> Path:
    """The folder of the built pages; what Sphinx warns of is in the file `warnings` beside it."""
    (folder / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(BOOK / '_ext')!r})\n"
        f"extensions = {['myst_parser', *extensions]}\nmyst_enable_extensions = ['colon_fence', 'dollarmath']\n"
        f"html_theme = 'basic'\nhtml_css_files = ['book.css']\nhtml_static_path = [{str(BOOK / '_static')!r}]\n"
    )
    with (folder / "warnings").open("w") as warnings, docutils_namespace():
        Sphinx(folder, folder, folder / "out", folder / "trees", "html", status=None, warning=warnings).build()
    return folder / "out"

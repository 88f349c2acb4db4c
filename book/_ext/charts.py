"""Says of each figure of the library whether it is a chart or shows pictures, so that a dark page can treat them apart.

A figure's PNG carries the word in its description (`cmr.figures.style.Card.kind`); here it becomes a class of the
image, `cmr-chart` or `cmr-pictures`. Other pictures are left alone.
"""

from pathlib import Path
from typing import BinaryIO

from docutils import nodes
from PIL import Image

KINDS = ("chart", "pictures")


def kind(png: Path | BinaryIO) -> str | None:
    """What a PNG's description says it is, or None."""
    try:
        with Image.open(png, formats=["PNG"]) as image:
            word = image.info.get("Description")
    except OSError:  # another format, a cut file, or none
        return None
    return word if word in KINDS else None


def mark(app, doctree) -> None:
    """Gives the images of a page their class; `dark-light` keeps the theme's own dimming away."""
    for image in doctree.findall(nodes.image):
        file = Path(app.srcdir, image["uri"].lstrip("/"))
        file = file if file.is_file() else Path(image["uri"])
        if file.suffix == ".png" and (found := kind(file)):
            image["classes"] += [f"cmr-{found}", "dark-light"]


def setup(app) -> dict:
    app.connect("doctree-read", mark, priority=900)  # after the collectors have made paths of what is pasted
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""Says of each figure of the library whether it is a chart or shows pictures, so that a dark page can treat them apart.

A figure's PNG carries the word in its description (`cmr.figures.style.Card.kind`); here it becomes a class of the
image, `cmr-chart` or `cmr-pictures`. Other pictures are left alone.
"""

import struct
from pathlib import Path

from docutils import nodes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KINDS = ("chart", "pictures")


def kind(png: bytes) -> str | None:
    """What a PNG's description says it is, or None."""
    at = len(SIGNATURE)
    while png.startswith(SIGNATURE) and at + 8 <= len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        if name == b"tEXt":
            key, _, word = png[at + 8 : at + 8 + length].partition(b"\0")
            if key == b"Description" and word.decode("latin-1") in KINDS:
                return word.decode("latin-1")
        if name == b"IDAT":
            return None
        at += length + 12  # length, name, checksum
    return None


def mark(app, doctree) -> None:
    """Gives the images of a page their class; `dark-light` keeps the theme's own dimming away."""
    for image in doctree.findall(nodes.image):
        file = Path(app.srcdir, image["uri"].lstrip("/"))
        file = file if file.is_file() else Path(image["uri"])
        found = kind(file.read_bytes()) if file.suffix == ".png" and file.is_file() else None
        if found:
            image["classes"] += [f"cmr-{found}", "dark-light"]


def setup(app) -> dict:
    app.connect("doctree-read", mark, priority=900)  # after the collectors have made paths of what is pasted
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

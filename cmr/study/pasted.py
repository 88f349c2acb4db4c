"""Numbers, tables and pictures that a notebook hands to other pages of the book."""

from collections.abc import Mapping
from typing import Any


def paste(prefix: str, values: Mapping[str, Any]) -> None:
    """Hands values to the book's pages, which take them by name, and shows nothing.

    Args:
        prefix: of all names, by which a reader finds the notebook: "cub50".
        values: name to number, text, data frame or figure.
    """
    from myst_nb import glue  # of the extra `book`

    for name, value in values.items():
        glue(f"{prefix}_{name}", value, display=False)

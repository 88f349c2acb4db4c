"""Tables and times as the book's pages write them."""

from collections.abc import Sequence
from typing import Any


def duration(seconds: float) -> str:
    """A time in words.

    Example:
        >>> [duration(seconds) for seconds in (3.4, 59.7, 93, 3660, 7565.3)]
        ['3 s', '1 min', '1 min 33 s', '1 h 1 min', '2 h 6 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(seconds / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def table(caption: str, name: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table of the book in Markdown, with a caption and a name to refer to.

    Args:
        caption: in Markdown.
        name: "tab-" is put before it.
        head: the columns' names.
        rows: as many cells each.
    """
    lines = [head, ["---"] * len(head), *rows]
    body = "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f":::{{table}} {caption}\n:name: tab-{name}\n\n{body}\n:::"

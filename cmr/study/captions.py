"""A caption for a table that a notebook shows."""

import html
from dataclasses import dataclass

import pandas


@dataclass(frozen=True)
class Captioned:
    """A data frame that a notebook shows under its caption.

    Args:
        table: shown as a notebook shows it.
        text: the caption, plain text.
    """

    table: pandas.DataFrame
    text: str

    def _repr_html_(self) -> str:
        shown: str = self.table._repr_html_()  # type: ignore[operator]  # what a notebook asks for; the stubs lack it
        head, opening, rest = shown.partition("<table")
        attributes, end, rows = rest.partition(">")
        return f"{head}{opening}{attributes}{end}\n  <caption>{html.escape(self.text)}</caption>{rows}"

    def __repr__(self) -> str:
        return f"{self.text}\n\n{self.table!r}"


def captioned(table: pandas.DataFrame | str, text: str) -> Captioned | str:
    """Puts a caption over a table.

    Args:
        table: a frame; words that stand for one, such as "not run", stay as they are.
        text: the caption: data set, network, live or recorded, and the unit where the columns do not say it.

    Returns:
        What a cell shows as its last expression, or by `display`.

    Example:
        >>> captioned(pandas.DataFrame({"n": [1]}, ["a"]), "Counts.")
        Counts.
        <BLANKLINE>
           n
        a  1
        >>> captioned("not run", "Counts.")
        'not run'
    """
    return table if isinstance(table, str) else Captioned(table, text)

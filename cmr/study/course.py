"""How a training went, for a person to look at: a table and a picture beside the record."""

import csv
import io
import shlex
from pathlib import Path

from cmr import figures
from cmr.files import write_aside
from cmr.study.provenance import summary
from cmr.study.runs import DRAWN, Run

TABLE, PICTURE = DRAWN


def write_course(run: Run) -> list[Path]:
    """Writes the history of a run into its folder, as a table and as curves.

    Args:
        run: a finished run.

    Returns:
        The paths of `history.csv`, a row per epoch, and of `curves.png`. A metric that was not measured in an epoch is
        an empty cell there.

    Raises:
        OSError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> from types import SimpleNamespace
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     history = [{"epoch": 1, "total": 2.5}, {"epoch": 2, "total": 0.5}]
        ...     run = SimpleNamespace(path=Path(folder), history=history)
        ...     paths = write_course(run)
        ...     [path.name for path in paths], paths[0].read_text().split()
        (['history.csv', 'curves.png'], ['epoch,total', '1,2.5', '2,0.5'])
    """
    names = list(dict.fromkeys(name for row in run.history for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(run.history)
    write_aside(run.path / TABLE, text.getvalue().encode())
    figures.save(figures.curves(run.history), run.path / PICTURE)
    return [run.path / TABLE, run.path / PICTURE]


def closing(run: Run) -> str:
    """Writes the history, and says what `cmr train` prints at its end: the result, the paths and what to do next."""
    table, picture = write_course(run)
    return (
        f"{summary(run)}\nhistory: {table}\ncurves: {picture}\n"
        f"on pictures: cmr localize PICTURES --run {shlex.quote(str(run.path))}"
    )

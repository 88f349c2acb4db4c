"""What a training leaves for a person to look at: its history as a table and as curves, its best and worst boxes."""

import shlex
from pathlib import Path

import numpy as np
import pandas
import torch

from cmr import figures
from cmr.config import Config
from cmr.data.split import Split
from cmr.files import write_aside
from cmr.study import samples
from cmr.study.models import load_method
from cmr.study.provenance import summary
from cmr.study.runs import DRAWN, MODEL, Run
from cmr.study.splits import splits

TABLE, PICTURE, GALLERY = DRAWN
EACH = 10  # pictures of the best, and of the worst
SIDE = 160  # pixels of a picture


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
    write_aside(run.path / TABLE, pandas.DataFrame(run.history).to_csv(index=False, lineterminator="\n").encode())
    figures.save(figures.curves(run.history), run.path / PICTURE)
    return [run.path / TABLE, run.path / PICTURE]


def write_gallery(run: Run, split: Split) -> Path:
    """Draws the ten best and the ten worst boxes of a run into its folder, with their maps where the model is there.

    Args:
        run: a finished run.
        split: the images that it was tested on.

    Returns:
        The path of `gallery.png`: the best first, the worst last. Best is the highest IoU; where no image has a true
        box, the surest of the classes that are right, and worst the surest of those that are wrong.

    Raises:
        OSError: the folder cannot be written, or a picture cannot be read.
    """
    outcomes, config = run.outcomes(), run.config
    ranked = _ranked(outcomes)
    chosen = ranked if len(ranked) <= 2 * EACH else np.concatenate([ranked[:EACH], ranked[-EACH:]])
    labels = torch.from_numpy(outcomes["label"][chosen]).long()
    maps = None
    if (run.path / MODEL).is_file():
        method = load_method(run, len(split.classes))
        maps = samples.scoremaps(method, samples.network_images(split, chosen, config), labels, config, SIDE).numpy()
    items = [
        samples.outcome_item(run, split, int(position), SIDE)
        | ({} if maps is None else {"scoremap": maps[row]})
        | {"title": split.classes[outcomes["top5"][position, 0]]}
        for row, position in enumerate(chosen)
    ]
    figures.save(figures.gallery(items, columns=5), run.path / GALLERY)
    return run.path / GALLERY


def _ranked(outcomes: dict[str, np.ndarray]) -> np.ndarray:
    """Positions of the test images, the best first."""
    iou = outcomes["iou"].astype(np.float64)
    if not np.isnan(iou).all():
        return np.flatnonzero(~np.isnan(iou))[np.argsort(-iou[~np.isnan(iou)], kind="stable")]
    right = outcomes["top5"][:, 0] == outcomes["label"]
    return np.argsort(-np.where(right, 1, -1) * outcomes["score"][:, 0].astype(np.float64), kind="stable")


def closing(run: Run, config: Config) -> str:
    """Writes all of these, and says what `cmr train` prints at its end: the result, the paths and what to do next.

    Args:
        run: a finished run.
        config: what was asked for, with the place of the data on this machine.
    """
    before = f"finished before, at {run.record.finished}: nothing was trained; --rerun trains it again\n"
    told = "" if run.fresh else before
    table, picture = write_course(run)
    gallery = write_gallery(run, splits(config)[1])
    return (
        f"{told}{summary(run)}\nhistory: {table}\ncurves: {picture}\nbest and worst boxes: {gallery}\n"
        f"on pictures: cmr localize PICTURES --run {shlex.quote(str(run.path))}"
    )

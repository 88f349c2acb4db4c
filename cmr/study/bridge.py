"""From the fusion loss to localization without a class: how well does what all classes share localize, turned over?

The fusion loss builds a map that all classes share (`cmr.study.rawmaps`), low on the object and high around it. Less
its mean and turned over it is a map without a class, as DDT's is, and is read as DDT's: above 0 is object.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from cmr.data.split import Split
from cmr.errors import UserError
from cmr.files import write_json
from cmr.maps import locate
from cmr.metrics import WSOLMetrics, gt_boxes
from cmr.metrics.result import TITLES
from cmr.plain import to_plain
from cmr.study import machine
from cmr.study.groups import Group
from cmr.study.rawmaps import map_parts, own_parts
from cmr.study.records import now
from cmr.study.runs import Run, data_of

NAME = "bridge.json"
METRICS = tuple(TITLES[name] for name in ("gt_known_loc", "max_box_acc", "max_box_acc_v2"))


def turned(maps: np.ndarray) -> np.ndarray:
    """Maps less their mean, with their sign turned.

    Args:
        maps: (B, h, w).

    Returns:
        (B, h, w) float64, of mean 0.

    Example:
        >>> turned(np.array([[[1.0, 4.0, 4.0]]]))
        array([[[ 2., -1., -1.]]])
    """
    maps = np.asarray(maps, float)
    return maps.mean((1, 2), keepdims=True) - maps


def readings(run: Run, test: Run) -> dict[str, tuple[np.ndarray, str, float]]:
    """The maps of a trained run that are compared, and how each is made a box.

    Args:
        run: the trained run.
        test: its test with `test_map = "mean_free"`.

    Returns:
        Name -> maps (B, h, w), normaliser, threshold: the map as it is and its class's own part by the rule of all
        tables (min-max, 0.2); the own part and the shared part turned over by DDT's rule, above 0.
    """
    parts = map_parts({"run": Group("run", "run", (run,))}, [test])["run"]
    return {
        "the map": (parts["map"], "minmax", 0.2),
        "the class's own part": (parts["own"], "minmax", 0.2),
        "own part, above its mean": (-turned(parts["own"]), "max", 0.0),
        "shared part, above its mean": (-turned(parts["shared"]), "max", 0.0),
        "shared part, turned over": (turned(parts["shared"]), "max", 0.0),
    }


def scored(maps: np.ndarray, normaliser: str, threshold: float, some: Split, side: int) -> dict[str, float]:
    """The box metrics of a few raw maps, in percent.

    Args:
        maps: (B, h, w), raw.
        normaliser, threshold: how they are made boxes.
        some: the images that they belong to, in their order.
        side: of the grid, in pixels.
    """
    metrics = WSOLMetrics(threshold=threshold, ids=some.ids)
    scoremaps = locate.normalise(locate.resize(torch.from_numpy(np.asarray(maps, np.float32)), side), normaliser)
    metrics.update(scoremaps, None, None, gt_boxes(some.boxes, some.sizes, side), some.ids)
    numbers = metrics.result().numbers()
    return {name: numbers[name] for name in METRICS}


def bridge(groups: Mapping[str, Group], tests: Sequence[Run], split: Split) -> list[dict[str, object]]:
    """How well the parts of the stored raw maps localize.

    Args:
        groups: trained runs.
        tests: tests of trained runs; those with `test_map = "mean_free"` say what a class's own part is.
        split: the test split; records keep the raw maps of 32 of its images.

    Returns:
        One row for each group, seed and reading: "title", "seed", "reading", "images", and `METRICS` in percent.
    """
    mean_free = own_parts(tests)
    rows: list[dict[str, object]] = []
    for group in groups.values():
        for run in (member for member in group.runs if member.id in mean_free):
            some = split.subset(run.outcomes()["map_index"])
            for name, (maps, normaliser, threshold) in readings(run, mean_free[run.id]).items():
                found = scored(maps, normaliser, threshold, some, run.config.image_size)
                seed = run.config.seed
                rows.append(
                    {
                        "title": group.title,
                        "seed": seed,
                        "reading": name,
                        "images": len(some),
                        **found,
                    }
                )
    return rows


def write(folder: str | Path, rows: Sequence[Mapping[str, object]], split: Split) -> Path:
    """Records what `bridge` gave on a data set that readers may not have: folder/bridge.json."""
    about = {
        "finished": now(),
        "environment": to_plain(machine.environment(torch.device("cpu"))),
        "data": to_plain(data_of(split)[split.split]),
    }
    return write_json(Path(folder) / NAME, {**about, "rows": [dict(row) for row in rows]})


def read(folder: str | Path) -> list[dict[str, object]]:
    """The rows that `write` recorded.

    Raises:
        UserError: there are none.

    Example:
        >>> read("no/such/folder")
        Traceback (most recent call last):
        cmr.errors.UserError: no/such/folder/bridge.json: there is no such file; record it with ...
    """
    path = Path(folder) / NAME
    if not path.is_file():
        raise UserError(
            f"{path}: there is no such file; record it with notebooks/bridge.ipynb and its parameters cub, record"
        )
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["rows"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path}: is not what notebooks/bridge.ipynb records; make it again, or move it") from None

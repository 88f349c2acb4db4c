"""What a sweep has to do: the runs of a grid file, and which of them have a record. It loads no torch."""

from dataclasses import dataclass
from pathlib import Path

from cmr.config import Config
from cmr.errors import UserError
from cmr.nets.published import weights_fingerprint
from cmr.study.grid import label, load, varying
from cmr.study.identity import fingerprints, identity
from cmr.study.runs import Run
from cmr.study.search import chosen, recorded, records
from cmr.study.splits import splits as splits_of


@dataclass(frozen=True)
class Item:
    """One run of a sweep.

    Args:
        config: what to run.
        name: its id, or the start of it where the data is not at hand.
        differs: the values in which it differs from the sweep's other runs.
        run: the run, finished or diverged; None while there is none.
    """

    config: Config
    name: str
    differs: str
    run: Run | None

    def __str__(self) -> str:
        return f"{self.name}  {self.differs}".rstrip()

    def state(self) -> str:
        """What has become of it so far, in a word or two."""
        return "to do" if self.run is None else "diverged" if self.run.diverged else "done"


@dataclass(frozen=True)
class Plan:
    """What a sweep has to do.

    Args:
        items: all its runs, in order.
        preset: that of the grid file.
        notes: what was chosen from a search, one line each.
    """

    items: tuple[Item, ...]
    preset: str
    notes: tuple[str, ...]

    def todo(self) -> list[Item]:
        """The runs without a record."""
        return [item for item in self.items if item.run is None]

    def __str__(self) -> str:
        lines = [f"{item.state():8}  {item}" for item in self.items]
        count = len(self.todo())
        return "\n".join([*self.notes, *lines, f"{len(lines)} runs: {len(lines) - count} done, {count} to do"])


def plan(path: str | Path, out: str | Path) -> Plan:
    """Reads a grid file and looks which of its runs are finished.

    Args:
        path: the grid file.
        out: the folder whose runs count as done.

    Returns:
        The plan; it trains nothing.

    Raises:
        UserError: as `cmr.study.grid.load` and `cmr.study.search.chosen`.
    """
    grid, notes = chosen(load(path))
    found, names = records(out), varying(grid.configs)
    splits: dict[tuple, dict[str, str]] = {}
    items: dict[str | int, Item] = {}
    for number, config in enumerate(grid.configs):
        prints = _fingerprints(config, splits)
        known = {"train", "weights"} <= set(prints)
        name = f"{config.data}-{config.method}-{config.backbone}-s{config.seed}"
        name = identity(config, prints) if known else f"{name} (its data or weights are not at hand here)"
        run = recorded(config, found, prints)
        # Two folders with the same content make one run.
        items.setdefault(name if known else number, Item(config, run.id if run else name, label(config, names), run))
    return Plan(tuple(items.values()), grid.preset, tuple(notes))


def _fingerprints(config: Config, splits: dict[tuple, dict[str, str]]) -> dict[str, str]:
    """Of the data and weights that can be read here; the lists of a data set are read once."""
    key = (config.data, config.data_root, config.data_settings, config.holdout)
    if key not in splits:
        try:
            train_split, test_split = splits_of(config)
            splits[key] = fingerprints(train_split, test_split, "")
            del splits[key]["weights"]
        except UserError:  # it may lie where the workers are; if not, the run will say so
            splits[key] = {}
    try:
        return splits[key] | {"weights": weights_fingerprint(config.weights, config.backbone)}
    except UserError:
        return splits[key]

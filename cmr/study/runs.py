"""Run records: what ran, on what, with which result. One folder per run."""

import dataclasses
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cmr.config import Config
from cmr.data.split import Split
from cmr.errors import UserError
from cmr.metrics.result import Result
from cmr.presets import make
from cmr.study import records
from cmr.study.record import Record, SplitRecord

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")
RECORD = "record.json"
DIVERGED = "diverged.json"  # in place of a record: the training has an outcome, and it is not a model
CHECKPOINT = "checkpoint.pt"
MODEL = "model.safetensors"
NEEDED = ("id", "config", "data", "weights", "environment", "history")  # by which a record is known as one
DRAWN = ("history.csv", "curves.png", "gallery.png")  # what `cmr train` writes of a finished run for people to look at
RERUN = ".rerun"  # ending of the folder of a run that is made again


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder.

    Attributes:
        path: the folder.
        record: what record.json says, or diverged.json, which has no result.
        fresh: this process has just trained it, rather than found it finished.
    """

    path: Path
    record: Record
    fresh: bool = field(default=False, compare=False)

    @property
    def id(self) -> str:
        """The run's identity: a readable start and a hash of what determines its numbers."""
        return self.record.id

    @property
    def file(self) -> Path:
        """Its record."""
        return self.path / (DIVERGED if self.diverged else RECORD)

    @property
    def config(self) -> Config:
        """The configuration it ran with."""
        return self.record.config

    @property
    def result(self) -> Result:
        """The metrics on the test split, in percent; none of them where the training diverged."""
        return self.record.result or Result()

    @property
    def diverged(self) -> str:
        """Where the loss stopped being finite; "" where it did not."""
        return self.record.diverged or ""

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        """One row per epoch: losses, learning rate, seconds."""
        return self.record.history or ()

    def outcomes(self) -> dict[str, np.ndarray]:
        """Per test image: label, top5 (5), score (5), iou, box (4, xyxy inclusive, network pixels); and the kept maps.

        `maps` is (32, h, w), the raw map of the true class; `map_index` (32,) says of which test image.
        """
        return self._outcomes

    @cached_property
    def _outcomes(self) -> dict[str, np.ndarray]:
        return records.read_outcomes(self.path)


def train_command(config: Config, preset: str = "toybirds") -> str:
    """The command that runs a configuration alone: what differs from the preset's values, and where the data lies.

    Args:
        config: the run.
        preset: tiny, toybirds, own or paper; it changes the length of the command, not what it runs.

    Returns:
        One line for a shell.

    Example:
        >>> train_command(make("tiny", method="cmr", seed=1, settings={"sizes": [4], "caam": False}), "tiny")
        'cmr train --preset tiny --method cmr --data toybirds --seed 1 --sizes 4 --no-caam'
    """
    base = make(preset, method=config.method, data=config.data)
    words = ["cmr", "train", "--preset", preset, "--method", config.method, "--data", config.data]
    parts = ((config, base), (config.settings, base.settings), (config.data_settings, base.data_settings))
    for mine, usual in parts:
        for item in dataclasses.fields(mine):
            value = getattr(mine, item.name)
            if item.name in ("settings", "data_settings") or value == getattr(usual, item.name):
                continue
            name = "data-seed" if (mine, item.name) == (config.data_settings, "seed") else item.name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{name}" if value else f"--no-{name}")
            else:
                words += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
    return shlex.join(words)


def data_of(*parts: Split) -> dict[str, SplitRecord]:
    """What a record says of its splits."""
    return {part.split: SplitRecord(part.dataset, len(part), len(part.classes), part.fingerprint) for part in parts}


def portable(settings: S) -> S:
    """Settings without this machine's paths: of an absolute `data_root` or `weights` the last part is kept."""
    paths = {name: Path(getattr(settings, name)) for name in ("data_root", "weights")}
    short: dict[str, Any] = {name: path.name for name, path in paths.items() if path.is_absolute()}
    return replace(settings, **short)


def write(folder: Path, record: Record, outcomes: dict[str, np.ndarray]) -> Run:
    """Writes a run's record; record.json last, since its presence says that the run is finished."""
    records.write_outcomes(folder, outcomes)
    records.write_record(folder / RECORD, record)
    return read(folder)


def write_diverged(folder: Path, where: str, record: Record) -> None:
    """Writes that a training diverged: `where` in words, and what a record says beside its result."""
    records.write_record(folder / DIVERGED, replace(record, diverged=where))


def read(folder: str | Path) -> Run:
    """Reads one run.

    Args:
        folder: the run's folder, which holds record.json; or that file.

    Returns:
        The run.

    Raises:
        UserError: no record there, or one that is not JSON.

    Example:
        >>> read("no/such/run")
        Traceback (most recent call last):
        cmr.errors.UserError: no/such/run: no finished run there (record.json is missing)
    """
    folder = Path(folder)
    folder = folder.parent if folder.name == RECORD and folder.is_file() else folder
    if not (folder / RECORD).is_file():
        again = folder.with_name(f"{folder.name}{RERUN}") / RECORD if folder.name else folder
        hint = f"; {again.parent} has one that was made again: the same cmr train command puts it in its place"
        raise UserError(f"{folder}: no finished run there (record.json is missing){hint * again.is_file()}")
    return _parsed(folder / RECORD)


def _parsed(path: Path) -> Run:
    needed = (*NEEDED, "result") if path.name == RECORD else (*NEEDED, "diverged")
    return Run(path.parent, records.read_record(path, Record, needed, "train the run again"))


def find(*roots: str | Path, **wanted: Any) -> list[Run]:
    """All finished runs below the given folders, in the order of their names.

    Args:
        *roots: folders that hold runs, at any depth; one that is missing holds none.
        **wanted: fields of the configuration that must be equal, for example `data="cub", method="cmr"`.

    Returns:
        The runs.

    Raises:
        UserError: a record that is none; `find_good` leaves it out.
    """
    found = [read(path.parent) for path in _files(roots, RECORD)]
    return [run for run in found if all(run.record.settings.get(name) == value for name, value in wanted.items())]


def find_good(*roots: str | Path) -> tuple[list[Run], list[str]]:
    """All finished runs below the given folders, and what is wrong with the records that cannot be read."""
    good, bad = [], []
    for path in _files(roots, RECORD):
        try:
            run = read(path.parent)
            run.config  # noqa: B018  # a setting that is not known shows here
            good.append(run)
        except UserError as error:
            bad.append(f"{path}: {error}" if str(path) not in str(error) else str(error))
    return good, bad


def _files(roots: Iterable[str | Path], name: str) -> list[Path]:
    """The files of that name; of a run that is made again only its record, while the run itself has none."""
    found = []
    for path in (path for root in roots for path in sorted(Path(root).rglob(name))):
        folder = path.parent.with_name(path.parent.name.removesuffix(RERUN))
        if path.parent == folder or (name == RECORD and not (folder / RECORD).is_file()):
            found.append(path)
    return found


def find_diverged(*roots: str | Path) -> list[Run]:
    """All trainings below the given folders that diverged: runs without result and outcomes.

    Args:
        *roots: folders that hold runs, at any depth; one that is missing holds none.

    Returns:
        The runs, in the order of their names.

    Example:
        >>> find_diverged("no/such/folder")
        []
    """
    return [_parsed(path) for path in _files(roots, DIVERGED)]

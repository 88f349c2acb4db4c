"""Records of what was measured on a frozen network: nothing of it was trained, or a small head on its features.

They lie beside the run records under `results/`, with a file name of their own, since they have no training to tell of.
"""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_origin, get_type_hints

import numpy as np
import pandas

from cmr.errors import UserError, require_known
from cmr.presets import converted
from cmr.study import records, tables
from cmr.study.groups import Group, key_part
from cmr.study.provenance import metric_lines
from cmr.study.record import FrozenRecord
from cmr.study.runs import Run

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")
RECORD = "frozen.json"
NEEDED = ("id", "kind", "title", "uses", "settings", "data", "weights", "environment", "command", "result")
VERSION = 1  # part of every id; raise it when the same settings give other numbers
PLACE = ("data_root", "device")  # settings that say where, not what


def identity(kind: str, settings: Any, prints: Mapping[str, str]) -> str:
    """The id of a measurement: what it is, on which data and network, and a hash of all that determines its numbers.

    Args:
        kind: "ddt", "boxes", ...
        settings: a dataclass with `data`, `backbone`, `seed` and `weights`.
        prints: fingerprints of data and weights, as `cmr.study.identity.fingerprints` gives them.
    """
    values = {name: value for name, value in asdict(settings).items() if name not in (*PLACE, "weights")}
    text = json.dumps({"version": VERSION, "kind": kind, "settings": values, "prints": dict(prints)}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return f"{settings.data}-{kind}-{settings.backbone}-s{settings.seed}-{digest}"


@dataclass(frozen=True)
class Measurement(Run):
    """What was measured on a frozen network, read from its folder; a run without a training."""

    record: FrozenRecord

    @property
    def file(self) -> Path:
        """Its record."""
        return self.path / RECORD


def write(folder: Path, record: FrozenRecord, outcomes: Mapping[str, np.ndarray]) -> Measurement:
    """Writes a measurement's folder; the record last, since its presence says that the measurement is finished.

    Args:
        folder: where to.
        record: all but the time.
        outcomes: arrays by name, one row per test image.
    """
    records.write_outcomes(folder, outcomes)
    records.write_record(folder / RECORD, record)
    return read(folder)


def read(folder: str | Path) -> Measurement:
    """Reads one measurement.

    Args:
        folder: holds frozen.json.

    Raises:
        UserError: no such file, or one that is no record.

    Example:
        >>> read("no/such/folder")
        Traceback (most recent call last):
        cmr.errors.UserError: no/such/folder: no finished measurement there (frozen.json is missing)
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        raise UserError(f"{folder}: no finished measurement there ({RECORD} is missing)")
    return Measurement(Path(folder), records.read_record(path, FrozenRecord, NEEDED, "measure again"))


def find(*roots: str | Path, **wanted: Any) -> list[Measurement]:
    """All measurements below the given folders, in the order of their names.

    Args:
        *roots: folders, at any depth; one that is missing holds none.
        **wanted: settings that must be equal, as `component="class"`; or `kind`.

    Example:
        >>> find("no/such/folder")
        []
    """
    found = [read(folder) for folder in _folders(roots)]
    settings = [{"kind": run.record.kind, **run.record.settings} for run in found]
    return [run for run, of_run in zip(found, settings, strict=True) if wanted.items() <= of_run.items()]


def find_good(*roots: str | Path) -> tuple[list[Measurement], list[str]]:
    """All measurements below the given folders, and what is wrong with the records that cannot be read."""
    good, bad = [], []
    for folder in _folders(roots):
        try:
            good.append(read(folder))
        except UserError as error:
            bad.append(str(error))
    return good, bad


def _folders(roots: Sequence[str | Path]) -> list[Path]:
    return [path.parent for root in roots for path in sorted(Path(root).rglob(RECORD))]


def summary(run: Measurement) -> str:
    """What a command prints when it has measured."""
    where = run.record.tested
    head = f"{run.record.title} on {where.name} ({where.images} test images), {run.record.duration_s} s"
    return f"{head}\n{metric_lines(run.result)}\nrecord: {run.file}"


def groups(found: Sequence[Measurement]) -> dict[str, Group]:
    """Groups measurements that differ in nothing but their seed, as `cmr.study.tables` takes them.

    Args:
        found: measurements; one that two folders hold counts once.

    Returns:
        Key to group, in the order in which their first measurement was given. A key is the kind and the settings that
        not all of `found` share; a title is the record's own.
    """
    seeds: dict[str, dict[int, Measurement]] = {}
    for run in found:
        about = [run.record.kind, _counted(run), run.record.data, run.record.weights]
        seeds.setdefault(json.dumps(about, sort_keys=True, default=vars), {}).setdefault(run.record.seeds["seed"], run)
    alike = {about: list(members.values()) for about, members in seeds.items()}
    values = [_counted(members[0]) for members in alike.values()]
    named = {}
    for members, mine in zip(alike.values(), values, strict=True):
        differing = [name for name in mine if any(other.get(name) != mine[name] for other in values)]
        key = "_".join([members[0].record.kind, *(key_part(name, _value(mine[name])) for name in differing)])
        random = ", random weights" if members[0].record.weights == "none" else ""
        if key in named:  # the same settings on other data
            key = f"{key}_{members[0].record.tested.fingerprint}"
        named[key] = Group(key, members[0].record.title + random, tuple(members))
    return named


def tidy(found: Sequence[Measurement]) -> pandas.DataFrame:
    """The table of `cmr.study.tables`, with "network" and with what each measurement "uses": nothing, labels, boxes."""
    named = groups(found)
    uses = {run.id: run.record.uses for run in found}
    table = tables.tidy(named)
    return beside(table, named, "").assign(uses=table["run"].map(uses))


def beside(table: pandas.DataFrame, named: Mapping[str, Group], uses: str) -> pandas.DataFrame:
    """A tidy table of runs with the columns of `tidy`: "network", with the side of its images, and what all use."""
    first = {key: group.runs[0].config for key, group in named.items()}
    networks = {key: f"{config.backbone}, {config.image_size} px" for key, config in first.items()}
    return table.assign(network=table["key"].map(networks), uses=uses)


def _counted(run: Measurement) -> dict[str, Any]:
    """The settings that determine the numbers, but for the seed."""
    return {name: value for name, value in run.record.settings.items() if name not in (*PLACE, "seed")}


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def expand(content: Mapping[str, Any], kind: str, settings: type[S], where: str) -> list[S]:
    """The settings that a grid file of measurements asks for.

    Args:
        content: the file, as TOML gives it: a table named after the kind with what all have in common, and entries
            `[[measure]]` with what differs; a list for a field that holds one value stands for each of its values.
        kind: the table's name.
        settings: the dataclass.
        where: the file, for messages.

    Raises:
        UserError: a name that is none, or a value that cannot be.

    Example:
        >>> from cmr.study.settings import DDT
        >>> content = {"ddt": {"image_size": 32}, "measure": [{"component": "set", "images": [1, 5]}]}
        >>> [(one.image_size, one.images) for one in expand(content, "ddt", DDT, "a.toml")]
        [(32, 1), (32, 5)]
    """
    for name in content:
        require_known(name, f"key of {where}", (kind, "measure"))
    hints = get_type_hints(settings)
    found = []
    for entry in content.get("measure", [{}]):
        values = {**content[kind], **entry}
        for name in values:
            require_known(name, f"setting in {where}", [known for known in hints if known != "RANGES"])
        many = [n for n, value in values.items() if isinstance(value, list) and get_origin(hints[n]) is not tuple]
        for choice in itertools.product(*(values[name] for name in many)):
            try:
                found.append(settings(**converted(settings, values | dict(zip(many, choice, strict=True)))))
            except UserError as error:
                raise UserError(f"{where}: {error}") from None
    return found

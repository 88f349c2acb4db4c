"""Grids of runs: reads a TOML file and expands it into configurations."""

import itertools
import math
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from cmr.config import Config
from cmr.data import DATASETS
from cmr.errors import UserError, require_known, shown, unknown
from cmr.methods import METHODS
from cmr.presets import PRESETS, make
from cmr.study.identity import essence, values_of

GENERAL = {item.name for item in fields(Config)} - {"settings", "data_settings"}
LARGEST = 10_000  # runs of one file


@dataclass(frozen=True)
class Grid:
    """An expanded grid file.

    Args:
        path: the file.
        preset: where the values come from that the file does not give.
        configs: its runs, each once; all runs of the first seed come first.
        choose: what stands under `[choose]`, for `cmr.study.search.chosen`; empty where there is no such part.
        given: the names to which the file gives values.
    """

    path: Path
    preset: str
    configs: tuple[Config, ...]
    choose: dict[str, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()


def load(path: str | Path) -> Grid:
    """Reads a grid file and expands it.

    Args:
        path: a TOML file with `preset`, `seeds`, `[common]`, `[[runs]]` (each with an optional `[runs.grid]`) and
            `[choose]`; book/reference/rerun.md explains them.

    Returns:
        The grid.

    Raises:
        UserError: no such file, no TOML, an unknown name, a value that cannot be, or a grid without values.
    """
    path = Path(path)
    content = _parse(path)
    for name in content:
        require_known(name, f"key in {path}", ("preset", "seeds", "common", "runs", "choose"))
    preset = str(content.get("preset", "toybirds"))
    require_known(preset, f"preset in {path}", PRESETS)
    seeds, listed = content.get("seeds", [0]), content.get("runs", [])
    if not isinstance(seeds, list) or not seeds:
        raise UserError(f"{path}: seeds: {shown(seeds)} is not a list of seeds; give for example [0, 1, 2]")
    if not isinstance(listed, list) or not listed:
        raise UserError(f"{path}: there is no run; begin each with a line [[runs]]")
    common = _table(content, "common", str(path))
    count = len(seeds) * sum(math.prod(len(v) for v in _lists(entry).values()) for entry in listed)
    if count > LARGEST:
        raise UserError(
            f"{path}: {len(seeds)} seeds and all combinations of the values are {count:,} runs, more than {LARGEST:,}; "
            "leave values out, or give them in several files"
        )
    entries = []
    for number, entry in enumerate(listed, 1):
        where = f"{path}: [[runs]] {number}"
        entries += [(where, values) for values in _cross(entry, where)]
    _check_common(path, preset, common, entries)
    configs = [_config(preset, common, values, seed, where) for seed in seeds for where, values in entries]
    given = frozenset(common).union(*(values for _, values in entries))
    return Grid(path, preset, once(configs), _table(content, "choose", str(path)), given)


def once(configs: Iterable[Config]) -> tuple[Config, ...]:
    """Each run once, in order: runs that differ only in where they happen are the same, if their files are."""
    unique: dict[tuple, Config] = {}
    for config in configs:
        unique.setdefault((essence(config), config.data_root, config.data_settings, config.weights), config)
    return tuple(unique.values())


def _table(content: Any, name: str, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UserError(f"{where}: {shown(content)} is not a table of names and values")
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise UserError(f"{where}: {name}: {shown(table)} is not a table of names and values")
    return table


def _parse(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: there is no such grid file")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        raise UserError(f"{path}: not TOML: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: not TOML: its brackets are nested too deep to be read") from None


def _lists(entry: Any) -> dict[str, list[Any]]:
    """The lists of values that one [[runs]] crosses; whether they are right is seen later."""
    grid = entry.get("grid") if isinstance(entry, dict) else None
    return {n: v for n, v in grid.items() if isinstance(v, list)} if isinstance(grid, dict) else {}


def _cross(entry: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """The values of each run that one [[runs]] describes, the last name of its grid changing fastest."""
    grid = _table(entry, "grid", where)
    plain = {name: value for name, value in entry.items() if name != "grid"}
    for name, values in grid.items():
        if not isinstance(values, list):
            raise UserError(f"{where}: grid: {name}: {shown(values)} is not a list of values; give [{shown(values)}]")
        if not values:
            raise UserError(f"{where}: grid: {name} has no values; give at least one, or leave the line out")
        if name in plain:
            raise UserError(f"{where}: {name} has a value and is in the grid too; leave one out")
    return [plain | dict(zip(grid, point, strict=True)) for point in itertools.product(*grid.values())]


def _about(preset: str, common: dict[str, Any], values: dict[str, Any], where: str) -> tuple[str, str]:
    """The method and the data set of a run."""
    merged = {"method": Config.method, "data": Config.data} | PRESETS[preset].general | common | values
    method, data = str(merged["method"]), str(merged["data"])
    require_known(method, f"method in {where}", METHODS)
    require_known(data, f"data set in {where}", DATASETS)
    return method, data


def names_of(kind: type) -> set[str]:
    return {item.name for item in fields(kind)}


def _check_common(
    path: Path, preset: str, common: dict[str, Any], entries: Sequence[tuple[str, dict[str, Any]]]
) -> None:
    """A name in [common] must be of use to some run; each run then takes those that it knows."""
    pairs = [_about(preset, common, values, where) for where, values in entries]
    own = set().union(*(names_of(METHODS.settings(method)) for method, _ in pairs))
    for name in common:
        require_known(name, f"parameter in {path}: [common]", GENERAL | own | {"data_settings"})
    own = set().union(*(names_of(DATASETS[data].Settings) for _, data in pairs))
    for name in _table(common, "data_settings", f"{path}: [common]"):
        require_known(name, f"setting of the data set in {path}: [common]", own)


def _config(preset: str, common: dict[str, Any], values: dict[str, Any], seed: int, where: str) -> Config:
    """One run: its own values go before those of [common]."""
    method, data = _about(preset, common, values, where)
    mine, data_mine = METHODS.settings(method), DATASETS[data].Settings
    for name in values:
        if name not in GENERAL | names_of(mine) | {"data_settings"}:
            others = [other for other in METHODS if name in names_of(METHODS.settings(other))]
            if others:
                raise UserError(f"{where}: method '{method}' has no setting '{name}' (only {', '.join(others)})")
            raise unknown(f"parameter in {where}", name, GENERAL | names_of(mine))
    if "seed" in {*common, *values}:
        raise UserError(f"{where}: seed: give it as seeds = [{(common | values)['seed']}] at the top of the file")
    merged = common | values
    of_data = {n: v for n, v in common.get("data_settings", {}).items() if n in names_of(data_mine)}
    of_data |= _table(values, "data_settings", where)
    try:
        return make(
            preset,
            settings={name: merged[name] for name in merged if name in names_of(mine)},
            data_settings=of_data,
            **({name: merged[name] for name in merged if name in GENERAL} | {"seed": seed}),
        )
    except UserError as error:
        raise UserError(f"{where} (method {method}): {error}") from None


def varying(configs: Sequence[Config]) -> list[str]:
    """The names of the values in which these runs differ, but for those that a run's id begins with."""
    flat = [values_of(config) for config in configs]
    names = dict.fromkeys(name for values in flat for name in values)
    shown = ("data", "method", "backbone", "seed")
    # A setting that only some of the methods have does not vary by that.
    return [n for n in names if n not in shown and len({values[n] for values in flat if n in values}) > 1]


def label(config: Config, names: Iterable[str]) -> str:
    """Names this run among others: its values of these names."""
    values = values_of(config)
    return " ".join(f"{name}={values[name]}" for name in names if values.get(name, "") != "")

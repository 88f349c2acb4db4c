"""Finished runs that a configuration describes, and the value of a field that a finished search speaks for."""

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cmr.config import DATA_PLACE, PLACE, Config
from cmr.errors import UserError, require_known, shown
from cmr.methods import METHODS
from cmr.study import runs
from cmr.study.grid import GENERAL, Grid, label, load, names_of, once
from cmr.study.identity import essence, values_of
from cmr.study.runs import Run

KEYS = ("results", "sweep", "field", "by", "metric")
Records = dict[tuple[tuple[str, Any], ...], list[Run]]  # by `essence`
DEEPEST = 10  # searches that choose from one another


def records(root: str | Path) -> Records:
    """The runs in a folder, finished or diverged, by what their configurations say; not those of unknown settings."""
    found: Records = {}
    for run in [*runs.find(root), *runs.find_diverged(root)]:
        if run.record.maps:  # made after training: a test, no training
            continue
        with suppress(UserError, KeyError, TypeError):  # a setting that is gone: no run of today is the same
            found.setdefault(essence(run.config), []).append(run)
    return found


def recorded(config: Config, found: Records, prints: dict[str, str] | None = None) -> Run | None:
    """The finished run that a configuration describes.

    The id is not asked, since it changes when a setting with a default is added: configurations are compared, by
    fingerprint the data and weights that are at hand, and by the last part of their path those that are not.

    Args:
        config: the run that is looked for.
        found: what `records` gives.
        prints: as `cmr.study.identity.fingerprints` gives them, as far as they are known. A record from before class
            names and pixels counted says nothing of those, and is taken.

    Returns:
        The run, or None.
    """
    prints = prints or {}
    for run in found.get(essence(config), ()):
        same_data = (
            [run.record.data["train"].fingerprint, run.record.tested.fingerprint] == [prints["train"], prints["test"]]
            if "train" in prints
            else _place(config) == _place(run.config)
        )
        if "content" in prints and run.record.content:
            same_data = same_data and prints["content"] == run.record.content
        same_weights = (
            run.record.weights == prints["weights"]
            if "weights" in prints
            else Path(config.weights).name == Path(run.config.weights).name
        )
        if same_data and same_weights:
            return run
    return None


def _place(config: Config) -> list[str]:
    """The last parts of the paths at which a configuration's data lie."""
    of_data = [getattr(config.data_settings, name, "") for name in DATA_PLACE]
    return [Path(path).name for path in (config.data_root, *of_data)]


def chosen(grid: Grid, behind: Sequence[Path] = ()) -> tuple[Grid, list[str]]:
    """Fills in the field that `[choose]` takes from a finished search: the value best on the held-out images.

    Args:
        grid: a grid as its file gives it.
        behind: files whose [choose] led here.

    Returns:
        The grid with the values filled in, each run once, and a line for each choice that says what it rests on.
        Without a `[choose]`, the grid as it is and no line.

    Raises:
        UserError: a key that is missing or unknown, a search that is not finished, has no held-out images or has no run
            that agrees, or values that do not compare because more than the field and the seed differs; or files that
            choose from one another in a circle, or more than ten in a row.
    """
    if not grid.choose:
        return grid, []
    where = f"{grid.path}: [choose]"
    field, by, metric = _checked(grid, where)
    file = grid.path.parent / grid.choose["sweep"]
    if file.resolve() == grid.path.resolve():
        raise UserError(f"{where}: sweep: {grid.choose['sweep']} is this file; name the search's")
    behind = (*behind, grid.path.resolve())
    if file.resolve() in behind or len(behind) > DEEPEST:
        what = "chooses from this file in turn" if file.resolve() in behind else f"is search {len(behind)} in a row"
        raise UserError(f"{where}: sweep: {grid.choose['sweep']} {what}; give the value itself in one of them")
    search = _search(file, grid.choose["results"], where, (field, *by, "seed"), behind)
    if not all(config.holdout for config, _ in search):
        raise UserError(f"{where}: {file} has runs with holdout 0, which would choose {field} on the test images")
    choices: dict[tuple, tuple[Any, str]] = {}
    configs = []
    for config in grid.configs:
        values = values_of(config)
        if field in values:  # a method without that setting stays as it is
            key = tuple(values.get(name) for name in by)
            if key not in choices:
                agreeing = [(values_of(other), run) for other, run in search]
                agreeing = [pair for pair in agreeing if tuple(pair[0].get(name) for name in by) == key]
                if not agreeing:
                    raise UserError(f"{where}: no run of {file} agrees with {label(config, by)}")
                value, why = _best(agreeing, field, by, metric, f"{where}: {label(config, by)}")
                choices[key] = value, f"{label(config, by)}: {field}={value} from {file}, {why}"
            config = _with(config, field, choices[key][0])
        configs.append(config)
    return dataclasses.replace(grid, configs=once(configs), choose={}), [why for _, why in choices.values()]


def _checked(grid: Grid, where: str) -> tuple[str, list[str], str]:
    """Field, by and metric of a [choose], all of whose keys are there and known."""
    for name in grid.choose:
        require_known(name, f"key in {where}", KEYS)
    for name in KEYS:
        if name not in grid.choose:
            raise UserError(f"{where}: {name} is missing; it needs {', '.join(KEYS)}")
        kind, words = (list, "a list of names") if name == "by" else (str, "text")
        given = grid.choose[name]
        if not isinstance(given, kind) or not all(isinstance(item, str) for item in given):
            raise UserError(f"{where}: {name}: {shown(given)} is not {words}")
        if "\0" in "".join(given):
            raise UserError(f"{where}: {name}: {shown(given)} holds a control character; remove it")
    field, by = grid.choose["field"], grid.choose["by"]
    names = GENERAL.union(*(names_of(METHODS.settings(config.method)) for config in grid.configs))
    for name in (field, *by):
        require_known(name, f"parameter in {where}", names)
    if field in grid.given:
        raise UserError(f"{where}: {field} is given in the file too; leave one out")
    return field, by, grid.choose["metric"]


def _search(
    file: Path, results: str, where: str, shown: Iterable[str], behind: Sequence[Path]
) -> list[tuple[Config, Run]]:
    """The search's runs; all must be finished, or the best of them might not be the best."""
    configs = chosen(load(file), behind)[0].configs
    found = records(results)
    pairs = [(config, recorded(config, found)) for config in configs]
    missing = [config for config, run in pairs if run is None]
    if missing:
        raise UserError(
            f"{where}: {len(missing)} of the {len(configs)} runs of {file} are not finished in {results} "
            f"(first: {label(missing[0], shown)}); run: cmr sweep {file} --out {results}"
        )
    return [(config, run) for config, run in pairs if run is not None]


def _best(
    members: Sequence[tuple[dict[str, Any], Run]], field: str, by: Sequence[str], metric: str, where: str
) -> tuple[Any, str]:
    """The value with the highest mean over seeds, and the words that say so."""
    free = {field, "seed", *by, *PLACE}
    names = dict.fromkeys(name for values, _ in members for name in values if name not in free)
    others = [name for name in names if len({values.get(name) for values, _ in members}) > 1]
    if others:
        raise UserError(f"{where}: the search's runs differ in {', '.join(others)} too; name it in by")
    scores: dict[Any, list[float]] = {}
    diverged = sorted({values[field] for values, run in members if run.diverged})
    for values, run in members:
        if values[field] in diverged:
            continue
        numbers = run.result.numbers()
        require_known(metric, f"metric in {where}", numbers)
        scores.setdefault(values[field], []).append(numbers[metric])
    if not scores:
        raise UserError(f"{where}: every training of the search diverged; add other values of {field} to it")
    means = {value: statistics.fmean(scores[value]) for value in sorted(scores)}
    best = max(means, key=means.__getitem__)  # of equal ones the first, which is the smallest
    table = ", ".join([f"{value}: {mean:.2f}" for value, mean in means.items()] + [f"{v}: diverged" for v in diverged])
    return best, f"{metric} on the held-out images of {len(members)} runs ({table})"


def _with(config: Config, name: str, value: Any) -> Config:
    if name in GENERAL:
        return dataclasses.replace(config, **{name: value})
    return dataclasses.replace(config, settings=dataclasses.replace(config.settings, **{name: value}))

"""Which recorded runs belong together, and what a group is called: a title in tables, a key in texts."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cmr.config import PLACE, Config
from cmr.methods import METHODS
from cmr.presets import make
from cmr.study.identity import setting
from cmr.study.runs import Run

PAPERS = "cmr"  # the method of the paper, whose interpretations have names
VIEWS_ONLY = "views_only"  # key of complementary hiding without modules and fusion loss
#: What the maps are that eq. 14 compares. The paper allows the first two; both stand in every table.
INTERPRETATIONS = {
    "raw": "CMR (literal)",
    "relu": "CMR (positive parts)",
    "minmax": "CMR (min-max maps)",
    "mean_free": "CMR (mean-free maps)",
}
SAID = {  # settings that tables have other words for
    "caam": "CAAM", "ssam": "SSAM", "beta": "weight", "lr": "rate", "beta_warmup": "warm-up", "sizes": "cells of",
    "fuse_conv": "branch convolution", "caam_axis": "CAAM axis", "caam_scale": "CAAM scale",
}  # fmt: skip
#: What runs have of the paper's method, or of a method's idea; named wherever it is not the method's default.
ESSENTIAL = ("caam", "ssam", "beta", "views", "class_token_weight", "test_map")
UNSEEN = object()
READ_OUT = ("maps", "test_flip")  # how the map of a trained model was read out
UNSAID = ("settings", "data_settings", "method", "data", "weights", "seed", "test_flip", *PLACE)
Pairs = list[tuple[str, Any]]  # of a setting's name and its value


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed only.

    Args:
        key: method and settings by the names they have in a configuration: "cmr_relu_beta_10". It names numbers on
            pages, and stays when a title gets better words.
        title: the same in words, for a table's row: "CMR (positive parts), weight 10".
        runs: one per seed.
    """

    key: str
    title: str
    runs: tuple[Run, ...]


def by_setting(found: Iterable[Run]) -> dict[str, Group]:
    """Groups runs that differ in their seed only, under the method and what sets the group apart.

    A setting of the method or the data is named where it is not the default, one of the training where it is not what
    most runs of the method have. Where no run has the default, what most have goes without a name too, so that 64-pixel
    images need not name their cells' sizes.

    Args:
        found: runs on the same data; one that two studies hold counts once.

    Returns:
        Key to group; methods in the order of `METHODS`, within a method plain first, then as found.

    Raises:
        ValueError: two groups would have the same key, since the runs differ in data or weights.
    """
    return _by_key(same_setting(found))


def same_setting(found: Iterable[Run], ties: bool = False) -> list[Group]:
    """The groups of `by_setting`, where two of different data may be called the same; `ties` as in `usual_values`."""
    groups: dict[str, dict[int, Run]] = {}
    for run in found:
        groups.setdefault(setting(run), {}).setdefault(run.config.seed, run)
    runs = [run for members in groups.values() for run in members.values()]
    usual = {
        method: usual_values([run for run in runs if run.config.method == method], ties)
        for method in dict.fromkeys(run.config.method for run in runs)
    }
    firsts = [(next(iter(members.values())), members) for members in groups.values()]
    return _ordered(_group(list(m.values()), differing(run, usual[run.config.method])) for run, m in firsts)


def by_interpretation(found: Iterable[Run]) -> dict[str, Group]:
    """Groups runs of one training that differ in their seed only, under what they have of the paper's method.

    Paper: table 5, section 3.7. Where tables compare such runs under several trainings, the trainings have columns.

    Args:
        found: runs on the same data, each method trained in one way; one that two studies hold counts once.

    Returns:
        Key to group, in the order of `by_setting`.

    Raises:
        ValueError: runs of different settings would have the same key; `by_setting` tells those apart.
    """
    groups: dict[str, dict[int, Run]] = {}
    settings: dict[str, str] = {}
    for run in found:
        name = interpretation(run)
        if settings.setdefault(name.key, setting(run)) != setting(run):
            raise ValueError(f"by_interpretation: {name.title} stands for runs of different settings; take by_setting")
        groups.setdefault(name.key, {}).setdefault(run.config.seed, run)
    return _by_key(_ordered(_group(list(m.values()), _essence(next(iter(m.values())))) for m in groups.values()))


def interpretation(run: Run, read_out: bool = True) -> Group:
    """A group of this run alone, named after what it has of the paper's method and nothing else of its setting.

    Args:
        run: of any method.
        read_out: say how the map was read out, where that was after the fact; off: what the model is.

    Example:
        >>> from types import SimpleNamespace
        >>> config, record = make("paper", method="cmr", settings={"beta": 1.0}), SimpleNamespace(maps=None)
        >>> run = SimpleNamespace(config=config, record=record)
        >>> interpretation(run).key, interpretation(run).title
        ('cmr_beta_1', 'CMR (literal), weight 1')
    """
    return _group([run], [pair for pair in _essence(run) if read_out or pair[0] not in READ_OUT])


def pick(groups: Mapping[str, Group], *keys: str) -> dict[str, Group]:
    """The groups with these keys, in this order, without those that were not run."""
    return {key: groups[key] for key in keys if key in groups}


def differing(run: Run, usual: Mapping[str, Any]) -> Pairs:
    """What sets a run's setting apart from others of its method.

    Args:
        run: the run.
        usual: as `usual_values` gives it for the runs to tell it from.

    Returns:
        What it has of the paper's method; then where it is not the usual one a value of the method, of the data, of the
        training; last how the map was read out.
    """
    essence = _essence(run)
    pairs = [(name, value) for name, value in _values(run).items() if value != usual[name]]
    named = [(name, Path(run.config.weights).name if name == "weights" else value) for name, value in pairs]
    read_out = [pair for pair in essence if pair[0] in READ_OUT]
    return [*(pair for pair in essence if pair[0] not in READ_OUT), *named, *read_out]


def usual_values(same: Sequence[Run], ties: bool = False) -> dict[str, Any]:
    """The values that need no name among runs of one method.

    Args:
        same: runs of the method, at least one.
        ties: where as many runs have one value as another, name each.

    Returns:
        Setting to value: of method and data the default where any run has it, else what most have, of equals the first
        or, with `ties`, a value that none has.
    """
    plain = make("paper", method=same[0].config.method, data=same[0].config.data)
    defaults = {**plain.to_dict()["settings"], **plain.to_dict()["data_settings"]}
    values = [_values(run) for run in same]
    usual = {}
    for name in values[0]:
        counted = Counter(of_run.get(name) for of_run in values)
        (most, times), *others = counted.most_common(2)
        if defaults.get(name) in counted:
            usual[name] = defaults[name]
        elif not ties or not others or times > others[0][1]:
            usual[name] = most
        else:
            usual[name] = UNSEEN
    return usual


def _values(run: Run) -> dict[str, Any]:
    """What may be named of a run beside `_essence`: values of the method, of the data, of the training; the weights."""
    config = run.config
    unsaid = {"": UNSAID, "settings": ("fusion_map", *ESSENTIAL), "data_settings": ()}
    parts = [(config.settings, "settings"), (config.data_settings, "data_settings"), (config, "")]
    values = {
        item.name: getattr(part, item.name)
        for part, where in parts
        for item in fields(part)
        if item.name not in unsaid[where]
    }
    return values | {"weights": run.record.weights}


def _essence(run: Run) -> Pairs:
    settings, plain = run.config.settings, METHODS.settings(run.config.method)()
    pairs: Pairs = [
        (name, getattr(settings, name))
        for name in ESSENTIAL
        if hasattr(settings, name) and getattr(settings, name) != getattr(plain, name)
    ]
    if _views_only(run.config):
        pairs = [pair for pair in pairs if pair[0] == "test_map"]
    if run.record.maps:
        pairs.append(("maps", run.record.maps))
    if run.config.test_flip:
        pairs.append(("test_flip", True))
    return pairs


def _views_only(config: Config) -> bool:
    settings: Any = config.settings
    return config.method == PAPERS and not (settings.caam or settings.ssam or settings.beta)


def _ordered(groups: Iterable[Group]) -> list[Group]:
    """Methods in the order of `METHODS`; within one complementary hiding alone, then plain first, then as found."""

    def rank(group: Group) -> tuple[int, bool, int]:
        config = group.runs[0].config
        return list(METHODS).index(config.method), not _views_only(config), group.title.count(",")

    return sorted(groups, key=rank)


def _by_key(groups: Iterable[Group]) -> dict[str, Group]:
    named: dict[str, Group] = {}
    for group in groups:
        if group.key in named:
            raise ValueError(f"groups: {group.title} stands for runs on different data; give those on the same data")
        named[group.key] = group
    return named


def _group(members: Sequence[Run], pairs: Pairs) -> Group:
    key, title = _method(members[0].config)
    parts = [key, *(key_part(name, value) for name, value in pairs)]
    return Group("_".join(parts), ", ".join([title, *(say(name, value) for name, value in pairs)]), tuple(members))


def _method(config: Config) -> tuple[str, str]:
    """Key and name of the method; of the paper's own, where it has a fusion loss, with what eq. 14 compares."""
    settings: Any = config.settings
    if config.method != PAPERS:
        return config.method, METHODS.title(config.method)
    if _views_only(config):
        return VIEWS_ONLY, "views only"
    if settings.beta == 0 or settings.fusion_map == "raw":
        return config.method, "CMR" if settings.beta == 0 else INTERPRETATIONS["raw"]
    return f"{config.method}_{settings.fusion_map}", INTERPRETATIONS[settings.fusion_map]


def key_part(name: str, value: Any) -> str:
    """A setting and its value as a part of a key: key_part("beta", 10.0) gives "beta_10"."""
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    plain = f"{value:g}" if isinstance(value, float) else str(value)
    words = "_".join(map(str, value)) if isinstance(value, tuple) else plain
    return re.sub(r"\W+", "_", words if name == "maps" else f"{name}_{words}")


def say(name: str, value: Any) -> str:
    """A setting and its value in words.

    Example:
        >>> [say("beta", 10.0), say("beta", 0.0), say("caam", False), say("fuse_kernel", 3), say("sizes", (5, 9))]
        ['weight 10', 'no fusion loss', 'no CAAM', '3×3 branch', 'cells of 5/9']
    """
    words = SAID.get(name, name.replace("_", " "))
    if name == "views":
        return f"{value} views"
    if name == "fuse_kernel":
        return f"{value}×{value} branch"
    if name == "maps":
        return str(value)
    if (name, value) == ("beta", 0.0):
        return "no fusion loss"
    if (name, value) == ("test_map", "mean_free"):
        return "mean-free at test"
    if isinstance(value, bool):
        return words if value else f"no {words}"
    if isinstance(value, tuple):
        return f"{words} {'/'.join(map(str, value))}"
    return f"{words} {value:g}" if isinstance(value, float) else f"{words} {value}"

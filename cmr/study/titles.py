"""Which recorded runs belong together, and what a table calls them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from cmr.assemble import make
from cmr.config import PLACE, Config
from cmr.methods import METHODS
from cmr.study.identity import setting
from cmr.study.runs import Run

VIEWS_ONLY = "views only"
PAPERS = "cmr"  # the method of the paper, whose interpretations have names
#: What the maps are that eq. 14 compares. The paper allows the first two; both stand in every table.
INTERPRETATIONS = {
    "raw": "CMR (literal)",
    "relu": "CMR (positive parts)",
    "minmax": "CMR (min-max maps)",
    "centred": "CMR (mean-free maps)",
}
UNSAID = ("settings", "data_settings", "method", "data", "weights", "seed", *PLACE)


def by_title(found: Sequence[Run]) -> dict[str, list[Run]]:
    """Groups runs that differ in their seed only, under the method's name and what sets the group apart.

    A setting is named where it is not the method's default: "CMR, beta 0", "CMR (literal), no caam". Where no run of
    the method has the default, what most of them have goes without a name, so that 64-pixel images need not name their
    cells' sizes. Maps read out after the fact are named too.

    Args:
        found: runs on the same data.

    Returns:
        Title to runs; methods in the order of `METHODS`, within a method plain first, then as found.

    Raises:
        ValueError: two groups would have the same title, since the runs differ in data or weights.
    """
    groups: dict[str, list[Run]] = {}
    for run in found:
        _add(run, groups.setdefault(setting(run), []))
    members = list(groups.values())
    configs = [group[0].config for group in members]
    titles = [
        ", ".join(
            [
                *_parts(config, [other for other in configs if other.method == config.method]),
                *([group[0].record["maps"]] if "maps" in group[0].record else []),
            ]
        )
        for config, group in zip(configs, members, strict=True)
    ]
    order = list(METHODS)
    ranked = sorted(range(len(titles)), key=lambda i: (order.index(configs[i].method), titles[i].count(","), i))
    named = {titles[i]: members[i] for i in ranked}
    if len(named) < len(titles):
        twice = sorted({title for title in titles if titles.count(title) > 1})
        raise ValueError(f"by_title: {', '.join(twice)} stands for runs on different data; give those on the same data")
    return named


def by_reading(found: Sequence[Run]) -> dict[str, list[Run]]:
    """Groups runs of one training that differ in their seed only, under what they have of the paper's method.

    Args:
        found: runs on the same data, each method trained in one way.

    Returns:
        `reading`, and how the map was read out where it was after the fact, to runs; methods in the order of `METHODS`,
        plain first within a method and "views only" before what adds to it, otherwise as found.

    Raises:
        ValueError: runs of different settings would have the same name; `by_title` tells those apart.
    """

    def rank(run: Run) -> tuple[int, bool, int]:
        name = reading(run)
        return list(METHODS).index(run.config.method), name != VIEWS_ONLY, name.count(",")

    groups: dict[str, list[Run]] = {}
    for run in sorted(found, key=rank):
        read_out = [run.record["maps"]] if "maps" in run.record else []
        flipped = ["test flip"] if run.config.test_flip else []
        _add(run, groups.setdefault(", ".join([reading(run), *read_out, *flipped]), []))
    for name, members in groups.items():
        if len({setting(run) for run in members}) > 1:
            raise ValueError(f"by_reading: {name} stands for runs of different settings; give those of one training")
    return groups


def _add(run: Run, group: list[Run]) -> None:
    """Adds a run to a group, unless the same training is there: two studies may hold one, and it counts once."""
    if not any(setting(run) == setting(other) and run.config.seed == other.config.seed for other in group):
        group.append(run)


def reading(run: Run) -> str:
    """What a run has of the paper's method, in words: its modules and its fusion loss, and nothing else of its setting.

    Paper: table 5, section 3.7. Where tables compare such runs under several trainings, the trainings have columns.

    Args:
        run: of any method.

    Returns:
        "CAM", "HaS, 2 views" (of an image in a step, where that is not one), "CMR (literal)" and "CMR (positive parts)"
        (what eq. 14 compares, `fusion_map`), "CMR (literal), no CAAM", "CMR (literal), weight 1", "CMR, no fusion
        loss", or "views only", complementary hiding without modules and fusion loss; "mean-free at test" is `test_map`.

    Example:
        >>> from types import SimpleNamespace
        >>> from cmr.assemble import make
        >>> reading(SimpleNamespace(config=make("paper", method="cmr", settings={"beta": 1.0})))
        'CMR (literal), weight 1'
    """
    settings, name = run.config.settings, method_name(run.config)
    if run.config.method != PAPERS:
        views = getattr(settings, "views", 1)
        return f"{name}, {views} views" if views > 1 else name
    parts = [name]
    if name != VIEWS_ONLY:
        parts += [*([] if settings.caam else ["no CAAM"]), *([] if settings.ssam else ["no SSAM"])]
        if settings.beta == 0:
            parts.append("no fusion loss")
        elif settings.beta != METHODS[PAPERS].Settings().beta:
            parts.append(f"weight {settings.beta:g}")
    return ", ".join([*parts, *([] if settings.test_map == "raw" else ["mean-free at test"])])


def method_name(config: Config) -> str:
    """The method's name; the paper's own with the interpretation of eq. 14, where it has a fusion loss.

    Example:
        >>> [method_name(make("tiny", method="cmr", settings={"fusion_map": kind})) for kind in ("raw", "relu")]
        ['CMR (literal)', 'CMR (positive parts)']
    """
    method, settings = METHODS[config.method], config.settings
    if config.method != PAPERS or (settings.beta == 0 and (settings.caam or settings.ssam)):
        return method.__name__
    return INTERPRETATIONS[settings.fusion_map] if settings.beta else VIEWS_ONLY


def _parts(config: Config, same: Sequence[Config]) -> list[str]:
    plain = make("paper", method=config.method)
    name = method_name(config)
    parts = [name]
    said = ("fusion_map", *(("beta", "caam", "ssam") if name == VIEWS_ONLY else ())) if config.method == PAPERS else ()
    for item in fields(config.settings):
        if item.name in said:
            continue
        value = getattr(config.settings, item.name)
        values = [getattr(other.settings, item.name) for other in same]
        if value != _usual(getattr(plain.settings, item.name), values):
            parts.append(_say(item.name, value))
    for item in fields(config):
        if item.name not in UNSAID:
            value = getattr(config, item.name)
            if value != _usual(item.default, [getattr(other, item.name) for other in same]):
                parts.append(_say(item.name, value))
    return parts


def _usual(default: Any, values: Sequence[Any]) -> Any:
    """The value that needs no name: the default where any run has it, else what most have, of equals the first."""
    return default if default in values else Counter(values).most_common(1)[0][0]


def _say(name: str, value: Any) -> str:
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return words if value else f"no {words}"
    if isinstance(value, tuple):
        return f"{words} {' '.join(map(str, value))}"
    return f"{words} {value:g}" if isinstance(value, float) else f"{words} {value}"

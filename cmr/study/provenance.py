"""Where numbers come from, in words: under a table, in a folded box of a page, at the end of a training."""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from cmr.metrics.result import TITLES, Result
from cmr.study.groups import Group
from cmr.study.runs import Run
from cmr.study.tables import METRICS


def metric_lines(result: Result) -> str:
    """The metrics of one test, one per line, in percent."""
    numbers = result.numbers()
    return "\n".join(f"{name:<14}{numbers[name]:7.2f}" for name in (*METRICS, TITLES["pxap"]) if name in numbers)


def summary(run: Run) -> str:
    """What `cmr train` prints when it is done."""
    where = run.record.tested
    head = f"{run.config.method} on {where.name} ({where.images} test images), {run.record.duration_s} s"
    return f"{head}\n{metric_lines(run.result)}\nrecord: {run.file}"


def setting(run: Run) -> str:
    """What a table's runs have in common, for a line under it: network, sizes, epochs, hardware, arithmetic."""
    config, place, side = run.config, run.record.environment, run.outcomes()["maps"].shape[-1]
    return (
        f"{config.backbone}, images of {config.image_size} pixels, maps of {side} by {side}, {config.epochs} epochs, "
        f"{place.device}, {place.precision}."
    )


def box(found: Sequence[Run]) -> str:
    """Where the numbers of a page come from, as a folded HTML box: the runs by study, each with a link to its record.

    Args:
        found: the runs whose numbers the page prints; one that stands there twice is listed once.

    Returns:
        HTML with commit, seed, hardware, versions, data fingerprints, date, duration and command of each run. What the
        runs of a study share is said once.
    """
    studies: dict[Path, list[Run]] = {}
    for run in {run.path: run for run in found}.values():
        studies.setdefault(run.path.parent, []).append(run)
    parts = [_study(path, runs) for path, runs in studies.items()]
    count = sum(map(len, studies.values()))
    head = f"Where these numbers come from ({count} run{'' if count == 1 else 's'})"
    return f'<details class="provenance" id="records"><summary>{head}</summary>{"".join(parts)}</details>'


def links(groups: Iterable[Group]) -> str:
    """The records behind some groups of runs, as a line of HTML with one link a run.

    Args:
        groups: each is named by its title.
    """
    parts = [
        f"{html.escape(group.title)}: " + ", ".join(_link(run, f"seed {run.config.seed}") for run in group.runs)
        for group in groups
    ]
    return f'<p class="cmr-records">Records. {"; ".join(parts)}.</p>'


def _study(path: Path, found: Sequence[Run]) -> str:
    facts = [_facts(run) for run in found]
    shared = [item for item in facts[0].items() if len(found) > 1 and all(item in of_run.items() for of_run in facts)]
    lines = [
        f"<li>{_link(run, run.id)}<br>{_said(item for item in of_run.items() if item not in shared)}</li>"
        for run, of_run in zip(found, facts, strict=True)
    ]
    return f"<p><b>{html.escape(path.name)}</b> {_said(shared)}</p><ul>{''.join(lines)}</ul>"


def _facts(run: Run) -> dict[str, str]:
    record, place = run.record, run.record.environment
    data = ", ".join(f"{part.name} {split} {part.fingerprint}" for split, part in record.data.items())
    versions = ", ".join(f"{name} {version}" for name, version in place.versions.items())
    return {
        "commit": f"{place.commit[:10]}{' with local changes' if place.dirty else ''}",
        "seed": str(record.seeds["seed"]),
        "data": data,
        "weights": record.weights,
        "hardware": f"{place.device}, {place.threads} threads, {place.precision}",
        "versions": f"Python {place.python}, {versions}",
        "finished": f"{record.finished}, after {record.duration_s:.0f} s, {record.peak_memory_mb:.0f} MB",
        "command": record.command,
    }


def _said(facts: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {html.escape(value)}" for name, value in facts)


def _link(run: Run, text: str) -> str:
    """A link relative to the notebook, which the book keeps; a path of this machine stays out of the page."""
    shown = f"<code>{html.escape(text)}</code>"
    if run.file.is_absolute():
        return shown
    return f'<a href="{html.escape(quote(run.file.as_posix()))}">{shown}</a>'

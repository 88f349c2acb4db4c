"""Where numbers come from, in words: under a table, in a folded box of a page, at the end of a training."""

import html
from collections.abc import Sequence

from cmr.metrics.result import TITLES, Result
from cmr.study import runs
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
    return f"{head}\n{metric_lines(run.result)}\nrecord: {run.path / runs.RECORD}"


def setting(run: Run) -> str:
    """What a table's runs have in common, for a line under it: network, sizes, epochs, hardware, arithmetic."""
    config, place, side = run.config, run.record.environment, run.outcomes()["maps"].shape[-1]
    return (
        f"{config.backbone}, images of {config.image_size} pixels, maps of {side} by {side}, {config.epochs} epochs, "
        f"{place.device}, {place.precision}."
    )


def box(found: Sequence[Run]) -> str:
    """Where the numbers of a page come from, as a folded HTML box: one line per run.

    Args:
        found: the runs whose numbers the page prints.

    Returns:
        HTML with commit, seeds, hardware, versions, data fingerprints, date, duration and command of each run.
    """
    lines = []
    for run in found:
        record, place = run.record, run.record.environment
        data = ", ".join(f"{part.name} {split} {part.fingerprint}" for split, part in record.data.items())
        versions = ", ".join(f"{name} {version}" for name, version in place.versions.items())
        facts = {
            "commit": f"{place.commit[:10]}{' with local changes' if place.dirty else ''}",
            "seed": record.seeds["seed"],
            "data": data,
            "weights": record.weights,
            "hardware": f"{place.device}, {place.threads} threads, {place.precision}",
            "versions": f"Python {place.python}, {versions}",
            "finished": f"{record.finished}, after {record.duration_s:.0f} s, {record.peak_memory_mb:.0f} MB",
            "command": record.command,
        }
        text = "; ".join(f"{name}: {html.escape(str(value))}" for name, value in facts.items())
        lines.append(f"<li><code>{html.escape(run.id)}</code><br>{text}</li>")
    head = f"Where these numbers come from ({len(found)} runs)"
    return f'<details class="provenance"><summary>{head}</summary><ul>{"".join(lines)}</ul></details>'

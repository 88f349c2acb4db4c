"""What `python -m benchmarks.train` measured, as tables: steps, goals, and the hours of a full training."""

import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas

from cmr.errors import UserError

Record = Mapping[str, Any]  # one file of the benchmark
STEPS = {
    "bare": "(a) bare layers",
    "cam": "(b) our CAM",
    "cmr": "(c) our CMR",
    "plain": "(d) CMR, eager float32, DataLoader",
}
TRAININGS = {"CUB, 50 epochs": (5_994, 50), "ILSVRC, 10 epochs": (1_281_167, 10)}  # images, epochs, as published
DEVICES = (1, 8, 64)
NOT_RUN = "not run"


@dataclass(frozen=True)
class Goal:
    """A goal of this study for a GPU: what is measured, the limit it must keep, and the settings it is meant for."""

    title: str
    limit: float
    value: Callable[[Record], float]
    at_most: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    form: str = "{:.3f}"

    def verdict(self, record: Record | None) -> str:
        """Says "met", "missed", or why there is no verdict."""
        if record is None:
            return "not measured"
        if not on_gpu(record):
            return "no verdict on a CPU"
        if not self._meant(record):
            return "for other settings"
        value = self.value(record)
        return "met" if (value <= self.limit if self.at_most else value >= self.limit) else "missed"

    def shown(self, record: Record | None) -> str:
        """The value as a table prints it, on a CPU too; a dash where the settings are not those of the goal."""
        if record is None or not self._meant(record):
            return "–"
        return self.form.format(self.value(record))

    def asked(self) -> str:
        """The limit as a table prints it."""
        return f"at {'most' if self.at_most else 'least'} {self.form.format(self.limit)}"

    def _meant(self, record: Record) -> bool:
        return all(record[name] == value for name, value in self.settings.items())


def _row(record: Record, step: str) -> Mapping[str, Any]:
    return next(row for row in record["rows"] if row["step"] == step)


GOALS = (
    Goal("images/s of our CAM over bare layers, b/a", 0.95, lambda record: record["speeds"]["cam / bare"]),
    Goal("images/s of our CMR over our CAM, c/b", 0.45, lambda record: record["speeds"]["cmr / cam"]),
    Goal("images/s of our CMR over eager CMR, c/d", 3.0, lambda record: record["speeds"]["cmr / plain"]),
    Goal(
        "share of the matrix peak, our CMR on VGG16",
        0.35,
        lambda record: _row(record, "cmr")["share_of_peak"],
        settings={"backbone": "vgg16"},
        form="{:.2%}",
    ),
    Goal(
        "memory, our CMR on ResNet50, 32 images of 224 px",
        12.0,
        lambda record: _row(record, "cmr")["memory_mb"] * 2**20 / 1e9,
        at_most=True,
        settings={"backbone": "resnet50", "batch": 32, "size": 224},
        form="{:.2f} GB",
    ),
)


def read(folder: str | Path) -> dict[str, Record]:
    """Reads the benchmark's files.

    Args:
        folder: where `train*.json` lie; it need not exist.

    Returns:
        The records by the files' names without ending, sorted; empty where there are none.

    Raises:
        UserError: a file of that name is not from this benchmark.

    Example:
        >>> read("no/such/folder")
        {}
    """
    records: dict[str, Record] = {}
    for path in sorted(Path(folder).glob("train*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or not {"rows", "speeds", "apart_ms", "environment"} <= set(record):
            raise UserError(f"{path} is not a file of benchmarks.train; make it again with --out, or rename it")
        records[path.stem] = record
    return records


def on_gpu(record: Record) -> bool:
    """Whether the record was made on a GPU."""
    return "cuda" in record["environment"]


def about(record: Record) -> str:
    """Device and settings of a record, as one line of Markdown."""
    place = record["environment"]
    device = f"{place['device']}{'' if on_gpu(record) else ' (CPU, threads: ' + str(place['threads']) + ')'}"
    facts = [device, record["backbone"], f"{record['batch']} images of {record['size']} px per step"]
    facts += [f"{record['classes']} classes", f"precision {record['precision']}"]
    facts += ["compiled" if record["compile"] else "not compiled", f"memory by {record['memory']}"]
    return f"{'; '.join(facts)}. Matrix peak {record['peak_tflops']:.3g} TFLOP/s."


def steps(record: Record | None) -> pandas.DataFrame:
    """Speed, arithmetic and memory of the four steps; without a record every cell says so."""
    cells = []
    for name in STEPS:
        row = _row(record, name) if record else {}
        cells.append(
            {
                "images/s": f"{row['images_a_second']:,.1f}" if row else NOT_RUN,
                "ms per step": f"{row['ms']:,.1f}" if row else NOT_RUN,
                "multiply-adds per step": f"{row['multiply_adds'] / 1e9:,.2f} G" if row else NOT_RUN,
                "of the matrix peak": f"{row['share_of_peak']:.1%}" if row else NOT_RUN,
                "peak memory": f"{row['memory_mb']:,.0f} MiB" if row else NOT_RUN,
            }
        )
    return pandas.DataFrame(cells, index=list(STEPS.values()))


def apart(record: Record | None) -> str:
    """Attention and fusion loss by themselves, as a line of Markdown."""
    if record is None:
        return f"Attention and fusion loss alone: {NOT_RUN}."
    whole = _row(record, "cmr")["ms"]
    parts = [f"{name} {ms:.2f} ms ({ms / whole:.1%} of step c)" for name, ms in record["apart_ms"].items()]
    counted = [_row(record, step)["multiply_adds"] for step in ("cam", "cmr")]
    return (
        f"Alone, forward and backward: {', '.join(parts)}. Step c does {counted[1] / counted[0]:.2f} times the "
        f"arithmetic of b, which by itself would make c/b {counted[0] / counted[1]:.2f}."
    )


def gains(records: Mapping[str, Record]) -> pandas.DataFrame:
    """How many times as fast a step becomes by bfloat16, and by compiling: its time before over its time after.

    Args:
        records: as `read` gives them.

    Returns:
        A row for every two records that differ in the precision alone or in `compile` alone; none where no two do.
    """
    steps, same = ("bare", "cam", "cmr"), ("backbone", "batch", "size", "classes")
    changes = {"precision": ("32-true", "bf16-mixed"), "compile": (False, True)}
    words = {"precision": "bfloat16", "compile": "compiled"}
    rows = {}
    for before, a in records.items():
        for after, b in records.items():
            differs = [name for name in (*same, *changes) if a[name] != b[name]]
            if len(differs) != 1 or differs[0] in same or a["environment"]["device"] != b["environment"]["device"]:
                continue
            name = differs[0]
            if (a[name], b[name]) == changes[name]:
                ratios = [f"{_row(a, step)['ms'] / _row(b, step)['ms']:.2f}" for step in steps]
                rows[f"{words[name]}: {before} / {after}"] = ratios
    return pandas.DataFrame.from_dict(rows, orient="index", columns=[STEPS[step] for step in steps])


def goals(record: Record | None) -> pandas.DataFrame:
    """Each goal of the study beside what a record has; None: nothing was measured."""
    cells = [{"goal": goal.asked(), "here": goal.shown(record), "verdict": goal.verdict(record)} for goal in GOALS]
    return pandas.DataFrame(cells, index=[goal.title for goal in GOALS])


def hours(images_a_second: float, images: int, epochs: int, devices: int = 1, scaling: float = 1.0) -> float:
    """How long a training takes at a steady speed.

    Args:
        images_a_second: of one device.
        images: in an epoch.
        epochs: passes over them.
        devices: of the same kind.
        scaling: share of `devices` times one device's speed that several reach together, in (0, 1].

    Returns:
        Hours.

    Raises:
        UserError: a scaling of 0 or below, or above 1.

    Example:
        >>> hours(100, 5_994, 50)
        0.8325
    """
    if not 0 < scaling <= 1:
        raise UserError(f"scaling: {scaling} is no share of the speed of all devices; give more than 0, at most 1")
    return images * epochs / (images_a_second * devices * (scaling if devices > 1 else 1.0)) / 3600


def hours_table(records: Mapping[str, Record], scaling: float) -> pandas.DataFrame:
    """Hours of the paper's trainings with CAM and with CMR, for each record; one of "not run" without records."""
    columns = [f"{n} device{'s' if n > 1 else ''}" for n in DEVICES]
    cells, index = [], []
    shown: Mapping[str, Record | None] = records or {"no file": None}
    for file, record in shown.items():
        for step in ("cam", "cmr"):
            for title, (images, epochs) in TRAININGS.items():
                index.append(f"{file}: {step.upper()}, {title}")
                if record is None:
                    cells.append([NOT_RUN] * len(DEVICES))
                    continue
                rate = _row(record, step)["images_a_second"]
                cells.append([_printed(hours(rate, images, epochs, n, scaling)) for n in DEVICES])
    return pandas.DataFrame(cells, index=index, columns=columns)


def _printed(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def provenance(records: Mapping[str, Record], folder: str | Path) -> str:
    """Device, versions, commit and command of each file, as a folded HTML box like that of `cmr.study.provenance`.

    Args:
        records: as `read` gives them.
        folder: where they lie, relative to the page.
    """
    lines = [
        f'<li><a href="{html.escape(f"{folder}/{file}.json")}"><code>{html.escape(file)}.json</code></a><br>'
        + "; ".join(f"{name}: {html.escape(str(value))}" for name, value in _facts(record).items())
        + "</li>"
        for file, record in records.items()
    ]
    head = f"Where these numbers come from ({len(records)} file{'' if len(records) == 1 else 's'})"
    return f'<details class="provenance" id="records"><summary>{head}</summary><ul>{"".join(lines)}</ul></details>'


def _facts(record: Record) -> dict[str, str]:
    place = record["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in place["versions"].items())
    driver = f", driver {place['driver']}, CUDA {place['cuda']}" if on_gpu(record) else ""
    return {
        "commit": f"{place['commit'][:10]}{' with local changes' if place['dirty'] else ''}",
        "hardware": f"{place['device']}, {place['threads']} threads{driver}",
        "versions": f"Python {place['python']}, {versions}",
        "finished": record["finished"],
        "command": record["command"],
    }

"""The status page: when each notebook was executed, how long it took, with which versions, and what the book took.

All of it is read from what `book/execute.py` left beside the executed copies, so a second build of the same copies says
the same. How long the pages took is known only when they are built: `fill` puts that in.
"""

import datetime
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from book.execute import read_state
from book.markdown import duration, table
from cmr.study import runs
from cmr.study.notebooks import read_notebook

PAGES, ALL = "measured-after-the-build", "summed-after-the-build"  # until `fill`
STAMP = ".installed"  # make leaves it in the environment, with the seconds that setting up took


@dataclass(frozen=True)
class Executed:
    """A notebook of the book and its last execution.

    Attributes:
        name: of the file, without its ending.
        title: its first heading.
        outcome: "ok", "not executed", or what failed.
        began: when, "2026-01-31T12:00:00Z"; "" where it is not known.
        seconds: how long it took; None where it is not known.
        call: when the call of `make book` began in which it was executed; "" where it is not known.
        trained: trainings that it left; None where it is not known.
        environment: commit, versions and processor.
    """

    name: str
    title: str
    outcome: str
    began: str = ""
    seconds: float | None = None
    call: str = ""
    trained: int | None = None
    environment: Mapping[str, Any] | None = None


def executed(notebooks: Sequence[Path], out: Path) -> list[Executed]:
    """The last execution of each notebook.

    Args:
        notebooks: those of the book.
        out: folder of the executed copies.
    """
    return [_executed(path, out) for path in notebooks]


def _executed(path: Path, out: Path) -> Executed:
    title = _title(path)
    failed = out / f"{path.stem}.failed.ipynb"
    if failed.is_file():
        return Executed(path.stem, title, _failure(failed), _began(failed))
    if not (out / path.name).is_file():
        return Executed(path.stem, title, "not executed")
    state = read_state(out / f"{path.stem}.json")
    return Executed(
        path.stem,
        title,
        "ok",
        state.get("began") or _began(out / path.name),
        state.get("seconds"),
        state.get("call", ""),
        state.get("trained"),
        state.get("environment"),
    )


def _title(path: Path) -> str:
    cells = read_notebook(path).cells
    lines = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    return next((line.removeprefix("# ") for line in lines if line.startswith("# ")), path.stem)


def _began(path: Path) -> str:
    """When papermill began with a notebook, in UTC."""
    begun = read_notebook(path).metadata.get("papermill", {}).get("start_time")
    if not begun:
        return ""
    return datetime.datetime.fromisoformat(begun).astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _failure(path: Path) -> str:
    for number, cell in enumerate(read_notebook(path).cells, 1):
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                return f"failed in cell {number}: {output.ename}"
    return "failed"


def elapsed(found: Sequence[Executed]) -> float:
    """Seconds during which at least one notebook was executed: two are at a time.

    Example:
        >>> begun = ["2026-01-31T12:00:00Z", "2026-01-31T12:00:10Z", "2026-01-31T13:00:00Z"]
        >>> elapsed([Executed("a", "A", "ok", began, 30.0) for began in begun])
        70.0
    """
    spans = sorted((moment(one.began), one.seconds) for one in found if one.began and one.seconds)
    total, end = 0.0, 0.0
    for begin, seconds in spans:
        total += max(0.0, begin + seconds - max(begin, end))
        end = max(end, begin + seconds)
    return total


def moment(text: str) -> float:
    """A time as records have it, in seconds since 1970."""
    return datetime.datetime.fromisoformat(text).timestamp()


def older(found: Sequence[Executed], folder: Path) -> int:
    """How many runs in a folder were finished before the first of these executions: notebooks take them as they are."""
    begun = [moment(one.began) for one in found if one.began]
    finished = [moment(run.record.finished) for run in runs.find_good(folder)[0] if run.record.finished]
    return sum(time < min(begun) for time in finished) if begun else 0


def installed() -> float | None:
    """Seconds that setting up this environment took; None where make did not do it."""
    try:
        return float((Path(sys.prefix) / STAMP).read_text())
    except (OSError, ValueError):
        return None


def page(found: Sequence[Executed], older_runs: int, setting_up: float | None) -> str:
    """The tables of the status page.

    Args:
        found: of `executed`.
        older_runs: of `older`.
        setting_up: of `installed`.

    Returns:
        Markdown; the times of `fill` are left open in it.
    """
    calls = sorted({one.call for one in found if one.call}, reverse=True)
    parts = [_words(found, calls, older_runs), _times(found, setting_up)]
    parts += [_calls(found, calls)] if calls else []
    return "\n\n".join([*parts, _each(found, calls)])


def _words(found: Sequence[Executed], calls: Sequence[str], older_runs: int) -> str:
    """Whether all is of one call, and what was taken from before."""
    ran = [one for one in found if one.outcome == "ok"]
    latest = [one for one in ran if one.call and one.call == calls[0]] if calls else []
    said = []
    if lacking := len(found) - len(ran):
        said.append(f"Of {len(found)} notebooks, {_count(lacking, 'has', 'have')} no result here: this is a draft.")
    if ran and len(latest) == len(ran):
        said.append("All results are of one call, and none was taken from an earlier one.")
    elif ran:
        taken = _count(len(ran) - len(latest), "was", "were")
        said.append(
            f"The latest call executed {_count(len(latest), 'notebook', 'notebooks')}. The other {taken} taken from "
            "earlier ones, since nothing that they read had changed."
        )
    if older_runs:
        there = _count(older_runs, "training", "trainings", "is", "are")
        said.append(
            f"In `runs/` there {there} from before these executions. A notebook that needs such a training takes it as "
            "it is, so its time is shorter than from nothing."
        )
    elif ran:
        said.append("No training is from before these executions.")
    return " ".join(said)


def _count(number: int, one: str, many: str, first: str = "", firsts: str = "") -> str:
    """A number before its word, after a verb where one is given: "one has", "3 have", "are 3 trainings"."""
    verb = first if number == 1 else firsts
    return f"{verb} {'one' if number == 1 else number} {one if number == 1 else many}".strip()


def _times(found: Sequence[Executed], setting_up: float | None) -> str:
    known = [one.seconds for one in found if one.seconds is not None]
    rows = [
        ("setting up the environment", "not set up by `make`" if setting_up is None else duration(setting_up)),
        ("notebooks, two at a time", duration(elapsed(found)) if known else "none was executed"),
        ("the same, one after another", duration(sum(known)) if known else "–"),
        ("pages", PAGES),
        ("all of it", ALL),
    ]
    return table("What `make book` took: the parts, and their sum.", "status-times", ("part", "time"), rows)


def _calls(found: Sequence[Executed], calls: Sequence[str]) -> str:
    rows = []
    for number, call in enumerate(calls, 1):
        mine = [one for one in found if one.call == call]
        place = mine[0].environment or {}
        commit = f"`{place.get('commit', 'unknown')[:10]}`" + (" with local changes" if place.get("dirty") else "")
        versions = place.get("versions", {})
        rows.append(
            (number, _clock(call), len(mine), commit, place.get("cmr", "–"), place.get("python", "–"),
             versions.get("torch", "–"), place.get("device", "–"))
        )  # fmt: skip
    head = ("call", "began (UTC)", "notebooks", "commit", "cmr", "Python", "torch", "processor")
    return table("The calls that executed these notebooks, the latest first.", "status-calls", head, rows)


def _each(found: Sequence[Executed], calls: Sequence[str]) -> str:
    rows = [
        (
            f"[{one.title}](../../notebooks/{one.name})",
            one.outcome,
            _clock(one.began),
            "–" if one.seconds is None else duration(one.seconds),
            "–" if one.trained is None else one.trained,
            calls.index(one.call) + 1 if one.call in calls else "–",
        )
        for one in found
    ]
    head = ("notebook", "outcome", "began (UTC)", "time", "trainings", "call")
    caption = "Each notebook: its last execution, the trainings that it added, and its call in the table above."
    return table(caption, "status-notebooks", head, rows)


def _clock(time: str) -> str:
    return time[:16].replace("T", " ") or "–"


def fill(built: Path, found: Sequence[Executed], setting_up: float | None, pages: float) -> None:
    """Puts the times into the built page that are known only now.

    Args:
        built: the page; it need not be there.
        found, setting_up: as for `page`.
        pages: seconds that the pages took.
    """
    if built.is_file():
        whole = (setting_up or 0.0) + elapsed(found) + pages
        text = built.read_text(encoding="utf-8").replace(PAGES, duration(pages)).replace(ALL, duration(whole))
        built.write_text(text, encoding="utf-8")

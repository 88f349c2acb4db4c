"""The default notebooks, executed in order, leaving out what is current."""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmr.files import write_aside
from cmr.study.notebooks import read_notebook, run_notebook


def run_notebooks(
    paths: Sequence[str | Path],
    out: str | Path,
    sources: Iterable[str | Path] = (),
    parameters: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Runs notebooks in order, leaving out those whose executed copy is current.

    A copy is current when notebook, parameters, Python's version and `sources` are as they were when it was made.

    Args:
        paths: the notebooks, in the order in which they run.
        out: folder for the executed copies, and beside each a JSON file with the fingerprint and the time it took.
        sources: what the notebooks read, such as the library and run records: files, and folders with all they hold.
        parameters: the same for all of them.

    Returns:
        The executed copies, in the order of `paths`.

    Raises:
        UserError: as `run_notebook`; what ran before stays, and stays current.
    """
    out = Path(out)
    jobs = []
    for path in map(Path, paths):
        read_notebook(path)
        state = read_state(out / f"{path.stem}.json")
        key = fingerprint(path, parameters or {}, sources)
        current = state.get("fingerprint") == key and (out / path.name).is_file()
        jobs.append((path, key, current, state.get("seconds")))
    todo = [job for job in jobs if not job[2]]
    print(f"notebooks: {len(todo)} to run, {len(jobs) - len(todo)} current", flush=True)
    for i, (path, key, _, _) in enumerate(todo):
        left = [seconds for _, _, _, seconds in todo[i:]]
        known = all(seconds is not None for seconds in left)
        estimate = f", about {left[0]:.0f} s; all that is left: {sum(left):.0f} s" if known else ""
        print(f"[{i + 1}/{len(todo)}] {path.name}{estimate}", flush=True)
        seconds = run_notebook(path, out / path.name, parameters)
        print(f"[{i + 1}/{len(todo)}] {path.name} took {seconds:.0f} s", flush=True)
        write_text(json.dumps({"fingerprint": key, "seconds": round(seconds, 1)}) + "\n", out / f"{path.stem}.json")
    return [out / path.name for path, *_ in jobs]


def fingerprint(path: str | Path, parameters: Mapping[str, Any], sources: Iterable[str | Path] = ()) -> str:
    """A hash of what an executed notebook depends on.

    Args:
        path: the notebook; its cells count, stored outputs and other metadata do not.
        parameters: as for `run_notebook`.
        sources: files and folders; one that is not there counts as such.

    Returns:
        16 hex digits of SHA-256 over the cells, the parameters, Python's version and `sources`.
    """
    cells = [(cell.cell_type, cell.source, cell.metadata) for cell in read_notebook(path).cells]
    digest = hashlib.sha256(json.dumps([cells, dict(parameters), sys.version], sort_keys=True, default=str).encode())
    for folder in map(Path, sources):
        digest.update(folder.name.encode())
        files = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                name = file.relative_to(folder).as_posix() if folder.is_dir() else file.name
                digest.update(f"{name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def read_state(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def write_text(text: str, path: Path) -> None:
    """Writes a file whole or not at all."""
    write_aside(path, text.encode())

"""Runs what students handed in and says how far each notebook gets.

python -m labs.mark FOLDER     a line per notebook below FOLDER: steps done, and the sentence at which it stops

It runs other people's code: do so in a container or on a machine that holds nothing of value.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cmr.errors import UserError
from cmr.study.notebooks import read_notebook, run_notebook
from labs.make import GAP, LABS

LIMIT = 300  # seconds for a cell; a whole lab takes fewer
STEP = re.compile(r"^Step (\d) is done", re.MULTILINE)


@dataclass(frozen=True)
class Mark:
    """How far one notebook gets.

    Attributes:
        lab: name of the lab.
        done: numbers of the steps whose check passed.
        asked: how many steps have a check.
        stop: what stopped it; "" where it ran whole.
        changed: how many cells are missing or changed that should be as they were handed out.
    """

    lab: str
    done: tuple[int, ...]
    asked: int
    stop: str
    changed: int

    def __str__(self) -> str:
        parts = [f"{self.lab}: {len(self.done)} of {self.asked} checks passed", self.stop and f"stops: {self.stop}"]
        parts.append(f"cells not as handed out: {self.changed}" if self.changed else "")
        return "; ".join(part for part in parts if part)


def code_of(path: Path) -> list[str]:
    """The code cells of a notebook."""
    return [cell.source for cell in read_notebook(path).cells if cell.cell_type == "code"]


def lab_of(path: Path) -> Path:
    """The student's copy that a notebook was made from: the one with most code cells in common.

    Args:
        path: a notebook that was handed in, under any name.

    Raises:
        UserError: it is none of the labs.
    """
    handed = set(code_of(path))
    shared = {copy: len(handed & set(code_of(copy)[1:])) for copy in sorted((LABS / "students").glob("*.ipynb"))}
    best = max(shared, key=lambda copy: shared[copy])
    if shared[best] < 2:
        raise UserError(f"{path}: is none of the labs")
    return best


def mark(path: Path) -> Mark:
    """Runs one notebook beside the checks as they were handed out.

    Args:
        path: a notebook that was handed in.

    Returns:
        How far it gets.

    Raises:
        UserError: it is none of the labs, or no notebook.
    """
    lab = lab_of(path)
    handed = code_of(path)
    changed = sum(GAP[1] not in source and source not in handed for source in code_of(lab))
    asked = len({found for source in code_of(lab) for found in re.findall(r"^checks\.(\w+)\(", source, re.MULTILINE)})
    with tempfile.TemporaryDirectory(prefix="cmr-") as folder:
        desk = Path(folder)
        shutil.copytree(LABS / "checks", desk / "checks")
        shutil.copy(LABS / "birds.py", desk)
        (desk / "students").mkdir()
        copy = Path(shutil.copy(path, desk / "students" / lab.name))
        stop, out = "", desk / lab.name
        try:
            run_notebook(copy, out, progress=False, limit=LIMIT)
        except UserError as error:
            said = str(error).removeprefix(f"{copy}: ")
            stop = re.sub(r"\A.*?\(In \[\d+\]\): (?:Wrong: )?(.*?):? \(traceback: .*\Z", r"\1", said)
            out = out.with_suffix(".failed.ipynb")
        cells = json.loads(out.read_text(encoding="utf-8"))["cells"] if out.is_file() else []
        printed = [text for cell in cells for output in cell.get("outputs", []) for text in [output.get("text", "")]]
        steps = sorted({int(step) for text in printed for step in STEP.findall("".join(text))})
    steps = [step for step in steps if 1 <= step <= asked]
    return Mark(lab.stem, tuple(steps), asked, stop, changed)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m labs.mark", description="Says how far students' notebooks get.")
    parser.add_argument("folder", type=Path, help="holds the notebooks that were handed in, also in folders of its own")
    folder = parser.parse_args(argv).folder
    found = [path for path in sorted(folder.rglob("*.ipynb")) if ".ipynb_checkpoints" not in path.parts]
    if not found:
        print(f"labs: {folder}: holds no notebook", file=sys.stderr)
        return 1
    for path in found:
        try:
            line = str(mark(path))
        except Exception as error:  # whatever one student hands in, the others are marked
            line = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        print(f"{path.relative_to(folder)}: {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

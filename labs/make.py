"""Makes the students' copies of the labs: the solutions' notebooks with a gap in place of each solution.

python -m labs.make            what `make labs` does: writes labs/students from labs/solutions
python -m labs.make --zip F    also packs what students need into the file F

A solution stands between two lines, `### BEGIN SOLUTION` and `### END SOLUTION`, as nbgrader's ClearSolutions has them.
"""

import argparse
import sys
import zipfile
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbconvert.preprocessors import ClearMetadataPreprocessor, ClearOutputPreprocessor, Preprocessor

from cmr.errors import UserError
from cmr.files import write_aside
from cmr.study.notebooks import read_notebook

LABS = Path(__file__).resolve().parent
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
GAP = ("# your code here", "raise NotImplementedError")


class ClearSolutions(Preprocessor):
    """Puts a gap in place of each solution of a notebook's code cells."""

    def preprocess_cell(self, cell: Any, resources: dict, index: int) -> tuple[Any, dict]:
        """Clears one cell; nbconvert calls it for each."""
        if cell.cell_type == "code":
            cell.source = cleared(cell.source, f"cell {index + 1}")
        return cell, resources


def cleared(source: str, where: str = "cell") -> str:
    """The source of a cell with a gap in place of each solution, indented as the solution was.

    Args:
        source: of a code cell.
        where: what a message calls the cell.

    Returns:
        The source; one without a solution is returned as it is.

    Raises:
        UserError: a marker without its partner.

    Example:
        >>> print(cleared("def f(x):\\n    ### BEGIN SOLUTION\\n    return x\\n    ### END SOLUTION"))
        def f(x):
            # your code here
            raise NotImplementedError
    """
    kept: list[str] = []
    inside = False
    for line in source.splitlines():
        marker = line.strip()
        if marker == (BEGIN if inside else END):
            raise UserError(f"{where}: '{marker}' without its partner")
        if marker == BEGIN:
            indent = line[: line.index(BEGIN)]
            kept += [indent + gap for gap in GAP]
        if marker in (BEGIN, END):
            inside = not inside
        elif not inside:
            kept.append(line)
    if inside:
        raise UserError(f"{where}: '{BEGIN}' without its partner")
    return "\n".join(kept)


def student_copy(path: Path) -> str:
    """The student's copy of a notebook, as the text of its file.

    Args:
        path: the notebook with solutions.

    Returns:
        JSON without solutions, outputs and counts; the same for the same notebook.

    Raises:
        UserError: no such notebook, or a marker without its partner.
    """
    exporter = NotebookExporter(
        preprocessors=[
            ClearSolutions(),
            ClearOutputPreprocessor(),
            ClearMetadataPreprocessor(preserve_cell_metadata_mask={"tags"}, clear_notebook_metadata=False),
        ]
    )
    try:
        text, _ = exporter.from_notebook_node(nbformat.from_dict(read_notebook(path)))
    except UserError as error:
        raise UserError(f"{path.name}, {error}") from error
    return text.rstrip("\n") + "\n"


def copies(labs: Path = LABS) -> dict[Path, str]:
    """What the folder of the students' copies should hold: file to text.

    Args:
        labs: the folder with `solutions/`.

    Raises:
        UserError: there is no notebook.
    """
    solutions = sorted((labs / "solutions").glob("*.ipynb"))
    if not solutions:
        raise UserError(f"{labs / 'solutions'}: holds no notebook")
    return {labs / "students" / path.name: student_copy(path) for path in solutions}


def stale(labs: Path = LABS) -> list[str]:
    """Names of the copies that are missing, not as this command makes them, or without a notebook they come from.

    Args:
        labs: the folder with `solutions/` and `students/`.
    """
    wanted = copies(labs)
    there = {path: path.read_text(encoding="utf-8") for path in (labs / "students").glob("*.ipynb")}
    return sorted(path.name for path in {*wanted, *there} if wanted.get(path) != there.get(path))


def write(labs: Path = LABS) -> list[Path]:
    """Writes the students' copies and removes those whose notebook is gone.

    Args:
        labs: the folder with `solutions/`.

    Returns:
        The files.
    """
    wanted = copies(labs)
    (labs / "students").mkdir(exist_ok=True)
    for path in set((labs / "students").glob("*.ipynb")) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        write_aside(path, text.encode())
    return list(wanted)


def pack(archive: Path, labs: Path = LABS) -> Path:
    """Packs what students need: their copies, the checks, the birds; nothing of the solutions.

    Args:
        archive: the zip file to write.
        labs: the folder with `students/`, `checks/` and `birds.py`.

    Returns:
        The file; the same bytes for the same content.
    """
    files = [*(labs / "students").glob("*.ipynb"), *(labs / "checks").glob("*.py"), labs / "birds.py"]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(files):
            packed.writestr(zipfile.ZipInfo(f"labs/{path.relative_to(labs).as_posix()}"), path.read_bytes())
    return archive


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m labs.make", description="Makes the students' copies of the labs.")
    parser.add_argument("--zip", type=Path, help="also pack what students need into this file")
    given = parser.parse_args(argv)
    try:
        print(f"{len(write())} notebooks without solutions in labs/students")
        if given.zip:
            print(f"packed for students: {pack(given.zip)}")
    except UserError as error:
        print(f"labs: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

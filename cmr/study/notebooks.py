"""A notebook run as a program, through papermill, with its parameters checked.

A notebook runs in the interpreter and with the library that called it, whatever kernels are installed, and in its own
folder, as in JupyterLab. The executed copy holds no path of the machine it ran on.
"""

import ast
import copy
import difflib
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cmr
from cmr.errors import UserError, first_line, require_known, shown
from cmr.files import write_aside
from cmr.study.parameters import plain


def read_notebook(path: str | Path) -> Any:
    """Reads a notebook in the current format, version 4.

    Args:
        path: an `.ipynb` file.

    Returns:
        The notebook as nbformat holds it.

    Raises:
        UserError: there is no such file, it is not a notebook, or the extra `book` is not installed.
    """
    path = Path(path)
    try:
        import nbformat
    except ModuleNotFoundError as error:
        raise _without_extra(error) from error
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in sorted(path.parent.glob("*.ipynb"))], n=1)
        raise UserError(
            f"{path}: there is no such notebook{f'; did you mean {path.with_name(near[0])}?' if near else ''}"
        )
    try:
        return nbformat.read(path, as_version=4)
    except OSError:
        raise
    except Exception as error:  # what is no notebook makes nbformat raise a dozen kinds
        raise UserError(f"{path}: is not a notebook: {first_line(error)}") from error


def notebook_parameters(path: str | Path) -> dict[str, Any]:
    """The parameters of a notebook and their defaults, from its cell tagged `parameters`.

    Args:
        path: an `.ipynb` file.

    Returns:
        Name to default, in the order of the cell; a default that is not a literal is None.

    Raises:
        UserError: there is no such notebook, or that cell is not plain Python.
    """
    tagged = [cell for cell in read_notebook(path).cells if "parameters" in cell.metadata.get("tags", [])]
    try:
        lines = ast.parse(tagged[0].source).body if tagged else []
    except SyntaxError as error:
        raise UserError(f"{path}: its parameters cell is not plain Python: {error}") from error
    found: dict[str, Any] = {}
    for line in lines:
        targets = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name):
                try:
                    found[target.id] = ast.literal_eval(line.value)
                except (ValueError, TypeError):
                    found[target.id] = None
    return found


def check_parameters(path: str | Path, parameters: Mapping[str, Any]) -> None:
    """Checks names and types against the notebook's own parameters cell; papermill only warns.

    Args:
        path: the notebook.
        parameters: name to value.

    Raises:
        UserError: the notebook has no such parameter, or its default is of another type.
    """
    if not parameters:
        return
    defaults = notebook_parameters(path)
    if not defaults:
        raise UserError(
            f"{path}: takes no parameters (it has no cell tagged 'parameters'); got {', '.join(parameters)}"
        )
    for name, value in parameters.items():
        require_known(name, f"parameter of {Path(path).name}", defaults)
        default = defaults[name]
        if not _fits(value, default):
            want = type(default).__name__
            raise UserError(
                f"parameter {name} of {Path(path).name}: {shown(value)} is not {want}, as its default {shown(default)} "
                f"is{_remedy(name, value, default)}"
            )


def _remedy(name: str, value: Any, default: Any) -> str:
    """How to write a value that was read as another type."""
    if isinstance(default, str):
        return f"; quote text that looks like something else: \"{name}='{value if type(value) is int else '...'}'\""
    if isinstance(default, list | tuple) and isinstance(value, int | float):
        return f"; write {name}=[{value}]"
    return "; write true or false" if isinstance(default, bool) else ""


def _fits(value: Any, default: Any) -> bool:
    if default is None or value is None or type(value) is type(default):
        return True
    both = {type(value), type(default)}
    return both <= {list, tuple} or (isinstance(default, float) and type(value) is int)


def run_notebook(
    path: str | Path,
    out: str | Path,
    parameters: Mapping[str, Any] | None = None,
    progress: bool | None = None,
    limit: int | None = None,
) -> float:
    """Runs one notebook and writes the executed copy.

    Args:
        path: the notebook.
        out: where the executed copy goes; written only when every cell ran. After a failure the copy with the
            traceback lies beside it, as `<name>.failed.ipynb`.
        parameters: values in place of those in the notebook's cell tagged `parameters`.
        progress: a bar over the cells; None: where the output is a terminal.
        limit: seconds that a cell may take; None: as long as it wants.

    Returns:
        How long it took, in seconds.

    Raises:
        UserError: unknown parameter (naming the nearest), a value that no notebook takes, a place where the copy cannot
            be written, or a cell failed (naming notebook, cell and error).
    """
    path, out = Path(path), Path(out)
    parameters = {name: plain(name, value) for name, value in (parameters or {}).items()}
    source = read_notebook(path)
    check_parameters(path, parameters)
    failed, running = out.with_suffix(".failed.ipynb"), out.with_suffix(".running.ipynb")
    try:
        import papermill
        from nbclient.exceptions import CellTimeoutError, DeadKernelError
        from papermill.exceptions import PapermillExecutionError

        from cmr.study.kernel import own_kernel
    except ModuleNotFoundError as error:
        raise _without_extra(error) from error

    _check_places(path, out, (failed, running))
    failed.unlink(missing_ok=True)
    bar = {"desc": path.name, "unit": "cell", "total": len(source.cells), "leave": False}
    shown = sys.stderr.isatty() if progress is None else progress
    start = time.monotonic()
    sockets = Path(tempfile.mkdtemp(prefix="cmr-"))
    try:
        papermill.execute_notebook(
            str(path.resolve()),
            str(running.resolve()),
            parameters,
            kernel_name="python3",
            language="python",
            progress_bar=bar if shown else False,
            cwd=str(path.resolve().parent),
            start_timeout=300,
            execution_timeout=limit,
            kernel_manager_class=own_kernel(sockets),
        )
    except PapermillExecutionError as error:
        _write(_clean(read_notebook(running), path, failed), failed)
        cell = next((i for i, cell in enumerate(source.cells, 1) if cell.source == error.source), error.cell_index + 1)
        last = f"{error.ename}: {error.evalue}".strip().splitlines()[-1]
        if not last.startswith(error.ename):
            last = f"{error.ename}: ... {last}"
        raise UserError(f"{path}, cell {cell} (In [{error.exec_count}]): {last} (traceback: {failed})") from error
    except CellTimeoutError as error:
        raise UserError(f"{path}: a cell ran for more than {limit} seconds and was stopped") from error
    except DeadKernelError as error:
        raise UserError(f"{path}: the notebook's process ended by itself: {error}; is there enough memory?") from error
    else:
        _write(_clean(read_notebook(running), path, out), out)
        return time.monotonic() - start
    finally:
        running.unlink(missing_ok=True)
        shutil.rmtree(sockets, ignore_errors=True)


def _check_places(path: Path, out: Path, beside: Sequence[Path]) -> None:
    """Raises `UserError` where the executed copy cannot be written, or would replace what it is a copy of."""
    try:
        if out.is_dir():
            raise UserError(f"out: {out} is a folder; name the executed copy, for example {out / path.name}")
        if out.suffix != ".ipynb":
            raise UserError(f"out: {out} does not end in .ipynb; give {out}.ipynb")
        for place in (out, *beside):
            if place.exists() and place.samefile(path):
                raise UserError(f"out: {out}: its copy would replace the notebook {path}; give another name or folder")
            if place.exists() and not place.is_file():
                raise UserError(f"out: {place} is in the way and no file; give another name or folder")
        write_aside(beside[-1], b"").unlink()
    except OSError as error:  # also of a name that is too long to be looked for
        raise UserError(f"out: {out} cannot be written ({error.strerror or error}); name another place") from None


# A path begins at the start of a text, behind what is no part of a name, behind an escape (a terminal's colour, \n in a
# text's repr) or as an address file://, but not in the middle of a word, a path or another address; and its last
# name ends there.
_BEFORE = r"(^|\x1b\[[0-9;]*m|\\[abfnrtv]|file://|[^\w.~/+@%-])"
_AFTER = r"(?![\w+@~%-]|\.\w)"


def _clean(notebook: Any, path: Path, out: Path) -> Any:
    """The executed notebook without paths of this machine, and with the names of both files only."""
    notebook = copy.deepcopy(notebook)
    notebook.metadata.papermill.update(input_path=path.name, output_path=out.name)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    root = Path(cmr.__file__).resolve().parent.parent
    folders = {str(path.resolve().parent): ".", str(root): "..", sys.prefix: ".venv", str(Path.home()): "~"}
    # the longest first: a folder inside another is replaced before the outer one
    order = sorted((folder for folder in folders if len(folder) > 1), key=len, reverse=True)
    whole = re.compile(f"{_BEFORE}({'|'.join(map(re.escape, order))}){_AFTER}")

    def strip(value: Any) -> Any:
        if isinstance(value, str):
            return whole.sub(lambda found: found[1] + folders[found[2]], value)
        if isinstance(value, list):
            return [strip(item) for item in value]
        if isinstance(value, dict):
            return type(value)({key: item if key.startswith("image/") else strip(item) for key, item in value.items()})
        return value

    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = strip(cell.outputs)
    return notebook


def _write(notebook: Any, path: Path) -> None:
    import nbformat

    write_aside(path, nbformat.writes(notebook).encode())


def _without_extra(error: ModuleNotFoundError) -> UserError:
    return UserError(f"running notebooks needs {error.name}, which is not installed: pip install -e '.[book]'")

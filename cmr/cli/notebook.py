"""`cmr notebook`: a notebook run with other parameters."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cmr.cli.arguments import parse
from cmr.errors import UserError


@dataclass(frozen=True)
class Notebook:
    """Run one notebook with other parameters; an unknown parameter is an error.

    Example: cmr notebook notebooks/train.ipynb out.ipynb -p method=cam -p epochs=2
    """

    # the notebook
    path: tyro.conf.Positional[str]
    # where the executed notebook goes
    out: tyro.conf.Positional[str] = ""
    # list the notebook's parameters and their defaults, and run nothing
    parameters: bool = False
    # a parameter, NAME=VALUE; as often as needed
    parameter: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(aliases=["-p"])] = ()


def command(arguments: list[str]) -> None:
    """Reads the command line and runs the notebook."""
    asked = parse(Notebook, arguments, "notebook")
    from cmr.study.notebooks import notebook_parameters, run_notebook
    from cmr.study.parameters import parse_parameters

    if asked.parameters:
        for name, default in notebook_parameters(asked.path).items():
            print(f"{name} = {default!r}")
        return
    if not asked.out:
        raise UserError("notebook: say where the executed notebook goes: cmr notebook NOTEBOOK OUT")
    run_notebook(Path(asked.path), Path(asked.out), parse_parameters(asked.parameter))
    print(f"written: {asked.out}")

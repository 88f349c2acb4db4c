"""`cmr notebook`: a notebook run with other parameters."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cmr.cli.arguments import parse


@dataclass(frozen=True)
class Notebook:
    """Run one notebook with other parameters; an unknown parameter is an error."""

    # the notebook
    path: tyro.conf.Positional[str]
    # where the executed notebook goes
    out: tyro.conf.Positional[str]
    # a parameter, NAME=VALUE; as often as needed
    parameter: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(aliases=["-p"])] = ()


def command(arguments: list[str]) -> None:
    """Reads the command line and runs the notebook."""
    asked = parse(Notebook, arguments, "notebook")
    from cmr.study.notebooks import run_notebook
    from cmr.study.parameters import parse_parameters

    run_notebook(Path(asked.path), Path(asked.out), parse_parameters(asked.parameter))

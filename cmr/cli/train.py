"""`cmr train`: one run."""

import os
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from cmr.assemble import PRESETS, checked, make
from cmr.cli.arguments import Flat, parse, peek
from cmr.config import Config
from cmr.errors import require_known

C = TypeVar("C")


@dataclass(frozen=True)
class Train(Generic[C]):
    """Train a method, test it, and leave one folder with the record, the outcomes and the model."""

    config: Annotated[C, Flat]
    # where the defaults come from: tiny (seconds), toybirds (minutes) or paper
    preset: Literal["tiny", "toybirds", "paper"] = "toybirds"
    # folder in which the run gets its folder
    out: str = "runs"
    # go on from the last checkpoint of the same run
    resume: bool = False
    # run again although the run is finished
    rerun: bool = False


def command(arguments: list[str]) -> None:
    """Reads the command line, trains, and prints the result."""
    chosen = peek(arguments, preset="toybirds", method=None, data=None)
    require_known(chosen["preset"], "preset", PRESETS)
    base = make(chosen["preset"], **{name: chosen[name] for name in ("method", "data") if chosen[name] is not None})
    # The method and the data set have settings of their own, so the type to be read is made for them.
    kind: Any = Train[Config[type(base.settings), type(base.data_settings)]]  # type: ignore[misc]  # made at run time
    asked = parse(kind, arguments, "train", Train(base, preset=chosen["preset"]))
    config = checked(asked.config)
    from cmr.study.provenance import summary
    from cmr.study.training import train

    finished = train(config, asked.out, asked.resume, asked.rerun)
    if os.environ.get("RANK", "0") == "0":  # under torchrun one process reports
        print(summary(finished))

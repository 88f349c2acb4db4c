"""`cmr train`: one run."""

import os
import re
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from cmr.cli.arguments import Flat, parse, peek
from cmr.config import Config
from cmr.errors import require_known
from cmr.presets import PRESETS, checked, make, preset_for

C = TypeVar("C")


@dataclass(frozen=True)
class Train(Generic[C]):
    """Train a method, test it, and leave one folder with the record, the outcomes and the model."""

    config: Annotated[C, Flat]
    # where the defaults come from: tiny (seconds), toybirds (minutes), own (your own pictures; the one for --data
    # folder) or paper
    preset: Literal["tiny", "toybirds", "own", "paper"] = "toybirds"
    # folder in which the run gets its folder
    out: str = "runs"
    # go on from the last checkpoint of the same run
    resume: bool = False
    # run again although the run is finished
    rerun: bool = False


def command(arguments: list[str]) -> None:
    """Reads the command line, trains, and prints the result."""
    # The commands in records have a data set's settings with a prefix.
    arguments = [
        re.sub(r"^--data-settings\.(seed\b)?", lambda at: "--data-seed" if at[1] else "--", word) for word in arguments
    ]
    chosen = peek(arguments, preset=None, method=None, data=None)
    preset: Any = chosen["preset"] or preset_for(chosen["data"])
    require_known(preset, "preset", PRESETS)
    base = make(preset, **{name: chosen[name] for name in ("method", "data") if chosen[name] is not None})
    # The method and the data set have settings of their own, so the type to be read is made for them.
    kind: Any = Train[Config[type(base.settings), type(base.data_settings)]]  # type: ignore[misc]  # made at run time
    asked = parse(kind, arguments, "train", Train(base, preset=preset))
    config = checked(asked.config)
    from cmr.study.course import closing
    from cmr.study.training import train

    first = os.environ.get("RANK", "0") == "0"  # under torchrun one process reports
    if first and preset == "own":
        print(_why(config))
    finished = train(config, asked.out, asked.resume, asked.rerun)
    if first:
        print(closing(finished, config))


def _why(config: Config) -> str:
    """What is trained on one's own pictures where no preset was named, and why."""
    known = (
        "" if config.weights == "none" else ". The weights are pretrained, so few pictures and a low rate are enough"
    )
    return (
        f"preset own, for a small set of your own pictures: {config.method} on {config.backbone}, weights "
        f"{config.weights}, {config.image_size} pixels, {config.epochs} epochs, {config.batch_size} images per step, "
        f"lr {config.lr:g}{known}"
    )

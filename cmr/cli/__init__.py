"""The command line. Each command is a file of this package, loaded when it is asked for."""

import importlib
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from cmr import __version__
from cmr.errors import UserError, require_known, shown

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
COMMANDS = {
    "train": "train a method, test it, and leave one folder with record, outcomes and model",
    "sweep": "run a grid of trainings, on this machine or on a dask cluster",
    "evaluate": "test a trained run again, as it was or under other settings of the test",
    "ddt": "localize without training and without a class, on a data set",
    "boxes": "fit a box regressor on frozen features, told by DDT's boxes or by true ones",
    "score": "score a folder of score maps from any method against boxes",
    "localize": "find the objects in your own pictures, and draw boxes",
    "data": "make a data set's pictures, check a data set, or show some of it",
    "report": "print a table of all recorded runs",
    "notebook": "run one notebook with other parameters",
}

EXAMPLES = {
    "train": "cmr train --preset toybirds --method cam",
    "sweep": "cmr sweep study/cpu/1-toybirds-random.toml --out results/mine",
    "evaluate": "cmr evaluate --run runs/RUN --normalise max",
    "ddt": "cmr ddt --data folder --data-root pictures --backbone resnet50 --weights imagenet --image-size 224",
    "boxes": "cmr boxes --truth true --boxed 5",
    "score": "cmr score --scoremaps maps --metadata lists --out scores.json",
    "localize": "cmr localize bird.jpg holiday/ --objects all",
    "data": "cmr data check --data folder --data-root pictures",
    "report": "cmr report results --data cub --format markdown",
    "notebook": "cmr notebook notebooks/train.ipynb out.ipynb -p method=cam",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; a user's mistake ends in one message and exit status 2."""
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    if hasattr(sys.stdout, "reconfigure"):  # a terminal that lacks a name's letters gets their numbers
        sys.stdout.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of a damaged picture; what matters is told in our words
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not _folder_is_there():
        _end("the folder in which this was called has been removed; change to another one")
    try:
        run(given)
    except UserError as error:
        _end(f"{error}")
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _end(f"{where}{error.strerror or error}; what was written before stays")
    except RuntimeError as error:
        if not str(error).startswith("Symlink loop"):  # what pathlib raised until Python 3.13, where it is an OSError
            raise
        _end(f"{error}; what was written before stays")
    except KeyboardInterrupt:
        _end("stopped; the same command with --resume goes on" if given[:1] == ["train"] else "stopped", 130)


def _folder_is_there() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _end(message: str, status: int = 2) -> NoReturn:
    _end_bars()
    print(f"cmr: {printable(message)}", file=sys.stderr)
    sys.exit(status)


def printable(text: str) -> str:
    """A text in which what a file or a name brought along cannot move a terminal's cursor; lines stay lines.

    Example:
        >>> printable("a\\x1b[2J\\nb")
        'a\\\\x1b[2J\\nb'
    """
    return CONTROL.sub(lambda found: found[0] if found[0] == "\n" else repr(found[0])[1:-1], text)


def _end_bars() -> None:
    """Ends the progress bars that an error left open: its message begins a line of its own."""
    if "tqdm" in sys.modules:
        for bar in list(getattr(sys.modules["tqdm"].tqdm, "_instances", ())):
            bar.close()


def run(arguments: list[str]) -> None:
    """Finds the command and hands over to it."""
    if not arguments or arguments[0] in ("-h", "--help"):
        listed = "\n".join(f"  cmr {name:9} {line}\n{'':16}{EXAMPLES[name]}" for name, line in COMMANDS.items())
        print(f"{listed}\n\nEach command explains its options: cmr COMMAND --help")
        return
    if arguments[0] == "--version":
        print(f"cmr {__version__}")
        return
    require_known(arguments[0], "command", COMMANDS)
    for word in arguments:
        if CONTROL.search(word) and "=" not in word:  # a text that a notebook gets may have several lines
            raise UserError(f"{arguments[0]}: {shown(word)} holds a line break or another control character; rename it")
    importlib.import_module(f"cmr.cli.{arguments[0]}").command(arguments[1:])

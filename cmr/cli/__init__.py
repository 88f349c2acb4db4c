"""The command line. Each command is a file of this package, loaded when it is asked for."""

import importlib
import os
import sys
from collections.abc import Sequence

from cmr.errors import UserError, unknown

COMMANDS = {
    "train": "train a method, test it, and leave one folder with record, outcomes and model",
    "sweep": "run a grid of trainings, on this machine or on a dask cluster",
    "evaluate": "test a trained run again, as it was or under other settings of the test",
    "score": "score a folder of anybody's maps against boxes",
    "localize": "find the objects in one's own pictures, and draw boxes",
    "data": "make a data set's pictures, check a data set, or show some of it",
    "report": "print a table of all recorded runs",
    "notebook": "run one notebook with other parameters",
}

EXAMPLES = {
    "train": "cmr train --preset toybirds --method cam",
    "sweep": "cmr sweep study/cpu/1-toybirds-random.toml --out results/mine",
    "evaluate": "cmr evaluate --run runs/RUN --normalise max",
    "score": "cmr score --scoremaps maps --metadata lists --out scores.json",
    "localize": "cmr localize bird.jpg holiday/ --objects all",
    "data": "cmr data check --data folder --data-root pictures",
    "report": "cmr report results --data cub --format markdown",
    "notebook": "cmr notebook notebooks/train.ipynb out.ipynb -p method=cam",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; a user's mistake ends in one message and exit status 2."""
    if hasattr(sys.stdout, "reconfigure"):  # a terminal that lacks a name's letters gets their numbers
        sys.stdout.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        run(given)
    except UserError as error:
        _end_bars()
        print(f"cmr: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        _end_bars()
        where = f"{error.filename}: " if error.filename else ""
        print(f"cmr: {where}{error.strerror or error}; what was written before stays", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        _end_bars()
        hint = "; the same command with --resume goes on" if given[:1] == ["train"] else ""
        print(f"cmr: stopped{hint}", file=sys.stderr)
        sys.exit(130)


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
    if arguments[0] not in COMMANDS:
        raise unknown("command", arguments[0], COMMANDS)
    importlib.import_module(f"cmr.cli.{arguments[0]}").command(arguments[1:])

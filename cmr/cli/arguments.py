"""What the commands share: how a command line is read."""

import argparse
import io
from contextlib import redirect_stderr
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import tyro

from cmr.errors import UserError

Kind = TypeVar("Kind")
LONGEST = 300  # letters of one part of a message
Flat = tyro.conf.arg(name="")  # the fields of a nested dataclass, without a prefix


@dataclass(frozen=True)
class Measuring:
    """Where a measurement goes, for the commands that make one on a frozen network."""

    # folder in which the measurement gets a folder of its own, with record and outcomes
    out: str = "runs"
    # folder that keeps the features (gigabytes) for other measurements of the same network; none: they are not kept
    features: str = ""
    # measure again although it is there
    rerun: bool = False


def parse(kind: type[Kind], arguments: list[str], command: str, default: Kind | None = None) -> Kind:
    """Reads the arguments of a command into its dataclass; prints help and exits where that is asked for.

    Raises:
        UserError: a mistake, in one line and without the frame that tyro draws around it.
    """
    extra: dict[str, Any] = {} if default is None else {"default": default}
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(kind, args=arguments, prog=f"cmr {command}", **extra)
    except SystemExit as end:
        if not end.code:
            raise
        raise UserError(f"{command}: {unframed(said.getvalue())}{_folder_hint(command, arguments)}") from None


def _folder_hint(command: str, arguments: list[str]) -> str:
    """How to give a folder of pictures to a command that reads a data set, where one stands without its option."""
    bare = [now for before, now in pairwise(["", *arguments]) if Path(now).is_dir() and not before.startswith("-")]
    if not bare or command not in ("data", "train", "ddt", "boxes"):
        return ""
    return f"; for the pictures in that folder: --data folder --data-root {bare[0]}"


def unframed(text: str) -> str:
    """What tyro says in a frame, as one line, less the help on the option.

    Example:
        >>> unframed("╭─ Value ─╮\\n│ Error at --lr: │\\n│ 'a' │\\n│ ─── │\\n│ See --help │\\n╰───╯")
        "Error at --lr: 'a'; See --help"
    """
    # A terminal without the letters of frames gets rules of - alone.
    lines = [line.strip().strip("│|").strip() for line in text.splitlines() if line[:1] not in ("╭", "╰", "+")]
    lines = [line if line.strip("─-") else "" for line in lines]
    parts = [" ".join(part) for part in _split(lines)]
    parts = parts if text[:1] in ("╭", "+") else parts[1:]  # without a frame a title stands first
    kept = [part for part in parts if part and not part.startswith("Argument helptext")]
    return "; ".join(part if len(part) <= LONGEST else f"{part[:LONGEST]}..." for part in kept)


def _split(lines: list[str]) -> list[list[str]]:
    """The lines between rules, which are empty by now."""
    parts: list[list[str]] = [[]]
    for line in lines:
        if line:
            parts[-1].append(line)
        else:
            parts.append([])
    return parts


def peek(arguments: list[str], **defaults: str | None) -> dict[str, Any]:
    """The values of a few options before the whole line is read: they decide which other options there are."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name, default in defaults.items():
        # Without its value the whole line is refused later.
        parser.add_argument(f"--{name}", nargs="?", default=default)
    return vars(parser.parse_known_args([a for a in arguments if a not in ("-h", "--help")])[0])

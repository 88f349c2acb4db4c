"""What the commands share: how a command line is read."""

import argparse
from typing import Any, TypeVar

import tyro

Kind = TypeVar("Kind")
Flat = tyro.conf.arg(name="")  # the fields of a nested dataclass, without a prefix


def parse(kind: type[Kind], arguments: list[str], command: str, default: Kind | None = None) -> Kind:
    """Reads the arguments of a command into its dataclass; prints help or a mistake and exits where that is due."""
    extra: dict[str, Any] = {} if default is None else {"default": default}
    return tyro.cli(kind, args=arguments, prog=f"cmr {command}", **extra)


def peek(arguments: list[str], **defaults: str | None) -> dict[str, Any]:
    """The values of a few options before the whole line is read: they decide which other options there are."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", default=default)
    return vars(parser.parse_known_args([a for a in arguments if a not in ("-h", "--help")])[0])

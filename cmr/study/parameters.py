"""Values as they are typed, NAME=VALUE: on the command line, for notebooks, for settings of a test."""

import ast
from collections.abc import Iterable
from typing import Any

from cmr.errors import UserError, shown


def parse_value(text: str) -> Any:
    """Reads a parameter's value as typed on a command line: a Python literal, true or false, else the text itself.

    Args:
        text: what stands behind the equals sign.

    Returns:
        int, float, bool, None, list, tuple, dict or str; also complex, set or bytes, which no notebook takes.

    Example:
        >>> [parse_value(text) for text in ("3", "1e-3", "true", "[16, 32]", "resnet18")]
        [3, 0.001, True, [16, 32], 'resnet18']
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two for thousands of brackets
        return text


def parse_parameters(pairs: Iterable[str]) -> dict[str, Any]:
    """Reads `NAME=VALUE` pairs of a command line.

    Args:
        pairs: as typed; a value may hold further equals signs.

    Returns:
        Name to value, as `parse_value` reads it; tuples are lists, and text in quotes is text.

    Raises:
        UserError: a pair without an equals sign or without a name, or a value as `plain` refuses it.

    Example:
        >>> parse_parameters(["epochs=3", "method=cmr", "seeds=0,1", "name='2011'"])
        {'epochs': 3, 'method': 'cmr', 'seeds': [0, 1], 'name': '2011'}
    """
    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            example = f"{pair}=VALUE" if pair.isidentifier() else "epochs=3"
            raise UserError(f"parameter {shown(pair)}: is not NAME=VALUE; write it as {example}")
        parameters[name] = plain(name, parse_value(value))
    return parameters


def plain(name: str, value: Any) -> Any:
    """A value in the types that papermill writes into a notebook; what it does not know it would write as text.

    Args:
        name: of the parameter, for the message.
        value: Python's or NumPy's.

    Returns:
        The value, with lists for tuples and arrays, and Python's numbers for NumPy's.

    Raises:
        UserError: another type, a key that is not text, or a whole number of more than 64 bits.

    Example:
        >>> plain("sizes", (9, 18.5, ("a", None)))
        [9, 18.5, ['a', None]]
    """
    if hasattr(value, "tolist"):  # NumPy's and torch's
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(name, item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: plain(name, item) for key, item in value.items()}
    if isinstance(value, int) and abs(value) >= 2**64:
        raise UserError(f"parameter {name}: {shown(value)} has more than 64 bits; give a smaller number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UserError(
        f"parameter {name}: {shown(value)} is {type(value).__name__}, which cannot be passed on; "
        "give a number, true, false, text in quotes, or a list of these"
    )

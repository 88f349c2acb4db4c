"""The one exception for a user's mistake, and how to name the nearest known word."""

import difflib
from collections.abc import Iterable

MOST = 60  # names that a message lists
NEAREST = 5


class UserError(Exception):
    """A mistake of the user's: the command line prints its one message and exits with 2.

    The message says what is wrong, where, with which value, and what to do. Anything else that is
    raised is a defect of this library and keeps its traceback.

    Example:
        >>> try:
        ...     raise UserError("epochs: 0 is not a positive number of epochs; give 1 or more")
        ... except UserError as error:
        ...     print(error)
        epochs: 0 is not a positive number of epochs; give 1 or more
    """


class Diverged(UserError):
    """A training whose loss or parameters stopped being finite; its folder then holds `diverged.json`.

    Example:
        >>> issubclass(Diverged, UserError)
        True
    """


def shown(value: object, longest: int = 80) -> str:
    """A value as Python writes it, for a message: cut where it is long, and never an error of its own.

    Example:
        >>> shown([1, 2]), shown("a" * 100, 9), shown(10**5000)
        ('[1, 2]', "'aaaaa...", 'a number of thousands of digits')
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits" if isinstance(value, int) else f"a {type(value).__name__}"
    text = text.replace("\n", " ")
    return text if len(text) <= longest else text[: longest - 3] + "..."


def require_known(name: str, what: str, names: Iterable[str]) -> None:
    """Raises `UserError` for a name that is not among `names`, with the nearest that is.

    Args:
        name: what the user gave.
        what: the kind of thing, as the user calls it.
        names: those that would be right.

    Example:
        >>> require_known("cmr", "method", ["cam", "cmr"])
    """
    if not isinstance(name, str) or name not in names:  # a file may hold a list where a name belongs
        raise unknown(what, name, names)


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """Makes the error for a name that is not known, naming the nearest known one.

    Args:
        what: the kind of thing, as the user calls it ("method", "parameter").
        name: what the user gave.
        known: the names that would have been right.

    Returns:
        The error, to be raised by the caller.

    Example:
        >>> print(unknown("method", "cmrr", ["cam", "has", "cmr"]))
        unknown method 'cmrr': did you mean 'cmr'? Known: cam, cmr, has
        >>> print(unknown("number", "99x", map(str, range(1000))))
        unknown number '99x': did you mean '99'? Near it: 999, 998, 997, 996; 1,000 are known
    """
    names, name = sorted(known), name if isinstance(name, str) else shown(name)
    close = difflib.get_close_matches(name, names, n=NEAREST, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    if len(names) <= MOST:
        return UserError(f"unknown {what} '{name}': {hint}Known: {', '.join(names)}")
    others = f"Near it: {', '.join(close[1:])}; " if close[1:] else ""
    return UserError(f"unknown {what} '{name}': {hint}{others}{len(names):,} are known")


def first_line(error: Exception) -> str:
    """What an error of a library says, in one line; its kind where it says nothing.

    Example:
        >>> first_line(ValueError("no header\\nat byte 0")), first_line(KeyError())
        ('no header', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]

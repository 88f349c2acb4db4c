"""Dataclasses as JSON has them: read with their keys and types checked, written under the keys that files have.

A field stands in a file under its own name, or under the one that `KEYS` of its class gives it. None is left out. A
class inside another is read and written by its own `from_dict` and `to_dict` where it has them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from cmr.errors import UserError, shown, unknown

T = TypeVar("T")
Read = Callable[[Any, str], Any]
KINDS: dict[object, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (float, int),
    str: (str,),
    Mapping: (dict,),
    Sequence: (list, tuple),
}


def to_plain(item: Any) -> dict[str, Any]:
    """A dataclass as JSON can hold it.

    Args:
        item: its fields hold plain values, dataclasses, and mappings of both.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Point:
        ...     KEYS = {"x": "left to right"}
        ...     x: float
        ...     name: str | None = None
        >>> to_plain(Point(2.0)), from_plain(Point, {"left to right": 2.0}, "a.json")
        ({'left to right': 2.0}, Point(x=2.0, name=None))
        >>> from_plain(Point, {"left to right": "2"}, "a.json")
        Traceback (most recent call last):
        cmr.errors.UserError: a.json: left to right: '2' is not of type float
    """
    values = ((key, getattr(item, name)) for name, key in _keys(item.__class__))
    return {key: _plain(value) for key, value in values if value is not None}


def from_plain(kind: type[T], values: Any, where: str) -> T:
    """The dataclass that `to_plain` wrote.

    Args:
        kind: its class.
        values: as read from JSON.
        where: the file, and what of it, for messages.

    Raises:
        UserError: a key that is unknown or missing, or a value of another type.
    """
    if not isinstance(values, dict):
        raise UserError(f"{where}: {shown(values)} is not of type dict")
    of_class: Any = kind  # mypy takes no class for hashable
    readers, needed = _readers(of_class)
    found = {}
    for key, value in values.items():
        if key not in readers:
            raise unknown(f"key in {where}:", key, readers)
        name, kinds, read = readers[key]
        if not _is(value, kinds):
            raise UserError(f"{where}: {key}: {shown(value)} is not of type {kinds[0].__name__}")
        found[name] = read(value, f"{where}: {key}") if read else value
    if missing := [key for name, key in needed if name not in found]:
        raise UserError(f"{where}: it lacks {', '.join(missing)}")
    return kind(**found)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return value.to_dict() if hasattr(value, "to_dict") else to_plain(value)
    return {str(key): _plain(of_key) for key, of_key in value.items()} if isinstance(value, dict) else value


@cache
def _keys(kind: Any) -> list[tuple[str, str]]:
    """The fields, and the key of each."""
    keys: Mapping[str, str] = getattr(kind, "KEYS", {})
    return [(item.name, keys.get(item.name, item.name)) for item in fields(kind)]


@cache
def _readers(kind: Any) -> tuple[dict[str, tuple[str, tuple[type, ...], Read | None]], list[tuple[str, str]]]:
    """By key the field, the types that its value may have, and what reads it further; and what must not be missing."""
    hints, keys = get_type_hints(kind), _keys(kind)
    bare = {item.name for item in fields(kind) if item.default is MISSING and item.default_factory is MISSING}
    return {key: (name, *_reader(hints[name])) for name, key in keys}, [pair for pair in keys if pair[0] in bare]


def _reader(hint: Any) -> tuple[tuple[type, ...], Read | None]:
    if get_origin(hint) is UnionType:
        [hint] = [one for one in get_args(hint) if one is not type(None)]
    if is_dataclass(hint):
        of_class: Any = hint
        own: Read | None = getattr(hint, "from_dict", None)
        return (dict,), own or (lambda value, where: from_plain(of_class, value, where))
    if get_origin(hint) is Sequence:
        [of_item] = get_args(hint)
        items = KINDS.get(get_origin(of_item) or of_item, ())

        def sequence(values: Sequence[Any], where: str) -> Sequence[Any]:
            if items and not {value.__class__ for value in values} <= set(items):
                wrong = next(value for value in values if value.__class__ not in items)
                raise UserError(f"{where}: {shown(wrong)} is not of type {items[0].__name__}")
            return values

        return KINDS[Sequence], sequence
    if get_origin(hint) is not Mapping:
        return KINDS[get_origin(hint) or hint], None
    key_kind, of_key = get_args(hint)
    if of_key is Any:
        return (dict,), None
    kinds, read = _reader(of_key)

    def mapping(values: dict[str, Any], where: str) -> dict[Any, Any]:
        for key, value in values.items():
            if not _is(value, kinds):
                raise UserError(f"{where}: {key}: {shown(value)} is not of type {kinds[0].__name__}")
            if key_kind is int and not key.isdecimal():
                raise UserError(f"{where}: {shown(key)} is not a whole number")
        return {key_kind(key): read(value, f"{where}: {key}") if read else value for key, value in values.items()}

    return (dict,), mapping


def _is(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a value is of one of the types; what is true or false is no number."""
    return value.__class__ in kinds or (isinstance(value, kinds) and value.__class__ is not bool)

"""The files of a record: its values as JSON with a checksum, and arrays with a row per test image beside it."""

import json
import lzma
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors.numpy

from cmr.errors import UserError, first_line
from cmr.files import write_aside, write_json
from cmr.metrics.result import Result
from cmr.plain import from_plain, to_plain
from cmr.study.record import Record
from cmr.study.seal import CHECKSUM, sealed, whole

R = TypeVar("R", bound=Record)

OUTCOMES = "outcomes.safetensors.xz"
ROOM = 20_000_000  # bytes that a record takes at most, with the outcomes of 50,000 images


def write_record(path: Path, record: Record) -> None:
    """Writes a record with the time and a checksum, its result in four decimals."""
    result = record.result and rounded(record.result)
    write_json(path, sealed(to_plain(replace(record, result=result, finished=now()))))


def rounded(result: Result) -> Result:
    """A result with its numbers to four decimals, since a record is read and compared by people too."""
    return Result.from_dict(_rounded(result.to_dict()), "result")


def _rounded(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _rounded(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_rounded(value) for value in values]
    return round(values, 4) if isinstance(values, float) else values


def now() -> str:
    """The time as records have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def read_record(path: Path, kind: type[R], needed: Iterable[str], again: str) -> R:
    """Reads a record.

    Args:
        path: the JSON file.
        kind: its class.
        needed: keys by which a record is known as one of this kind.
        again: how the numbers are made anew, for messages: "train the run again".

    Raises:
        UserError: not JSON, not a record, one whose values do not fit its checksum, or a value that cannot be.
        OSError: the file cannot be read.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON (line {error.lineno}: {error.msg}); move it away, or {again}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a record, which is text in UTF-8 (byte {error.start} is not)") from None
    except (RecursionError, ValueError):
        raise UserError(
            f"{path}: not a record; it is nested too deeply or has numbers of thousands of digits"
        ) from None
    missing = [name for name in needed if name not in values] if isinstance(values, dict) else ["all of it"]
    if missing:
        raise UserError(f"{path}: not a record of cmr; it lacks {', '.join(missing)}; move it away, or {again}")
    if not whole(values):
        raise UserError(
            f"{path}: its values do not fit its checksum, so it was damaged or edited; {again} with --rerun, or remove "
            f'the line "{CHECKSUM}" where the edit was meant'
        )
    values.pop(CHECKSUM, None)
    try:
        return from_plain(kind, values, str(path))
    except UserError as error:
        raise UserError(f"{error}; move it away, or {again}") from None


def write_outcomes(folder: Path, outcomes: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name, packed as small as they get: they are committed."""
    whole_arrays = {name: np.ascontiguousarray(array) for name, array in outcomes.items()}
    write_aside(folder / OUTCOMES, lzma.compress(safetensors.numpy.save(whole_arrays), preset=9))


def read_outcomes(folder: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a record.

    Raises:
        UserError: there are none, or they are damaged.
    """
    path = folder / OUTCOMES
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; it lies beside the record where the run was made")
    try:
        return safetensors.numpy.load(lzma.decompress(path.read_bytes()))
    except Exception as error:  # a damaged file makes the readers raise several kinds
        raise UserError(f"{path}: cannot be read ({first_line(error)}); make it again with --rerun") from error

"""The files of a record: its values as JSON with a checksum, and arrays with a row per test image beside it."""

import json
import lzma
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from cmr.errors import UserError, first_line
from cmr.files import write_aside, write_json
from cmr.study.seal import CHECKSUM, sealed, whole

OUTCOMES = "outcomes.safetensors.xz"


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes the values with the time and a checksum.

    Args:
        path: the JSON file.
        record: what JSON can hold.
    """
    write_json(path, sealed({**record, "finished": now()}))


def now() -> str:
    """The time as records have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def read_record(path: Path, needed: Mapping[str, type], again: str) -> dict[str, Any]:
    """Reads the values.

    Args:
        path: the JSON file.
        needed: what a record has at least, with its type.
        again: how the numbers are made anew, for messages: "train the run again".

    Raises:
        UserError: not JSON, not a record, or one whose values do not fit its checksum.
        OSError: the file cannot be read.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON (line {error.lineno}: {error.msg}); move it away, or {again}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a record, which is text in UTF-8 (byte {error.start} is not)") from None
    except (RecursionError, ValueError):
        raise UserError(
            f"{path}: not a record; it is nested too deeply or has numbers of thousands of digits"
        ) from None
    missing = [name for name in needed if name not in record] if isinstance(record, dict) else ["all of it"]
    if missing or not all(isinstance(record[name], kind) for name, kind in needed.items()):
        lacks = f"; it lacks {', '.join(missing)}" if missing else ""
        raise UserError(f"{path}: not a record of cmr{lacks}; move it away, or {again}")
    if not whole(record):
        raise UserError(
            f"{path}: its values do not fit its checksum, so it was damaged or edited; {again} with --rerun, or remove "
            f'the line "{CHECKSUM}" where the edit was meant'
        )
    values: dict[str, Any] = record
    return values


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

"""Drawn pictures on disk: drawing takes seconds, and every training, plan and notebook begins with them.

They lie in the user's cache folder, or in the folder that CMR_CACHE names; any of it may be deleted at any time.
"""

import hashlib
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from platformdirs import user_cache_path

from cmr.files import write_aside

MOST = 2**28  # bytes of a data set that is kept
Arrays = dict[str, np.ndarray]


def folder() -> Path:
    """Where drawn pictures are kept."""
    return Path(os.environ.get("CMR_CACHE") or user_cache_path("cmr")) / "toybirds"


def kept(name: str, draw: Callable[[], Arrays]) -> Arrays:
    """Arrays that were drawn before, or now; kept if they are not too large and the folder can be written.

    Args:
        name: what decides the arrays, besides this code and numpy.
        draw: makes them.

    Returns:
        What `draw` gives, from disk where it is there and whole.

    Example:
        >>> kept("zeros", lambda: {"a": np.zeros(2)})["a"]
        array([0., 0.])
    """
    path = folder() / f"{hashlib.sha256(f'{name} {_code()} {np.__version__}'.encode()).hexdigest()[:32]}.npz"
    with suppress(OSError, ValueError, EOFError, BadZipFile, zlib.error), path.open("rb") as file:
        found = np.load(file, allow_pickle=False)
        return {key: found[key] for key in found.files}
    arrays = draw()
    if sum(array.nbytes for array in arrays.values()) <= MOST:
        content = BytesIO()
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]  # its stubs mix the arrays with a switch
        with suppress(OSError):
            write_aside(path, content.getbuffer())
    return arrays


@cache
def _code() -> str:
    """A hash of the code that draws."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

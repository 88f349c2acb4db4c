"""Decodes every image before training starts, so that a broken one is found now and not after an hour."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from cmr.data.images import threads
from cmr.data.split import Split
from cmr.errors import UserError


def check(split: Split, progress: bool = True) -> list[str]:
    """Decodes all images of a split, and its masks where it has any, in threads.

    The lists have been checked when the split was loaded; this finds files that are broken or cut short.

    Args:
        split: the images.
        progress: show a progress bar.

    Returns:
        One message a problem, naming the file and its line in the list; empty when all is well.

    Example:
        >>> from cmr.data.split import NO_BOXES
        >>> split = Split("Grey", "test", ("a",), np.array([0]), np.array([[6, 4]]), (NO_BOXES,), ("dull",),
        ...               lambda i: np.full((4, 6, 3), 7, np.uint8), "0" * 16)
        >>> check(split, progress=False)
        []
    """
    readers = [reader for reader in (split.read, split.masks, split.ignore, split.parts) if reader is not None]

    def problems(i: int) -> list[str]:
        found = []
        for reader in readers:
            try:
                array = reader(i)
            except UserError as error:
                found.append(str(error))
                continue
            if reader is split.read and (array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8):
                found.append(f"{split.ids[i]}: {array.shape} {array.dtype}, expected (height, width, 3) uint8")
        # The ignore mask needs the instances' masks too, so that one broken file may be met twice.
        return list(dict.fromkeys(found))

    out: list[str] = []
    with (
        ThreadPoolExecutor(threads()) as pool,
        tqdm(
            total=len(split), desc=f"checking {split.dataset} {split.split}", unit="image", disable=not progress
        ) as bar,
    ):
        for start in range(0, len(split), 1024):
            for found in pool.map(problems, range(start, min(start + 1024, len(split)))):
                out += found
                bar.update()
    return out

"""Decodes every image before training starts, so that a broken one is found now and not after an hour."""

import hashlib
import os
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from cmr.data.images import threads
from cmr.data.split import ImageFiles, Split
from cmr.data.threaded import in_threads
from cmr.errors import UserError

Seen = dict[bytes, tuple[str, str]]


def check(
    split: Split,
    progress: bool = True,
    notes: list[str] | None = None,
    seen: Seen | None = None,
) -> list[str]:
    """Decodes all images of a split, and its masks where it has any, in threads.

    The lists have been checked when the split was loaded; this finds files that are broken or cut short, pictures whose
    size is not the one that the lists give, and boxes in fractions of the image.

    Args:
        split: the images.
        progress: show a progress bar.
        notes: receives what is odd but no mistake: the loader's notes, classes without an image, pictures kept small,
            the same picture in two classes or in two splits.
        seen: receives the pixels of every picture, as a hash, with its file and its place; give the same to the check
            of another split, and pictures in both are noted.

    Returns:
        One message a problem, naming the file and its line in the list; empty when all is well.

    Example:
        >>> from cmr.data.split import NO_BOXES
        >>> split = Split("Grey", "test", ("a",), np.array([0]), np.array([[6, 4]]), (NO_BOXES,), ("dull",),
        ...               lambda i: np.full((4, 6, 3), 7, np.uint8), "0" * 16)
        >>> check(split, progress=False)
        []
    """
    stored = np.zeros((len(split), 2), np.int64)  # width and height as decoded; 0 where that failed
    pixels = [b""] * len(split)
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
            elif reader is split.read:
                stored[i] = array.shape[1], array.shape[0]
                pixels[i] = hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16).digest()
        # The ignore mask needs the instances' masks too, so that one broken file may be met twice.
        return list(dict.fromkeys(found))

    out: list[str] = []
    what = f"checking {split.dataset} {split.split}"
    checked = in_threads(problems, len(split), threads(most=256))
    for found in tqdm(checked, total=len(split), desc=what, unit="image", disable=not progress):
        out += found
    odd = [*split.notes, *_empty_classes(split), *_twice(split, pixels, {} if seen is None else seen)]
    out += _other_sizes(split, stored, odd) + _fractions(split)
    if notes is not None:
        notes += odd
    return out


def _twice(split: Split, pixels: list[bytes], seen: Seen) -> list[str]:
    """Notes pictures whose very pixels are another's, of another class or another split."""
    pairs = []
    for i, digest in enumerate(pixels):
        place = f"{split.split}, {split.classes[split.labels[i]]}"
        file, other = seen.setdefault(digest, (_file(split, i), place)) if digest else ("", place)
        if other != place:
            pairs.append(f"{file} ({other}) and {_file(split, i)} ({place})")
    some = "; ".join(pairs[:4]) + f"; and {len(pairs) - 4} more" * (len(pairs) > 4)
    return [f"the same picture twice, in other places: {some}"] if pairs else []


def _other_sizes(split: Split, stored: np.ndarray, notes: list[str]) -> list[str]:
    """Finds pictures of another size than their lists say.

    A data set may be kept small: then most sizes differ, the boxes are scaled, and only the aspect can be wrong, unless
    all pictures were squeezed into one size. Otherwise a picture that differs is not the one that the list means.
    """
    known = stored[:, 0] > 0
    differ = known & (stored != split.sizes).any(1)
    if 2 * differ.sum() > known.sum():
        notes.append(
            f"{differ.sum()} of {known.sum()} pictures are not stored at the size in the lists; boxes are scaled"
        )
        if known.sum() > 1 and len(np.unique(stored[known], axis=0)) == 1:
            return []
        (w, h), (width, height) = stored.T, split.sizes.T
        differ &= ((w - 1) * height >= (h + 1) * width) | ((h - 1) * width >= (w + 1) * height)
    return [
        f"{_file(split, i)}: the picture has {stored[i, 0]}x{stored[i, 1]} pixels, but {split.sizes[i, 0]}x"
        f"{split.sizes[i, 1]} in the lists, so its boxes may be misplaced; correct the size or replace the picture"
        for i in np.flatnonzero(differ).tolist()
    ]


def fractions(boxes: Sequence[np.ndarray], sizes: np.ndarray) -> bool:
    """Says whether all boxes lie inside the first pixel: then they are in fractions of the image.

    Args:
        boxes: n arrays (k, 4) xyxy, meant to be in pixels.
        sizes: (n, 2) width and height.

    Example:
        >>> fractions([np.array([[0.1, 0.2, 0.9, 1]])], np.array([[500, 375]]))
        True
    """
    some = [own.max() for own in boxes if len(own)]
    return bool(some and max(some) <= 1 < sizes.min())


def _fractions(split: Split) -> list[str]:
    if not fractions(split.boxes, split.sizes):
        return []
    i = next(i for i, some in enumerate(split.boxes) if len(some))
    box = ",".join(f"{side:.10g}" for side in split.boxes[i][0])
    return [
        f"{split.dataset} {split.split}: every box lies inside the first pixel of its image ({box} of "
        f"{_file(split, i)}), "
        "so they seem to be fractions; give pixels (times width and height)"
    ]


def _file(split: Split, i: int) -> str:
    """Names the file of image i, and its line in the list where there is one."""
    read = split.read
    return f"{read.root / split.ids[i]}{read.place(i)}" if isinstance(read, ImageFiles) else split.ids[i]


def _empty_classes(split: Split) -> list[str]:
    """Makes the note on classes of which a split has no image; none where each has one."""
    counts = np.bincount(split.labels, minlength=len(split.classes))
    empty = [split.classes[k] for k in np.flatnonzero(counts == 0)]
    if not empty:
        return []
    return [
        f"{len(empty)} of {len(split.classes)} classes have no image: {', '.join(empty[:4])}"
        + ", ..." * (len(empty) > 4)
    ]


def shared(splits: Sequence[Split]) -> list[str]:
    """Finds files that belong to two splits; one message per file.

    Args:
        splits: splits of one data set.
    """
    first: dict[str, str] = {}
    out = []
    for split in splits:
        if isinstance(split.read, ImageFiles):
            for name in split.ids:
                file = os.path.join(split.read.root, name)
                if first.setdefault(file, split.split) != split.split:
                    out.append(f"{file}: is in {first[file]} and in {split.split}; a picture belongs to one split")
    return out

"""A fingerprint of what the lists of a data set do not say: the names of the classes and the pixels."""

import hashlib

import numpy as np

from cmr.data.split import ImageFiles, Split
from cmr.data.threaded import in_threads
from cmr.files import read_regular

WHOLE = 20_000  # files that are read; of a larger set, so many spread evenly


def content_fingerprint(split: Split) -> str:
    """Says whether two splits hold the same pictures under the same class names.

    `Split.fingerprint` covers the lists: image ids, labels, sizes, boxes. Relabelled classes and edited files of the
    same size change this one.

    Args:
        split: its files are read, but not decoded; of more than 20,000 so many, spread evenly. The sizes of all
            are in the lists' fingerprint.

    Returns:
        16 hex digits of SHA-256.

    Raises:
        UserError: a file that is missing or cannot be read.

    Example:
        >>> from cmr.data import load, toybirds
        >>> settings = toybirds.Settings(train=8, test=8)
        >>> content_fingerprint(load("toybirds", None, "test", settings))[:4]
        '0d7a'
    """
    digest = hashlib.sha256(repr(split.classes).encode())
    if isinstance(split.read, ImageFiles):
        files, count = split.read, len(split.read.names)
        read = np.unique(np.linspace(0, count - 1, min(count, WHOLE)).round().astype(int)).tolist()
        for part in in_threads(lambda i: _digest(files, read[i]), len(read), 4):
            digest.update(part)
    return digest.hexdigest()[:16]


def _digest(files: ImageFiles, i: int) -> bytes:
    try:
        return hashlib.blake2b(read_regular(files.root / files.names[i]), digest_size=16).digest()
    except OSError as error:
        raise files.error(i, error) from error

"""The one way in which a picture file is read: regular files only, upright, eight bits per channel, RGB."""

import functools
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

#: What PIL raises for a file that is missing, broken, cut short, or so large that it looks like an attack.
READ_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, OverflowError, Image.DecompressionBombError)
ORIENTATION = 0x0112  # the EXIF field that says how the camera was held
SIDEWAYS = (5, 6, 7, 8)  # its values that lay a picture on its side


@functools.cache
def suffixes() -> frozenset[str]:
    """The endings of all kinds of picture that Pillow reads here.

    Example:
        >>> {".jpg", ".png", ".webp", ".tif", ".gif", ".jfif"} <= suffixes(), ".pdf" in suffixes()
        (True, False)
    """
    readable = Image.registered_extensions()
    return frozenset(ending for ending, kind in readable.items() if kind in Image.OPEN and kind not in ("MPEG", "HDF5"))


def read_rgb(path: str | Path, upright: bool = True) -> Image.Image:
    """Reads a picture.

    Args:
        path: a regular file in any format that PIL knows; of an animation the first frame is taken.
        upright: turn it as its camera says; a value of EXIF that means nothing is ignored.

    Returns:
        The picture, mode RGB. Sixteen bits per channel become their upper eight; transparency is dropped.

    Raises:
        One of `READ_ERRORS`: the file cannot be read, is no regular file, or holds floating-point or 32-bit values,
            whose range nobody knows.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "grey.png"
        >>> Image.fromarray(np.full((2, 2), 0x1234, np.uint16)).save(path)
        >>> read_rgb(path).getpixel((0, 0))
        (18, 18, 18)
    """
    with _decoding(), opened(path) as image:
        return eight_bit_rgb(_upright(image) if upright else image)


def eight_bit_rgb(image: Image.Image) -> Image.Image:
    """The same picture in mode RGB, as `read_rgb` gives it; not turned.

    Raises:
        ValueError: floating-point or 32-bit values, whose range nobody knows.
    """
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range; save it with 8 or 16 bits")
    if "transparency" in image.info:
        # By way of RGBA the same colours come without PIL's warning; warning filters are no way out, since they are
        # shared by all threads.
        image = image.convert("RGBA")
    return image.convert("RGB")


@contextmanager
def _decoding() -> Iterator[None]:
    """Makes one of `READ_ERRORS` of what else some decoders raise for a broken file."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise OSError(f"its decoder fails: {str(error) or type(error).__name__}") from error


def size_of(path: str | Path, upright: bool = True) -> tuple[int, int]:
    """Width and height from the file's header, turned as `read_rgb` turns it; only a TIFF on its side is decoded."""
    with _decoding(), opened(path) as image:
        sideways = _orientation(image) in SIDEWAYS
        if sideways and image.format == "TIFF":
            image.load()  # PIL turns it, asked or not; by its version when opened or when decoded
            return image.size
        return image.size[::-1] if sideways and upright else image.size


def opened(path: str | Path) -> Image.Image:
    """Opens a picture without decoding it, if it is a regular file."""
    if not stat.S_ISREG(Path(path).stat().st_mode):  # reading from a pipe or a device might never end
        raise OSError("it is not a regular file")
    return Image.open(path)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except READ_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(image) if _orientation(image) != 1 else image


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey picture of 16 bits, as its upper eight."""
    values = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > 0xFFFF):
        raise ValueError("its pixels are 32-bit numbers of unknown range; save it with 8 or 16 bits")
    return Image.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8))

"""What may be given as a picture: paths, PIL images, arrays, tensors, and lists or batches of them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from cmr.data.arrays import as_array
from cmr.data.pictures import READ_ERRORS, eight_bit_rgb, read_rgb
from cmr.data.split import reason
from cmr.errors import UserError, shown


def is_one(images: Any) -> bool:
    """Whether this is one picture, and not several.

    Example:
        >>> is_one("bird.jpg"), is_one(np.zeros((8, 8, 3))), is_one(np.zeros((2, 8, 8, 3))), is_one(["bird.jpg"])
        (True, True, False, False)
    """
    return isinstance(images, str | Path | Image.Image) or getattr(images, "ndim", 4) < 4


def as_pictures(images: Any) -> list[tuple[str, Image.Image]]:
    """Pictures with their names.

    Args:
        images: one picture or several. A path; a PIL image, which is taken as it lies; an array (H, W, 3) or (H, W), or
            a tensor (3, H, W) or (1, H, W), of uint8 or of floats in [0, 1]; a batch of either with an axis more; or a
            list of any of them.

    Returns:
        A list of the file's name, or "picture 0" and so on, and the RGB picture.

    Raises:
        UserError: a file that cannot be read, or something that is no picture; the message says which.

    Example:
        >>> [(name, picture.size) for name, picture in as_pictures(np.zeros((2, 4, 6, 3), np.uint8))]
        [('picture 0', (6, 4)), ('picture 1', (6, 4))]
    """
    several: Iterable[Any] = [images] if is_one(images) else images
    return [_picture(image, number) for number, image in enumerate(several)]


def _picture(image: Any, number: int) -> tuple[str, Image.Image]:
    name = f"picture {number}"
    if isinstance(image, Image.Image):
        name = Path(getattr(image, "filename", "") or name).name
        try:
            return name, eight_bit_rgb(image)
        except ValueError as error:
            raise UserError(f"{name}: {reason(error)}") from error
    if isinstance(image, str | Path):
        try:
            return Path(image).name, read_rgb(image)
        except READ_ERRORS as error:
            raise UserError(f"{image}: cannot be read as a picture ({reason(error)})") from error
    array = as_array(image, name)
    if isinstance(image, Tensor) and array.ndim == 3:
        array = array.transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or not array.size:
        wanted = "(3, H, W)" if isinstance(image, Tensor) else "(H, W, 3)"
        raise UserError(f"{name}: {type(image).__name__} of shape {tuple(image.shape)}; expected {wanted}")
    return name, Image.fromarray(_bytes(array, name)).convert("RGB")


def _bytes(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    low, high = array.min(), array.max()
    if array.dtype.kind != "f" or not (low >= 0 and high <= 1):
        raise UserError(
            f"{name}: {array.dtype} from {shown(low.item())} to {shown(high.item())}; expected uint8, or floats in "
            "[0, 1] as they are before a network's mean is taken out"
        )
    return np.ascontiguousarray((array * 255).round().astype(np.uint8))

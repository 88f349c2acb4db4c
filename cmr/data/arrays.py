"""Whatever holds numbers, as a tensor or an array: NumPy's of any layout, torch's of any device, lists of either."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmr.errors import UserError, shown

LARGEST_SIDE = 32768


def as_tensor(values: Any, what: str) -> Tensor:
    """Numbers as a tensor without gradient, on the device on which they are.

    Args:
        values: a tensor; an array of any strides and byte order, also a read-only one; a list of numbers, or of arrays
            or tensors of one shape.
        what: what they are, for the message.

    Returns:
        The tensor; it shares memory where it can.

    Raises:
        UserError: they are no numbers, or a list of several shapes; or sparse, quantised, complex or without values.

    Example:
        >>> as_tensor(np.arange(3, dtype=">i4")[::-1], "labels").tolist()
        [2, 1, 0]
    """
    if isinstance(values, Tensor):
        if values.is_meta or values.is_quantized or values.is_complex() or values.layout != torch.strided:
            kind = f"a tensor of {values.layout}, {values.dtype} on the device {values.device}"
            raise UserError(f"{what}: {kind} is none of plain numbers; give a dense one")
        return values.detach()
    if _is_list(values):
        tensors = [as_tensor(value, what) for value in values]
        if len({tensor.shape for tensor in tensors}) > 1:
            raise UserError(f"{what}: a list of {_shapes(tensors)}; expected all of one shape")
        return torch.stack([tensor.to(tensors[0].device) for tensor in tensors])
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError):
        array = np.array(None)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        kind = f"an array of type {array.dtype}" if isinstance(values, np.ndarray) else shown(values)
        raise UserError(f"{what}: {kind} is no tensor or array of numbers, nor a list of those of one shape")
    # torch takes neither another byte order nor negative strides, and warns of memory that must not be written
    return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))


def _is_list(values: Any) -> bool:
    return isinstance(values, list | tuple) and any(isinstance(value, Tensor | np.ndarray) for value in values)


def _shapes(values: Sequence[Tensor]) -> str:
    shapes = ", ".join(str(tuple(value.shape)) for value in values[:4])
    return f"{len(values)} of shape {shapes}{', ...' * (len(values) > 4)}"


def as_array(values: Any, what: str) -> np.ndarray:
    """As `as_tensor`, in main memory and for NumPy; an array stays as it is.

    Example:
        >>> as_array(torch.ones(2, dtype=torch.bfloat16, requires_grad=True), "boxes")
        array([1., 1.], dtype=float32)
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values
    tensor = as_tensor(values, what).cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def as_maps(values: Any, what: str) -> Tensor:
    """Maps of a batch as a tensor of three axes, (images, height, width).

    Args:
        values: as `as_tensor` takes them, or the list that torchcam returns, where it has one tensor (one layer).
        what: what they are, for the message.

    Raises:
        UserError: they have another number of axes; the message says which.

    Example:
        >>> as_maps([torch.zeros(2, 7, 7)], "maps").shape
        torch.Size([2, 7, 7])
    """
    if _is_list(values) and getattr(values[0], "ndim", 0) == 3:
        if len(values) > 1:
            raise UserError(f"{what}: a list of {_shapes(values)}; give those of one layer")
        values = values[0]
    maps = as_tensor(values, what)
    if maps.ndim != 3:
        hint = {2: "; of one image give maps[None]", 4: "; of one class give maps[:, 0]"}.get(maps.ndim, "")
        raise UserError(f"{what} have shape {tuple(maps.shape)}; expected three axes, (images, height, width){hint}")
    return maps


def two_sides(size: Any, what: str) -> tuple[int, int]:
    """A size in pixels as two whole numbers, in the order given; one number stands for both.

    Args:
        size: a whole number or two, Python's, NumPy's or torch's.
        what: whose size, for the message.

    Raises:
        UserError: no whole numbers, or not from 1 to 32768.

    Example:
        >>> two_sides(np.int64(14), "resize"), two_sides(torch.Size([7, 9]), "resize")
        ((14, 14), (7, 9))
    """
    try:
        sides = [operator.index(size)] * 2
    except (TypeError, RuntimeError, ValueError):
        try:
            sides = [operator.index(side) for side in size]
        except (TypeError, RuntimeError, ValueError):
            sides = []
    if len(sides) != 2 or not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise UserError(
            f"{what}: size is {shown(size)}; expected one whole number of pixels or two, each from 1 to {LARGEST_SIDE}"
        )
    return sides[0], sides[1]

"""The device that a network runs on, by its name."""

import torch

from cmr.errors import UserError


def device_of(name: str) -> torch.device:
    """The device of this name; `auto` is a GPU where torch sees one.

    Raises:
        UserError: there is no such device here.

    Example:
        >>> device_of("cpu")
        device(type='cpu')
    """
    kind, _, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and not (kind in ("cuda", "mps") and number.isdigit())):
        raise UserError(f"device: '{name}' is not one of auto, cpu, cuda, cuda:N, mps")
    if kind == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(number or 0) >= there:
        raise UserError(
            f"device: {name} was asked for, but torch sees {there or 'no'} GPU of this kind; take --device cpu"
        )
    return torch.device(name)

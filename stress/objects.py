"""Objects of other kinds than expected: weights, pictures, arrays."""

import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cmr.maps import locate
from cmr.metrics import WSOLMetrics, gt_boxes
from stress import materials
from stress.attempt import TRAIN, Case, attempt, wrong


def cases(_seed: int) -> Iterator[Case]:
    """All of them."""
    for kind in WEIGHTS:
        yield Case("weights of another kind", f"weights {kind}", partial(_weights, kind))
    for kind in PICTURES:
        yield Case("pictures", f"picture {kind}", partial(_picture, kind))
    for name, call in CALLS.items():
        for kind, array in _arrays().items():
            yield Case("arrays", f"array {name} {kind}", partial(_array, call, array))


class Foreign:
    """A class that no reader knows."""


def _quantised(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings(action="ignore"):  # torch will drop them, and files stay
        return {n: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8) for n, t in state.items()}


WEIGHTS: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "a list": lambda state: list(state.values()),
    "a tensor": lambda _state: torch.zeros(3),
    "keys that are numbers": lambda state: dict(enumerate(state.values())),
    "sparse": lambda state: {name: tensor.to_sparse() for name, tensor in state.items()},
    "meta": lambda state: {name: tensor.to("meta") for name, tensor in state.items()},
    "quantised": _quantised,
    "complex": lambda state: {name: tensor.to(torch.complex64) for name, tensor in state.items()},
    "whole numbers": lambda state: {name: tensor.to(torch.int32) for name, tensor in state.items()},
    "NaN": lambda state: {name: tensor * torch.nan for name, tensor in state.items()},
    "infinite": lambda state: {name: tensor.float() * 0 + torch.inf for name, tensor in state.items()},
    "half precision": lambda state: {name: tensor.half() for name, tensor in state.items()},
    "double precision": lambda state: {name: tensor.double() for name, tensor in state.items()},
    "no tensors": lambda _state: {"epoch": 3},
    "an empty dictionary": lambda _state: {},
    "nothing": lambda _state: None,
    "a class of its own": lambda state: {"state_dict": state, "config": Foreign()},
    "empty tensors": lambda state: {name: tensor[:0] for name, tensor in state.items() if tensor.ndim},
    "other shapes": lambda state: {name: tensor[None] for name, tensor in state.items()},
    "a part": lambda state: dict(list(state.items())[:3]),
    "in state_dict": lambda state: {"state_dict": {f"model.{n}": t for n, t in state.items()}, "epoch": 3},
    "Lightning's": lambda state: {
        "state_dict": {f"net.{n}": t for n, t in state.items()} | {"criterion.weight": torch.ones(3)},
        "pytorch-lightning_version": "2.5",
    },
    "an average beside": lambda state: {"model": state, "model_ema": {n: t + 1 for n, t in state.items()}},
}


def _weights(kind: str, folder: Path) -> str:
    from cmr.nets.backbones import build_backbone

    torch.manual_seed(1)
    torch.save(WEIGHTS[kind](build_backbone("tiny").state_dict()), folder / "w.pth")
    words = [*TRAIN, "--epochs", "1", "--weights", str(folder / "w.pth"), "--out", str(folder / "runs")]
    return wrong(attempt(words))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, *more: bytes, rows: bytes = b"") -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = _chunk(b"IDAT", zlib.compress(rows or (b"\0" + bytes(3 * width)) * height))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + body + _chunk(b"IEND", b"")


def _saved(array: np.ndarray, ending: str, **how: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        Image.fromarray(array).save(folder / f"a{ending}", **how)
        return folder / f"a{ending}"

    return make


def _written(content: bytes, ending: str = ".png") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / f"a{ending}").write_bytes(content)
        return folder / f"a{ending}"

    return make


_GREY = np.tile(np.linspace(0, 255, 50).astype(np.uint8), (40, 1))
_RGB = np.repeat(_GREY[..., None], 3, -1)
PICTURES: dict[str, Callable[[Path], Path]] = {
    "16 bits": _saved(_GREY.astype(np.uint16) * 257, ".png"),
    "32 bits": _saved(_GREY.astype(np.int32) * 2**20, ".tif"),
    "floats": _saved(_GREY.astype(np.float32), ".tif"),
    "one bit": _saved(_GREY > 128, ".png"),
    "alpha": _saved(np.dstack([_RGB, _GREY]), ".png"),
    "grey and alpha": _saved(np.dstack([_GREY, _GREY]), ".png"),
    "CMYK": lambda folder: _converted(folder / "a.jpg", "CMYK"),
    "YCbCr": lambda folder: _converted(folder / "a.tif", "YCbCr"),
    "LAB": lambda folder: _converted(folder / "a.tif", "LAB"),
    "HSV as palette": lambda folder: _converted(folder / "a.gif", "P"),
    "one pixel": _saved(_RGB[:1, :1], ".png"),
    "a stripe": _saved(np.zeros((2, 3000, 3), np.uint8), ".png"),
    "a bomb": _written(_png(14000, 14000, rows=b"\0")),
    "no size": _written(_png(0, 0, rows=b"\0")),
    "no rows": _written(_png(50, 40, rows=b"\0")),
    "a long text": _written(_png(2, 2, _chunk(b"zTXt", b"note\0\0" + zlib.compress(b"a" * 3_000_000)))),
    "a wrong orientation": _saved(
        _RGB, ".jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0"
    ),
    "a broken profile": _saved(_RGB, ".jpg", icc_profile=b"x" * 200),
    "cut": _written(_png(50, 40)[:60]),
    "animated": lambda folder: _animated(folder / "a.gif"),
    "animated WebP": lambda folder: _animated(folder / "a.webp"),
}


def _converted(path: Path, mode: str) -> Path:
    Image.fromarray(_RGB).convert(mode).save(path)
    return path


def _animated(path: Path) -> Path:
    frames = [Image.fromarray(_RGB), Image.fromarray(_RGB[::-1].copy())]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


def _picture(kind: str, folder: Path) -> str:
    (folder / "data").mkdir()
    path = PICTURES[kind](folder / "data")
    (folder / "data" / "images.csv").write_text(f"path,label,split\n{path.name},a,test\n")
    check = ["data", "check", "--data", "folder", "--data-root", folder / "data", "--split", "test"]
    words = ["localize", path, "--out", folder / "out", "--backbone", "squeezenet1_1", "--device", "cpu"]
    commands = [check, [*words, "--weights", materials.weights(folder / "w.pth")]]
    return next(filter(None, (wrong(attempt(command)) for command in commands)), "")


def _arrays() -> dict[str, Any]:
    maps = np.random.default_rng(0).random((2, 14, 14), np.float32)
    return {
        "flipped": maps[:, :, ::-1],
        "other byte order": maps.astype(">f4"),
        "read-only": np.broadcast_to(maps[:1], (2, 14, 14)),
        "list of arrays": list(maps),
        "list of tensors": [torch.from_numpy(one) for one in maps],
        "needs a gradient": torch.from_numpy(maps).requires_grad_(),
        "half": maps.astype(np.float16),
        "bfloat16": torch.from_numpy(maps).bfloat16(),
        "long double": maps.astype(np.longdouble),
        "whole numbers": (maps * 255).astype(np.int64),
        "bytes": (maps * 255).astype(np.uint8),
        "truth": maps > 0.5,
        "complex": maps.astype(np.complex64),
        "text": np.full((2, 14, 14), "a"),
        "objects": maps.astype(object),
        "NaN": maps * np.nan,
        "infinite": maps * np.inf,
        "one NaN": np.where(maps == maps.max(), np.nan, maps),
        "empty": maps[:0],
        "no pixels": maps[:, :0],
        "a number": 3.0,
        "nothing": None,
        "one map": maps[0],
        "four axes": maps[:, None],
        "five axes": maps[:, None, None],
        "three maps": np.concatenate([maps, maps[:1]]),
        "of different sizes": [maps[0], maps[1, :7]],
        "sparse": torch.from_numpy(maps).to_sparse(),
        "meta": torch.from_numpy(maps).to("meta"),
        "masked": np.ma.masked_array(maps, maps > 0.5),
        "dates": np.zeros((2, 14, 14), "datetime64[s]"),
    }


_BOXES = gt_boxes([np.array([[1, 1, 9, 9]])] * 2, np.array([[14, 14]] * 2), 14)
CALLS: dict[str, Callable[[Any], object]] = {
    "resize": lambda maps: locate.resize(maps, 28),
    "normalise": lambda maps: locate.normalise(maps),
    "largest_box": lambda maps: locate.largest_box(maps, 0.2),
    "update": lambda maps: WSOLMetrics().update(maps, None, None, _BOXES, ["a", "b"]),
    "logits": lambda maps: WSOLMetrics().update(np.zeros((2, 14, 14)), maps, [0, 1], _BOXES, ["a", "b"]),
    "labels": lambda maps: WSOLMetrics().update(np.zeros((2, 14, 14)), np.eye(2), maps, _BOXES, ["a", "b"]),
    "boxes": lambda maps: WSOLMetrics().update(np.zeros((2, 14, 14)), None, None, maps, ["a", "b"]),
    "sizes": lambda maps: gt_boxes([np.array([[1, 1, 9, 9]])] * 2, maps, 14),
}


def _array(call: Callable[[Any], object], array: Any, folder: Path) -> str:
    return wrong(attempt(lambda: call(array)))

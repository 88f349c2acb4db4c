"""Makes what the page "Hide cells and look" reads: python -m book.hide

CAM learns ToyBirds with the preset's settings, in a minute; its parameters go in half precision into weights.js (in
book/_static/play), with a few test images. weights.json beside it has the training's record, and SHA-256s; hide.png is
the still figure.
"""

import base64
import functools
import hashlib
import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmr import figures
from cmr.assemble import build
from cmr.config import Config
from cmr.data.images import normalise as pixels_to_input
from cmr.files import write_aside
from cmr.maps.locate import largest_box, normalise, resize
from cmr.methods.method import Method
from cmr.metrics import box_iou, gt_boxes
from cmr.plain import to_plain
from cmr.presets import make
from cmr.study.models import load_method
from cmr.study.splits import splits
from cmr.study.training import train_with_model

FOLDER = Path(__file__).parent / "_static" / "play"
DATA, RECORD, FIGURE = FOLDER / "weights.js", FOLDER / "weights.json", FOLDER / "hide.png"
HEAD, FOOT = "const cmrNetworkData = ", ";\n"
BIRDS = (32, 43, 45, 47)  # large birds among the first test images whose class the network finds
SIDE = 64  # pixels of an image
COUNTER = "num_batches_tracked"  # of batch normalisation; no test uses it


def recipe() -> Config:
    """The training whose network the page runs."""
    return make("toybirds", method="cam", device="cpu")


def packed(method: Method, config: Config) -> bytes:
    """The script that the page reads: the network in half precision, and the birds.

    Args:
        method: the trained network.
        config: its training, which says where the test images come from.

    Returns:
        JavaScript that sets one constant.
    """
    state = {name: value for name, value in method.state_dict().items() if COUNTER not in name}
    halves = b"".join(value.detach().contiguous().numpy().astype("<f2").tobytes() for value in state.values())
    test = splits(config)[1]
    birds = [
        {
            "class": int(test.labels[i]),
            "box": gt_boxes([test.boxes[i]], test.sizes[i : i + 1], SIDE)[0][0].tolist(),
            "pixels": base64.b64encode(test.read(i).tobytes()).decode(),
        }
        for i in BIRDS
    ]
    shapes = [[name, list(value.shape)] for name, value in state.items()]
    data = {"classes": test.classes, "birds": birds, "shapes": shapes, "weights": base64.b64encode(halves).decode()}
    return f"{HEAD}{json.dumps(data)}{FOOT}".encode()


@functools.cache
def shipped() -> tuple[Method, dict[str, Any]]:
    """The network of the page in the library's own form, ready for `localize`, and what else the file holds.

    Example:
        >>> method, data = shipped()
        >>> len(data["classes"]), len(data["birds"])
        (20, 4)
    """
    data = json.loads(DATA.read_text(encoding="utf-8").removeprefix(HEAD).removesuffix(FOOT))
    values = torch.from_numpy(np.frombuffer(base64.b64decode(data["weights"]), "<f2").astype(np.float32))
    parts = values.split([math.prod(shape) for _, shape in data["shapes"]])
    state = {name: part.view(shape) for (name, shape), part in zip(data["shapes"], parts, strict=True)}
    method = build(make("toybirds", method="cam", weights="none", device="cpu"), len(data["classes"]))
    method.load_state_dict(method.state_dict() | state)
    return method.eval(), data


def picture(bird: int) -> np.ndarray:
    """One of the page's birds, (64, 64, 3) uint8."""
    return np.frombuffer(base64.b64decode(shipped()[1]["birds"][bird]["pixels"]), np.uint8).reshape(SIDE, SIDE, 3)


def view(bird: int, size: int = 16, hidden: Collection[int] = ()) -> Tensor:
    """A bird as the network sees it, some cells hidden: (1, 3, 64, 64), 0 where hidden.

    Args:
        bird: which of the page's.
        size: side of a cell, pixels.
        hidden: numbers of cells, row by row from 0.

    Returns:
        The view.

    Example:
        >>> float((view(0, 16, range(8))[0, 0] == 0).float().mean())
        0.5
    """
    row = torch.arange(SIDE) // size
    cell = row[:, None] * math.ceil(SIDE / size) + row  # (64, 64)
    seen = pixels_to_input(torch.from_numpy(picture(bird).copy()).permute(2, 0, 1)[None])
    return seen * ~torch.isin(cell, torch.tensor(list(hidden), dtype=torch.int64))


def look(bird: int, size: int = 16, hidden: Collection[int] = ()) -> tuple[float, float]:
    """What the page says of a view: the probability of the bird's class, and the IoU of the box.

    Args:
        bird, size, hidden: as in `view`.

    Returns:
        Both numbers, rounded to two places.

    Example:
        >>> probability, iou = look(0)
        >>> probability > 0.5 and iou > 0.5
        True
    """
    method, data = shipped()
    truth = data["birds"][bird]
    with torch.no_grad():
        logits, maps = method.localize(view(bird, size, hidden))
    box = largest_box(normalise(resize(maps[:, truth["class"]], SIDE)), 0.2)
    iou = box_iou(box.numpy(), np.array([truth["box"]]))[0, 0]
    return round(float(logits.softmax(1)[0, truth["class"]]), 2), round(float(iou), 2)


def _figure() -> None:
    """Draws each bird, a view, its complement, and their class maps."""
    method, data = shipped()
    hidden = {cell for cell in range(16) if (cell + cell // 4) % 2}  # a chessboard
    rows: dict[str, list[np.ndarray]] = {}
    for bird, truth in enumerate(data["birds"]):
        image = picture(bird)
        for name, cells in {"image": set(), "view X": hidden, "view X~": set(range(16)) - hidden}.items():
            grey = (view(bird, 16, cells)[0] == 0).all(0).numpy()[..., None]
            with torch.no_grad():
                maps = method.localize(view(bird, 16, cells))[1]
            rows.setdefault(name, []).append(np.where(grey, np.uint8([124, 116, 104]), image))
            rows.setdefault(f"map of {name.removeprefix('view ')}", []).append(maps[0, truth["class"]].numpy())
    figures.save(figures.steps({name: np.stack(shown) for name, shown in rows.items()}), FIGURE, dpi=110)


def main() -> None:
    """Trains where there is no model yet, and writes the three files."""
    torch.set_num_threads(1)
    run = train_with_model(recipe(), command="python -m book.hide")
    content = packed(load_method(run, len(run.record.classes)), run.config)
    write_aside(DATA, content)
    kept = ("id", "config", "environment", "data", "command", "model", "finished")
    said = to_plain(run.record)
    record = {name: said[name] for name in kept if name in said}
    record["result"] = {name: said["result"][name] for name in ("Top-1 Clas", "GT-known Loc", "MaxBoxAccV2")}
    shipped.cache_clear()
    _figure()
    record["sha256"] = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (DATA, FIGURE)}
    write_aside(RECORD, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()

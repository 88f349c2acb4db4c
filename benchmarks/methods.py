"""What every method costs on every backbone, beside CAM on the same one: `python -m benchmarks.methods`.

Parameters, multiply-adds of the forward pass of a training step and of a test (an image), time of a training step
(crop, forward, backward, optimizer: the trainer's own) and of a test relative to CAM, and memory of a training step.
Each method is timed in turn with a CAM of its own; CAM beside CAM says how exact that is. On a CPU it is processor time
that counts, on one thread: several would spend it waiting for one another wherever others work too. Memory is what
tensors hold at once: parameters, gradients, momentum, activations; on a GPU by its allocator, on a CPU by the storages
that operations return, without what a kernel needs inside.
"""

import argparse
import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from benchmarks import common
from cmr.assemble import build, make_fabric
from cmr.config import Config
from cmr.errors import UserError, require_known
from cmr.methods import METHODS
from cmr.nets import BACKBONES
from cmr.study import cost
from cmr.train import set_up, train_step

# A size of 224 and 200 classes are CUB's; the small one tries the script out, its numbers mean nothing.
PRESETS = {
    "paper": {"backbones": tuple(BACKBONES), "size": 224, "batch": 32, "classes": 200, "repeats": 5, "steps": 5},
    "tiny": {"backbones": ("tiny",), "size": 64, "batch": 2, "classes": 5, "repeats": 1, "steps": 1},
}
COLUMNS = {  # key of a row -> heading and format
    "parameters": ("params, M", lambda value: f"{value / 1e6:.2f}"),
    "train_multiply_adds": ("train, GMAC", lambda value: f"{value / 1e9:.3f}"),
    "test_multiply_adds": ("test, GMAC", lambda value: f"{value / 1e9:.3f}"),
    "train_ms": ("train, ms", lambda value: f"{value:.2f}"),
    "train_ratio": ("/ CAM", lambda value: f"{value:.2f}"),
    "test_ms": ("test, ms", lambda value: f"{value:.2f}"),
    "test_ratio": ("/ CAM", lambda value: f"{value:.2f}"),
    "memory_mb": ("memory, MiB", lambda value: f"{value:.0f}"),
}


class Cell:
    """One method on one backbone, with the two calls that are measured.

    Args:
        fabric: knows device and precision.
        config: of the training.
        classes: K.
        images: (B, 3, resize, resize) uint8 on the device.
    """

    def __init__(self, fabric: Fabric, config: Config, classes: int, images: Tensor) -> None:
        torch.manual_seed(0)
        self.fabric, self.config, self.images = fabric, config, images
        self.method: nn.Module = build(config, classes)
        self.wrapped, self.optimizer = set_up(fabric, self.method, config)
        self.labels = torch.arange(len(images), device=images.device) % classes
        side = config.image_size
        self.whole = torch.randn(len(images), 3, side, side, device=images.device)

    def train(self) -> None:
        """One step of the trainer."""
        self.wrapped.train()
        train_step(self.fabric, self.wrapped, self.optimizer, self.images, self.labels, self.config)

    def losses(self) -> None:
        """The forward part of a step."""
        self.wrapped.train()
        self.wrapped.losses(self.whole, self.labels)

    def test(self) -> None:
        """One batch of the test: logits and all maps."""
        self.wrapped.eval()
        with torch.no_grad():
            self.wrapped.localize(self.whole)


def measure(make: Callable[[], Cell], beside: Callable[[], Cell], repeats: int, steps: int) -> dict[str, Any]:
    """The numbers of one cell.

    Args:
        make: builds it.
        beside: builds a CAM on the same backbone.
        repeats: rounds of timing.
        steps: steps timed as one on a GPU, where waiting for each would hide that they overlap.

    Returns:
        A row: multiply-adds and milliseconds for one image, memory for the whole batch, ratios to CAM.
    """

    def two_steps() -> None:
        cell = make()
        cell.train()
        cell.train()  # the first one makes the optimizer's state

    first = make()
    device, batch = first.images.device, len(first.images)
    row: dict[str, Any] = {
        "parameters": sum(parameter.numel() for parameter in first.method.parameters()),
        "train_multiply_adds": cost.multiply_adds(first.losses) // batch,
        "test_multiply_adds": cost.multiply_adds(first.test) // batch,
    }
    del first
    gc.collect()
    row["memory_mb"] = cost.peak_memory_mb(two_steps, device)
    gc.collect()
    cell, cam = make(), beside()
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    steps = 1 if device.type == "cpu" else steps
    for name in ("train", "test"):
        seconds = cost.interleaved(
            {"method": getattr(cell, name), "cam": getattr(cam, name)}, repeats, device, steps, clock
        )
        row[f"{name}_ms"] = round(1e3 * sorted(seconds["method"])[repeats // 2] / batch, 4)
        row[f"{name}_ratio"] = round(cost.ratio(seconds["method"], seconds["cam"]), 3)
    return row


def table(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures and prints every cell; one that is not defined is a row with the reason."""
    rows: list[dict[str, Any]] = []
    print(f"{'backbone':<16}{'method':<10}" + "".join(f"{heading:>13}" for heading, _ in COLUMNS.values()))
    for backbone in given.backbones:
        for name in given.methods:

            def make(name: str = name, backbone: str = backbone) -> Cell:
                config = common.configuration(given, name, backbone)
                fabric = make_fabric(config)
                images = torch.randint(256, (given.batch, 3, config.resize, config.resize), dtype=torch.uint8)
                return Cell(fabric, config, given.classes, images.to(fabric.device))

            row: dict[str, Any] = {"backbone": backbone, "method": name}
            try:
                row |= measure(make, lambda make=make: make("cam"), given.repeats, given.steps)
                shown = "".join(f"{show(row[key]):>13}" for key, (_, show) in COLUMNS.items())
            except UserError as error:
                row["not_defined"] = str(error)
                shown = f"  {error}"
            rows.append(row)
            print(f"{backbone:<16}{name:<10}{shown}", flush=True)
            gc.collect()
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table, and writes it where that is asked."""
    parser = common.parser(__doc__, PRESETS)
    parser.add_argument("--size", type=int, help="side of the images")
    parser.add_argument("--batch", type=int, help="images in a step")
    parser.add_argument("--classes", type=int, help="classes of the classifier")
    parser.add_argument("--repeats", type=int, help="rounds of timing")
    parser.add_argument("--steps", type=int, help="steps of a round, on a GPU")
    parser.add_argument("--backbones", nargs="+", help="which; all where it is not given")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help="which; all where it is not given")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    given = common.filled(parser.parse_args(arguments), PRESETS)
    try:
        for backbone in given.backbones:
            require_known(backbone, "backbone", BACKBONES)
        for method in given.methods:
            require_known(method, "method", METHODS)
        config = common.configuration(given, "cam", "tiny")
        device = make_fabric(config).device
    except UserError as error:
        parser.error(str(error))

    if device.type == "cpu":
        torch.set_num_threads(1)
    about = {"size": given.size, "batch": given.batch, "classes": given.classes, "repeats": given.repeats}
    about |= common.circumstances(config, device)
    about["time"] = "processor time, one thread" if device.type == "cpu" else "time on the wall"
    print(f"{about['environment']['device']}, {about['precision']}, {given.batch} images of {given.size} px")
    print("multiply-adds and milliseconds an image; memory of a training step\n")
    common.write(given, "methods", arguments, about, {"rows": table(given)})


if __name__ == "__main__":
    main()

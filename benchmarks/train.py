"""How much of the device a training step uses: `python -m benchmarks.train`.

Four steps on the same layers, number of classes and image size, in one run on one device:

bare    our backbone's own layers (timm's, with our last stage at stride 1) with pooling and nn.Linear in a plain torch
        loop on one constant batch; precision, memory format and SGD as in the trainer, nothing else
cam     the trainer's step on CAM: batches from resident uint8 images, crop, flip, normalisation on the device, update
cmr     the same on the paper's method
plain   the paper's method as it is usually written: eager, float32 as torch has it by default, JPEG files through a
        DataLoader with PIL and transforms on the CPU

The first three take turns, a few steps each; `plain` runs by itself in every round, so that its worker processes
neither rest nor disturb. Memory is what tensors hold at once (on a GPU by its allocator), resident images not counted.
The share of the peak is the counted arithmetic of a step over its time, divided by what one large matrix product
reaches in the same run, as a product or as a 1x1 convolution: in the type of the steps `cam` and `cmr`, for all four.
"""

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks import common
from cmr.assemble import build, make_fabric, precision
from cmr.attention import CAAM
from cmr.data.images import MEAN, STD, Batches
from cmr.data.split import NO_BOXES, Split
from cmr.errors import UserError
from cmr.losses import fusion_loss
from cmr.nets.backbones import build_backbone
from cmr.optim import make_optimizer
from cmr.study import cost
from cmr.train import flushed, set_up, train_step

# CUB's size and number of classes; the small one tries the script out, its numbers mean nothing.
PRESETS = {
    "paper": {"backbone": "resnet50", "size": 224, "batch": 32, "classes": 200}
    | {"rounds": 5, "steps": 10, "images": 512, "workers": 8, "matrix": 8192},
    "tiny": {"backbone": "tiny", "size": 64, "batch": 2, "classes": 5}
    | {"rounds": 1, "steps": 1, "images": 4, "workers": 0, "matrix": 128},
}
SPEEDS = {"cam / bare": ("cam", "bare"), "cmr / cam": ("cmr", "cam"), "cmr / plain": ("cmr", "plain")}
Step = Callable[[], object]


class Jpegs(Dataset):
    """JPEG files and labels, as a Dataset is usually written."""

    def __init__(self, paths: Sequence[Path], classes: int, resize: int, crop: int) -> None:
        self.paths, self.classes = paths, classes
        self.transform = v2.Compose(
            [
                v2.Resize((resize, resize)),
                v2.RandomCrop(crop),
                v2.RandomHorizontalFlip(),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN.tolist(), STD.tolist()),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[index]) as picture:
            return self.transform(picture.convert("RGB")), index % self.classes


def pictures(count: int, width: int = 500, height: int = 375) -> list[np.ndarray]:
    """Smooth colours of the size that CUB's photographs have: noise would be slower to decode than a photograph."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, height // 8, width // 8, 3), dtype=np.uint8)
    return [np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)) for image in coarse]


def resident(images: list[np.ndarray], given: argparse.Namespace, resize: int, device: torch.device) -> Iterator:
    """The trainer's batches of resident images, without an end."""
    count = len(images)
    sizes = np.array([image.shape[1::-1] for image in images])
    names = tuple(map(str, range(count)))
    labels = np.arange(count) % given.classes
    classes = tuple(map(str, range(given.classes)))
    split = Split("Smooth", "train", names, labels, sizes, (NO_BOXES,) * count, classes, images.__getitem__, "0" * 16)
    batches = Batches(split, resize, given.batch, device, resident=True, progress=False)
    while True:
        yield from batches.epoch(torch.randperm(count)[: count // given.batch * given.batch])


def bare(given: argparse.Namespace, fabric: Fabric, compiled: bool) -> Step:
    """A plain loop around the same layers."""
    config = common.configuration(given, "cam", given.backbone)
    backbone = build_backbone(given.backbone)
    linear = nn.Linear(backbone.channels, given.classes)
    net = nn.Sequential(backbone.body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    net = net.to(fabric.device, memory_format=torch.channels_last).train()
    if compiled:
        net.compile()
    sgd = torch.optim.SGD(net.parameters(), config.lr, config.momentum, nesterov=True, weight_decay=config.weight_decay)
    images = torch.randn(given.batch, 3, given.size, given.size, device=fabric.device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(given.batch, device=fabric.device) % given.classes

    def step() -> None:
        with fabric.autocast():
            loss = nn.functional.cross_entropy(net(images).float(), labels)
        sgd.zero_grad(set_to_none=True)
        loss.backward()
        sgd.step()

    return step


def ours(given: argparse.Namespace, fabric: Fabric, compiled: bool, name: str, batches: Iterator) -> Step:
    """The trainer's step on a method."""
    config = common.configuration(given, name, given.backbone)
    method = build(config, given.classes)
    if compiled:
        for part in (method.backbone.body, *attention(method)):
            part.compile()
    wrapped, optimizer = set_up(fabric, method, config)
    wrapped.train()

    def step() -> None:
        batch, labels, _ = next(batches)
        train_step(fabric, wrapped, optimizer, batch, labels, config)

    return step


def attention(method: nn.Module) -> list[nn.Module]:
    """CAAM and SSAM of the paper's method; none of another one."""
    return [method.net.caam, method.net.ssam] if hasattr(method, "net") else []


def plain(given: argparse.Namespace, device: torch.device) -> Callable[[Tensor, Tensor], None]:
    """The usual loop's body: takes a batch of the DataLoader."""
    config = common.configuration(given, "cmr", given.backbone)
    method = build(config, given.classes).to(device).train()
    sgd = make_optimizer(method, config)

    def step(images: Tensor, labels: Tensor) -> None:
        losses = method.losses(images.to(device, non_blocking=True), labels.to(device, non_blocking=True))
        sgd.zero_grad()
        losses["total"].backward()
        sgd.step()

    return step


def plain_seconds(given: argparse.Namespace, step: Callable, loader: DataLoader, device: torch.device) -> float:
    """Seconds a step of the usual loop, data included, once the batches that workers made ahead are used up."""
    ahead = 2 * given.workers + 1
    steps = max(given.steps, 2 * ahead)
    endless = chain.from_iterable(repeat(loader))
    for _ in range(ahead):
        step(*next(endless))
    cost.synchronize(device)
    start = time.perf_counter()
    for _ in range(steps):
        step(*next(endless))
    cost.synchronize(device)
    return (time.perf_counter() - start) / steps


def apart(given: argparse.Namespace, fabric: Fabric) -> dict[str, Step]:
    """CAAM and SSAM, and the fusion loss, forward and backward by themselves, on features of the right shape."""
    config = common.configuration(given, "cmr", given.backbone)
    method = build(config, given.classes).to(fabric.device)
    with torch.no_grad():
        shape = method.eval().backbone(torch.zeros(1, 3, given.size, given.size, device=fabric.device)).shape[1:]
    method.train()
    if given.compile:
        for part in attention(method):
            part.compile()
    dtype = torch.bfloat16 if precision(config, fabric.device) == "bf16-mixed" else torch.float32
    like = {"device": fabric.device, "dtype": dtype}
    features = [torch.rand(given.batch, *shape, **like).to(memory_format=torch.channels_last) for _ in "xy"]
    maps = [torch.randn(given.batch, *shape[1:], **like).requires_grad_() for _ in "xy"]
    for feature in features:
        feature.requires_grad_()
    ones = [torch.ones_like(feature) for feature in features]

    def attend() -> None:
        with flushed(), fabric.autocast():
            outputs = method.net.attend(*features)
            torch.autograd.backward([output.to(dtype) for output in outputs], ones)

    def through(caam: CAAM) -> Step:
        def step() -> None:
            with flushed(), fabric.autocast():
                outputs = caam(*features)
                torch.autograd.backward(outputs, ones)

        return step

    def fuse() -> None:
        with fabric.autocast():
            loss = fusion_loss(*maps)
        loss.backward()

    ways = {f"CAAM ({kernel})": through(CAAM(kernel=kernel).to(fabric.device)) for kernel in ("fused", "shared")}
    return {"attention": attend, **ways, "fusion loss": fuse}


def peak_flops(side: int, device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of one large matrix product, the best of ten; as a product and as a 1x1 convolution.

    On a CPU the two go to different libraries, and the convolution may be the faster one.
    """
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    image = a.view(1, 32, side // 32, side).permute(0, 3, 1, 2)  # channels last: the same product, without a copy
    ways = {"product": lambda: a @ b, "convolution": lambda: nn.functional.conv2d(image, b[:, :, None, None])}
    seconds = cost.interleaved(ways, 10, device, 3)
    return 2 * side**3 / min(min(values) for values in seconds.values())


def measure(given: argparse.Namespace, fabric: Fabric, folder: Path) -> dict[str, Any]:
    """All numbers; see the top of this file."""
    device = fabric.device
    config = common.configuration(given, "cmr", given.backbone)
    images = pictures(given.images)
    paths = [folder / f"{i}.jpg" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path, quality=90)
    batches = resident(images, given, config.resize, device)
    loader = DataLoader(
        Jpegs(paths, given.classes, config.resize, given.size),
        given.batch,
        shuffle=True,
        num_workers=given.workers,
        pin_memory=device.type == "cuda",
        drop_last=True,
        persistent_workers=given.workers > 0,
    )
    loaded = next(iter(loader))

    def usual(_compiled: bool) -> Step:
        step = plain(given, device)
        return lambda: step(*loaded)

    makers: dict[str, Callable[[bool], Step]] = {
        "bare": lambda compiled: bare(given, fabric, compiled),
        "cam": lambda compiled: ours(given, fabric, compiled, "cam", batches),
        "cmr": lambda compiled: ours(given, fabric, compiled, "cmr", batches),
        "plain": usual,
    }
    rows: dict[str, dict[str, Any]] = {}
    for name, make in makers.items():

        def two_steps(make: Callable[[bool], Step] = make) -> None:
            step = make(given.compile)
            step()
            step()  # the first one makes the optimizer's state

        arithmetic = cost.multiply_adds(make(False))  # compiled code would not be seen
        gc.collect()
        rows[name] = {"step": name, "multiply_adds": arithmetic, "memory_mb": cost.peak_memory_mb(two_steps, device)}
        gc.collect()

    steps = {name: makers[name](given.compile) for name in ("bare", "cam", "cmr")}
    loop = plain(given, device)
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(given.rounds):
        for name, values in cost.interleaved(steps, 3, device, given.steps).items():
            seconds[name].append(statistics.median(values))
        seconds["plain"].append(plain_seconds(given, loop, loader, device))
    pieces = cost.interleaved(apart(given, fabric), 3 * given.rounds, device, given.steps)
    mixed = precision(config, device) == "bf16-mixed"
    peak = peak_flops(given.matrix, device, torch.bfloat16 if mixed else torch.float32)
    for name, row in rows.items():
        each = statistics.median(seconds[name])
        rate = 2 * row["multiply_adds"] / each
        row |= {"ms": round(1e3 * each, 3), "images_a_second": round(given.batch / each, 1)}
        row |= {"tflops": round(rate / 1e12, 4), "share_of_peak": round(rate / peak, 4)}
    return {
        "peak_tflops": round(peak / 1e12, 4),
        "rows": list(rows.values()),
        "apart_ms": {name: round(1e3 * statistics.median(values), 4) for name, values in pieces.items()},
        "speeds": {name: round(cost.ratio(seconds[b], seconds[a]), 3) for name, (a, b) in SPEEDS.items()},
    }


def show(given: argparse.Namespace, found: dict[str, Any]) -> None:
    """Prints the numbers."""
    headings = ("ms", "images/s", "GMAC/image", "TFLOP/s", "of peak", "memory, MiB")
    print(f"{'step':<8}" + "".join(f"{heading:>13}" for heading in headings))
    for row in found["rows"]:
        each = row["multiply_adds"] / given.batch / 1e9
        numbers = f"{row['ms']:>13.2f}{row['images_a_second']:>13.1f}{each:>13.3f}{row['tflops']:>13.3f}"
        print(f"{row['step']:<8}{numbers}{row['share_of_peak']:>13.1%}{row['memory_mb']:>13.0f}")
    whole = next(row["ms"] for row in found["rows"] if row["step"] == "cmr")
    print(f"\none matrix product of side {given.matrix}: {found['peak_tflops']:.3f} TFLOP/s")
    for name, value in found["apart_ms"].items():
        print(f"{name} forward and backward, alone: {value:.3f} ms, {value / whole:.1%} of the step `cmr`")
    print("images per second: " + ", ".join(f"{name} {value:.2f}" for name, value in found["speeds"].items()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables, and writes them where that is asked."""
    parser = common.parser(__doc__, PRESETS)
    parser.add_argument("--backbone", help="the network")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False, help="all but `plain`")
    for name, text in {
        "size": "side of the images",
        "batch": "images in a step",
        "classes": "classes of the classifier",
        "rounds": "rounds of timing",
        "steps": "steps timed as one",
        "images": "resident images, and JPEG files for `plain`",
        "workers": "processes of the DataLoader of `plain`",
        "matrix": "side of the matrix product that gives the peak",
    }.items():
        parser.add_argument(f"--{name}", type=int, help=text)
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    given = common.filled(parser.parse_args(arguments), PRESETS)
    if given.images < given.batch:
        parser.error(f"--images: {given.images} images do not make a batch of {given.batch}; give at least that many")
    try:
        config = common.configuration(given, "cmr", given.backbone)
        fabric = make_fabric(config)
    except UserError as error:
        parser.error(str(error))

    chosen = {name: getattr(given, name) for name in (*PRESETS["paper"], "compile")}
    about = chosen | common.circumstances(config, fabric.device)
    print(f"{about['environment']['device']}, {about['precision']}, {given.batch} images of {given.size} px")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given, fabric, Path(folder))
    show(given, found)
    common.write(given, "train", arguments, about, found)


if __name__ == "__main__":
    main()

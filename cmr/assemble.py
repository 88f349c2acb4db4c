"""Builds what a configuration describes: device and precision, data, method."""

import logging
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from cmr.config import Config
from cmr.data.images import Batches
from cmr.data.split import Split
from cmr.errors import UserError
from cmr.methods import METHODS
from cmr.methods.method import Method
from cmr.nets.backbones import build_backbone

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def make_fabric(config: Config) -> "Fabric":
    """The one place that decides device, processes and precision."""
    from lightning.fabric import Fabric  # it takes seconds to load
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # the record says what Fabric would announce
    device = device_of(config.device)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # set by torchrun
    if device.index is not None and processes > 1:
        raise UserError(f"device: {config.device} is one GPU, and {processes} processes want one each; give cuda")
    fabric = Fabric(
        accelerator=device.type,
        devices=processes if device.index is None else [device.index],
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", 1)),
        strategy="ddp" if "LOCAL_WORLD_SIZE" in os.environ else "auto",
        # Named, or the variables of a scheduler around a single process (SLURM's, MPI's) are taken for a cluster.
        plugins=TorchElasticEnvironment() if "LOCAL_WORLD_SIZE" in os.environ else LightningEnvironment(),
        precision=precision(config, device),
    )
    if config.batch_size % fabric.world_size:
        raise UserError(
            f"batch_size: {config.batch_size} cannot be shared by {fabric.world_size} processes; give a multiple"
        )
    fabric.launch()
    return fabric


def make_lone_fabric(config: Config) -> "Fabric":
    """The same for work that is not shared by processes.

    Raises:
        UserError: there are several.
    """
    if "LOCAL_WORLD_SIZE" in os.environ and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise UserError(
            "torchrun: this is the work of one process, only a training is shared; call it without torchrun"
        )
    return make_fabric(config)


def device_of(name: str) -> torch.device:
    """The device of this name; `auto` is a GPU where torch sees one.

    Raises:
        UserError: there is no such device here.

    Example:
        >>> device_of("cpu")
        device(type='cpu')
    """
    kind, _, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not (kind == "cuda" and number.isdigit())):
        raise UserError(f"device: '{name}' is not one of auto, cpu, cuda, cuda:N")
    if kind == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    there = {"cpu": 1, "cuda": torch.cuda.device_count()}[kind]
    if int(number or 0) >= there:
        seen = f"{there or 'no'} GPU{'s' * (there > 1)}"
        raise UserError(f"device: {name} was asked for, but torch sees {seen} of this kind; take --device cpu")
    return torch.device(name)


def precision(config: Config, device: torch.device) -> Literal["32-true", "bf16-mixed"]:
    """The arithmetic in Fabric's words; "auto" is bfloat16 where that is faster.

    On a CPU that is where `fast_bfloat16` says so, but not for `tiny`: what a book shows live is then computed alike on
    every machine.
    """
    if config.precision != "auto":
        return config.precision
    fast = device.type == "cuda" or (config.backbone != "tiny" and fast_bfloat16())
    return "bf16-mixed" if fast else "32-true"


@cache
def fast_bfloat16(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether this processor convolves faster in bfloat16 than in float32, by its flags.

    AMX has units for it. AVX-512's instruction for it made a 3x3 convolution of 256 channels 2.0 times as fast on an
    AMD EPYC (family 26), but 0.65 times on an Intel Xeon without AMX; so it counts on AMD alone.
    """
    try:
        text = Path(cpuinfo).read_text()
    except OSError:
        return False
    flags = set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())
    return "amx_bf16" in flags or ("avx512_bf16" in flags and "AuthenticAMD" in text)


def build(config: Config, classes: int) -> Method:
    """The untrained method of a configuration, its backbone with the weights that it starts from."""
    backbone = build_backbone(config.backbone, config.weights, config.stride or None, partial=config.partial_weights)
    backbone.require_side(config.image_size)
    return METHODS[config.method](backbone, classes, config.settings)


def reading(config: Config, progress: bool) -> dict:
    """How images come to the device, as keyword arguments of `Batches`."""
    resident = {"auto": None, "yes": True, "no": False}[config.resident]
    return {"resident": resident, "workers": config.workers, "progress": progress}


def batches_for_test(split: Split, config: Config, device: torch.device, progress: bool = True) -> Batches:
    """The test images at the size that the test crop needs."""
    side = config.resize if config.test_crop == "classic" else config.image_size
    return Batches(split, side, 2 * config.batch_size, device, **reading(config, progress))

"""What a configuration stands for, ready to use: device and precision, data, method."""

import logging
import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from lightning.fabric import Fabric
from torch import nn

from cmr import runs
from cmr.backbones import build_backbone
from cmr.config import Config
from cmr.data import load
from cmr.data.images import Batches
from cmr.data.split import Split
from cmr.errors import UserError
from cmr.methods import METHODS

logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # the record says what Fabric would announce


def make_fabric(config: Config) -> Fabric:
    """The one place that decides device, processes and precision."""
    if config.device not in ("auto", "cpu", "cuda"):
        raise UserError(f"device: '{config.device}' is not one of auto, cpu, cuda")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda was asked for, but torch sees no GPU; take --device cpu")
    accelerator = "cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu"
    # CAAM's softmax saturates: gradients below 1e-38, with which a CPU is many times slower, made a step of the method
    # take 1.7 times as long.
    torch.set_flush_denormal(True)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # set by torchrun
    fabric = Fabric(
        accelerator=accelerator,
        devices=processes,
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", 1)),
        strategy="ddp" if "LOCAL_WORLD_SIZE" in os.environ else "auto",
        precision=precision(config, torch.device(accelerator)),
    )
    if config.batch_size % fabric.world_size:
        raise UserError(
            f"batch_size: {config.batch_size} cannot be shared by {fabric.world_size} processes; give a multiple"
        )
    fabric.launch()
    return fabric


def precision(config: Config, device: torch.device) -> str:
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


def splits(config: Config) -> tuple[Split, Split]:
    """The training and the test split; with `holdout`, both come from the training images and test is untouched."""
    train_split = load(config.data, config.data_root, "train", config.data_settings)
    if not config.holdout:
        test_split = load(config.data, config.data_root, "test", config.data_settings)
        if train_split.classes != test_split.classes:
            raise UserError(f"{train_split.dataset}: the training and the test split have different classes")
        return train_split, test_split
    generator = np.random.default_rng(0)  # the held-out part is the same for every seed
    held = np.zeros(len(train_split), dtype=bool)
    for label in range(len(train_split.classes)):
        members = np.flatnonzero(train_split.labels == label)
        held[generator.permutation(members)[: round(config.holdout * len(members))]] = True
    return train_split.subset(np.flatnonzero(~held)), replace(train_split.subset(np.flatnonzero(held)), split="holdout")


def build(config: Config, classes: int) -> nn.Module:
    """The untrained method of a configuration, its backbone with the weights that it starts from."""
    backbone = build_backbone(config.backbone, config.weights, config.stride or None, partial=config.partial_weights)
    return METHODS[config.method](backbone, classes, config.settings)


def load_method(run: runs.Run, classes: int, config: Config | None = None) -> nn.Module:
    """The trained method of a finished run, on the CPU, ready for `localize`.

    Args:
        run: a finished run whose folder holds model.safetensors.
        classes: K.
        config: settings in place of the run's own, where only those of the test differ.

    Raises:
        UserError: the folder holds a record only (records are committed, models are not).
    """
    path = run.path / runs.MODEL
    if not path.is_file():
        raise UserError(
            f"{run.path}: no {runs.MODEL} there; only the record was kept. Train it again with: {run.record['command']}"
        )
    method = build(replace(config or run.config, weights="none"), classes)
    method.load_state_dict(safetensors.torch.load_file(path))
    return method.eval()


def reading(config: Config, progress: bool) -> dict:
    """How images come to the device, as keyword arguments of `Batches`."""
    resident = {"auto": None, "yes": True, "no": False}[config.resident]
    return {"resident": resident, "workers": config.workers, "progress": progress}


def batches_for_test(split: Split, config: Config, device: torch.device, progress: bool = True) -> Batches:
    """The test images at the size that the test crop needs."""
    side = config.resize if config.test_crop == "classic" else config.image_size
    return Batches(split, side, 2 * config.batch_size, device, **reading(config, progress))

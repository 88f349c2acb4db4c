"""Builds what a configuration describes: device and precision, data, method. Knows the names of all of them."""

import logging
import os
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from cmr.config import Config
from cmr.data import DATASETS, load
from cmr.data.images import Batches
from cmr.data.split import Split
from cmr.errors import UserError, require_known
from cmr.methods import METHODS
from cmr.methods.method import Method
from cmr.nets.backbones import BACKBONES, build_backbone

if TYPE_CHECKING:
    from lightning.fabric import Fabric


@dataclass(frozen=True)
class Preset:
    """Values that go together; a value for a method's or data set's own field counts where it has that field."""

    general: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    data_settings: dict[str, Any] = field(default_factory=dict)


# At 64 px the paper's cells of 16, 32, 44 and 56 in 224 become 5, 9, 13 and 16.
_TOY = {"sizes": (5, 9, 13, 16), "head_channels": 128}
PRESETS = {
    # seconds on a CPU: for trying things out and for tests
    "tiny": Preset(
        {"epochs": 2, "image_size": 32, "resize": 36, "lr_new": 1.0},
        {"sizes": (4, 8), "head_channels": 16},
        {"train": 64, "test": 32, "classes": 4, "size": 36},
    ),
    # minutes on a CPU: the book's live results. The start knows birds, though not these species; every part tells
    # something; one rate for the whole network; 1x1 branches, as a new 3x3 convolution hides what the start knows
    "toybirds": Preset(
        {"weights": "toybirds", "epochs": 6, "lr": 0.02, "lr_new": 1.0, "weight_decay": 5e-4},
        {**_TOY, "fuse_kernel": 1},
        {"train": 1200, "head": 0.7, "beak": 0.5, "body": 0.7, "wing": 0.7, "tail": 0.7, "legs": 0.5},
    ),
    # one's own pictures, few of them: a network that knows pictures, and steps of 4, so that 8 pictures are enough. CAM
    # has no weight of a loss to choose. The rate is what suited ResNet18 on CUB-50 in steps of 32 (0.002), made smaller
    # with the step
    "own": Preset(
        {
            "method": "cam",
            "data": "folder",
            "backbone": "resnet50",
            "weights": "imagenet",
            "image_size": 224,
            "resize": 256,
            "epochs": 20,
            "batch_size": 4,
            "lr": 0.0005,
        }
    ),
    # section 4.2 of the paper, as far as it says; the rest from the field's usual recipe
    "paper": Preset(
        {
            "data": "cub",
            "backbone": "resnet50",
            "weights": "imagenet",
            "image_size": 224,
            "resize": 256,
            "epochs": 50,
            "lr": 0.001,
            "schedule": "step",
        }
    ),
}


def make(
    preset: str = "toybirds", settings: dict | None = None, data_settings: dict | None = None, **general: Any
) -> Config:
    """A configuration from a preset and what differs from it.

    Args:
        preset: tiny, toybirds, own or paper.
        settings: the method's own settings that differ, by name.
        data_settings: the data set's own settings that differ, by name.
        **general: fields of `Config` that differ.

    Returns:
        The checked configuration.

    Raises:
        UserError: an unknown name (the message names the nearest known one) or a value that cannot be.

    Example:
        >>> config = make("tiny", method="cmr", settings={"beta": 1.0}, epochs=3)
        >>> config.epochs, config.settings.beta, config.settings.sizes
        (3, 1.0, (4, 8))
        >>> make("tiny", epoch=3)
        Traceback (most recent call last):
        cmr.errors.UserError: unknown parameter 'epoch': did you mean 'epochs'? Known: ...
    """
    require_known(preset, "preset", PRESETS)
    chosen = PRESETS[preset]
    names = {item.name for item in fields(Config)} - {"settings", "data_settings"}
    for name in general:
        require_known(name, "parameter", names)
    values = chosen.general | general
    method, data = values.get("method", Config.method), values.get("data", Config.data)
    require_known(method, "method", METHODS)
    require_known(data, "data set", DATASETS)
    own = _settings(METHODS[method].Settings, chosen.settings, settings or {}, f"setting of method '{method}'")
    data_own = _settings(
        DATASETS[data].Settings, chosen.data_settings, data_settings or {}, f"setting of data set '{data}'"
    )
    return checked(Config(own, data_own, **_tuples(values)))


def preset_for(data: str | None) -> str:
    """The preset that suits a data set where none was asked for: "own" for one's own folder, else "toybirds"."""
    return "own" if data == PRESETS["own"].general["data"] else "toybirds"


def checked(config: Config) -> Config:
    """The configuration, whose method, data set and network are known. Raises `UserError` for one that is not."""
    require_known(config.method, "method", METHODS)
    require_known(config.data, "data set", DATASETS)
    require_known(config.backbone, "backbone", BACKBONES)
    return config


def _settings(kind: type, preset: dict, given: dict, what: str) -> Any:
    names = {item.name for item in fields(kind)}
    for name in given:
        require_known(name, what, names)
    values = {name: value for name, value in preset.items() if name in names} | given
    return kind(**_tuples(values))


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Lists, which is what JSON and TOML have, as the tuples of a frozen dataclass."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def from_dict(values: dict[str, Any]) -> Config:
    """The configuration that `Config.to_dict` wrote, as read from a JSON record."""
    values = dict(values)
    settings, data_settings = values.pop("settings"), values.pop("data_settings")
    names = {item.name for item in fields(Config)}
    for name in values:
        require_known(name, "parameter", names)
    method = METHODS[values["method"]].Settings
    before = getattr(method, "BEFORE", {})
    settings = {
        name: before.get((name, value), value) if isinstance(value, str) else value for name, value in settings.items()
    }
    own = _settings(method, {}, settings, "setting")
    data_own = _settings(DATASETS[values["data"]].Settings, {}, data_settings, "setting")
    return checked(Config(own, data_own, **_tuples(values)))


def make_fabric(config: Config) -> "Fabric":
    """The one place that decides device, processes and precision."""
    from lightning.fabric import Fabric  # it takes seconds to load
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # the record says what Fabric would announce
    if config.device not in ("auto", "cpu", "cuda"):
        raise UserError(f"device: '{config.device}' is not one of auto, cpu, cuda")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda was asked for, but torch sees no GPU; take --device cpu")
    accelerator = "cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu"
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # set by torchrun
    fabric = Fabric(
        accelerator=accelerator,
        devices=processes,
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", 1)),
        strategy="ddp" if "LOCAL_WORLD_SIZE" in os.environ else "auto",
        # Named, or the variables of a scheduler around a single process (SLURM's, MPI's) are taken for a cluster.
        plugins=TorchElasticEnvironment() if "LOCAL_WORLD_SIZE" in os.environ else LightningEnvironment(),
        precision=precision(config, torch.device(accelerator)),
    )
    if config.batch_size % fabric.world_size:
        raise UserError(
            f"batch_size: {config.batch_size} cannot be shared by {fabric.world_size} processes; give a multiple"
        )
    fabric.launch()
    return fabric


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


def splits(config: Config) -> tuple[Split, Split]:
    """The training and the test split; with `holdout`, both come from the training images and test is untouched."""
    train_split = load(config.data, config.data_root, "train", config.data_settings)
    if not config.holdout:
        test_split = load(config.data, config.data_root, "test", config.data_settings)
        if train_split.classes != test_split.classes:
            raise UserError(f"{train_split.dataset}: the training and the test split have different classes")
        return train_split, test_split
    if not round(config.holdout * np.bincount(train_split.labels).max()):
        raise UserError(f"holdout: {config.holdout} of {len(train_split)} training images holds out none; give more")
    generator = np.random.default_rng(0)  # the held-out part is the same for every seed
    held = np.zeros(len(train_split), dtype=bool)
    for label in range(len(train_split.classes)):
        members = np.flatnonzero(train_split.labels == label)
        held[generator.permutation(members)[: round(config.holdout * len(members))]] = True
    return train_split.subset(np.flatnonzero(~held)), replace(train_split.subset(np.flatnonzero(held)), split="holdout")


def build(config: Config, classes: int) -> Method:
    """The untrained method of a configuration, its backbone with the weights that it starts from."""
    backbone = build_backbone(config.backbone, config.weights, config.stride or None, partial=config.partial_weights)
    return METHODS[config.method](backbone, classes, config.settings)


def reading(config: Config, progress: bool) -> dict:
    """How images come to the device, as keyword arguments of `Batches`."""
    resident = {"auto": None, "yes": True, "no": False}[config.resident]
    return {"resident": resident, "workers": config.workers, "progress": progress}


def batches_for_test(split: Split, config: Config, device: torch.device, progress: bool = True) -> Batches:
    """The test images at the size that the test crop needs."""
    side = config.resize if config.test_crop == "classic" else config.image_size
    return Batches(split, side, 2 * config.batch_size, device, **reading(config, progress))

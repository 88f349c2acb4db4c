"""What the benchmarks of training share: common options, the configuration of a cell, the file that they leave."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cmr.assemble import precision
from cmr.config import Config
from cmr.files import write_json
from cmr.plain import to_plain
from cmr.presets import make
from cmr.study.machine import environment, portable_command
from cmr.study.records import now


def parser(about: str, presets: Mapping[str, Any]) -> argparse.ArgumentParser:
    """An argument parser with the options that both have."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--preset", choices=presets, default="paper", help="tiny: seconds, to try the script out")
    made.add_argument("--device", default="auto", help="auto, cpu or cuda")
    made.add_argument("--precision", default="auto", help="auto, 32-true or bf16-mixed")
    return made


def filled(given: argparse.Namespace, presets: Mapping[str, Mapping[str, Any]]) -> argparse.Namespace:
    """The options with the preset's values where none were given."""
    for name, value in presets[given.preset].items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def configuration(given: argparse.Namespace, method: str, backbone: str) -> Config:
    """Published settings at `--size`; a learning rate near 0, since random images teach nothing but to overflow."""
    return make(
        given.preset,
        method=method,
        backbone=backbone,
        weights="none",
        image_size=given.size,
        resize=given.size * 8 // 7,  # 256 for 224
        batch_size=given.batch,
        device=given.device,
        precision=given.precision,
        lr=1e-6,
    )


def circumstances(config: Config, device: torch.device) -> dict[str, Any]:
    """What the numbers hang on beside the options: arithmetic, how memory is counted, machine."""
    return {
        "precision": precision(config, device),
        "memory": "storages of tensors" if device.type == "cpu" else "GPU allocator",
        "environment": to_plain(environment(device)),
    }


def on_cpu() -> dict[str, Any]:
    """Machine and versions of a benchmark that runs on the CPU."""
    return {"environment": to_plain(environment(torch.device("cpu")))}


def write(
    given: argparse.Namespace, name: str, arguments: Sequence[str] | None, about: dict[str, Any], found: dict[str, Any]
) -> None:
    """Writes the file of `--out`, where that is asked."""
    if given.out:
        asked = portable_command(
            ["python", "-m", f"benchmarks.{name}", *(sys.argv[1:] if arguments is None else arguments)]
        )
        write_json(given.out, {"command": asked, "finished": now(), **about, **found})

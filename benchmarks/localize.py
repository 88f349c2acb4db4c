"""How long `cmr localize` takes: `python -m benchmarks.localize`.

Two questions. *One picture from a cold start*: five programs take turns, each going one step further than the one
before, so that the differences say where the time goes. *A folder of pictures*: the whole command in this process,
loading, decoding, drawing and writing included, beside the network's forward passes alone on one batch in memory; the
passes are timed before and after each call. The pictures are those of CUB-50, enlarged to what the web has; the weights
are random, since no speed hangs on them. `--out` keeps the numbers as JSON.
"""

import argparse
import contextlib
import io
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from benchmarks.common import on_cpu, write
from cmr.data import load
from cmr.data.split import Split
from cmr.pictures.folder import localize_pictures
from cmr.pictures.localizer import BATCH, Localizer

PROGRAMS = {
    "Python": "pass",
    "import torch": "import torch",
    "import the rest": "import cmr.pictures.folder",
    "load the network": "import cmr; cmr.Localizer({backbone!r}, {weights!r}, device='cpu')",
    "the whole command": "",
}
PASSES = 5  # batches in each measurement of the network alone


def pictures(split: Split, folder: Path, count: int, side: int) -> None:
    """Writes `count` pictures of a split as JPEG files, their longer side enlarged to `side`."""
    folder.mkdir(parents=True)
    for i in range(count):
        picture = Image.fromarray(split.read(i % len(split)))
        scale = side / max(picture.size)
        large = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
        large.save(folder / f"{i:04}.jpg", quality=92)


def seconds(call: Callable[[], Any]) -> float:
    """Wall time of one call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def cold(backbone: str, weights: Path, picture: Path, out: Path, rounds: int) -> dict[str, float]:
    """Median seconds of each program; every call of the command writes into a new folder."""
    found: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for turn in range(rounds + 1):
        for name, program in PROGRAMS.items():
            code = ["-c", program.format(backbone=backbone, weights=str(weights))]
            whole = ["-m", "cmr", "localize", str(picture), "--out", str(out / str(turn)), "--weights", str(weights)]
            whole += ["--backbone", backbone, "--device", "cpu"]
            words = [sys.executable, *(code if program else whole)]
            took = seconds(lambda words=words: subprocess.run(words, check=True, capture_output=True))  # type: ignore[misc]
            if turn:  # the first round fills the system's cache of files
                found[name].append(took)
    return {name: round(statistics.median(times), 2) for name, times in found.items()}


def folder(backbone: str, weights: Path, given: Path, out: Path, rounds: int) -> list[dict[str, float]]:
    """For each round: pictures per second of the command, of the network before and after it, and their ratio."""
    names = sorted(given.iterdir())
    localizer = Localizer(backbone, weights, device="cpu")
    seen = [localizer.seen(Image.open(name).convert("RGB")) for name in names[:BATCH]]
    batch = localizer.model.prepare(torch.stack(seen))

    def forward() -> None:
        with torch.no_grad():
            for _ in range(PASSES):
                localizer.model.read(batch, lambda logits: logits.topk(1, dim=1).indices)

    def command(turn: int) -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            localize_pictures(given, out / str(turn), backbone=backbone, weights=weights, device="cpu")

    forward()
    found = []
    for turn in range(rounds):
        before = seconds(forward)
        whole = seconds(lambda turn=turn: command(turn))  # type: ignore[misc]
        network = len(batch) * PASSES / statistics.mean([before, seconds(forward)])
        row = {"command": len(names) / whole, "network": network, "ratio": len(names) / whole / network}
        found.append({name: round(value, 3) for name, value in row.items()})
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--backbone", default="resnet50")
    made.add_argument("--data-root", default="../shared/data/CUB_200_2011_first50")
    made.add_argument("--pictures", type=int, default=1000)
    made.add_argument("--side", type=int, default=500, help="longer side of the pictures, in pixels")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--out", help="JSON file for the numbers")
    given = made.parse_args(arguments)
    place = Path(tempfile.mkdtemp(prefix="cmr-"))
    try:
        pictures(load("cub", given.data_root, "test"), place / "pictures", given.pictures, given.side)
        weights = place / "weights.safetensors"
        save_file(timm.create_model(given.backbone).state_dict(), weights)
        started = cold(given.backbone, weights, place / "pictures/0000.jpg", place / "cold", given.rounds)
        print("seconds from a cold start:", started, flush=True)
        rows = folder(given.backbone, weights, place / "pictures", place / "folder", given.rounds)
    finally:
        shutil.rmtree(place)
    print("pictures per second:", *rows, sep="\n")
    about = {key: getattr(given, key) for key in ("backbone", "pictures", "side", "rounds")}
    about |= on_cpu()
    ratio = statistics.median(row["ratio"] for row in rows)
    write(given, "localize", arguments, about, {"cold_start_s": started, "folder": rows, "ratio": round(ratio, 3)})


if __name__ == "__main__":
    main()

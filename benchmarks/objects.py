"""What `cmr localize` finds on photographs with several objects: `python -m benchmarks.objects`.

ILSVRC-20's 500 test images, apart by their number of true boxes, with the default rule and each network. Three ways to
ask: one box, `--objects all`, and `--objects all --top 2`. A box finds a true one at an IoU of 0.5 or more, whatever
its class; boxes and true boxes are paired one to one. `--out` keeps the numbers, and where they come from, as JSON.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.common import on_cpu, write
from cmr.data import load
from cmr.data.split import Split
from cmr.metrics.objects import object_scores
from cmr.nets.published import weights_fingerprint
from cmr.pictures.localizer import Localizer
from cmr.pictures.result import Localization

NETS = ("resnet18", "resnet50")
WAYS = ("one box", "--objects all", "--objects all --top 2")
GROUPS = {"1": (1, 1), "2": (2, 2), "3 or more": (3, 10**6)}  # true boxes in the image


def found_by(way: str, result: Localization) -> np.ndarray:
    """Boxes (k, 4) of one result for the two likeliest classes, as shares of the picture, by one way of asking."""
    of_first = [one.box for one in result.objects if one.index == result.objects[0].index]
    boxes = {"one box": of_first[:1], "--objects all": of_first}.get(way, [one.box for one in result.objects])
    return np.array(boxes) / (2 * result.picture.size)


def judged(localizer: Localizer, split: Split) -> list[dict[str, Any]]:
    """A row for each way and each number of true boxes."""
    pictures = ((split.ids[i], Image.fromarray(split.read(i))) for i in range(len(split)))
    results = list(localizer.stream(pictures))
    truth = [boxes / np.tile(size, 2) for boxes, size in zip(split.boxes, split.sizes, strict=True)]
    rows = []
    for way in WAYS:
        boxes = [found_by(way, result) for result in results]
        for name, (low, high) in GROUPS.items():
            inside = [i for i, true in enumerate(truth) if low <= len(true) <= high]
            scores = asdict(object_scores([boxes[i] for i in inside], [truth[i] for i in inside]))
            rounded = {key: round(value, 2) for key, value in scores.items()}
            rows.append({"way": way, "true boxes": name, "images": len(inside), **rounded})
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Judges, prints and writes."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data-root", default="../shared/data/ILSVRC_20")
    for net in NETS:
        made.add_argument(f"--{net}", default=f"../shared/weights/{net}_imagenet_pq_fp16.safetensors.xz")
    made.add_argument("--out")
    given = made.parse_args(arguments)
    split = load("ilsvrc", given.data_root, "test")
    rows = []
    for net in NETS:
        localizer = Localizer(net, getattr(given, net), objects="all", top=2, device="cpu")
        rows += [{"network": net, **row} for row in judged(localizer, split)]
        print(*rows[-len(WAYS) * len(GROUPS) :], sep="\n", flush=True)
    images = {split.dataset: {"images": len(split), "fingerprint": split.fingerprint}}
    weights = {net: weights_fingerprint(getattr(given, net)) for net in NETS}
    write(given, "objects", arguments, {**on_cpu(), "data": images, "weights": weights}, {"rows": rows})


if __name__ == "__main__":
    main()

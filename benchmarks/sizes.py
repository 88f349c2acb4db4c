"""What looking at several sizes adds to the rule of `cmr localize`: `python -m benchmarks.sizes --features DIR`.

The rule's map, normaliser and threshold on ILSVRC-20's 500 images, the ones that chose it, with one view, two (the
mirror image) and four (both at 320 pixels, too). Functions and terms are those of `benchmarks.boxes`; `--out` keeps the
numbers, and where they come from, as JSON.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.boxes import NETS, VIEWS, Data, measured
from cmr.data import load
from cmr.files import write_json
from cmr.nets.imagenet import build_classifier
from cmr.nets.weights import weights_fingerprint
from cmr.pictures.rule import RULES
from cmr.plain import to_plain
from cmr.study.machine import environment, portable_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--ilsvrc", default="../shared/data/ILSVRC_20")
    for net in NETS:
        made.add_argument(f"--{net}", default=f"../shared/weights/{net}_imagenet_pq_fp16.safetensors.xz")
    made.add_argument("--features", type=Path, help="folder in which features are kept")
    made.add_argument("--out", help="JSON file for the numbers")
    given = made.parse_args(arguments)
    split, rule, rows = load("ilsvrc", given.ilsvrc, "test"), RULES["boxes"], []
    for net in NETS:
        classifier = build_classifier(net, getattr(given, net)).to(memory_format=torch.channels_last)
        data = Data(split, net, classifier, max(VIEWS), given.features)
        for views in VIEWS:
            found = measured(data, ("positive", views, rule.normalise, f"{rule.threshold:g}"))
            rows.append({"network": net, "views": views, **found})
            print(rows[-1], flush=True)
    if given.out:
        words = sys.argv[1:] if arguments is None else arguments
        about = {
            "command": portable_command(["python", "-m", "benchmarks.sizes", *words]),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "environment": to_plain(environment(torch.device("cpu"))),
            "weights": {net: weights_fingerprint(getattr(given, net)) for net in NETS},
            "data": {split.dataset: {"images": len(split), "fingerprint": split.fingerprint}},
        }
        write_json(given.out, {**about, "rows": rows})


if __name__ == "__main__":
    main()

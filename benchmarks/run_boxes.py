"""Which rule makes the better boxes out of trained runs: `python -m benchmarks.run_boxes runs/RUN ...`.

Each run localizes its own test images as `cmr localize --run` does, by the rule for boxes and by the test that its
record names. Both are judged: neither was chosen on these images. A box is right at an IoU of 0.5 or more with a true
box, for the likeliest class, whatever that class is; it is whole if it covers more than 90 % of the picture.
`--data-root` says where data that is not generated lies; `--out` keeps the numbers, and where they come from, as JSON.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from benchmarks.boxes import worth
from benchmarks.common import on_cpu, write
from cmr.data.split import Split
from cmr.pictures.localizer import Localizer
from cmr.study import runs
from cmr.study.splits import splits

RULES = {"run's test": "run", "boxes": "boxes"}


def judged(localizer: Localizer, split: Split) -> dict[str, float]:
    """Percent of the images whose first box is right, and whose first box is the whole picture."""
    pictures = ((split.ids[i], Image.fromarray(split.read(i))) for i in range(len(split)))
    results = [(found.box, 2 * found.picture.size) for found in localizer.stream(pictures)]
    boxes = np.array([box for box, _ in results]) / np.array([size for _, size in results])
    return worth(boxes, split)


def row_of(folder: str, data_root: str = "") -> dict:
    """What one run's boxes are worth by each rule, and which run it is."""
    run = runs.read(folder)
    _, test = splits(replace(run.config, data_root=data_root or run.config.data_root))
    found = {name: judged(Localizer(run=folder, rule=rule, device="cpu"), test) for name, rule in RULES.items()}
    about = {"run": run.id, "method": run.config.method, "backbone": run.config.backbone, "data": test.dataset}
    return {**about, "images": len(test), "fingerprint": test.fingerprint, **found}


def main(arguments: Sequence[str] | None = None) -> None:
    """Judges, prints and writes."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("runs", nargs="+")
    made.add_argument("--data-root", default="")
    made.add_argument("--out")
    given = made.parse_args(arguments)
    rows = []
    for folder in given.runs:
        rows.append(row_of(folder, given.data_root))
        print(rows[-1], flush=True)
    write(given, "run_boxes", arguments, on_cpu(), {"rows": rows})


if __name__ == "__main__":
    main()

"""What looking at several sizes adds to the rule of `cmr localize`: `python -m benchmarks.sizes --features DIR`.

The rule's map, normaliser and threshold on ILSVRC-20's 500 images, the ones that chose it, with one view, two (the
mirror image) and four (both at 320 pixels, too). Functions and terms are those of `benchmarks.boxes`; `--out` keeps the
numbers, and where they come from, as JSON.
"""

from collections.abc import Sequence

import torch

from benchmarks.boxes import NETS, VIEWS, Data, measured, parser
from benchmarks.common import on_cpu, write
from cmr.data import load
from cmr.nets.imagenet import build_classifier
from cmr.nets.published import weights_fingerprint
from cmr.pictures.rule import RULES


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    given = parser(__doc__).parse_args(arguments)
    split, rule, rows = load("ilsvrc", given.ilsvrc, "test"), RULES["boxes"], []
    for net in NETS:
        classifier = build_classifier(net, getattr(given, net)).to(memory_format=torch.channels_last)
        data = Data(split, net, classifier, max(VIEWS), given.features)
        for views in VIEWS:
            found = measured(data, ("positive", views, rule.normalise, f"{rule.threshold:g}"))
            rows.append({"network": net, "views": views, **found})
            print(rows[-1], flush=True)
    images = {split.dataset: {"images": len(split), "fingerprint": split.fingerprint}}
    weights = {net: weights_fingerprint(getattr(given, net)) for net in NETS}
    write(given, "sizes", arguments, {**on_cpu(), "data": images, "weights": weights}, {"rows": rows})


if __name__ == "__main__":
    main()

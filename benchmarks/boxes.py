"""Which rule makes the best boxes out of an ImageNet classifier: `python -m benchmarks.boxes`.

A rule is a map, one view or two (the mirror image), a normaliser and a threshold. It is chosen on ILSVRC-20's 500
images with both networks: the most boxes right (IoU of 0.5 or more with a true box, for the likeliest class), of those
rules that give at most 3 % whole-picture boxes (more than 90 % of the area), means over the networks. It is judged on
CUB-50's 1,389 test images, which have no part in the choice. `--features` keeps the networks' features, which take most
of the time; `--out` keeps the numbers, and where they come from, as JSON. What further sizes add: `benchmarks.sizes`.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.common import on_cpu, write
from cmr.data import load
from cmr.data.images import normalise as prepare
from cmr.data.split import Split
from cmr.maps.components import component_boxes
from cmr.maps.locate import NORMALISERS, normalise, resize
from cmr.metrics.contours.levels import quantise, score_levels
from cmr.metrics.objects import overlaps
from cmr.nets.imagenet import Classifier, build_classifier
from cmr.nets.published import weights_fingerprint

NETS = ("resnet18", "resnet50")
SIDE = 224
LARGE = 320
VIEWS = {1: ((SIDE, False),), 2: ((SIDE, False), (SIDE, True))}  # side of the image, and whether it is mirrored
VIEWS[4] = (*VIEWS[2], (LARGE, False), (LARGE, True))
GRID = 112  # on which rules are compared; the chosen ones are measured at 224
MOST_VIEWS = 2  # of a rule: four take three times as long
MAPS = ("cam", "positive", "mean-free", "five classes", "first component")
TAUS = tuple(round(0.05 * step, 2) for step in range(15))
PERCENTILES = (50, 60, 70, 80)
MOST_WHOLE = 3.0
TODAY = ("cam", 1, "minmax", "0.2")
Rule = tuple[str, int, str, str]


class Data:
    """One split with the features of one network, from all views."""

    def __init__(self, split: Split, net: str, classifier: Classifier, views: int, folder: Path | None) -> None:
        self.weight = classifier.head.weight.detach()[:, :, 0, 0]
        self.features = [features(split, net, classifier, *view, folder) for view in VIEWS[views]]
        self.bias = classifier.head.bias.detach()
        self.split = split

    def maps(self, kind: str, views: int) -> Tensor:
        """Raw maps (n, h, w) of the likeliest class, averaged on the grid of the finest view."""
        means = sum(f.mean((2, 3), dtype=torch.float32) for f in self.features[:views]) / views
        logits = means @ self.weight.T + self.bias
        made = [one_map(kind, f.float(), self.weight, logits) for f in self.features[:views]]
        return sum(resize(one, made[-1].shape[1:]) for one in made) / views


def features(split: Split, net: str, classifier: Classifier, side: int, mirror: bool, folder: Path | None) -> Tensor:
    """The last feature map of all images, (n, C, h, w) float16, seen from the picture where it was mirrored."""
    path = folder / f"{net}-{split.dataset.lower()}-{side}-{'mirror' if mirror else 'plain'}.npy" if folder else None
    if path and path.is_file():
        return torch.from_numpy(np.load(path))
    found = []
    for images in batches(split, side):
        with torch.no_grad():
            seen = classifier.backbone(images.flip(3) if mirror else images)
        found.append((seen.flip(3) if mirror else seen).half())
    made = torch.cat(found)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, made.numpy())
    return made


def batches(split: Split, side: int, size: int = 16) -> Iterator[Tensor]:
    """The images as the localizer prepares them."""
    for first in range(0, len(split), size):
        pictures = [Image.fromarray(split.read(i)) for i in range(first, min(first + size, len(split)))]
        small = [np.array(picture.resize((side, side), Image.Resampling.BILINEAR)) for picture in pictures]
        yield prepare(torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2)).contiguous(
            memory_format=torch.channels_last
        )


def one_map(kind: str, f: Tensor, weight: Tensor, logits: Tensor) -> Tensor:
    """Maps (n, h, w) of features (n, C, h, w) for the likeliest class of each image."""
    first = logits.argmax(1)
    positive = weight.clamp(min=0)
    if kind == "five classes":
        top = logits.softmax(1).topk(5, 1)
        shares = top.values / top.values.sum(1, keepdim=True)
        return torch.einsum("nchw,nc->nhw", f, (positive[top.indices] * shares[..., None]).sum(1))
    if kind == "first component":
        return component(f, torch.einsum("nchw,nc->nhw", f, positive[first]))
    weights = {"cam": weight, "positive": positive, "mean-free": weight - weight.mean(0)}[kind]
    return torch.einsum("nchw,nc->nhw", f, weights[first])


def component(f: Tensor, guide: Tensor) -> Tensor:
    """The first principal component of each picture's own features, with the sign that agrees with a map."""
    cells = f.flatten(2).transpose(1, 2)  # (n, C, h, w) -> (n, N, C)
    cells = cells - cells.mean(1, keepdim=True)
    vectors, values, _ = torch.linalg.svd(cells @ cells.transpose(1, 2))
    found = (vectors[:, :, 0] * values[:, :1].sqrt()).reshape(guide.shape)
    agrees = (found * (guide - guide.mean((1, 2), keepdim=True))).sum((1, 2), keepdim=True)
    return torch.where(agrees >= 0, found, -found)


def worth(boxes: np.ndarray, split: Split) -> dict[str, float]:
    """Percent of boxes (n, 4), one for each image, in shares of its sides, that are right, and that are the whole."""
    truth = (true / np.tile(size, 2) for true, size in zip(split.boxes, split.sizes, strict=True))
    best = np.array([overlaps(box[None], true).max(initial=0) for box, true in zip(boxes, truth, strict=True)])
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(1) > 0.9
    return {"right": round(100 * float((best >= 0.5).mean()), 2), "whole": round(100 * float(whole.mean()), 2)}


def levels_of(levels: np.ndarray) -> dict[str, np.ndarray]:
    """For each threshold, the level (n,) above which a pixel of maps (n, H, W) uint8 counts."""
    flat = levels.reshape(len(levels), -1)
    highest = flat.max(1).astype(float)
    found = {f"{tau:g}": (tau * highest).astype(int) for tau in TAUS}
    counts = np.stack([np.bincount(row, minlength=256) for row in flat]) / flat.shape[1]
    below, mass = counts.cumsum(1), (counts * np.arange(256)).cumsum(1)
    between = (mass[:, -1:] * below - mass) ** 2 / np.maximum(below * (1 - below), 1e-12)
    found["otsu"] = between.argmax(1)
    return found | {f"p{share}": np.percentile(flat, share, axis=1).astype(int) for share in PERCENTILES}


def compared(data: Data) -> dict[Rule, dict[str, float]]:
    """Every rule on one split with one network."""
    found = {}
    for (kind, views), how in itertools.product(itertools.product(MAPS, (1, MOST_VIEWS)), NORMALISERS):
        levels = quantise(normalise(resize(data.maps(kind, views), GRID), how))
        every = score_levels(levels, [np.zeros((0, 4), np.int64)] * len(levels), all_contours=False).box_largest
        for threshold, level in levels_of(levels).items():
            boxes = every[np.arange(len(levels)), level].astype(float)
            boxes[:, 2:] += boxes[:, 2:] == GRID - 1  # the benchmark's box ends a pixel late, but for the last one
            found[kind, views, how, threshold] = worth(boxes / GRID, data.split)
    return found


def measured(data: Data, rule: Rule) -> dict[str, float]:
    """A rule as the localizer carries it out, at 224 pixels."""
    kind, views, how, threshold = rule
    scoremaps = normalise(resize(data.maps(kind, views), SIDE), how).numpy()
    if threshold in {f"{tau:g}" for tau in TAUS}:
        taus = np.full(len(scoremaps), float(threshold))
    else:
        levels = quantise(scoremaps)
        taus = levels_of(levels)[threshold] / levels.max((1, 2)).clip(min=1) + 1e-9
    whole = np.array([[0, 0, SIDE, SIDE]])
    boxes = [component_boxes(m, tau) for m, tau in zip(scoremaps, taus, strict=True)]
    return worth(np.concatenate([(found if len(found) else whole)[:1] for found in boxes]) / SIDE, data.split)


def chosen(tables: Sequence[dict[Rule, dict[str, float]]], among: Sequence[Rule]) -> Rule:
    """The rule with the most boxes right, mean over networks, of those with few whole-picture boxes."""

    def mean(rule: Rule, what: str) -> float:
        return sum(table[rule][what] for table in tables) / len(tables)

    fit = [rule for rule in among if mean(rule, "whole") <= MOST_WHOLE] or list(among)
    return max(fit, key=lambda rule: (mean(rule, "right"), -mean(rule, "whole")))


def parser(about: str | None) -> argparse.ArgumentParser:
    """An argument parser with the places of images, weights and features."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--ilsvrc", default="../shared/data/ILSVRC_20")
    for net in NETS:
        made.add_argument(f"--{net}", default=f"../shared/weights/{net}_imagenet_pq_fp16.safetensors.xz")
    made.add_argument("--features", type=Path, help="folder in which features are kept")
    made.add_argument("--out", help="JSON file for the numbers")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Chooses, judges, prints and writes."""
    made = parser(__doc__)
    made.add_argument("--cub", default="../shared/data/CUB_200_2011_first50")
    given = made.parse_args(arguments)
    splits = {name: load(name, getattr(given, name), "test") for name in ("ilsvrc", "cub")}
    nets = {net: build_classifier(net, getattr(given, net)).to(memory_format=torch.channels_last) for net in NETS}

    def data(name: str, net: str) -> Data:
        return Data(splits[name], net, nets[net], MOST_VIEWS, given.features)

    tables = [compared(data("ilsvrc", net)) for net in NETS]
    rules = list(tables[0])
    best = chosen(tables, rules)
    pairs = itertools.product(MAPS, (1, MOST_VIEWS))
    per_map = [chosen(tables, [rule for rule in rules if rule[:2] == pair]) for pair in pairs]
    judged = list(dict.fromkeys([best, TODAY, *per_map]))
    rows: list[dict[str, Any]] = [
        dict(zip(("map", "views", "normalise", "threshold"), rule, strict=True)) for rule in judged
    ]
    for net, name in itertools.product(NETS, splits):
        inner = data(name, net)  # one at a time: two gigabytes for the largest
        for row, rule in zip(rows, judged, strict=True):
            row[f"{net} {splits[name].dataset}"] = measured(inner, rule)
    for row in rows:
        print(row)
    about = {
        **on_cpu(),
        "weights": {net: weights_fingerprint(getattr(given, net)) for net in NETS},
        "data": {split.dataset: {"images": len(split), "fingerprint": split.fingerprint} for split in splits.values()},
        "rules_compared": len(rules),
    }
    write(given, "boxes", arguments, about, {"chosen": rows[0], "rows": rows})


if __name__ == "__main__":
    main()

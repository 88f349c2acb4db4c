"""Which layer a map is best taken from, by boxes and by faithfulness: `python -m benchmarks.layers`.

A frozen ImageNet network on CUB-50, or, with `--data toybirds`, small networks trained as on the book's page *All
methods in one table*, with one seed. Maps of the first network: Grad-CAM, Grad-CAM++ and LayerCAM at three layers, CAM,
DDT at the same layers, and four controls. Of each other training: its own map, and random cells.

Boxes are judged on all test images, or on the first `--located` of each class; faithfulness, which takes 2 (T + 2)
passes for each image and map, on the first `--followed` of each class. The class is the likeliest on CUB-50, whose
birds are no classes of ImageNet, and the true one on ToyBirds. `--out` keeps rows as JSON, and in the folder of the
same name the curves of every image.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.boxes import batches
from benchmarks.common import on_cpu, write
from cmr.data import load
from cmr.data.split import Split
from cmr.evaluate import Scores, target_boxes
from cmr.maps.ddt import Component, Descriptors
from cmr.maps.layers import Seen, look
from cmr.metrics.baselines import box_baselines
from cmr.metrics.faithfulness import blurred
from cmr.metrics.result import CENTRED, TITLES, known
from cmr.nets.backbones import Backbone
from cmr.nets.imagenet import build_classifier
from cmr.nets.published import weights_fingerprint
from cmr.study import samples
from cmr.study.groups import interpretation
from cmr.study.layers import RULE, RULES, Judge, Key, control_maps, faithful, layer_maps, mean_colour
from cmr.study.models import load_method
from cmr.study.record import configuration
from cmr.study.records import write_outcomes
from cmr.study.settings import DDT
from cmr.study.together import spearman
from cmr.study.training import train

LAYERS = {"resnet18": ("layer2", "layer3", "layer4"), "resnet50": ("layer2", "layer3", "layer4")}
LAYERS["tiny"] = ("act1", "layer1", "layer2")
VARIANTS = (
    *("cam", "cmr fusion_map=relu", "cmr", "has"),
    *("acol", "adl", "ccam", "cutmix", "danet", "eil", "meil", "spg"),
)
TABLED = ("gt_known_loc", "max_box_acc", "max_box_acc_v2")


@dataclasses.dataclass
class Net:
    """A network whose maps are judged.

    Attributes:
        name: of it in the rows.
        classify: images -> logits.
        backbone: the part with the layers.
        own: images, what was seen of them -> title, layer, raw maps (B, h, w) of the seen classes.
    """

    name: str
    classify: Callable[[Tensor], Tensor]
    backbone: Backbone
    own: Callable[[Tensor, Seen], dict[Key, Tensor]]


def imagenet(name: str, weights: str) -> Net:
    """A frozen ImageNet classifier, in bfloat16, with CAM as its own map."""
    classifier = build_classifier(name, weights).to(memory_format=torch.channels_last)

    def classify(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return classifier(images.contiguous(memory_format=torch.channels_last))

    def own(_images: Tensor, seen: Seen) -> dict[Key, Tensor]:
        weight = classifier.head.weight.detach()[:, :, 0, 0][seen.classes]  # (B, C)
        return {("CAM", "layer4"): torch.einsum("bchw,bc->bhw", seen.features["layer4"].float(), weight)}

    return Net(name, classify, classifier.backbone, own)


def trained(variant: str, runs: str, preset: str, images: int, epochs: int) -> tuple[Net, Any]:
    """A small network trained on ToyBirds, with its method's map, and its run."""
    config = samples.configuration(variant, preset=preset, images=images, epochs=epochs, device="cpu")
    run = train(config, runs, resume=True)
    method = load_method(run, config.data_settings.classes)
    title = interpretation(run).title

    def own(images: Tensor, seen: Seen) -> dict[Key, Tensor]:
        with torch.no_grad():
            maps = method.localize(images)[1]
        return {(title, LAYERS["tiny"][-1]): maps[torch.arange(len(images)), seen.classes]}

    return Net(title, lambda pictures: method.localize(pictures)[0], method.backbone, own), run


@torch.no_grad()
def components(net: Net, layers: Sequence[str], split: Split, side: int) -> dict[str, Component]:
    """DDT's principal component at each layer, of the training images; one pass serves all layers."""
    found: dict[str, Descriptors] = {}

    def add(layer: str, features: Tensor) -> Tensor:
        found.setdefault(layer, Descriptors(features.shape[1])).update(features.float())
        return features

    for images in batches(split, side, 64):
        net.backbone(images, {layer: partial(add, layer) for layer in layers})
    return {layer: descriptors.component() for layer, descriptors in found.items()}


def first_of_each(labels: np.ndarray, count: int) -> np.ndarray:
    """Which images are among the first `count` of their class, (n,) bool; 0: none."""
    return pd.Series(labels).groupby(labels).cumcount().to_numpy() < count


def judged(
    net: Net,
    split: Split,
    settings: DDT,
    layers: Sequence[str],
    of_layers: Mapping[str, Component] | None,
    followed: np.ndarray,
    judge: Judge,
    true: bool,
) -> list[dict[str, Any]]:
    """Rows of one network's maps; without components its own map and random cells alone."""
    configs = {
        rule: configuration({**dataclasses.asdict(settings), "normalise": rule[0], "threshold": rule[1]})
        for rule in (RULE, *RULES.values())
    }
    boxes = target_boxes(split, configs[RULE])
    labels = torch.from_numpy(np.asarray(split.labels))
    scores: dict[Key, Scores] = {}
    first = 0
    for images in batches(split, settings.image_size, 32):
        at = np.arange(first, first + len(images))
        first += len(images)
        seen = look(net.classify, net.backbone, images, layers, labels[at] if true else None)
        cells = seen.features[layers[-1]].shape[2]
        controls = control_maps([boxes[i] for i in at], at.tolist(), settings.image_size, cells)
        maps = net.own(images, seen)
        if of_layers is None:
            maps |= {key: made for key, made in controls.items() if key[0] == "random cells"}
        else:
            maps |= layer_maps(seen, of_layers) | controls
        for key, raw in maps.items():
            config = configs[RULES.get(key[0], RULE)]
            scores.setdefault(key, Scores(split, config, torch.device("cpu"))).update(raw, None, labels[at], at)
        if (of_these := followed[at]).any():
            chosen = torch.from_numpy(of_these)
            ours = [boxes[i] for i in at[of_these]]
            judge.update({key: raw[chosen] for key, raw in maps.items()}, images[chosen], seen.classes[chosen], ours)
    results = {key: one.compute() for key, one in scores.items()}
    rows = [
        {
            "network": net.name,
            "map": key[0],
            "layer": key[1],
            **{TITLES[name]: round(known(getattr(result, name)), 4) for name in TABLED},
        }
        for key, result in results.items()
    ]
    if not judge.found:
        return rows
    found = faithful(judge.arrays(), settings.image_size**2)
    if list(judge.found) != list(results):
        raise RuntimeError("maps judged in another order than scored")
    return [
        {**row, "followed": {name: round(value, 4) for name, value in more.items()}}
        for row, more in zip(rows, found, strict=True)
    ]


def ends(judge: Judge) -> dict[str, float]:
    """The mean score, in percent, of whole images and of both baselines."""
    arrays = judge.arrays()
    first = {"whole": arrays["deletion"][0, :, 0], "deleted": arrays["deletion"][0, :, -1]}
    first["blurred"] = arrays["insertion"][0, :, 0]
    return {name: round(100 * float(values.mean()), 4) for name, values in first.items()}


def alike(rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """How alike two ways to measure order the same maps: Spearman's correlation for deletion and for insertion."""
    return {
        name: round(float(spearman(*(np.array([row["followed"][name] for row in part]) for part in (rows, others)))), 4)
        for name in ("deletion", "insertion")
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Judges, prints and writes."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", choices=("cub", "toybirds"), default="cub")
    made.add_argument("--data-root", default="../shared/data/CUB_200_2011_first50")
    made.add_argument("--net", choices=("resnet18", "resnet50"), default="resnet18", help="for cub")
    made.add_argument("--weights", default="../shared/weights/{}_imagenet_pq_fp16.safetensors.xz", help="for cub")
    made.add_argument("--located", type=int, default=0, help="test images of each class for boxes; 0: all")
    made.add_argument("--followed", type=int, default=2, help="test images of each class for faithfulness; 0: none")
    made.add_argument("--steps", type=int, default=10, help="of deletion and insertion")
    made.add_argument("--runs", default="runs", help="for toybirds: where the trainings are; missing ones are made")
    made.add_argument("--preset", default="toybirds", help="for toybirds: tiny tries the script out")
    made.add_argument("--images", type=int, default=1200, help="for toybirds: training images")
    made.add_argument("--epochs", type=int, default=6, help="for toybirds")
    made.add_argument("--methods", nargs="+", default=VARIANTS, help="for toybirds; the first one's layers are judged")
    made.add_argument("--out", help="a JSON file; arrays go into the folder of its name")
    given = made.parse_args(arguments)
    started = time.process_time()
    found = on_toybirds(given) if given.data == "toybirds" else on_cub(given)
    arrays = found.pop("arrays")
    about = {**on_cpu(), **found.pop("about"), "processor_s": round(time.process_time() - started)}
    write(given, "layers", arguments, about, found)
    if given.out and arrays:
        write_outcomes(Path(given.out).with_suffix(""), arrays)


def on_cub(given: argparse.Namespace) -> dict[str, Any]:
    """One ImageNet network on CUB-50."""
    weights = given.weights.format(given.net)
    settings = DDT(
        data="cub", data_root=given.data_root, preset="paper", backbone=given.net, weights=weights, image_size=224
    )
    net, layers = imagenet(given.net, weights), LAYERS[given.net]
    train_split, split = (load("cub", given.data_root, part) for part in ("train", "test"))
    if given.located:
        split = split.subset(np.flatnonzero(first_of_each(split.labels, given.located)))
    followed = first_of_each(split.labels, given.followed)
    judge = Judge(net.classify, given.steps)
    with torch.autocast("cpu", torch.bfloat16):
        of_layers = components(net, layers, train_split, settings.image_size)
    rows = judged(net, split, settings, layers, of_layers, followed, judge, true=False)
    print(*rows, sep="\n", flush=True)
    about = {
        "data": {split.dataset: {"images": len(split), "fingerprint": split.fingerprint}},
        "weights": {given.net: weights_fingerprint(weights)},
        "precision": "bf16-mixed",
    }
    return {
        "arrays": packed(judge, followed),
        "about": about,
        **described(settings, judge, rows, followed, split),
    }


def on_toybirds(given: argparse.Namespace) -> dict[str, Any]:
    """Small networks trained on ToyBirds; the first one's layers, and how much steps and baselines matter."""
    rows: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    seen: list[Any] = []
    described_first: dict[str, Any] = {}
    for number, variant in enumerate(given.methods):
        net, run = trained(variant, given.runs, given.preset, given.images, given.epochs)
        seen.append(run)
        config = run.config
        split = load("toybirds", "", "test", config.data_settings)
        settings = DDT(preset=given.preset, image_size=config.image_size)
        followed = first_of_each(split.labels, given.followed)
        judge, of_layers = Judge(net.classify, given.steps), None
        layers = LAYERS["tiny"] if number == 0 else LAYERS["tiny"][-1:]
        if number == 0:
            of_layers = components(net, layers, load("toybirds", "", "train", config.data_settings), config.image_size)
        mine = judged(net, split, settings, layers, of_layers, followed, judge, true=True)
        print(*mine, sep="\n", flush=True)
        rows += [{**row, "run": run.id, "method": config.method} for row in mine]
        arrays |= packed(judge, followed, f"{number}." if number else "")
        if number == 0:
            described_first = described(settings, judge, [], followed, split)
            few = first_of_each(split.labels, max(1, given.followed // 4))
            judges = {
                "as it is": Judge(net.classify, given.steps),
                "four times the steps": Judge(net.classify, 4 * given.steps),
                "baselines exchanged": Judge(net.classify, given.steps, removed=blurred, hidden=mean_colour),
            }
            parts = {
                name: judged(net, split.subset(np.flatnonzero(few)), settings, layers, of_layers, few[few], one, True)
                for name, one in judges.items()
            }
            described_first["checks"] = {
                "images": int(few.sum()),
                **{name: alike(parts["as it is"], part) for name, part in parts.items() if name != "as it is"},
                "largest change": {
                    name: round(
                        max(
                            abs(a["followed"][name] - b["followed"][name])
                            for a, b in zip(parts["as it is"], parts["four times the steps"], strict=True)
                        ),
                        4,
                    )
                    for name in ("deletion", "insertion")
                },
            }
    about = {
        "data": {"ToyBirds": {"images": len(split), "fingerprint": split.fingerprint}},
        "runs": [run.id for run in seen],
        "precision": "32-true",
    }
    return {"arrays": arrays, "about": about, **described_first, "rows": rows}


def described(
    settings: DDT, judge: Judge, rows: list[dict[str, Any]], followed: np.ndarray, split: Split
) -> dict[str, Any]:
    """What a record says beside its rows: how much was looked at, and what a box that sees no image is worth."""
    config = configuration(dataclasses.asdict(settings))
    side = config.image_size
    centred = box_baselines(target_boxes(split, config), side)[CENTRED].numbers()
    return {
        "images": {"located": len(split), "followed": int(followed.sum())},
        "steps": judge.steps,
        **({"ends": ends(judge)} if judge.found else {}),
        "centred box": {title: centred[title] for title in (TITLES[name] for name in TABLED) if title in centred},
        "rows": rows,
    }


def packed(judge: Judge, followed: np.ndarray, prefix: str = "") -> dict[str, np.ndarray]:
    """A judge's arrays as small as they get, and which images they are of."""
    if not judge.found:
        return {}
    arrays = judge.arrays()
    small = {name: values.astype(np.float16) for name, values in arrays.items() if name != "right"}
    small["right"] = np.packbits(arrays["right"], axis=2)
    small["image"] = np.flatnonzero(followed).astype(np.int32)
    return {prefix + name: values for name, values in small.items()}


if __name__ == "__main__":
    main()

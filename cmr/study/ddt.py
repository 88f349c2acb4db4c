"""Localization with DDT on a data set: the component from training images, the test images scored, one record."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmr.assemble import make_lone_fabric, precision
from cmr.config import Config
from cmr.data.content import content_fingerprint
from cmr.data.split import Split
from cmr.errors import UserError
from cmr.evaluate import Scores
from cmr.files import alone, require_room
from cmr.maps.ddt import Component, Descriptors, features_at, image_maps
from cmr.nets.backbones import build_backbone
from cmr.nets.published import weights_fingerprint
from cmr.study import frozen, machine
from cmr.study.features import Features
from cmr.study.identity import fingerprints
from cmr.study.record import FrozenRecord, configuration
from cmr.study.records import ROOM
from cmr.study.runs import data_of, portable
from cmr.study.settings import DDT
from cmr.study.splits import splits

KIND = "ddt"
Work = tuple[dict[str, Any], dict[str, np.ndarray]]


def measure(
    settings: DDT, out: str | Path, features: str | Path = "", rerun: bool = False, progress: bool = True
) -> frozen.Measurement:
    """Makes the component on training images and scores the maps of the test images.

    Args:
        settings: what is measured.
        out: folder in which the measurement gets a folder of its own, with frozen.json and outcomes.
        features: folder in which the network's features are kept for other measurements; none: they are not.
        rerun: measure again although it is there.
        progress: show bars.

    Returns:
        The measurement.

    Raises:
        UserError: settings that do not fit together, data or weights that cannot be read, a class of test images of
            which there is no training image.
    """

    def work(sources: Sources) -> Work:
        components = components_of(settings, sources)
        maps = maps_of(settings, components, sources, sources.test)
        scores = Scores(sources.test, sources.config, torch.device("cpu"))
        labels = torch.from_numpy(sources.test.labels)
        for index in torch.arange(len(labels)).split(128):
            scores.update(maps[index], None, labels[index], index.numpy())
        outcomes = scores.outcomes()
        about = {
            "title": title(settings),
            "uses": "labels" if settings.component == "class" else "nothing",
            "explained": [round(component.explained, 4) for component in components.values()],
            "maps_of": [sources.test.ids[i] for i in outcomes["map_index"]],
            "result": scores.compute(),
        }
        return about, outcomes

    return recorded(KIND, settings, out, features, rerun, progress, work)


def recorded(
    kind: str,
    settings: DDT,
    out: str | Path,
    features: str | Path,
    rerun: bool,
    progress: bool,
    work: Callable[["Sources"], Work],
) -> frozen.Measurement:
    """What every measurement does around its own work: it reads what is recorded, or does the work and records it.

    Args:
        kind: of the measurement, and its command.
        settings, out, features, rerun, progress: as in `measure`.
        work: makes title, uses, result and what else its record says, and the outcomes of single images.
    """
    started = time.perf_counter()
    config = configuration(dataclasses.asdict(settings))
    sources = Sources(settings, config, features, progress)
    if not any(map(len, sources.test.boxes)):
        raise UserError(
            f"{sources.test.dataset}: no test image has a true box, and nothing else can be measured; give boxes, as "
            "the book's page on data sets says, or look at boxes with cmr localize"
        )
    folder = Path(out) / frozen.identity(kind, settings, sources.prints)
    if not rerun and (folder / frozen.RECORD).is_file():
        return frozen.read(folder)
    with alone(folder):  # also tells of a place that cannot be written, before the work
        require_room(folder, ROOM, "the record of this measurement")
        about, outcomes = work(sources)
        record = FrozenRecord(
            id=folder.name,
            kind=kind,
            settings=dataclasses.asdict(portable(settings)),
            data=data_of(sources.train, sources.test),
            content=sources.prints["content"],
            weights=sources.prints["weights"],
            seeds={"seed": settings.seed},
            command=command(settings, out, kind),
            classes=list(sources.test.classes),
            environment=machine.environment(sources.device, precision(config, sources.device), processes=1),
            peak_memory_mb=machine.peak_memory_mb(sources.device),
            duration_s=round(time.perf_counter() - started, 1),
            **about,
        )
        return frozen.write(folder, record, outcomes)


class Sources:
    """The features of both splits under one network.

    Args:
        settings: data, network, layers, size.
        config: the same as a configuration.
        folder: where features are kept; none: they are not.
        progress: show bars.
    """

    def __init__(self, settings: DDT, config: Config, folder: str | Path = "", progress: bool = True) -> None:
        fabric = make_lone_fabric(config)
        self.config, self.device, self.progress = config, fabric.device, progress
        self.side, self.batch_size = settings.image_size, settings.batch_size
        torch.manual_seed(settings.seed)  # of random weights
        backbone = build_backbone(settings.backbone, settings.weights, settings.stride or None)
        backbone.require_side(self.side)
        backbone.eval().to(fabric.device).to(memory_format=torch.channels_last)
        look = features_at(backbone, settings.layers)

        def seen(images: Tensor) -> Tensor:
            with fabric.autocast():
                return look(images.contiguous(memory_format=torch.channels_last))

        self.look = seen
        self.train, self.test = splits(config)
        weights = weights_fingerprint(settings.weights, settings.backbone)
        self.prints = fingerprints(self.train, self.test, weights)
        drawn = [f"seed{settings.seed}"] if weights == "none" else []
        network = [settings.backbone, weights, *drawn, f"stride{backbone.stride}", *settings.layers, f"{self.side}px"]
        self.folder = Path(folder) if folder else None
        self.name = "-".join([*network, precision(config, fabric.device)]).replace(":", "-")

    def features(self, split: Split, mirrored: bool = False) -> Features:
        """The features of one of the splits, or of its mirrored images."""
        store = None
        if self.folder:
            pixels = content_fingerprint(split)  # the list alone would take changed pictures for the same
            store = self.folder / f"{split.fingerprint}-{pixels}-{self.name}{'-mirrored' * mirrored}.npy"
        return Features(split, self.look, self.side, self.batch_size, self.device, store, mirrored, self.progress)


def title(settings: DDT) -> str:
    """What a table calls the measurement: the component, and what is not plain.

    Example:
        >>> title(DDT()), title(DDT(component="class", layers=("layer3", "last"), flip=True))
        ('DDT', 'DDT per class, layer3 + last, flip')
    """
    parts = [{"set": "DDT", "class": "DDT per class", "image": "DDT per image"}[settings.component]]
    parts += [" + ".join(settings.layers)] if settings.layers != ("last",) else []
    parts += [f"stride {settings.stride}"] if settings.stride else []
    parts += [f"{settings.images} image{'s' if settings.images > 1 else ''}"] if settings.images else []
    parts += ["flip"] if settings.flip else []
    plain = DDT.normalise, DDT.threshold
    rule = settings.normalise, settings.threshold
    return ", ".join(parts + ([f"{rule[0]}, tau {rule[1]:g}"] if rule != plain else []))


def command(settings: DDT, out: str | Path, name: str = "ddt") -> str:
    """The command that measures this again; of an absolute path the last part is kept, since records are shared.

    Example:
        >>> command(DDT(component="class", layers=("layer1", "last")), "runs")
        'cmr ddt --layers layer1 last --component class --out runs'
    """
    words = ["cmr", name]
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        if value != item.default:
            flag = f"--{item.name.replace('_', '-')}"
            words += [flag] if value is True else [flag, *map(str, value if isinstance(value, tuple) else (value,))]
    return machine.portable_command([*words, "--out", str(out)])


def chosen(split: Split, settings: DDT) -> list[np.ndarray]:
    """Which training images each component is made of: one array of positions, or one for each class."""
    labels = np.asarray(split.labels)
    groups = [np.arange(len(split))]
    if settings.component == "class":
        groups = [np.flatnonzero(labels == label) for label in range(len(split.classes))]
    generator = np.random.default_rng(settings.seed)
    return [np.sort(generator.permutation(group)[: settings.images or None]) for group in groups]


def components_of(settings: DDT, sources: Sources) -> dict[int, Component]:
    """The component for the whole set, or for each class; one after another, so one set of sums is in memory."""
    if settings.component == "image":
        return {}
    groups, train, test = chosen(sources.train, settings), sources.train, sources.test
    needed = np.unique(test.labels) if settings.component == "class" else [0]
    if empty := [test.classes[i] for i in needed if not len(groups[i])]:
        raise UserError(f"{train.dataset}: class '{empty[0]}' has test and no training images; take --component set")
    features, components = sources.features(train), {}
    for i in needed:
        descriptors = None
        for batch, _labels, _index in features.batches(groups[i]):
            descriptors = descriptors or Descriptors(batch.shape[1], batch.device)
            descriptors.update(batch)
        if descriptors is not None:
            components[int(i)] = descriptors.component()
    return components


def maps_of(settings: DDT, components: dict[int, Component], sources: Sources, split: Split) -> Tensor:
    """The raw maps of all images of one of the splits, (n, h, w) float32 in main memory."""

    def look(features: Tensor, labels: Tensor) -> Tensor:
        if settings.component == "image":
            return image_maps(features)
        if settings.component == "set":
            return components[0].maps(features)
        each = zip(features.split(1), labels.tolist(), strict=True)
        return torch.cat([components[label].maps(one) for one, label in each])

    views = []
    for mirrored in (False, True)[: 1 + settings.flip]:
        batches = sources.features(split, mirrored).batches()
        views.append(torch.cat([look(features, labels).cpu() for features, labels, _index in batches]))
    return torch.stack(views).mean(0)

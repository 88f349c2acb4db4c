"""The Python call: pictures in, boxes out."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cmr.assemble import device_of
from cmr.errors import UserError, require_known, unknown
from cmr.maps.components import SMALLEST, component_boxes
from cmr.maps.locate import normalise, resize
from cmr.pictures.inputs import as_pictures, is_one
from cmr.pictures.model import BACKBONE, SIDE, WEIGHTS, Model, of_classifier, of_module, of_run
from cmr.pictures.result import Found, Localization
from cmr.pictures.rule import rule_of

Objects = Literal["one", "all"]
BATCH = 16


class Localizer:
    """Finds what pictures show, and where.

    Args:
        backbone: resnet50, resnet18, squeezenet1_1 or any classifier of timm by its name; or a module of one's own that
            turns images (B, 3, H, W), ImageNet's mean and deviation taken out, into logits (B, K).
        weights: "imagenet" (fetched once) or a file; a module has its own.
        run: folder of a trained run, in place of both.
        rule: "boxes", or "cam" for the class map as published, min-max and tau 0.2. For a run, "boxes" holds where its
            method's map is the head's weights on the features; elsewhere, and for "run" and "cam", its record's test.
        normalise, threshold: in place of the rule's own.
        objects: "one" box per class, or "all" components above the threshold, but none under 1 % of the picture.
        top: how many of the likeliest classes.
        only: a class by its name or number, or by a word that several names have; those alone are looked for.
        classes: names of the classes, where they are not ImageNet's.
        layer: the module whose output is taken as features, where that is not the last map.
        image_size: side of the image that the network sees; 0 for its own.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        UserError: a setting out of range, or a network that cannot be had.

    Example:
        >>> from torch import nn
        >>> head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU(), *head)
        >>> localizer = Localizer(net, classes=["bird", "no bird"], image_size=64, device="cpu")
        >>> [result] = localizer(Image.new("RGB", (80, 60)))
        >>> result.label in ("bird", "no bird"), len(result.box), result.scoremap.shape
        (True, 4, (64, 64))
    """

    def __init__(
        self,
        backbone: str | nn.Module = BACKBONE,
        weights: str | Path = WEIGHTS,
        *,
        run: str | Path = "",
        rule: str = "boxes",
        normalise: str | None = None,
        threshold: float | None = None,
        objects: Objects = "one",
        top: int = 1,
        only: str | int = "",
        classes: Sequence[str] = (),
        layer: str = "",
        image_size: int = 0,
        device: str = "auto",
    ) -> None:
        require_known(objects, "objects", ["one", "all"])
        if top < 1:
            raise UserError(f"top: {top} is not a number of classes; give 1 or more")
        self.device = device_of(device)
        if run:
            own = {"layer": layer, "classes": classes, "image_size": image_size}
            own |= {"backbone": backbone != BACKBONE, "weights": str(weights) != WEIGHTS}
            if useless := [name for name, value in own.items() if value]:
                raise UserError(f"run: a run brings its own {', '.join(useless)}; leave that out, or leave out the run")
            self.model: Model = of_run(run, normalise, threshold, rule)
        elif isinstance(backbone, nn.Module):
            made = rule_of(rule, normalise, threshold)
            self.model = of_module(backbone, made, image_size or SIDE, layer, classes)
        else:
            made = rule_of(rule, normalise, threshold)
            self.model = of_classifier(backbone, str(weights), made, image_size, layer, classes)
        if top > len(self.model.classes):
            raise UserError(f"top: {top} is more than the {len(self.model.classes)} classes; give at most that")
        self.objects, self.top = objects, top
        self.wanted = wanted_classes(only, self.model.classes)
        self.model.module.to(self.device)

    def __call__(self, images: Any) -> list[Localization]:
        """Localizes pictures.

        Args:
            images: one picture or several, as `cmr.pictures.inputs.as_pictures` takes them.

        Returns:
            One result per picture, in their order.

        Raises:
            UserError: something is no picture.
        """
        return list(self.stream(as_pictures(images)))

    def stream(self, pictures: Iterable[tuple[str, Image.Image]]) -> Iterator[Localization]:
        """Localizes named RGB pictures batch by batch; of a long iterator only a batch is in memory."""
        waiting = iter(pictures)
        while batch := list(islice(waiting, BATCH)):
            yield from self.batch(batch, torch.stack([self.seen(picture) for _, picture in batch]))

    def seen(self, picture: Image.Image) -> Tensor:
        """The picture as the network sees it, (3, side, side) uint8."""
        side = self.model.side
        small = picture.resize((side, side), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(small)).permute(2, 0, 1)

    def batch(self, pictures: Sequence[tuple[str, Image.Image]], images: Tensor) -> list[Localization]:
        """Localizes one batch: named pictures, and what `seen` made of them, stacked."""
        model = self.model
        logits, classes, maps = model.read(model.prepare(images.to(self.device)), self._choose)
        scores = logits.float().softmax(1).gather(1, classes).cpu().numpy()  # (B, M)
        fine = normalise(resize(maps.float().flatten(0, 1), model.side), model.rule.normalise)  # (B * M, S, S)
        scoremaps = fine.unflatten(0, maps.shape[:2]).cpu().numpy()
        rows = zip(pictures, classes.tolist(), scores.tolist(), scoremaps, strict=True)
        return [self._result(name, picture, *found) for (name, picture), *found in rows]

    def _choose(self, logits: Tensor) -> Tensor:
        """The likeliest of the wanted classes, (B, M)."""
        wanted = torch.tensor(self.wanted, device=logits.device)
        return wanted[logits[:, wanted].topk(min(self.top, len(self.wanted)), dim=1).indices]

    def _result(
        self, name: str, picture: Image.Image, classes: list[int], scores: list[float], scoremaps: np.ndarray
    ) -> Localization:
        found = [
            Found(self.model.classes[index], index, score, box)
            for index, score, scoremap in zip(classes, scores, scoremaps, strict=True)
            for box in self._boxes(scoremap, picture.size)
        ]
        return Localization(name, picture, tuple(found), dict(zip(classes, scoremaps, strict=True)))

    def _boxes(self, scoremap: np.ndarray, size: tuple[int, int]) -> list[tuple[float, float, float, float]]:
        if not np.isfinite(scoremap).all():
            raise UserError(f"network: {self.model.name} gives maps that are not finite; its weights may be damaged")
        boxes = component_boxes(scoremap, self.model.rule.threshold, SMALLEST)
        if not len(boxes):  # a flat map says nothing of the place
            boxes = np.array([[0, 0, *scoremap.shape[::-1]]])
        boxes = boxes[:1] if self.objects == "one" else boxes
        scale = np.array(size * 2) / np.array(scoremap.shape[::-1] * 2)
        return [tuple(box) for box in (boxes * scale).round(1).tolist()]


def wanted_classes(only: str | int, classes: Sequence[str]) -> list[int]:
    """The numbers of the classes that are looked for.

    Args:
        only: a name, whatever its case; a number; a word that names have; or "" for all.
        classes: all names.

    Raises:
        UserError: no class has this name, number or word.

    Example:
        >>> names = ["jay", "house finch", "indigo bunting", "American goldfinch", "finch bird"]
        >>> [wanted_classes(only, names) for only in ("Jay", "finch", "3", 2)]
        [[0], [1, 4], [3], [2]]
    """
    if only == "":
        return list(range(len(classes)))
    asked = str(only)
    exact = [i for i, name in enumerate(classes) if name.casefold() == asked.casefold()]
    if not exact and asked.isdecimal():
        if int(asked) >= len(classes):
            raise UserError(f"class: there is no class {asked}; their numbers run from 0 to {len(classes) - 1}")
        return [int(asked)]
    found = exact or [i for i, name in enumerate(classes) if asked.casefold() in name.casefold().split()]
    if not found:
        within = [name for name in classes if asked.casefold() in name.casefold()]
        if within:
            raise UserError(f"unknown class '{asked}'; {len(within)} have it in their name: {', '.join(within[:5])}")
        raise unknown("class", asked, classes)
    return found


def localize(images: Any, **options: Any) -> Localization | list[Localization]:
    """Finds what pictures show, and where.

    Args:
        images: one picture or several, as `cmr.pictures.inputs.as_pictures` takes them.
        options: of `Localizer`; make one of these for many calls, since it loads the network once.

    Returns:
        One result for one picture, a list for several.

    Raises:
        UserError: as `Localizer`, or something is no picture.

    Example:
        >>> from torch import nn
        >>> head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU(), *head)
        >>> localize(Image.new("RGB", (80, 60)), backbone=net, image_size=64, device="cpu").picture.size
        (80, 60)
    """
    found = Localizer(**options)(images)
    return found[0] if is_one(images) else found

"""One pass over a test split: class scores, boxes and metrics, and the outcome of every image."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cmr.config import Config
from cmr.data.boxes import classic_boxes
from cmr.data.images import Batches, normalise
from cmr.data.split import Split
from cmr.maps import LocalizeLabels, locate
from cmr.metrics import PxAP, Result, WSOLMetrics, gt_boxes, resize_masks
from cmr.metrics.baselines import box_baselines
from cmr.metrics.parts import PartCoverage
from cmr.metrics.wsol import Outcomes

MAPS_KEPT = 32  # test images whose raw maps are kept, spread evenly over the test split
BACKGROUND = "background"  # among the parts: how much of what is no part lies above the threshold


def target_boxes(split: Split, config: Config) -> list[np.ndarray]:
    """The true boxes of every image on the grid of `image_size` pixels, (k, 4) xyxy, as the test crop has them."""
    side = (config.image_size, config.image_size)
    if config.test_crop == "classic":
        boxes = [
            classic_boxes(boxes, size, config.resize, config.image_size)
            for boxes, size in zip(split.boxes, split.sizes, strict=True)
        ]
        return gt_boxes(boxes, np.broadcast_to(np.array(side), (len(split), 2)), side)
    return gt_boxes(split.boxes, split.sizes, side)


@torch.no_grad()
def evaluate(
    localize: LocalizeLabels,
    split: Split,
    batches: Batches,
    config: Config,
    rank: int = 0,
    world: int = 1,
    progress: bool = True,
) -> tuple[Result, dict[str, np.ndarray]]:
    """Scores a method on a test split.

    Args:
        localize: normalised images (B, 3, H, W), labels (B,) -> logits (B, K), maps of the labels (B, 1, h, w); of a
            method's own call, `cmr.maps.of_labels` makes it. The logits must not depend on the labels.
        split: the test split; its boxes are used here and nowhere else.
        batches: the split's images at the size that the test crop needs.
        config: image size, normaliser, threshold, test crop.
        rank, world: which share of the images this process takes; counts are summed over processes.
        progress: show a bar.

    Returns:
        The metrics in percent, with PxAP and parts where the split has masks (not with the classic crop). And per
        image: label, top5, score, iou, box (xyxy inclusive, network pixels), with `maps` and `map_index` for the
        images whose raw map of the true class is kept.
    """
    scores = Scores(split, config, batches.device)
    mine = torch.arange(rank, len(split), world)
    if not len(mine):  # a process without images: the first call of a method is one of all processes
        localize(*_first(batches, config))
    total, hidden = -(-len(mine) // batches.batch_size), not progress or rank > 0
    for images, labels, places in tqdm(batches.epoch(mine), total=total, desc="test", disable=hidden, leave=False):
        logits, maps = localize(_seen(images, config), labels)
        scores.update(maps[:, 0], logits, labels, places.numpy())  # (B, 1, h, w) -> (B, h, w)
    return scores.compute(), scores.outcomes(world)


class Scores:
    """What raw maps of a test split score, whoever made them, batch by batch.

    Args:
        split: the test split; its boxes are used here and nowhere else.
        config: image size, normaliser, threshold, test crop.
        device: where the counts lie.
    """

    def __init__(self, split: Split, config: Config, device: torch.device) -> None:
        self.split, self.config = split, config
        self.boxes = target_boxes(split, config)
        self.metrics = WSOLMetrics(threshold=config.threshold, ids=split.ids).to(device)
        self.areas = _Areas(split, config, device)
        self.keep = np.unique(np.linspace(0, len(split) - 1, MAPS_KEPT).round().astype(int))
        self.gathered = _Gathered()

    def update(self, maps: Tensor, logits: Tensor | None, labels: Tensor, index: np.ndarray) -> None:
        """Scores raw maps.

        Args:
            maps: (B, h, w).
            logits: (B, K); None leaves all class metrics out.
            labels: (B,).
            index: (B,) numbers of the images in the split.
        """
        raw = maps.float()
        scoremaps = locate.normalise(locate.resize(raw, self.config.image_size), self.config.normalise)
        ids = [self.split.ids[i] for i in index]
        known = None if logits is None else logits.float()
        outcomes = self.metrics.score(scoremaps, known, labels, [self.boxes[i] for i in index], ids)
        self.metrics.update(outcomes)
        self.areas.update(scoremaps, index, ids)
        self.gathered.add(index, labels, outcomes, raw, np.isin(index, self.keep))

    def compute(self) -> Result:
        """The metrics in percent, as `evaluate` returns them."""
        baselines = box_baselines(self.boxes, self.config.image_size)
        return self.areas.added(replace(self.metrics.result(), baselines=baselines))

    def outcomes(self, world: int = 1) -> dict[str, np.ndarray]:
        """What came of each image, as `evaluate` returns it, over all `world` processes."""
        return self.gathered.arrays(world)


def _first(batches: Batches, config: Config) -> tuple[Tensor, Tensor]:
    """The first image and its label, as the method wants them."""
    images, labels, _ = next(iter(batches.epoch(torch.zeros(1, dtype=torch.long))))
    return _seen(images, config), labels


def _seen(images: Tensor, config: Config) -> Tensor:
    """What the network sees of a batch under the test crop: (B, 3, H, W) uint8 -> normalised, `image_size` wide."""
    if config.test_crop == "classic":
        from torchvision.transforms.v2.functional import center_crop  # here: it takes a second to load

        images = center_crop(images, [config.image_size])
    return normalise(images)


class _Areas:
    """The metrics of pixels, where the split has masks: PxAP, and how much of each part is above the threshold."""

    def __init__(self, split: Split, config: Config, device: torch.device) -> None:
        whole = config.test_crop == "resize"  # masks are not cropped as the classic test crop would have it
        self.split, self.side = split, config.image_size
        self.pixels = PxAP(ids=split.ids).to(device) if split.masks and whole else None
        parts = PartCoverage((*split.part_names, BACKGROUND), config.threshold).to(device)
        self.parts = parts if split.parts and whole else None

    def update(self, scoremaps: Tensor, index: np.ndarray, ids: list[str]) -> None:
        """Counts a batch of maps, (B, H, W), of the images with these numbers in the split."""
        masks, ignore, parts = self.split.masks, self.split.ignore, self.split.parts
        if self.pixels is not None and masks is not None:
            ignored = None if ignore is None else _on_grid(ignore, index, self.side)
            self.pixels.update(scoremaps, _on_grid(masks, index, self.side), ignored, ids)
        if self.parts is not None and parts is not None:
            self.parts.update(scoremaps, np.stack([_with_background(parts(i)) for i in index]))

    def added(self, result: Result) -> Result:
        """The result with what the masks say."""
        pxap = None if self.pixels is None else self.pixels.compute()
        return replace(result, pxap=pxap, parts=None if self.parts is None else self.parts.compute())


class _Gathered:
    """What is kept of every image, batch by batch; in the order of the split at the end, over all processes."""

    def __init__(self) -> None:
        self.batches: dict[str, list[np.ndarray]] = {}

    def add(self, index: np.ndarray, labels: Tensor, outcomes: Outcomes, raw: Tensor, kept: np.ndarray) -> None:
        """Keeps a batch: its numbers in the split (B,), its raw maps (B, h, w), and which of those stay, (B,) bool."""
        row = {
            "index": index.astype(np.int32),
            "label": _array(labels, np.int16),
            "iou": _array(outcomes.iou, np.float32),  # in half precision 0.4999 would be 0.5
            "box": _array(outcomes.box, np.int16),
            "maps": raw.cpu().numpy()[kept],
            "map_index": index[kept].astype(np.int32),
        }
        if outcomes.top5 is not None:
            row |= {"top5": _array(outcomes.top5, np.int16), "score": _array(outcomes.score, np.float16)}
        for name, value in row.items():
            self.batches.setdefault(name, []).append(value)

    def arrays(self, world: int) -> dict[str, np.ndarray]:
        """One array per name; images that another of the `world` processes has seen are in it too."""
        found = {name: np.concatenate(values) for name, values in self.batches.items()}
        if world > 1:
            shares: list[Any] = [None] * world
            torch.distributed.all_gather_object(shares, found)
            shares = [share for share in shares if share]  # with more processes than images some have none
            found = {name: np.concatenate([share[name] for share in shares]) for name in shares[0]}
        order, map_order = np.argsort(found.pop("index")), np.argsort(found["map_index"])
        return {name: value[map_order if name in ("maps", "map_index") else order] for name, value in found.items()}


def _with_background(parts: np.ndarray) -> np.ndarray:
    """Part masks and what is no part: (P, H, W) -> (P + 1, H, W) bool."""
    return np.concatenate((parts, ~parts.any(0, keepdims=True)))


def _on_grid(read: Callable[[int], np.ndarray], index: np.ndarray, side: int) -> np.ndarray:
    """Masks of some images at the maps' size, (B, side, side) bool."""
    return np.stack([resize_masks(read(i), side) for i in index])


def _array(values: Any, dtype: type) -> np.ndarray:
    return torch.as_tensor(values).cpu().numpy().astype(dtype)

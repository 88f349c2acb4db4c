"""One pass over a test split: class scores, boxes and metrics, and the outcome of every image."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cmr import localize
from cmr.config import Config
from cmr.data.boxes import classic_boxes
from cmr.data.images import Batches, centre_crop, normalise
from cmr.data.split import Split
from cmr.metrics import PxAP, WSOLMetrics, gt_boxes, resize_masks
from cmr.metrics.baselines import box_baselines
from cmr.metrics.parts import PartCoverage
from cmr.runs import MAPS_KEPT

BACKGROUND = "background"  # among the parts: how much of what is no part lies above the threshold

Localize = Callable[[Tensor], tuple[Tensor, Tensor]]
LocalizeLabels = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


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
    localize_call: Localize | LocalizeLabels,
    split: Split,
    batches: Batches,
    config: Config,
    rank: int = 0,
    world: int = 1,
    progress: bool = True,
    of_labels: bool = False,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Scores a method on a test split.

    Args:
        localize_call: a method's `localize`: normalised images (B, 3, H, W) -> logits (B, K), maps (B, K, h, w).
        split: the test split; its boxes are used here and nowhere else.
        batches: the split's images at the size that the test crop needs.
        config: image size, normaliser, threshold, test crop.
        rank, world: which share of the images this process takes; counts are summed over processes.
        progress: show a bar.
        of_labels: `localize_call` takes the labels (B,) too and gives their maps only, (B, 1, h, w): for maps that cost
            a pass per class, as `cmr.posthoc` makes them. Its logits must not depend on the labels.

    Returns:
        The metrics in percent, with "PxAP" and "parts" where the split has masks (not with the classic crop). And per
        image: label, top5, score, iou, box (xyxy inclusive, network pixels), with `maps` and `map_index` for the
        images whose raw map of the true class is kept.
    """
    metrics = WSOLMetrics(threshold=config.threshold, ids=split.ids).to(batches.device)
    coverage = PartCoverage((*split.part_names, BACKGROUND), config.threshold).to(batches.device)
    whole = config.test_crop == "resize"  # masks are not cropped as the classic test crop would have it
    pixels = PxAP(ids=split.ids).to(batches.device) if split.masks and whole else None
    parts = split.parts if whole else None
    boxes = target_boxes(split, config)
    keep = np.unique(np.linspace(0, len(split) - 1, MAPS_KEPT).round().astype(int))
    rows: dict[str, list[np.ndarray]] = {}
    steps = tqdm(
        batches.epoch(torch.arange(rank, len(split), world)),
        total=-(-len(range(rank, len(split), world)) // batches.batch_size),
        desc="test",
        disable=not progress or rank > 0,
        leave=False,
    )
    for images, labels, index in steps:
        if config.test_crop == "classic":
            images = centre_crop(images, config.image_size)
        if of_labels:
            logits, maps = localize_call(normalise(images), labels)
            raw = maps[:, 0].float()  # (B, h, w), of the true class
        else:
            logits, maps = localize_call(normalise(images))
            raw = maps[torch.arange(len(labels), device=maps.device), labels].float()  # (B, h, w), of the true class
        scoremaps = localize.normalise(localize.resize(raw, config.image_size), config.normalise)
        index = index.numpy()
        outcome = metrics.update(
            scoremaps, logits.float(), labels, [boxes[i] for i in index], [split.ids[i] for i in index]
        )
        if pixels is not None:
            masks = [_on_grid(read, index, config.image_size) for read in (split.masks, split.ignore)]
            pixels.update(scoremaps, *masks, [split.ids[i] for i in index])
        if parts is not None:
            coverage.update(scoremaps, np.stack([_with_background(parts(i)) for i in index]))
        kept = np.isin(index, keep)
        row = {
            "index": index.astype(np.int32),
            "label": labels.cpu().numpy().astype(np.int16),
            "top5": _array(outcome["top5"], np.int16),
            "score": _array(outcome["score"], np.float16),
            "iou": _array(outcome["iou"], np.float16),
            "box": _array(outcome["box"], np.int16),
            "maps": raw.cpu().numpy()[kept],
            "map_index": index[kept].astype(np.int32),
        }
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
    outcomes = {name: np.concatenate(values) for name, values in rows.items()}
    result = metrics.compute()
    result["baselines"] = box_baselines(boxes, config.image_size)
    if pixels is not None:
        result["PxAP"] = pixels.compute()
    if parts is not None:
        result["parts"] = coverage.compute()
    if world > 1:
        gathered: list[Any] = [None] * world
        torch.distributed.all_gather_object(gathered, outcomes)
        outcomes = {name: np.concatenate([part[name] for part in gathered]) for name in outcomes}
    order, map_order = np.argsort(outcomes["index"]), np.argsort(outcomes["map_index"])
    outcomes = {name: value[map_order if name in ("maps", "map_index") else order] for name, value in outcomes.items()}
    del outcomes["index"]  # now 0 .. n-1
    return result, outcomes


def _with_background(parts: np.ndarray) -> np.ndarray:
    """Part masks and what is no part: (P, H, W) -> (P + 1, H, W) bool."""
    return np.concatenate((parts, ~parts.any(0, keepdims=True)))


def _on_grid(read: Callable[[int], np.ndarray] | None, index: np.ndarray, side: int) -> np.ndarray | None:
    """Masks of some images at the maps' size, (B, side, side) bool; `None` where the data set has none."""
    return None if read is None else np.stack([resize_masks(read(i), side) for i in index])


def _array(values: Any, dtype: type) -> np.ndarray:
    return torch.as_tensor(values).cpu().numpy().astype(dtype)

"""Maps of one network at several layers, and maps that know no network, judged by boxes and by faithfulness."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from cmr.errors import UserError
from cmr.maps import locate
from cmr.maps.ddt import Component
from cmr.maps.layers import Seen, gradient_map
from cmr.metrics.contours.levels import quantise, score_levels, tau_list
from cmr.metrics.faithfulness import Classify, area, blurred, confidence, deletion, insertion, masked_scores, scores_of

KIND_TITLES = {"gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "layercam": "LayerCAM"}
DDT = "DDT"
CONTROLS = ("true box", "centred Gaussian", "random cells", "random pixels")
RULES = {DDT: ("max", 0.0)}  # its own: what is above 0 is object
RULE = ("minmax", 0.2)  # of all others, as in the other tables of the study
Key = tuple[str, str]  # a map's title, and its layer; "" where it has none


def layer_maps(seen: Seen, components: Mapping[str, Component] | None = None) -> dict[Key, Tensor]:
    """The maps of each layer: three by gradients, and DDT's where there is a component.

    Args:
        seen: of `cmr.maps.layers.look`.
        components: layer to its principal component.

    Returns:
        (title, layer) to raw maps (B, h, w).

    Example:
        >>> ones = {"layer3": torch.ones(1, 2, 4, 4)}
        >>> list(layer_maps(Seen(torch.zeros(1, 3), torch.zeros(1, dtype=torch.int64), ones, ones)))
        [('Grad-CAM', 'layer3'), ('Grad-CAM++', 'layer3'), ('LayerCAM', 'layer3')]
    """
    made = {
        (title, layer): gradient_map(kind, features, seen.gradients[layer])
        for layer, features in seen.features.items()
        for kind, title in KIND_TITLES.items()
    }
    return made | {(DDT, layer): one.maps(seen.features[layer]) for layer, one in (components or {}).items()}


def control_maps(boxes: Sequence[np.ndarray], names: Sequence[int], side: int, cells: int) -> dict[Key, Tensor]:
    """Maps that know no network: what a box alone, the middle of the image, or chance is worth.

    "true box" falls from 1 in the middle of the largest true box to 0 at its border, and is 0 outside. "centred
    Gaussian" has a sigma of a quarter of the image. "random cells" is noise on a grid as coarse as a network's,
    "random pixels" noise on every pixel.

    Args:
        boxes: B arrays (k, 4) of true boxes on the grid of `side` pixels, xyxy, k 1 or more.
        names: B whole numbers, which seed the noise of each image.
        side: of the maps, pixels.
        cells: side of the coarse grid.

    Returns:
        (title, "") to maps (B, side, side), "random cells" (B, cells, cells).

    Raises:
        UserError: an image without a box.

    Example:
        >>> maps = control_maps([np.array([[0, 0, 4, 4]])], [7], side=8, cells=2)
        >>> maps["true box", ""][0, 2].tolist()
        [0.25, 0.75, 0.75, 0.25, 0.0, 0.0, 0.0, 0.0]
    """
    if empty := [i for i, found in enumerate(boxes) if not len(found)]:
        raise UserError(f"control maps: image {names[empty[0]]} has no true box; leave it out")
    largest = np.stack([b[(b[:, 2:] - b[:, :2]).prod(1).argmax()] for b in map(np.asarray, boxes)])  # (B, 4)
    at = torch.arange(side) + 0.5
    ends = torch.as_tensor(largest, dtype=torch.float32).view(-1, 2, 2)  # (B, ends, axes)
    middle, half = ends.mean(1), ((ends[:, 1] - ends[:, 0]) / 2).clamp(min=0.5)
    across = (at - middle[:, :, None]).abs() / half[:, :, None]  # (B, axes, side)
    inside = 1 - torch.maximum(across[:, 0, None, :], across[:, 1, :, None])  # (B, side, side)
    bell = (-(((at - side / 2) / (side / 4)) ** 2) / 2).exp()
    noise = [np.random.default_rng((0, int(name))) for name in names]
    made = {
        "true box": inside.relu(),
        "centred Gaussian": torch.outer(bell, bell).expand(len(boxes), -1, -1),
        "random cells": torch.from_numpy(np.stack([one.random((cells, cells), np.float32) for one in noise])),
        "random pixels": torch.from_numpy(np.stack([one.random((side, side), np.float32) for one in noise])),
    }
    return {(title, ""): made[title] for title in CONTROLS}


def right_boxes(scoremaps: Tensor, boxes: Sequence[np.ndarray]) -> np.ndarray:
    """Whether the largest component's box is right (IoU of 0.5 or more) at each threshold of MaxBoxAcc.

    Args:
        scoremaps: (B, H, W) in [0, 1].
        boxes: B arrays (k, 4) of true boxes on their grid, as `cmr.metrics.gt_boxes` gives them.

    Returns:
        (B, T) bool, T thresholds of `cmr.metrics.tau_list`.

    Example:
        >>> right_boxes(torch.eye(8)[None], [np.array([[0, 0, 8, 8]])]).shape
        (1, 255)
    """
    levels = score_levels(quantise(scoremaps), boxes, all_contours=False)
    return np.take_along_axis(levels.iou_largest, levels.levels(tau_list()), axis=1) >= 0.5


def mean_colour(images: Tensor) -> Tensor:
    """What stands in a deleted pixel's place: 0, which is ImageNet's mean colour after normalisation."""
    return torch.zeros_like(images)


@dataclass
class Judge:
    """Judges maps of single images by boxes and by faithfulness, batch by batch.

    Args:
        classify: the network, in evaluation mode: normalised images (n, 3, H, W) -> logits (n, K).
        steps: of deletion and insertion.
        removed: what stands where a pixel is deleted: images -> images; by default 0, the mean colour.
        hidden: what insertion begins with: images -> images; by default the blurred image.
        found: title, layer and name of an array to its parts, one per batch.
    """

    classify: Classify
    steps: int = 16
    removed: Callable[[Tensor], Tensor] = mean_colour
    hidden: Callable[[Tensor], Tensor] = blurred
    found: dict[Key, dict[str, list[np.ndarray]]] = field(default_factory=dict)

    def update(
        self, maps: Mapping[Key, Tensor], images: Tensor, classes: Tensor, boxes: Sequence[np.ndarray] | None = None
    ) -> None:
        """Judges the maps of a batch.

        Args:
            maps: (title, layer) to raw maps (B, h, w).
            images: (B, 3, side, side), normalised.
            classes: (B,) int64, the classes whose scores are followed.
            boxes: B arrays of true boxes on the grid of `side` pixels; None: faithfulness alone.
        """
        removed, hidden = self.removed(images), self.hidden(images)
        before, gone, dim = (scores_of(self.classify, seen, classes) for seen in (images, removed, hidden))
        for key, raw in maps.items():
            sized = locate.resize(raw, images.shape[2])
            scoremaps = locate.normalise(sized, RULES.get(key[0], RULE)[0])
            made = {
                "deletion": deletion(self.classify, images, classes, sized, removed, self.steps, ends=(before, gone)),
                "insertion": insertion(self.classify, images, classes, sized, hidden, self.steps, ends=(dim, before)),
                "before": before,
                "after": masked_scores(self.classify, images, classes, scoremaps),
            }
            kept = self.found.setdefault(key, {})
            for name, values in made.items():
                kept.setdefault(name, []).append(values.float().cpu().numpy())
            if boxes is not None:
                kept.setdefault("right", []).append(right_boxes(scoremaps, boxes))

    def arrays(self) -> dict[str, np.ndarray]:
        """All images of all maps: deletion and insertion (M, n, T + 1), before and after (M, n), right (M, n, taus)."""
        names = next(iter(self.found.values()), {})
        return {name: np.stack([np.concatenate(kept[name]) for kept in self.found.values()]) for name in names}


def faithful(arrays: Mapping[str, np.ndarray], pixels: int) -> list[dict[str, float]]:
    """What a `Judge` found, a row for each map, in percent.

    Args:
        arrays: of `Judge.arrays`.
        pixels: of an image.

    Returns:
        "deletion", "insertion" (areas), "average drop", "increase", and "score", that of the whole image, mean over
        the images; "MaxBoxAcc" of the same images where boxes were given.

    Example:
        >>> curve = np.array([[[1.0, 0.0, 0.0]]])
        >>> arrays = {"deletion": curve, "insertion": curve, "before": np.ones((1, 1)), "after": np.ones((1, 1)) / 2}
        >>> faithful(arrays, 4)
        [{'deletion': 25.0, 'insertion': 25.0, 'average drop': 50.0, 'increase': 0.0, 'score': 100.0}]
    """
    rows = []
    for i in range(len(arrays["before"])):
        before, after = (torch.from_numpy(arrays[name][i]) for name in ("before", "after"))
        change = confidence(before.double(), after.double())
        row = {name: 100 * float(areas(arrays[name][i], pixels).mean()) for name in ("deletion", "insertion")}
        row |= {"average drop": change.average_drop, "increase": change.increase}
        row |= {"score": 100 * float(before.double().mean())}
        if "right" in arrays:
            row["MaxBoxAcc"] = 100 * float(arrays["right"][i].mean(0).max())
        rows.append(row)
    return rows


def areas(curves: np.ndarray, pixels: int) -> np.ndarray:
    """The areas under curves: (..., T + 1) -> (...), see `cmr.metrics.faithfulness.area`."""
    flat = torch.from_numpy(np.asarray(curves, np.float64)).flatten(0, -2)
    return area(flat, pixels).numpy().reshape(curves.shape[:-1])

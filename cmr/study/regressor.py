"""PSOL (Zhang et al., CVPR 2020) in small: a box regressor on frozen features, told by DDT's boxes or by true ones.

The regressor is linear: ridge regression from a grid of pooled features to the corners of the box. It has a closed
form, so nothing in it depends on a start, a rate or a number of epochs; its one setting, the strength of the ridge, is
chosen by leaving each training image out in turn, on the very boxes that it is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cmr.data.split import Split
from cmr.errors import UserError
from cmr.maps import locate
from cmr.metrics.boxes import box_iou, gt_boxes
from cmr.metrics.result import IOU_THRESHOLDS, Result
from cmr.study import frozen
from cmr.study.ddt import Sources, Work, components_of, maps_of, recorded
from cmr.study.features import Features
from cmr.study.settings import Regressor

KIND = "boxes"
STRENGTHS = 10.0 ** np.arange(-6, 3)  # of the ridge, times the mean eigenvalue


@dataclass(frozen=True)
class Ridge:
    """A linear regression with a penalty on its weights, in its dual form: for more features than images.

    Args:
        mean: (D,) of the training features.
        rows: (n, D) training features less their mean.
        weights: (n, m) of the training images.
        offset: (m,) mean target.
        strength: of the penalty, as a share of the mean eigenvalue.
    """

    mean: Tensor
    rows: Tensor
    weights: Tensor
    offset: Tensor
    strength: float

    def predict(self, features: Tensor) -> Tensor:
        """Predicts the targets of features (k, D): (k, m) float64."""
        return ((features - self.mean) @ self.rows.T).double() @ self.weights + self.offset


def ridge(features: Tensor, targets: Tensor) -> Ridge:
    """Fits a ridge regression; its strength has the smallest squared error over images that are left out in turn.

    Args:
        features: (n, D) float.
        targets: (n, m) float.

    Returns:
        The regression.

    Raises:
        UserError: fewer than three images.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> ridge(x, 2 * x).predict(torch.tensor([[4.0]])).round(decimals=3).tolist()
        [[8.0]]
    """
    count = len(features)
    if count < 3:
        raise UserError(f"regressor: {count} images with a box; give 3 or more")
    mean, offset = features.mean(0), targets.double().mean(0)
    rows, wanted = features - mean, targets.double() - offset
    values, vectors = torch.linalg.eigh((rows @ rows.T).double())
    values, seen = values.clamp(min=0), vectors.T @ wanted
    best: tuple[float, float, Tensor] | None = None
    for strength in STRENGTHS:
        shrunk = values / (values + strength * values.mean())
        residual = wanted - vectors @ (shrunk[:, None] * seen)
        # Leave-one-out in closed form: the residual over one less the image's own influence (1 / n for the mean).
        own = (vectors**2 @ shrunk) + 1 / count
        error = float(((residual / (1 - own).clamp(min=1e-9)[:, None]) ** 2).sum())
        if best is None or error < best[0]:
            best = error, float(strength), vectors @ (seen / (values + strength * values.mean())[:, None])
    assert best is not None
    return Ridge(mean, rows, best[2], offset, best[1])


def measure(
    settings: Regressor, out: str | Path, features: str | Path = "", rerun: bool = False, progress: bool = True
) -> frozen.Measurement:
    """Fits the regressor on training images and scores its boxes on the test images.

    Args:
        settings: what is measured.
        out, features, rerun, progress: as in `cmr.study.ddt.measure`.

    Returns:
        The measurement. Its MaxBoxAccV2 is the mean of the accuracies at IoU .3, .5 and .7: there is no threshold
        that could be chosen.

    Raises:
        UserError: as in `cmr.study.ddt.measure`; true boxes are asked for, and a training image has none.
    """

    def work(sources: Sources) -> Work:
        side, chosen = settings.image_size, drawn(sources.train, settings)
        if not all(map(len, sources.test.boxes)):
            raise UserError(f"{sources.test.dataset}: not every test image has a box; a regressor always gives one")
        told = training_boxes(settings, sources)[chosen]
        train, test = (pooled(sources.features(split), settings.cells) for split in (sources.train, sources.test))
        fitted = ridge(train[chosen], (told + torch.tensor([0, 0, 1, 1])) / side)
        boxes = whole_pixels(fitted.predict(test) * side, side)
        result, iou = scored(boxes, sources.test, side)
        about = {
            "title": title(settings),
            "uses": "boxes" if settings.truth == "true" else "labels" if settings.component == "class" else "nothing",
            "boxed_images": len(chosen),
            "strength": fitted.strength,
            "result": result,
        }
        return about, {"label": sources.test.labels.astype(np.int16), "iou": iou, "box": boxes.astype(np.int16)}

    return recorded(KIND, settings, out, features, rerun, progress, work)


def title(settings: Regressor) -> str:
    """What a table calls the regressor.

    Example:
        >>> title(Regressor()), title(Regressor(truth="true", boxed=5))
        ('PSOL: regressor on boxes of DDT', 'regressor on true boxes, 5 per class')
    """
    if settings.truth == "ddt":
        kind = {"set": "", "class": " per class", "image": " per image"}[settings.component]
        name = f"PSOL: regressor on boxes of DDT{kind}"
    else:
        name = "regressor on true boxes"
    return name + (f", {settings.boxed} per class" if settings.boxed else "")


def drawn(split: Split, settings: Regressor) -> np.ndarray:
    """Positions of the training images whose boxes are used."""
    generator = np.random.default_rng(settings.seed)
    groups = [np.flatnonzero(split.labels == label) for label in range(len(split.classes))]
    return np.sort(np.concatenate([generator.permutation(group)[: settings.boxed or None] for group in groups]))


def training_boxes(settings: Regressor, sources: Sources) -> Tensor:
    """What the regressor is told of every training image: (n, 4) xyxy, inclusive grid pixels."""
    split, side = sources.train, settings.image_size
    if settings.truth == "true":
        boxes = gt_boxes(split.boxes, split.sizes, side)
        if missing := [name for name, of_image in zip(split.ids, boxes, strict=True) if not len(of_image)]:
            raise UserError(
                f"{split.dataset}: {len(missing)} training images have no box ({missing[0]}); take --truth ddt"
            )
        return torch.from_numpy(np.stack([of_image[0] for of_image in boxes]))
    maps = maps_of(settings, components_of(settings, sources), sources, split)
    found = [
        locate.largest_box(locate.normalise(locate.resize(part, side), settings.normalise), settings.threshold)
        for part in maps.split(128)
    ]
    return torch.cat(found)


def pooled(features: Features, cells: int) -> Tensor:
    """The features of all images on a coarse grid: (n, C * cells * cells) float32 in main memory."""
    parts = [F.adaptive_avg_pool2d(batch, cells).flatten(1).cpu() for batch, _labels, _index in features.batches()]
    return torch.cat(parts)


def whole_pixels(boxes: Tensor, side: int) -> np.ndarray:
    """Predicted corners as boxes on the grid.

    Args:
        boxes: (n, 4) xyxy, pixels, half-open.
        side: of the grid.

    Returns:
        (n, 4) int64 xyxy, inclusive, inside the grid, of one pixel at least.

    Example:
        >>> whole_pixels(torch.tensor([[-3.0, 2.4, 8.2, 5.6], [6.0, 1.0, 5.0, 3.0]]), 8).tolist()
        [[0, 2, 7, 5], [6, 1, 6, 2]]
    """
    low = boxes[:, :2].round().clamp(0, side - 1)
    high = torch.maximum((boxes[:, 2:].round() - 1).clamp(0, side - 1), low)
    return torch.cat((low, high), 1).long().numpy()


def best_iou(boxes: np.ndarray, true: Sequence[np.ndarray]) -> np.ndarray:
    """IoU of each image's predicted box with the nearest of its true boxes.

    Args:
        boxes: (n, 4) xyxy, inclusive grid pixels.
        true: n arrays (k, 4) likewise, k at least 1.

    Returns:
        (n,) float64.

    Example:
        >>> best_iou(np.array([[0, 0, 1, 1]]), [np.array([[0, 0, 1, 0], [5, 5, 6, 6]])])
        array([0.5])
    """
    return np.array([box_iou(box[None], of_image).max() for box, of_image in zip(boxes, true, strict=True)])


def scored(boxes: np.ndarray, split: Split, side: int) -> tuple[Result, np.ndarray]:
    """The metrics of one box per image, in percent, and each image's best IoU, (n,) float32."""
    iou = best_iou(boxes, gt_boxes(split.boxes, split.sizes, side))
    share = {percent: 100 * float((iou >= percent / 100).mean()) for percent in IOU_THRESHOLDS}
    result = Result(
        images=len(iou),
        gt_known_loc=share[50],
        max_box_acc_v2=float(np.mean([*share.values()])),
        box_acc=share,
        mean_iou=100 * float(iou.mean()),
    )
    return result, iou.astype(np.float32)

"""Every box metric of weakly supervised localization, from score maps, as one torchmetrics `Metric`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmr.data.arrays import as_tensor
from cmr.errors import UserError
from cmr.metrics.boxes import on_grid
from cmr.metrics.contours.levels import quantise, score_levels, tau_list
from cmr.metrics.counts import Protocol, count, percentages, shapes
from cmr.metrics.failures import box_sizes, error_kinds
from cmr.metrics.once import PerImageMetric, names_of
from cmr.metrics.result import Result


@dataclass(frozen=True)
class Outcomes:
    """What came of a batch, image by image, in main memory.

    Attributes:
        ids: B names.
        iou: (B,) float64, of the largest contour's box at the fixed tau with the nearest true box; NaN without a box.
        box: (B, 4) int64, xyxy, inclusive grid pixels.
        top5: (B, min(5, K)) classes, best first; `None` without logits.
        score: (B, min(5, K)) their softmax; `None` without logits.
        counts: what the batch adds to each of the counts that the metrics are made of.
    """

    ids: tuple[str, ...]
    iou: Tensor
    box: Tensor
    top5: Tensor | None
    score: Tensor | None
    counts: dict[str, np.ndarray]


class WSOLMetrics(PerImageMetric):
    """Top-1/Top-5/GT-known Loc, Top-1/Top-5 Clas, MaxBoxAcc, MaxBoxAccV2 and what explains them.

    The states are whole numbers that add up, so any number of processes gives exactly the result of one.

    Args:
        threshold: the fixed tau in [0, 1) of the Loc metrics, a share of each map's highest level.
        step: distance of the taus in the list of which the best is chosen; `None` takes all 255 levels (`tau_list`).
        ids: the images that must come, each once; see `PerImageMetric`.
        threads: of the evaluator; default torch's number.

    Raises:
        UserError: a setting outside its range.

    Example:
        >>> metrics = WSOLMetrics(threshold=0.2)
        >>> scoremaps = torch.zeros(1, 8, 8)
        >>> scoremaps[0, 2:6, 2:6] = 1
        >>> logits = torch.tensor([[0.1, 2.0, 0.3]])
        >>> batch = scoremaps, logits, torch.tensor([1]), [np.array([[2, 2, 6, 6]])], ["a.jpg"]
        >>> metrics.update(*batch)
        >>> metrics.result().top1_loc
        100.0
        >>> outcomes = metrics.score(*batch)
        >>> outcomes.box.tolist(), outcomes.iou.tolist()
        ([[2, 2, 6, 6]], [1.0])
    """

    def __init__(
        self,
        threshold: float = 0.2,
        step: float | None = None,
        ids: Sequence[str] | None = None,
        threads: int | None = None,
    ) -> None:
        super().__init__(ids)
        if not 0 <= threshold < 1:
            raise UserError(f"WSOLMetrics: threshold is {threshold}; expected a number in [0, 1)")
        self.protocol = Protocol(threshold, tau_list(step))
        self.threads = threads
        for name, shape in shapes(self.protocol).items():
            self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def score(
        self,
        scoremaps: Tensor | np.ndarray,
        logits: Tensor | np.ndarray | None,
        labels: Tensor | np.ndarray | None,
        boxes: Sequence[np.ndarray],
        ids: Sequence[str],
    ) -> Outcomes:
        """Scores a batch without counting it.

        Args:
            scoremaps: (B, H, W) in [0, 1] (`cmr.maps.locate.normalise`), any float type, any device, or numpy.
            logits: (B, K) class scores, or `None`: then no class metric is computed.
            labels: (B,) true classes, or `None` without logits.
            boxes: B arrays or tensors (k, 4) on the map's grid (`gt_boxes`); an image without a box counts for its
                class only.
            ids: B names.

        Returns:
            Each image's box and classes, and the counts of all, which `update` takes.

        Raises:
            UserError: shapes that do not fit; NaN, infinite or out-of-range scores; a label that is no class; a box
                outside the map's grid. The message names the image.
        """
        ids = names_of(ids)
        maps = quantise(scoremaps, ids)
        boxes = on_grid(boxes, maps.shape[1:], ids)
        top5, score, hit = _classes(logits, labels, ids)
        levels = score_levels(maps, boxes, threads=self.threads)

        located = np.array([len(b) > 0 for b in boxes], bool)
        level = levels.levels(np.array([self.protocol.threshold]))  # (B, 1)
        box = np.take_along_axis(levels.box_largest, level[:, :, None], axis=1)[:, 0]  # (B, 4)
        iou = np.take_along_axis(levels.iou_largest, level, axis=1)[:, 0]
        right_1, right_5 = (None, None) if hit is None else (hit[:, 0], np.any(hit, axis=1))
        errors = error_kinds(box, boxes, iou >= 0.5, right_1)
        counts = count(self.protocol, levels, located, right_1, right_5, box_sizes(boxes, maps.shape[1:]), errors)
        iou = np.where(located, iou, np.nan)
        return Outcomes(ids, torch.from_numpy(iou), torch.from_numpy(box), top5, score, counts)

    def update(
        self,
        scoremaps: Tensor | np.ndarray | Outcomes,
        logits: Tensor | np.ndarray | None = None,
        labels: Tensor | np.ndarray | None = None,
        boxes: Sequence[np.ndarray] = (),
        ids: Sequence[str] = (),
    ) -> None:
        """Counts a batch; a batch that is refused changes nothing.

        Args:
            scoremaps, logits, labels, boxes, ids: as in `score`; or, alone, the outcomes that it gave.

        Raises:
            UserError: as in `score`; an image that came before or is not expected.
        """
        outcomes = scoremaps if isinstance(scoremaps, Outcomes) else self.score(scoremaps, logits, labels, boxes, ids)
        self._check_new(outcomes.ids)
        for name, value in outcomes.counts.items():
            state = getattr(self, name)
            state += torch.from_numpy(value).to(state.device)
        self._note(outcomes.ids)

    def result(self) -> Result:
        """Makes the metrics of the counts.

        Returns:
            All in percent; class metrics are None when there were no logits, box metrics when no image has a box.

        Raises:
            UserError: an expected image is missing or came twice; only some images came with logits; no image at all.
        """
        return Result.from_dict(self.compute(), "WSOLMetrics")

    def compute(self) -> dict[str, Any]:
        """The same as a dict by the titles that tables have: torchmetrics, which calls this, takes no dataclass."""
        self._check_all()
        counts = {name: getattr(self, name).cpu().numpy() for name in shapes(self.protocol)}
        if not counts["images"]:
            raise UserError("WSOLMetrics: no image was evaluated; call update first")
        if 0 < counts["classified"] < counts["images"]:
            raise UserError(
                f"WSOLMetrics: {counts['classified']} of {counts['images']} images came with logits; give all or none"
            )
        return percentages(self.protocol, counts).to_dict()


def _classes(
    logits: Tensor | np.ndarray | None, labels: Tensor | np.ndarray | None, ids: Sequence[str]
) -> tuple[Tensor | None, Tensor | None, np.ndarray | None]:
    """The best classes and their softmax, (B, min(5, K)) each, and which of them is the true one, bool."""
    if logits is None:
        return None, None, None
    logits = as_tensor(logits, "logits").float().cpu()
    true = None if labels is None else as_tensor(labels, "labels").cpu()
    if true is not None and true.dtype in (torch.uint16, torch.uint32, torch.uint64):  # torch does not compare these
        true = true.long()
    if true is None or logits.ndim != 2 or not logits.shape[1] or len(logits) != len(ids) or true.shape != (len(ids),):
        given = "no labels" if true is None else f"labels of shape {tuple(true.shape)}"
        raise UserError(
            f"{len(ids)} images come with logits of shape {tuple(logits.shape)} and {given}; expected (B, K) and (B,)"
        )
    wrong = ~((true >= 0) & (true < logits.shape[1]) & (true == true.long()))
    if wrong.any():
        i = int(wrong.nonzero()[0])
        raise UserError(
            f"the label of image '{ids[i]}' is {true[i].item()}; expected a class from 0 to {logits.shape[1] - 1}"
        )
    wrong = ~logits.isfinite().all(dim=1)
    if wrong.any():
        raise UserError(f"the logits of image '{ids[int(wrong.nonzero()[0])]}' hold NaN or an infinity")
    score, top5 = logits.softmax(dim=1).topk(min(5, logits.shape[1]), dim=1)
    return top5, score, (top5 == true[:, None]).numpy()

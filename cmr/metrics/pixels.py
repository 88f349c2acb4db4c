"""PxAP: the average precision of pixels as object or background, where masks exist (Choe et al. 2020)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cmr.data.arrays import as_array, as_tensor, two_sides
from cmr.errors import UserError
from cmr.metrics.contours.levels import checked, tau_list
from cmr.metrics.once import PerImageMetric, names_of


def resize_masks(masks: Tensor | np.ndarray, size: int | tuple[int, int] = 224) -> np.ndarray:
    """Brings masks to the maps' grid by the nearest pixel, with the benchmark's rounding (OpenCV's INTER_NEAREST).

    Args:
        masks: (..., H, W), any type; what is not zero is inside.
        size: width and height in pixels; one number for a square.

    Returns:
        (..., size) bool, in main memory.

    Raises:
        UserError: a mask without a pixel, or a size that is none.

    Example:
        >>> resize_masks(np.array([[0, 0, 1, 1], [0, 0, 1, 1]]), 2).astype(int)
        array([[0, 1],
               [0, 1]])
    """
    width, height = two_sides(size, "resize_masks")
    masks = as_array(masks, "resize_masks: masks")
    if masks.ndim < 2 or 0 in masks.shape[-2:]:
        raise UserError(f"resize_masks: masks have shape {masks.shape}; expected (..., height, width), 1 or more each")
    y, x = _nearest(masks.shape[-2], height), _nearest(masks.shape[-1], width)
    return masks[..., y[:, None], x] != 0


def _nearest(before: int, after: int) -> np.ndarray:
    # The pixel's corner decides, not its centre; and the ratio is the reciprocal of a rounded ratio, as in OpenCV: from
    # 1600 to 224 pixels this takes other columns than an exact division in some places.
    place = np.floor(np.arange(after) * (1 / (after / before))).astype(int)
    return np.minimum(place, before - 1)


def pixel_histograms(scoremaps: Tensor, masks: Tensor, ignore: Tensor | None, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Counts the scores of object and background pixels in bins.

    Args:
        scoremaps: (B, H, W) float in [0, 1].
        masks: (B, H, W) bool, object. ignore: (B, H, W) bool, pixels that do not count where they are not object.
        edges: (bins + 1,) ascending, from 0; the last bin holds its right edge, too.

    Returns:
        (bins,) int64 for the object, and likewise for the background.

    Example:
        >>> scores, masks = torch.tensor([[[0.1, 0.6, 0.9]]]), torch.tensor([[[False, False, True]]])
        >>> [h.tolist() for h in pixel_histograms(scores, masks, None, torch.tensor([0.0, 0.5, 1.0]))]
        [[0, 1], [1, 1]]
    """
    bins = len(edges) - 1
    # Doubles: the reference compares in double, and a float32 edge would move scores that lie on it.
    place = torch.bucketize(scoremaps.double().contiguous(), edges.double(), right=True).sub_(1).clamp_(max=bins - 1)
    counted = place + bins * masks  # (B, H, W): background bins, then object bins
    if ignore is not None:
        counted = counted[masks | ~ignore]
    histogram = torch.bincount(counted.flatten(), minlength=2 * bins)
    return histogram[bins:], histogram[:bins]


def average_precision(object_histogram: np.ndarray, background_histogram: np.ndarray) -> float:
    """Area under precision over recall, in percent, from the scores' histograms over all pixels of all images.

    Sum over the bins from the highest down of precision times the step in recall, as the benchmark has it.

    Args:
        object_histogram, background_histogram: (bins,) counts, ascending scores.

    Raises:
        UserError: no object pixel at all.

    Example:
        >>> average_precision(np.array([0, 3]), np.array([5, 1]))
        75.0
    """
    right = np.cumsum(np.asarray(object_histogram, np.int64)[::-1])
    wrong = np.cumsum(np.asarray(background_histogram, np.int64)[::-1])
    if right[-1] == 0:
        raise UserError("PxAP: the masks hold no object pixel; check the masks and the ignore regions")
    precision = right / np.maximum(right + wrong, 1)  # no pixel yet: the step in recall is 0, too
    return float(100 * (precision * np.diff(right / right[-1], prepend=0)).sum())


class PxAP(PerImageMetric):
    """Pixel average precision over a data set with masks (OpenImages30k); states are counts that add up.

    Args:
        step: distance of the thresholds, the benchmark's `cam_curve_interval`.
        ids: the images that must come, each once; see `PerImageMetric`.

    Example:
        >>> pxap = PxAP()
        >>> masks = torch.zeros(1, 4, 4, dtype=torch.bool)
        >>> masks[0, :2] = True
        >>> pxap.update(masks.float(), masks, None, ["a.jpg"])
        >>> pxap.compute()
        100.0
    """

    object: Tensor
    background: Tensor

    def __init__(self, step: float = 0.001, ids: Sequence[str] | None = None) -> None:
        super().__init__(ids)
        # The benchmark's bins: a score of exactly 1 has its own, and one more stays empty.
        self.edges = torch.from_numpy(np.append(tau_list(step), [1.0, 2.0, 3.0]))
        for name in ("object", "background"):
            self.add_state(name, torch.zeros(len(self.edges) - 1, dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        scoremaps: Tensor | np.ndarray,
        masks: Tensor | np.ndarray,
        ignore: Tensor | np.ndarray | None,
        ids: Sequence[str],
    ) -> None:
        """Counts a batch; a batch that is refused changes nothing.

        Args:
            scoremaps: (B, H, W) in [0, 1], any float type, any device, or numpy.
            masks: (B, H, W) bool, the union of an image's instances (`resize_masks`).
            ignore: (B, H, W) bool, pixels that do not count unless they are in the mask, or `None`.
            ids: B names.

        Raises:
            UserError: shapes that differ; NaN, infinite or out-of-range scores; an image that came before.
        """
        ids = names_of(ids)
        self._check_new(ids)
        maps = checked(scoremaps, ids)
        if not maps.is_floating_point():
            raise UserError("PxAP: score maps are uint8; expected a float type, their 255 levels are too coarse")
        inside = as_tensor(masks, "PxAP: masks").to(maps.device).bool()
        ignored = None if ignore is None else as_tensor(ignore, "PxAP: ignore").to(maps.device).bool()
        for name, mask in (("masks", inside), ("ignore regions", ignored)):
            if mask is not None and mask.shape != maps.shape:
                raise UserError(
                    f"PxAP: score maps have shape {tuple(maps.shape)} but {name} {tuple(mask.shape)}; "
                    "bring both to one grid (resize_masks)"
                )
        of_object, of_background = pixel_histograms(maps, inside, ignored, self.edges.to(maps.device))
        self.object += of_object.to(self.object.device)
        self.background += of_background.to(self.background.device)
        self._note(ids)

    def compute(self) -> float:
        """PxAP in percent.

        Raises:
            UserError: no object pixel; an expected image is missing or came twice.
        """
        self._check_all()
        return average_precision(self.object.cpu().numpy(), self.background.cpu().numpy())

"""CutMix: a box of one image pasted into another, labels mixed by area (Yun et al., ICCV 2019)."""

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn import functional

from cmr.methods.cam import CAM
from cmr.methods.settings import CutMixSettings

Box = tuple[int, int, int, int]  # rows y0 to y1 and columns x0 to x1, the ends not included


def box_around(row: int, column: int, share: float, height: int, width: int) -> Box:
    """The box with a share of the image's area and the image's shape, clipped to the image.

    Paper: CutMix eq. 2. Sides are rounded down to whole pixels.

    Args:
        row, column: centre, in pixels from the upper left corner.
        share: area before the clipping, as a share of the image's, in [0, 1].
        height, width: H and W in pixels.

    Returns:
        y0, y1, x0, x1.

    Example:
        >>> box_around(row=4, column=4, share=0.25, height=8, width=8)
        (2, 6, 2, 6)
        >>> box_around(row=0, column=7, share=0.25, height=8, width=8)
        (0, 2, 5, 8)
    """
    tall, wide = int(height * share**0.5), int(width * share**0.5)
    top, left = row - tall // 2, column - wide // 2
    return max(top, 0), min(top + tall, height), max(left, 0), min(left + wide, width)


def draw_box(height: int, width: int, beta: float) -> Box:
    """The box to paste: area 1 - lambda with lambda ~ Beta(beta, beta), centre uniform over the pixels.

    Drawn from torch's global generator on the CPU: slices need plain numbers, and no device has to be waited for.
    """
    share = 1 - float(Beta(beta, beta).sample())
    return box_around(int(torch.randint(height, ())), int(torch.randint(width, ())), share, height, width)


class CutMix(CAM):
    """CAM trained on images with a box of another one; at test the image is whole.

    Paper: CutMix section 3.1.

    Args:
        backbone: gives the last feature map, (B, C, h, w).
        classes: K.
        settings: see `CutMixSettings`.
    """

    Settings = CutMixSettings
    settings: CutMixSettings

    def mix(self, images: Tensor) -> tuple[Tensor, Tensor, float]:
        """Pastes one box, the same place for all, from a permuted batch.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            the mixed images, (B, 3, H, W); which image the box was taken from, (B,) int64; and lambda, the share of
            the pixels that are still the image's own (1 when the step does not mix).
        """
        batch, _, height, width = images.shape
        y0, y1, x0, x1 = 0, 0, 0, 0
        if float(torch.rand(())) < self.settings.probability:  # on the CPU
            y0, y1, x0, x1 = draw_box(height, width, self.settings.beta)
        order = torch.randperm(batch, device=images.device)
        return _paste(images, order, y0, y1, x0, x1), order, 1 - (y1 - y0) * (x1 - x0) / (height * width)

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropies of both labels, weighted by area: (B, 3, H, W), (B,) -> scalars.

        "ce_image" and "ce_pasted" are the two weighted summands of "total"; "accuracy" counts both labels likewise.
        """
        mixed, order, kept = self.mix(images)
        logits = self.head.logits(self.features(mixed))
        ce_image = kept * functional.cross_entropy(logits.float(), labels)
        ce_pasted = (1 - kept) * functional.cross_entropy(logits.float(), labels[order])
        found = logits.argmax(1)
        right = kept * (found == labels).float() + (1 - kept) * (found == labels[order]).float()  # (B,)
        return {"total": ce_image + ce_pasted, "ce_image": ce_image, "ce_pasted": ce_pasted, "accuracy": right.mean()}

    @torch.no_grad()
    def steps(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """A mixture, and where the network sees its two classes: (B, 3, H, W), (B,) -> images and maps (B, h, w).

        Not drawn at random, so that each image shows a mixture: the lower right quarter comes from the image before it.
        """
        order = torch.arange(len(images), device=images.device).roll(1)
        mixed = _paste(images, order, images.shape[2] // 2, images.shape[2], images.shape[3] // 2, images.shape[3])
        features = self.features(mixed)
        return {
            "image": images,
            "other image": images[order],
            "mixed image": mixed,
            "own class map": self.head.class_map(features, labels),
            "pasted class map": self.head.class_map(features, labels[order]),
        }


def _paste(images: Tensor, order: Tensor, y0: int, y1: int, x0: int, x1: int) -> Tensor:
    """The images with one box, half-open, from the images of `order`: (B, 3, H, W), (B,) -> (B, 3, H, W)."""
    mixed = images.clone()
    mixed[:, :, y0:y1, x0:x1] = images[:, :, y0:y1, x0:x1][order]
    return mixed

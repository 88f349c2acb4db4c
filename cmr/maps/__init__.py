"""From a class map to boxes: score maps, several scales, maps made after training, maps without a class."""

from collections.abc import Callable

import torch
from torch import Tensor

# A method's call at test: normalised images (B, 3, H, W) -> logits (B, K), maps of all classes (B, K, h, w).
Localize = Callable[[Tensor], tuple[Tensor, Tensor]]
# The same for one class per image: images, labels (B,) -> logits (B, K), maps of these classes (B, 1, h, w).
LocalizeLabels = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def of_labels(localize: Localize) -> LocalizeLabels:
    """Keeps the map of one class per image.

    Args:
        localize: a method's call, as above.

    Returns:
        The call with labels (B,) int64 beside the images.

    Example:
        >>> call = of_labels(lambda images: (torch.zeros(2, 3), torch.arange(6.0).view(2, 3, 1, 1)))
        >>> call(torch.rand(2, 3, 8, 8), torch.tensor([2, 0]))[1].flatten().tolist()
        [2.0, 3.0]
    """

    def call(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits, maps = localize(images)
        return logits, maps[torch.arange(len(labels), device=maps.device), labels].unsqueeze(1)

    return call

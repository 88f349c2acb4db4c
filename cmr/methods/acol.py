"""ACoL: Adversarial Complementary Learning (Zhang et al., CVPR 2018)."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmr.methods.method import Method
from cmr.methods.settings import ACoLSettings
from cmr.nets.backbones import Backbone
from cmr.network import conv_for_relu


def conv1x1(channels: int, width: int) -> nn.Conv2d:
    """The last layer of a head: small random weights, no bias at first."""
    conv = nn.Conv2d(channels, width, 1)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # it has a bias
    return conv


def minmax(maps: Tensor) -> Tensor:
    """Scales each map to [0, 1] by its own lowest and highest value.

    Args:
        maps: (..., H, W), any float type.

    Returns:
        (..., H, W) float32; a flat map becomes 0.

    Example:
        >>> minmax(torch.tensor([[[-1.0, 0.0], [1.0, 3.0]], [[5.0, 5.0], [5.0, 5.0]]])).flatten(1).tolist()
        [[0.0, 0.25, 0.5, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """
    maps = maps.float()
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(torch.float32).tiny)


def erased_region(maps: Tensor, threshold: float) -> Tensor:
    """Where A is sure enough for B to lose sight of it (Algorithm 1).

    Args:
        maps: (B, H, W) one raw map per image.
        threshold: in [0, 1], of the scaled map.

    Returns:
        (B, H, W) bool, without a gradient.

    Example:
        >>> erased_region(torch.tensor([[[0.0, 2.0], [7.0, 10.0]]]), 0.7)
        tensor([[[False, False],
                 [ True,  True]]])
    """
    return minmax(maps.detach()) >= threshold


class ACoL(Method):
    """Two heads on the same features; the second one has to do without what the first one found.

    Paper: section 3, Algorithm 1.

    Args:
        backbone: gives the last feature map, (B, C, h, w).
        classes: K.
        settings: see `ACoLSettings`.
    """

    Settings = ACoLSettings

    def __init__(self, backbone: Backbone, classes: int, settings: ACoLSettings) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = backbone
        self.head_a = self._head(backbone.channels, classes)
        self.head_b = self._head(backbone.channels, classes)

    def _head(self, channels: int, classes: int) -> nn.Sequential:
        width = self.settings.head_channels
        return nn.Sequential(
            OrderedDict(
                conv1=conv_for_relu(channels, width),
                relu1=nn.ReLU(),
                conv2=conv_for_relu(width, width),
                relu2=nn.ReLU(),
                maps=conv1x1(width, classes),
            )
        )

    def look(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """A's maps, what is erased by one of them, and B's maps of the rest.

        Args:
            images: (B, 3, H, W), normalised.
            labels: (B,) whose map of A erases; None: the class that A gives the highest score.

        Returns:
            A's maps (B, K, h, w), the erased region (B, h, w) bool, B's maps (B, K, h, w).
        """
        features = self.backbone(images)
        if self.settings.smooth:
            features = functional.avg_pool2d(features, 3, stride=1, padding=1)
        maps_a = self.head_a(features)
        if labels is None:
            labels = scores(maps_a).argmax(1)
        region = erased_region(of_class(maps_a, labels), self.settings.erase_threshold)
        maps_b = self.head_b(features.masked_fill(region[:, None], 0))
        return maps_a, region, maps_b

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropies of both heads: (B, 3, H, W), (B,) -> scalars, of which "total" is minimised."""
        maps_a, _, maps_b = self.look(images, labels)
        logits = scores(maps_a)
        ce_a = functional.cross_entropy(logits, labels)
        ce_b = functional.cross_entropy(scores(maps_b), labels)
        accuracy = (logits.argmax(1) == labels).float().mean()
        return {"total": ce_a + ce_b, "ce_a": ce_a, "ce_b": ce_b, "accuracy": accuracy}

    def localize(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of A (B, K), and of each class the larger of both scaled maps, (B, K, h, w) in [0, 1]."""
        maps_a, _, maps_b = self.look(images)
        return scores(maps_a), torch.maximum(minmax(maps_a), minmax(maps_b))

    @torch.no_grad()
    def steps(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """As in training: A's map of the true class, what it erases, B's map, and the larger of both."""
        maps_a, region, maps_b = self.look(images, labels)
        map_a, map_b = minmax(of_class(maps_a, labels)), minmax(of_class(maps_b, labels))
        return {"image": images, "map of A": map_a, "erased": region, "map of B": map_b, "both": map_a.maximum(map_b)}


def scores(maps: Tensor) -> Tensor:
    """The logits are the means of the class maps: (B, K, h, w) -> (B, K) float32."""
    return maps.float().mean((2, 3))


def of_class(maps: Tensor, labels: Tensor) -> Tensor:
    """One map per image: (B, K, h, w), (B,) -> (B, h, w)."""
    return maps[torch.arange(len(maps), device=maps.device), labels]

"""CAM: Learning Deep Features for Discriminative Localization (Zhou et al., CVPR 2016)."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmr.maps import Localize
from cmr.methods.method import Method
from cmr.methods.settings import CAMSettings
from cmr.nets.backbones import Backbone
from cmr.network import Head, conv_for_relu


class CAM(Method):
    """Class activation maps of a classifier with global average pooling.

    Args:
        backbone: gives the last feature map, (B, C, h, w).
        classes: K.
        settings: see `CAMSettings`.
    """

    Settings: ClassVar[type] = CAMSettings

    def __init__(self, backbone: Backbone, classes: int, settings: CAMSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.conv_channels
        if width < 0:
            width = 1024 if backbone.name == "vgg16" else 0
        self.backbone = backbone
        self.conv: nn.Module = nn.Identity()
        if width:
            self.conv = nn.Sequential(conv_for_relu(backbone.channels, width), nn.ReLU())
        self.head = Head(width or backbone.channels, classes)

    def features(self, images: Tensor) -> Tensor:
        """What the classifier sees: (B, 3, H, W) -> (B, C, h, w)."""
        return self.conv(self.backbone(images))

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy of the image's class: (B, 3, H, W), (B,) -> scalars, of which "total" is minimised."""
        logits = self.head.logits(self.features(images))
        total = functional.cross_entropy(logits.float(), labels)
        return {"total": total, "accuracy": (logits.argmax(1) == labels).float().mean()}

    def localize(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and class maps (B, K, h, w), raw and signed, without the bias."""
        return self.head(self.features(images))

    def localize_positive(self) -> Localize | None:
        """A call as `localize`, with maps of the head's positive weights; the logits are the same."""

        def call(images: Tensor) -> tuple[Tensor, Tensor]:
            features = self.features(images)
            return self.head.logits(features), self.head.class_maps(features, positive=True)

        return call

    @torch.no_grad()
    def steps(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The strength of the last features, and the map of the true class, which weighs them by the classifier."""
        features = self.features(images)
        return {"image": images, "mean feature": features.mean(1), "class map": self.head.class_map(features, labels)}

"""ADL: Attention-based Dropout Layer (Choe and Shim, CVPR 2019)."""

import torch
from torch import Tensor
from torch.nn import functional

from cmr.methods.cam import CAM
from cmr.methods.settings import ADLSettings
from cmr.nets.backbones import Backbone, places

# VGG16, ResNet50 and InceptionV3 as in the WSOL benchmark: behind pool3, conv4_3 (before pool4) and conv5_3; behind the
# first block of each late stage and the last block; behind Mixed_5d and 6e (the benchmark's third place there is a
# convolution that only its own head has). The others by analogy.
LAYERS = {
    "vgg16": ("features.16", "features.22", "features.29"),
    "resnet50": ("layer3.0", "layer4.0", "layer4.2"),
    "resnet18": ("layer3.0", "layer4.0", "layer4.1"),
    "inception_v3": ("Mixed_5d", "Mixed_6e"),
    "squeezenet1_1": ("features.5", "features.7", "features.12"),
    "tiny": ("layer1", "layer2"),
}


def self_attention(features: Tensor) -> Tensor:
    """The mean over the channels, in float32: (B, C, h, w) -> (B, 1, h, w).

    Example:
        >>> self_attention(torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1)).item()
        2.0
    """
    return features.mean(1, keepdim=True, dtype=torch.float32)


def drop_mask(attention: Tensor, threshold: float) -> Tensor:
    """What is left when the most attended positions are dropped.

    Paper: ADL section 3; the erasing mask of EIL is the same.

    Args:
        attention: (B, 1, h, w) float, never negative.
        threshold: share of each image's own maximum, in [0, 1].

    Returns:
        (B, 1, h, w) bool: True, kept, where the attention is below `threshold` times the image's maximum.

    Example:
        >>> drop_mask(torch.tensor([[[[0.0, 1.0], [3.0, 4.0]]]]), threshold=0.7).flatten().tolist()
        [True, True, False, False]
    """
    return attention < threshold * attention.amax((2, 3), keepdim=True)


class ADL(CAM):
    """CAM with layers that, in training, hide the most attended positions or weight all of them by attention.

    Paper: ADL section 3. The layers have no parameters and are not there at test.

    Args:
        backbone: gives the last feature map, (B, C, h, w); the layers sit at its `LAYERS`.
        classes: K.
        settings: see `ADLSettings`.

    Raises:
        UserError: a backbone that is not in `LAYERS`.
    """

    Settings = ADLSettings
    settings: ADLSettings

    def __init__(self, backbone: Backbone, classes: int, settings: ADLSettings) -> None:
        super().__init__(backbone, classes, settings)
        self.layers = places("adl", backbone, LAYERS)

    def drop(self, features: Tensor) -> Tensor:
        """One layer: features times drop mask or importance map, (B, C, h, w) -> (B, C, h, w)."""
        attention = self_attention(features)
        kept = drop_mask(attention.detach(), self.settings.drop_threshold).float()
        # One draw for the whole batch; it stays on the device, so nobody waits for it.
        drops = torch.rand((), device=features.device) < self.settings.drop_rate
        return features * torch.where(drops, kept, attention.sigmoid()).to(features.dtype)

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy through the layers: (B, 3, H, W), (B,) -> scalars."""
        features = self.backbone(images, dict.fromkeys(self.layers, self.drop))
        logits = self.head.logits(self.conv(features))
        total = functional.cross_entropy(logits.float(), labels)
        return {"total": total, "accuracy": (logits.argmax(1) == labels).float().mean()}

    @torch.no_grad()
    def steps(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What the last of the layers sees and would do: (B, 3, H, W), (B,) -> named images and maps (B, h, w)."""
        last, seen = self.backbone.look(images, self.layers[-1:])
        attention = self_attention(seen[self.layers[-1]])
        return {
            "image": images,
            "self-attention": attention[:, 0],
            "importance map": attention.sigmoid()[:, 0],
            "drop mask": drop_mask(attention, self.settings.drop_threshold)[:, 0],
            "class map": self.head.class_map(self.conv(last), labels),
        }

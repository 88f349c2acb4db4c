"""Whole ImageNet classifiers whose last layer gives class activation maps, for localization without training."""

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from cmr.errors import UserError, require_known
from cmr.nets import BACKBONES
from cmr.nets.backbones import Backbone, build_backbone
from cmr.nets.weights import load_weights, state_of

CLASSIFIERS = {"resnet50": ("fc", 32), "resnet18": ("fc", 32), "squeezenet1_1": ("classifier.1", 16)}


class Classifier(nn.Module):
    """A whole ImageNet classifier whose last layer gives class activation maps (Zhou et al., CVPR 2016).

    Args:
        backbone: the network up to its last feature map.
        head: the classifier's layer, 1x1 convolution from C to K classes.
        relu: the published network has a ReLU between head and pooling (SqueezeNet).
    """

    def __init__(self, backbone: Backbone, head: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.relu = relu

    def cam(self, images: Tensor, positive: bool = False) -> tuple[Tensor, Tensor]:
        """Computes logits and class activation maps.

        Args:
            images: (B, 3, H, W) float, normalised.
            positive: maps of the head's positive weights alone; the features are never negative, so a negative weight
                only takes away where another class has its evidence (Bae et al., ECCV 2020). The logits stay.

        Returns:
            logits (B, K), and raw maps (B, K, h, w) without the head's bias: a ResNet's logit is the mean of its map
            plus the bias; SqueezeNet's is the mean of its map, which has passed the published ReLU.
        """
        features = self.backbone(images)  # (B, C, h, w)
        if self.relu:
            maps = F.relu(self.head(features))  # (B, K, h, w)
            logits = maps.mean((2, 3))
        else:
            maps = F.conv2d(features, self.head.weight)
            logits = maps.mean((2, 3)) + self.head.bias  # type: ignore[operator]  # it has a bias
        if positive:
            maps = F.conv2d(features, self.head.weight.clamp(min=0))
        return logits, maps

    def forward(self, images: Tensor) -> Tensor:
        """Computes the logits, (B, K)."""
        return self.cam(images)[0]


def build_classifier(name: str, weights: str | Path) -> Classifier:
    """Builds a whole ImageNet classifier with class activation maps, for localization without training.

    Args:
        name: "resnet50", "resnet18" or "squeezenet1_1"; the others end in layers from which no map can be read.
        weights: "imagenet", or a file with the classifier's weights, as in `build_backbone`.

    Returns:
        The classifier, in evaluation mode, with the published stride, 32 for ResNets: without training, the finer map
        of stride 16 classifies and localizes worse.

    Raises:
        UserError: a network without such a head, or weights that are missing or do not fit.
    """
    require_known(name, "backbone", BACKBONES)
    if name not in CLASSIFIERS:
        known = ", ".join(CLASSIFIERS)
        raise UserError(
            f"backbone: '{name}' has no linear head behind its pooling, so no class maps; choose from {known}"
        )
    if weights == "none":
        raise UserError("weights: an ImageNet classifier needs weights; give imagenet or a file")
    prefix, published = CLASSIFIERS[name]
    backbone = build_backbone(name, stride=published)
    classifier = Classifier(backbone, nn.Conv2d(backbone.channels, 1000, 1), relu=name == "squeezenet1_1")
    state = {}
    for key, tensor in state_of(name, weights).items():
        if key.startswith(f"{prefix}."):
            key = "head" + key.removeprefix(prefix)
            tensor = tensor[..., None, None] if tensor.ndim == 2 else tensor
        else:
            key = f"backbone.body.{key}"
        state[key] = tensor
    load_weights(classifier, state, str(weights))
    return classifier.eval()

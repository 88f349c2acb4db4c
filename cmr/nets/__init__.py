"""Networks: backbones, their weights, heads, and whole ImageNet classifiers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """What is known of a backbone before it is built: channels of the map, allowed strides (default first)."""

    channels: int
    strides: tuple[int, ...]
    head: tuple[str, ...]  # prefixes of the weights behind the cut, in torchvision's and in timm's files


BACKBONES = {
    "vgg16": Architecture(512, (16, 8), ("classifier.", "pre_logits.", "head.")),
    "resnet50": Architecture(2048, (16, 8, 32), ("fc.",)),
    "resnet18": Architecture(512, (16, 8, 32), ("fc.",)),
    "inception_v3": Architecture(768, (16, 8), ("AuxLogits.", "Mixed_7", "fc.")),
    "squeezenet1_1": Architecture(512, (16,), ("classifier.",)),
    "tiny": Architecture(128, (8, 4), ()),
}

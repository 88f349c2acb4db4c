"""EIL and MEIL: Erasing Integrated Learning, at one layer and at several (Mai, Yang and Luo, CVPR 2020)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from cmr.methods.adl import drop_mask, self_attention
from cmr.methods.cam import CAM
from cmr.methods.settings import EILSettings
from cmr.nets.backbones import Backbone, places

# VGG16 as in the released code, behind pool4: where the last stage begins. The others by analogy.
LAYERS = {
    "vgg16": ("features.23",),
    "resnet50": ("layer3",),
    "resnet18": ("layer3",),
    "inception_v3": ("Mixed_6a",),
    "squeezenet1_1": ("features.8",),
    "tiny": ("layer1",),
}
# The paper's own list was not at hand: here where the last two stages begin (VGG16: behind pool3 and pool4).
LAYERS_MULTI = {
    "vgg16": ("features.16", "features.23"),
    "resnet50": ("layer2", "layer3"),
    "resnet18": ("layer2", "layer3"),
    "inception_v3": ("Pool2", "Mixed_6a"),
    "squeezenet1_1": ("features.5", "features.8"),
    "tiny": ("maxpool", "layer1"),
}


class EIL(CAM):
    """CAM trained on features as they are and, through the same layers, on features with the brightest part erased.

    Paper: EIL section 3. Nothing is erased at test.

    Args:
        backbone: gives the last feature map, (B, C, h, w); features are erased at its `LAYERS`.
        classes: K.
        settings: see `EILSettings`.

    Raises:
        UserError: a backbone that is not in `LAYERS`.
    """

    Settings = EILSettings
    settings: EILSettings
    name: ClassVar[str] = "eil"
    known_layers: ClassVar[Mapping[str, Sequence[str]]] = LAYERS

    def __init__(self, backbone: Backbone, classes: int, settings: EILSettings) -> None:
        super().__init__(backbone, classes, settings)
        self.layers = places(self.name, backbone, self.known_layers)

    def kept(self, features: Tensor) -> Tensor:
        """True where features stay: (B, C, h, w) -> (B, 1, h, w) bool; no gradient passes through it."""
        return drop_mask(self_attention(features.detach()), self.settings.erase_threshold)

    def paths(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features behind the shared layers of each path: unerased first, then erased at each of the layers in turn.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            1 + number of layers times (B, C, h, w).
        """
        batch = len(images)

        def add_erased(features: Tensor) -> Tensor:
            unerased = features[:batch]  # the paths that were erased at an earlier layer just go on
            return torch.cat((features, unerased * self.kept(unerased)))  # (B more, C, h, w)

        return self.conv(self.backbone(images, dict.fromkeys(self.layers, add_erased))).split(batch)

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropies of the unerased and the erased paths, added: (B, 3, H, W), (B,) -> scalars.

        "accuracy" is the unerased path's.
        """
        logits = [self.head.logits(features) for features in self.paths(images)]
        unerased, *erased = (functional.cross_entropy(path.float(), labels) for path in logits)
        return {
            "total": unerased + self.settings.erased_weight * sum(erased),
            "ce_unerased": unerased,
            **{f"ce_erased_{layer}": loss for layer, loss in zip(self.layers, erased, strict=True)},
            "accuracy": (logits[0].argmax(1) == labels).float().mean(),
        }

    @torch.no_grad()
    def steps(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What is kept at each layer, and the class maps without and with it: (B, 3, H, W), (B,) -> maps (B, h, w)."""
        _, seen = self.backbone.look(images, self.layers)
        masks = {f"kept at {layer}": self.kept(seen[layer])[:, 0] for layer in self.layers}
        unerased, *_, erased = (self.head.class_map(features, labels) for features in self.paths(images))
        return {"image": images, **masks, "unerased map": unerased, "erased map": erased}


class MEIL(EIL):
    """EIL at several layers: one erased path a layer, all through the same network, losses added.

    Paper: EIL section 3, "MEIL".

    Args:
        backbone: gives the last feature map, (B, C, h, w); features are erased at its `LAYERS_MULTI`.
        classes: K.
        settings: see `EILSettings`.
    """

    name = "meil"
    known_layers = LAYERS_MULTI

"""SPG: Self-produced Guidance (Zhang et al., ECCV 2018)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmr.methods.acol import conv1x1, minmax
from cmr.methods.cam import CAM
from cmr.methods.settings import SPGSettings
from cmr.nets.backbones import Backbone, places
from cmr.network import conv_for_relu

# Behind which layers B1 and B2 stand. InceptionV3 is the paper's; VGG16 and ResNet50 are the WSOL benchmark's; the
# others by analogy: the last two sizes of feature maps before the classifier's own layers.
LAYERS = {
    "inception_v3": ("Mixed_5d", "Mixed_6e"),
    "vgg16": ("features.22", "features.29"),
    "resnet50": ("layer3.0", "layer3"),
    "resnet18": ("layer3.0", "layer3"),
    "squeezenet1_1": ("features.7", "features.10"),
    "tiny": ("layer1", "layer2"),
}
IGNORED = 0.5  # in a target: neither object nor background


def guidance(attention: Tensor, high: float, low: float, min_pixels: int = 30) -> Tensor:
    """What a map teaches: sure object, sure background, and nothing between (section 3).

    Args:
        attention: (B, H, W) in [0, 1].
        high: object is above; per image 0.7 times its maximum where fewer than `min_pixels` pixels are.
        low: background is below, even where the line above calls it object.
        min_pixels: fewest object pixels that `high` may leave.

    Returns:
        (B, H, W) float32 without a gradient: 1 object, 0 background, `IGNORED` between.

    Example:
        >>> guidance(torch.tensor([[[0.0, 0.3], [0.7, 0.9]]]), high=0.7, low=0.1, min_pixels=1)
        tensor([[[0.0000, 0.5000],
                 [0.5000, 1.0000]]])
        >>> guidance(torch.tensor([[[0.0, 0.3], [0.7, 0.9]]]), high=0.7, low=0.1, min_pixels=2)
        tensor([[[0.0000, 0.5000],
                 [1.0000, 1.0000]]])
    """
    attention = attention.detach().float()
    few = (attention > high).sum((1, 2), keepdim=True) < min_pixels  # (B, 1, 1)
    least = torch.where(few, 0.7 * attention.amax((1, 2), keepdim=True), high)
    target = torch.full_like(attention, IGNORED).masked_fill(attention > least, 1.0)
    return target.masked_fill(attention < low, 0.0)


def guided_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy, averaged over the batch's pixels that count (section 3).

    Args:
        logits: (B, H, W).
        target: (B, H, W) of `guidance`.

    Returns:
        Scalar float32; 0, still with a (zero) gradient, where no pixel counts.

    Example:
        >>> target = torch.tensor([[[1.0, 0.0, IGNORED]]])
        >>> round(guided_loss(torch.tensor([[[0.0, 0.0, 9.0]]]), target).item(), 4)
        0.6931
    """
    counted = target != IGNORED
    loss = functional.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
    return (loss * counted).sum() / counted.sum().clamp(min=1)


class SPG(CAM):
    """CAM whose inner layers learn where the object is, each from the map of a later one.

    Paper: section 3.

    Args:
        backbone: gives the last feature map, (B, C, h, w), and the two maps of `LAYERS`.
        classes: K.
        settings: see `SPGSettings`.

    Raises:
        UserError: no layers are known for this backbone.
    """

    Settings = SPGSettings
    settings: SPGSettings

    def __init__(self, backbone: Backbone, classes: int, settings: SPGSettings) -> None:
        super().__init__(backbone, classes, settings)
        self.layers = places("spg", backbone, LAYERS)
        width = settings.head_channels
        inner_1, inner_2 = (backbone.layer_channels(layer) for layer in self.layers)
        self.b1 = nn.Sequential(conv_for_relu(inner_1, width), nn.ReLU())
        self.b2 = nn.Sequential(conv_for_relu(inner_2, width), nn.ReLU())
        self.b_shared = nn.Sequential(conv_for_relu(width, width), nn.ReLU(), conv1x1(width, 1))
        self.c = nn.Sequential(conv_for_relu(self.head.weight.shape[1], width), nn.ReLU(), conv1x1(width, 1))

    def look(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Everything that training compares, at the size of the images.

        Args:
            images: (B, 3, H, W), normalised.
            labels: (B,).

        Returns:
            The class logits (B, K); the attention M (B, H, W) in [0, 1]; what B2, B1 and C say, (B, H, W) logits.
        """

        def at_image_size(maps: Tensor) -> Tensor:
            size = images.shape[2:]
            return functional.interpolate(maps.float(), size, mode="bilinear", align_corners=False)[:, 0]  # (B, H, W)

        last, inner = self.backbone.look(images, self.layers)
        features = self.conv(last)
        attention = minmax(at_image_size(self.head.class_map(features, labels).detach()[:, None]))
        layer_1, layer_2 = self.layers
        said = {
            "b2": at_image_size(self.b_shared(self.b2(inner[layer_2]))),
            "b1": at_image_size(self.b_shared(self.b1(inner[layer_1]))),
            "c": at_image_size(self.c(features)),
        }
        return self.head.logits(features), attention, said

    def targets(self, attention: Tensor, said: dict[str, Tensor]) -> dict[str, Tensor]:
        """What each of B2, B1 and C should have said, all without a gradient: (B, H, W) each."""
        s = self.settings
        from_b1, from_b2 = said["b1"].sigmoid(), said["b2"].sigmoid()
        return {
            "b2": guidance(attention, s.high_b2, s.low_b2, s.min_pixels),
            "b1": guidance(from_b2, s.high_b1, s.low_b1, s.min_pixels),
            "c": guidance((from_b1 + from_b2) / 2, s.high_c, s.low_c, s.min_pixels),
        }

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy and three guided losses: (B, 3, H, W), (B,) -> scalars; "total" is their plain sum."""
        logits, attention, said = self.look(images, labels)
        targets = self.targets(attention, said)
        ce = functional.cross_entropy(logits.float(), labels, label_smoothing=self.settings.label_smoothing)
        guided = {name: guided_loss(said[name], targets[name]) for name in said}
        accuracy = (logits.argmax(1) == labels).float().mean()
        return {"total": sum(guided.values(), ce), "ce": ce, **guided, "accuracy": accuracy}

    @torch.no_grad()
    def steps(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The attention, and the targets made of it and of one another: 1 object, 0 background, 0.5 not counted."""
        _, attention, said = self.look(images, labels)
        targets = self.targets(attention, said)
        names = {"target of B2": "b2", "target of B1": "b1", "target of C": "c"}
        return {"image": images, "attention": attention, **{shown: targets[name] for shown, name in names.items()}}

"""CCAM: Combinational Class Activation Maps (Yang et al., WACV 2020)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmr.errors import UserError, require_known
from cmr.maps import Localize
from cmr.methods.cam import CAM
from cmr.methods.settings import CCAMSettings
from cmr.nets.backbones import Backbone, places

# Published for VGG16: behind pools 2, 3 and 4 and behind conv5.
# By analogy: at the same strides of the others, and at their ends.
LAYERS = {
    "vgg16": ("features.9", "features.16", "features.23", "features.29"),
    "resnet50": ("layer1", "layer2", "layer3", "layer4"),
    "resnet18": ("layer1", "layer2", "layer3", "layer4"),
    "inception_v3": ("Pool1", "Pool2", "Pool3", "Mixed_6e"),
    "squeezenet1_1": ("features.2", "features.5", "features.8", "features.12"),
    "tiny": ("layer1", "layer2"),
}
REDUCTION = 8
GAMMAS = ("quadratic", "linear", "top1_bottom1", "top1")


def rank_weights(gamma: str, classes: int, top_share: float = 0.5) -> Tensor:
    """gamma(r), the weight of the map of the class with the r-th best score.

    The four functions of the published code. Quadratic: n = round(top_share * K) ranks from 1 down to 0 along a
    parabola, the rest from 0 down to -1 along another one.

    Args:
        gamma: "quadratic", "linear", "top1_bottom1" or "top1".
        classes: K, 1 or more.
        top_share: share of the upper parabola, above 0 and at most 1; at least one rank is in it.

    Returns:
        (K,) float32, never rising, 1 at the first rank.

    Raises:
        UserError: unknown `gamma`, or `top_share` out of range.

    Example:
        >>> rank_weights("quadratic", 6)
        tensor([ 1.0000,  0.2500,  0.0000,  0.0000, -0.2500, -1.0000])
        >>> rank_weights("quadratic", 4)
        tensor([ 1.,  0.,  0., -1.])
        >>> rank_weights("linear", 5)
        tensor([ 1.0000,  0.5000,  0.0000, -0.5000, -1.0000])
    """
    require_known(gamma, "gamma", GAMMAS)
    if not 0 < top_share <= 1:
        raise UserError(f"top_share: {top_share} is not a share of the classes; give a number above 0, at most 1")
    if gamma == "linear":
        return torch.linspace(1, -1, classes)
    if gamma == "quadratic":
        top = max(1, round(top_share * classes))
        return torch.cat((torch.linspace(1, 0, top).square(), 0 - torch.linspace(0, 1, classes - top).square()))
    weights = torch.zeros(classes)
    if gamma == "top1_bottom1":
        weights[-1] = -1
    weights[0] = 1
    return weights


def combine(maps: Tensor, logits: Tensor, weights: Tensor) -> Tensor:
    """Combinational maps: each class's own map first, then those of the other classes by score.

    M_k = gamma(1) CAM_k + sum over r >= 2 of gamma(r) CAM of the (r - 1)-th best of the other classes. For the class
    with the best score this is the paper's map. Putting another class first moves only the classes above it, each by
    one rank, so that one running sum along the ranks serves all classes.

    Args:
        maps: (B, K, h, w) class maps.
        logits: (B, K) scores; of equal ones the lower class goes first.
        weights: (K,) gamma, as of `rank_weights`.

    Returns:
        (B, K, h, w) float32.

    Example:
        >>> maps = torch.tensor([1.0, 4.0, 2.0, 3.0]).view(1, 4, 1, 1)
        >>> combine(maps, logits=maps[..., 0, 0], weights=torch.tensor([1.0, 0.0, 0.0, -1.0])).flatten().tolist()
        [-1.0, 3.0, 1.0, 2.0]
    """
    order = logits.argsort(dim=1, descending=True, stable=True)  # (B, K): the class of each rank
    ranked = maps.float().gather(1, order[..., None, None].expand_as(maps))  # (B, K, h, w), best class first
    gamma = weights.to(ranked)[:, None, None]  # (K, 1, 1)
    best = (gamma * ranked).sum(1, keepdim=True)  # (B, 1, h, w)
    moved = gamma.diff(dim=0, append=gamma[-1:]) * ranked  # what a class's term changes by when it falls one rank
    combined = best + (moved.cumsum(1) - moved) + (gamma[0] - gamma) * ranked
    return combined.gather(1, order.argsort(dim=1)[..., None, None].expand_as(maps))


class NonLocal(nn.Module):
    """A non-local block: every place adds what places like it hold, x + BN(W softmax(theta^T phi) g).

    Batch normalisation starts with weight 0, so that the block starts as the identity and a pretrained network is not
    disturbed. Runs in float32 whatever the rest runs in: the energies are exponents.

    Args:
        channels: C; theta and phi have C / 8, at least 1.

    Shape:
        (B, C, h, w) -> (B, C, h, w) in the dtype of the input.

    Example:
        >>> f = torch.rand(2, 16, 7, 7)
        >>> torch.equal(NonLocal(16)(f), f)
        True
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // REDUCTION)
        self.theta = nn.Conv2d(channels, narrow, 1)
        self.phi = nn.Conv2d(channels, narrow, 1)
        self.g = nn.Conv2d(channels, channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            f = features.float()
            # (B, C', h, w) -> (B, 1, N, C'), one attention head
            theta, phi, g = (conv(f).flatten(2).mT[:, None].contiguous() for conv in (self.theta, self.phi, self.g))
            # The fused kernels, which never hold the N x N weights, want one width; zeros leave the energies alone.
            # At N = 3136 on a CPU this halves the time.
            wider = (0, g.shape[-1] - theta.shape[-1])
            theta, phi = functional.pad(theta, wider), functional.pad(phi, wider)
            gathered = functional.scaled_dot_product_attention(theta, phi, g, scale=1.0)  # (B, 1, N, C)
            gathered = gathered[:, 0].mT.reshape_as(f)  # (B, N, C) -> (B, C, h, w)
            return (f + self.norm(self.out(gathered))).to(features.dtype)


class CCAM(CAM):
    """CAM with non-local blocks, whose test map weighs the maps of all classes by the ranks of their scores.

    Args:
        backbone: gives the last feature map, (B, C, h, w).
        classes: K.
        settings: see `CCAMSettings`.

    Raises:
        UserError: a backbone for which `LAYERS` says nothing.
    """

    Settings = CCAMSettings
    gamma: Tensor

    def __init__(self, backbone: Backbone, classes: int, settings: CCAMSettings) -> None:
        super().__init__(backbone, classes, settings)
        self.layers = places("ccam", backbone, LAYERS) if settings.non_local else ()
        self.blocks = nn.ModuleList(NonLocal(backbone.layer_channels(layer)) for layer in self.layers)
        self.register_buffer("gamma", rank_weights(settings.gamma, classes, settings.top_share), persistent=False)

    def features(self, images: Tensor) -> Tensor:
        """What the classifier sees, non-local blocks at work: (B, 3, H, W) -> (B, C, h, w)."""
        return self.conv(self.backbone(images, dict(zip(self.layers, self.blocks, strict=True))))

    def localize(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and combinational maps (B, K, h, w), raw and signed."""
        logits, maps = self.head(self.features(images))
        return logits, combine(maps, logits, self.gamma)

    def localize_positive(self) -> Localize | None:
        """None: a combinational map takes away what the classes of the lower ranks have."""
        return None

    @torch.no_grad()
    def steps(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What is added and what is taken away to get the map of the label: (B, 3, H, W), (B,) -> named pictures."""
        logits, maps = self.head(self.features(images))
        rows = torch.arange(len(labels), device=labels.device)
        return {
            "image": images,
            "class map": maps[rows, labels].float(),
            "upper ranks": combine(maps, logits, self.gamma.clamp(min=0))[rows, labels],
            "lower ranks": combine(maps, logits, (-self.gamma).clamp(min=0))[rows, labels],
            "combined": combine(maps, logits, self.gamma)[rows, labels],
        }

"""CMR: complementary image regions, the paper's own method (Babar and Das, WACV 2021)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from cmr.attention import CAAM, SSAM
from cmr.config import COUNT, SHARE, Range
from cmr.data.images import MEAN, STD
from cmr.losses import total_loss
from cmr.methods.method import Method
from cmr.nets.backbones import Backbone
from cmr.network import ComplementaryNet
from cmr.views import complementary_views, hide_masks


@dataclass(frozen=True)
class CMRSettings:
    """Every choice that the paper's text leaves open, with the default of this study."""

    RANGES: ClassVar[dict[str, Range]] = {
        "sizes": COUNT,
        "hide_probability": SHARE,
        "ssam_reduction": COUNT,
        "fuse_kernel": Range(0, 99),
        "fuse_channels": Range(0, 10**6),
        "beta": Range(0),
        "beta_warmup": Range(0, 10**9),
    }

    #: Values under the names that records from before have.
    BEFORE: ClassVar[dict[tuple[str, str], str]] = {
        ("fusion_map", "centred"): "mean_free",
        ("test_map", "centred"): "mean_free",
    }

    # sides of the hidden cells in pixels; several: one is drawn per image per step ("Mixed", table 6)
    sizes: tuple[int, ...] = (16, 32, 44, 56)
    # probability that a cell is hidden in X (and so shown in X~)
    hide_probability: float = 0.5
    # value of hidden cells: the data set's mean (0 after normalisation), black, or noise
    fill: Literal["mean", "black", "noise"] = "mean"
    # channel-wise assisted attention between the views, eq. 1-6; off: identity (table 5)
    caam: bool = True
    # eq. 1's softmax: column (a true weighted sum in eq. 4), row (literal transpose), cross (no transpose)
    caam_axis: Literal["column", "row", "cross"] = "column"
    # divisor of the channel energies before the softmax
    caam_scale: Literal["none", "sqrt_n", "n", "cosine"] = "none"
    # give weight to dissimilar channels (max - E, as in DANet's code)
    caam_invert: bool = False
    # take Q_x~ as the transpose of Q_x, as the text claims
    caam_share_q: bool = False
    # spatial self-attention of each view, eq. 7-8; off: identity (table 5)
    ssam: bool = True
    # C over the channels of M and L
    ssam_reduction: int = 8
    # one set of 1x1 convolutions for both views
    ssam_shared_convs: bool = True
    # side of eq. 9's convolution; 0: 3 up to 512 channels, 1 above
    fuse_kernel: int = 0
    # eq. 9's convolution; off: the classifiers see the sum itself, with the backbone's channels
    fuse_conv: bool = True
    # feature maps of F^t; 0: as many as the backbone has
    fuse_channels: int = 0
    # one branch (convolution and classifier) for both views
    share_heads: bool = False
    # eq. 10: mean (GAP) or sum (as printed)
    pooling: Literal["mean", "sum"] = "mean"
    # weight of the fusion loss, eq. 15
    beta: float = 50.0
    # eq. 14 over pixels: mean or sum
    reduction: Literal["mean", "sum"] = "mean"
    # steps over which beta rises evenly from 0; 0: at once (the paper says nothing)
    beta_warmup: int = 0
    # the maps that eq. 14 compares: raw and signed (as eq. 13 has them), their positive part (relu), less their own
    # minimum (minmax), or less the mean over all classes' maps, which the cross-entropy does not see (mean_free)
    fusion_map: Literal["raw", "relu", "minmax", "mean_free"] = "raw"
    # the map that is only a target, without a gradient: none, or that of X~
    fusion_stop: Literal["none", "x_tilde"] = "none"
    # CAAM and SSAM at test: off (the paper) or on
    test_modules: Literal["off", "on"] = "off"
    # with modules off: conv(F + F), double, or conv(F), single
    test_sum: Literal["double", "single"] = "double"
    # whose classifier and map at test
    test_branch: Literal["x", "x_tilde", "mean"] = "x"
    # the maps at test: raw (eq. 13), or less the mean over all classes' maps
    test_map: Literal["raw", "mean_free"] = "raw"


class CMR(Method):
    """Two complementary views, CAAM and SSAM, two classifiers and the attention-based fusion loss.

    Paper: Algorithm 1.

    Args:
        backbone: gives the last feature map, (B, C, h, w).
        classes: K.
        settings: see `CMRSettings`.
    """

    Settings = CMRSettings
    step: Tensor

    def __init__(self, backbone: Backbone, classes: int, settings: CMRSettings) -> None:
        super().__init__()
        s = self.settings = settings
        caam = CAAM(s.caam_axis, s.caam_scale, s.caam_invert, s.caam_share_q) if s.caam else None
        ssam = SSAM(backbone.channels, s.ssam_reduction, s.ssam_shared_convs) if s.ssam else None
        self.net = ComplementaryNet(
            backbone, classes, caam, ssam, s.fuse_kernel, s.fuse_channels, s.pooling, s.share_heads, s.fuse_conv
        )
        if s.beta_warmup:
            self.register_buffer("step", torch.zeros((), dtype=torch.long))  # kept by checkpoints

    @property
    def backbone(self) -> Backbone:  # type: ignore[override]  # the network holds it
        """The part that starts from ImageNet weights; all else is new."""
        return self.net.backbone

    def views(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """X and X~ (section 3.2): (B, 3, H, W) -> twice (B, 3, H, W)."""
        batch, _, height, width = images.shape
        masks = hide_masks(
            batch, height, width, self.settings.sizes, self.settings.hide_probability, device=images.device
        )
        fill: float | Tensor = 0.0
        if self.settings.fill == "black":
            fill = (-torch.as_tensor(MEAN) / torch.as_tensor(STD)).to(images)
        elif self.settings.fill == "noise":
            fill = torch.randn_like(images)
        return complementary_views(images, masks, fill)

    def beta(self) -> float | Tensor:
        """The weight of the fusion loss at this step; a tensor while it warms up, so that no step waits for it."""
        if not self.settings.beta_warmup or not self.training:
            return self.settings.beta
        self.step += 1
        return self.settings.beta * (self.step / self.settings.beta_warmup).clamp(max=1.0)

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Lines 2-10 of Algorithm 1: (B, 3, H, W), (B,) -> scalars, of which "total" is L_tot of eq. 15."""
        net = self.net
        mean_free = self.settings.fusion_map == "mean_free"
        (logits_x, map_x), (logits_xt, map_xt) = net(*self.views(images), labels, mean_free)  # eq. 1-13
        if self.settings.fusion_map == "relu":
            map_x, map_xt = map_x.relu(), map_xt.relu()
        elif self.settings.fusion_map == "minmax":  # eq. 14 divides by the norm, so that the range does not count
            map_x, map_xt = (maps - maps.amin((1, 2), keepdim=True) for maps in (map_x, map_xt))
        if self.settings.fusion_stop == "x_tilde":
            map_xt = map_xt.detach()
        losses = total_loss(logits_x, logits_xt, labels, map_x, map_xt, self.beta(), self.settings.reduction)
        losses["accuracy"] = (logits_x.argmax(1) == labels).float().mean()
        if net.caam is not None:
            losses |= {"delta_x": net.caam.delta_x.detach(), "delta_xt": net.caam.delta_xt.detach()}
        if net.ssam is not None:
            losses |= {"alpha_x": net.ssam.alpha_x.detach(), "alpha_xt": net.ssam.alpha_xt.detach()}
        return losses

    def localize(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and class maps (B, K, h, w) of whole images, by the test settings."""
        s = self.settings
        return self.net.localize(images, s.test_modules, s.test_sum, s.test_branch, s.test_map == "mean_free")

    @torch.no_grad()
    def steps(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The two views and the maps that each of their classifiers has of the true class."""
        x, x_tilde = self.views(images)
        (_, map_x), (_, map_xt) = self.net(x, x_tilde, labels)
        return {"image": images, "X": x, "map of X": map_x, "X~": x_tilde, "map of X~": map_xt}

"""CMR: complementary image regions, the paper's own method (Babar and Das, WACV 2021)."""

import torch
from torch import Tensor

from cmr.attention import CAAM, SSAM
from cmr.data.images import MEAN, STD
from cmr.losses import total_loss
from cmr.methods.method import Method
from cmr.methods.settings import CMRSettings
from cmr.nets.backbones import Backbone
from cmr.network import ComplementaryNet
from cmr.views import complementary_views, hide_masks


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
            fill = (-MEAN / STD).to(images)
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

"""The network of the paper: aggregation, two classifiers and their localization maps (eq. 9-13)."""

import torch
from torch import Tensor, nn

from cmr.attention import CAAM, SSAM
from cmr.errors import UserError, require_known
from cmr.nets.backbones import Backbone

POOLINGS = ("mean", "sum")
MODULES = ("off", "on")
SUMS = ("double", "single")
BRANCHES = ("x", "x_tilde", "mean")


def conv_for_relu(channels: int, width: int, kernel: int = 3) -> nn.Conv2d:
    """A convolution of odd side that keeps the maps' size, drawn for the ReLU that follows it."""
    conv = nn.Conv2d(channels, width, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # it has a bias
    return conv


class Head(nn.Module):
    """Global average pooling, a linear classifier and the class maps it implies.

    Paper: section 3.6, eq. 10-13. A class map is the class's contribution to its logit at each position, so that
    `mean(map) + bias == logit` (with `pooling="sum"`: `sum(map) + bias == logit`).

    Args:
        channels: C, the number of feature maps.
        classes: K, the number of classes.
        pooling: "mean" (GAP, as the text says) or "sum" (eq. 10 as it is printed).

    Example:
        >>> head = Head(channels=8, classes=3)
        >>> features = torch.rand(2, 8, 7, 7)
        >>> logits, maps = head(features)
        >>> tuple(logits.shape), tuple(maps.shape)
        ((2, 3), (2, 3, 7, 7))
        >>> torch.allclose(maps.mean((2, 3)) + head.bias, logits, atol=1e-6)
        True
    """

    def __init__(self, channels: int, classes: int, pooling: str = "mean") -> None:
        super().__init__()
        require_known(pooling, "pooling", POOLINGS)
        self.pooling = pooling
        self.weight = nn.Parameter(torch.empty(classes, channels).normal_(std=0.01))
        self.bias = nn.Parameter(torch.zeros(classes))

    def logits(self, features: Tensor) -> Tensor:
        """The class scores before the softmax (eq. 10 and 11): (B, C, H, W) -> (B, K)."""
        pooled = features.mean((2, 3)) if self.pooling == "mean" else features.sum((2, 3))  # (B, C)
        return nn.functional.linear(pooled, self.weight, self.bias)

    def class_map(self, features: Tensor, labels: Tensor, mean_free: bool = False) -> Tensor:
        """The raw, signed map of one class per image (eq. 13): (B, C, H, W), (B,) -> (B, H, W).

        A mean-free map is less the mean over the classes, which is in every class's map and so cancels in the softmax.
        """
        return torch.einsum("bchw,bc->bhw", features, self._weight(mean_free)[labels].to(features.dtype))

    def class_maps(self, features: Tensor, mean_free: bool = False, positive: bool = False) -> Tensor:
        """The maps of all classes, or of their positive weights alone: (B, C, H, W) -> (B, K, H, W)."""
        weight = self._weight(mean_free)
        weight = weight.clamp(min=0) if positive else weight
        return torch.einsum("bchw,kc->bkhw", features, weight.to(features.dtype))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The logits and the maps of all classes: (B, C, H, W) -> (B, K), (B, K, H, W)."""
        return self.logits(features), self.class_maps(features)

    def _weight(self, mean_free: bool) -> Tensor:
        return self.weight - self.weight.mean(0) if mean_free else self.weight  # (K, C)


class Branch(nn.Module):
    """One of the two parallel branches: the convolution that binds the two attentions, and its head.

    Paper: section 3.5, eq. 9, and section 3.6, eq. 10-13.

    Args:
        channels: C of the incoming features.
        classes: K.
        kernel: side of the convolution, odd; None means 3 up to 512 channels (VGG16) and 1 above (ResNet50, where a
            3x3 convolution would hold 38 M parameters).
        width: feature maps of F^t; None means C, as section 3.6 has it.
        pooling: as in `Head`.
        conv: off leaves the convolution out, as an ablation of eq. 9: F^t is then the sum itself.

    Raises:
        UserError: a width other than C, with no convolution to make it.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        kernel: int | None = None,
        width: int | None = None,
        pooling: str = "mean",
        conv: bool = True,
    ) -> None:
        super().__init__()
        if not conv:
            if width not in (None, 0, channels):
                raise UserError(f"fuse_channels: {width} needs eq. 9's convolution; leave it 0, or set fuse_conv")
            self.conv = None
            self.head = Head(channels, classes, pooling)
            return
        kernel = kernel or (3 if channels <= 512 else 1)
        width = width or channels
        self.conv = conv_for_relu(channels, width, kernel)
        self.head = Head(width, classes, pooling)

    def features(self, aggregated: Tensor) -> Tensor:
        """F^t, the features of the last convolution (eq. 9): (B, C, H, W) -> (B, width, H, W)."""
        return aggregated if self.conv is None else self.conv(aggregated).relu()

    def forward(
        self, aggregated: Tensor, labels: Tensor | None = None, mean_free: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, K), and the maps of these labels (B, H, W) or, without labels, of all classes (B, K, H, W)."""
        features = self.features(aggregated)
        if labels is None:
            return self.head.logits(features), self.head.class_maps(features, mean_free)
        return self.head.logits(features), self.head.class_map(features, labels, mean_free)


class ComplementaryNet(nn.Module):
    """The network of figure 2: shared backbone, CAAM and SSAM, aggregation, two classifiers.

    Paper: sections 3.2-3.6, eq. 1-13.

    Args:
        backbone: gives (B, C, H, W) after its last ReLU.
        classes: K.
        caam: the channel attention across the two views, or None (table 5): the identity then stands in its
            place, so that the sum of eq. 9 keeps its scale.
        ssam: the spatial attention of each view, or None (table 5), likewise.
        kernel, width, pooling: as in `Branch`.
        share_heads: one branch for both views, as eq. 11 with its single W could be read.
        conv: as in `Branch`.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        caam: CAAM | None,
        ssam: SSAM | None,
        kernel: int | None = None,
        width: int | None = None,
        pooling: str = "mean",
        share_heads: bool = False,
        conv: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.caam = caam
        self.ssam = ssam
        self.branch_x = Branch(backbone.channels, classes, kernel, width, pooling, conv)
        self.branch_xt = (
            self.branch_x if share_heads else Branch(backbone.channels, classes, kernel, width, pooling, conv)
        )

    def attend(self, f_x: Tensor, f_xt: Tensor) -> tuple[Tensor, Tensor]:
        """F^c + F^s of both views, the argument of the convolution in eq. 9: (B, C, H, W) each."""
        c_x, c_xt = self.caam(f_x, f_xt) if self.caam is not None else (f_x, f_xt)
        s_x, s_xt = self.ssam(f_x, f_xt) if self.ssam is not None else (f_x, f_xt)
        return c_x + s_x, c_xt + s_xt

    def forward(
        self, x: Tensor, x_tilde: Tensor, labels: Tensor, mean_free: bool = False
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """What both classifiers say in training (Algorithm 1, lines 3-7).

        One forward pass of the pair, so that batch normalisation sees both views as one batch.

        Args:
            x, x_tilde: the complementary views, (B, 3, H, W), normalised.
            labels: (B,) int64, whose maps are wanted.
            mean_free: maps less the mean over the classes.

        Returns:
            Of X and of X~: logits (B, K) and maps (B, h, w).
        """
        f_x, f_xt = self.backbone(torch.cat((x, x_tilde))).chunk(2)  # (2B, C, h, w) -> twice (B, C, h, w)
        a_x, a_xt = self.attend(f_x, f_xt)
        return self.branch_x(a_x, labels, mean_free), self.branch_xt(a_xt, labels, mean_free)

    def localize(
        self,
        images: Tensor,
        modules: str = "off",
        test_sum: str = "double",
        branch: str = "x",
        mean_free: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Logits and class maps of whole images at test.

        Paper: section 4.2, "we deactivate CAAM and SSAM modules during testing".

        Args:
            images: (B, 3, H, W), normalised, nothing hidden.
            modules: "off" (the paper), or "on": the image stands in for both views.
            test_sum: with modules off, "double" feeds conv(F + F), which is what eq. 9 gives at delta = alpha = 0 and
                what the branch was trained around; "single" feeds conv(F).
            branch: whose classifier and map: "x", "x_tilde", or the "mean" of both.
            mean_free: maps less the mean over the classes.

        Returns:
            logits (B, K) and maps (B, K, h, w).

        Raises:
            UserError: a value that is not one of these.
        """
        given = {"modules": (modules, MODULES), "test_sum": (test_sum, SUMS), "branch": (branch, BRANCHES)}
        for what, (name, known) in given.items():
            require_known(name, what, known)
        features = self.backbone(images)
        if modules == "on":
            a_x, a_xt = self.attend(features, features)
        else:
            a_x = a_xt = 2 * features if test_sum == "double" else features
        outputs = []
        if branch in ("x", "mean"):
            outputs.append(self.branch_x(a_x, mean_free=mean_free))
        if branch in ("x_tilde", "mean"):
            outputs.append(self.branch_xt(a_xt, mean_free=mean_free))
        logits, maps = zip(*outputs, strict=True)
        return sum(logits) / len(logits), sum(maps) / len(maps)

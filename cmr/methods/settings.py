"""What can be set of each method. It needs no torch, so that a command line is read and explained at once."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from cmr.config import COUNT, SHARE, Checked, Range
from cmr.errors import UserError


@dataclass(frozen=True)
class CAMSettings(Checked):
    """Settings of CAM."""

    RANGES: ClassVar[dict[str, Range]] = {"conv_channels": Range(-1, 10**6)}

    # maps of a 3x3 convolution with ReLU before the pooling; 0 for none; -1: 1024 for VGG16, none elsewhere
    conv_channels: int = -1


@dataclass(frozen=True)
class HaSSettings(CAMSettings):
    """Settings of HaS."""

    RANGES: ClassVar[dict[str, Range]] = {
        **CAMSettings.RANGES,
        "sizes": Range(0, 10**9),
        "hide_probability": SHARE,
        "views": Range(1, 100),
    }

    # sides of the hidden cells in pixels; one is drawn per image per step; 0 in the list shows the whole image
    sizes: tuple[int, ...] = (0, 16, 32, 44, 56)
    # probability that a cell is hidden
    hide_probability: float = 0.5
    # views of each image per step, each with its own hidden cells; 1 in the paper
    views: int = 1


@dataclass(frozen=True)
class CMRSettings(Checked):
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
    # give weight to dissimilar channels (max - E, as in the dual attention network's code)
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fuse_kernel and self.fuse_kernel % 2 == 0:
            raise UserError(
                f"fuse_kernel: {self.fuse_kernel} is even, and maps would grow by a cell; give an odd side, or 0"
            )


@dataclass(frozen=True)
class ACoLSettings(Checked):
    """Settings of ACoL."""

    RANGES: ClassVar[dict[str, Range]] = {"erase_threshold": SHARE, "head_channels": COUNT}

    # where A's map, scaled to [0, 1], is at least this, B sees nothing
    erase_threshold: float = 0.7
    # maps of each of the two 3x3 convolutions of a head
    head_channels: int = 1024
    # average each feature over 3x3 cells before both heads, as the published VGG16 does
    smooth: bool = True


@dataclass(frozen=True)
class ADLSettings(CAMSettings):
    """Settings of ADL."""

    RANGES: ClassVar[dict[str, Range]] = {**CAMSettings.RANGES, "drop_threshold": SHARE, "drop_rate": SHARE}

    # the drop mask hides positions at or above this share of the self-attention's maximum
    drop_threshold: float = 0.9
    # probability that a layer uses the drop mask; otherwise the importance map
    drop_rate: float = 0.75


@dataclass(frozen=True)
class CCAMSettings(CAMSettings):
    """Settings of CCAM."""

    RANGES: ClassVar[dict[str, Range]] = {**CAMSettings.RANGES, "top_share": Range(0, 1, open_low=True)}

    # non-local blocks inside the backbone, the published network NL-CCAM; off: the network of CAM
    non_local: bool = True
    # weights of the ranks: quadratic and linear fall from 1 to -1; top1_bottom1: first minus last class; top1: CAM
    gamma: Literal["quadratic", "linear", "top1_bottom1", "top1"] = "quadratic"
    # share of the ranks with weights above 0 or 0, for quadratic; published for CUB: 100 of 200
    top_share: float = 0.5
    # as in CAM: maps of a convolution before the pooling; the published network has none
    conv_channels: int = 0


@dataclass(frozen=True)
class CutMixSettings(CAMSettings):
    """Settings of CutMix."""

    RANGES: ClassVar[dict[str, Range]] = {
        **CAMSettings.RANGES,
        "beta": Range(0, open_low=True),
        "probability": SHARE,
    }

    # the share of the image that is kept is drawn from Beta(beta, beta); 1: every share is equally likely
    beta: float = 1.0
    # probability that a step mixes its images at all
    probability: float = 1.0


@dataclass(frozen=True)
class DANetSettings(Checked):
    """Settings of DANet."""

    RANGES: ClassVar[dict[str, Range]] = {
        "maps_per_class": COUNT,
        "diversity": Range(0),
        "ce_weight": Range(0),
        "head_channels": COUNT,
    }

    # maps of one class, whose mean is the class map
    maps_per_class: int = 8
    # weight of the mean |cosine| between the drawn maps of the true class
    diversity: float = 0.01
    # weight of each cross-entropy
    ce_weight: float = 0.5
    # labels above the species; cub: order and family, for the classes of CUB-200-2011 or its first ones only; none: no
    # such heads, only the diversity term
    hierarchy: Literal["none", "cub"] = "none"
    # maps of the two 3x3 convolutions of a head; half of it in the head for orders
    head_channels: int = 1024


@dataclass(frozen=True)
class EILSettings(CAMSettings):
    """Settings of EIL and MEIL."""

    RANGES: ClassVar[dict[str, Range]] = {
        **CAMSettings.RANGES,
        "erase_threshold": SHARE,
        "erased_weight": Range(0),
    }

    # positions at or above this share of the channel mean's maximum are erased
    erase_threshold: float = 0.7
    # weight of each erased path's cross-entropy beside that of the unerased path
    erased_weight: float = 1.0


@dataclass(frozen=True)
class SPGSettings(CAMSettings):
    """Settings of SPG."""

    RANGES: ClassVar[dict[str, Range]] = {
        **CAMSettings.RANGES,
        **dict.fromkeys(("high_b2", "low_b2", "high_b1", "low_b1", "high_c", "low_c", "label_smoothing"), SHARE),
        "min_pixels": Range(0, 10**9),
        "head_channels": COUNT,
    }

    # B2 learns from the map of the true class: what is above this is object
    high_b2: float = 0.7
    # for B2, what is below this is background; what lies between the two does not count
    low_b2: float = 0.05
    # B1 learns from what B2 says: what is above this is object
    high_b1: float = 0.5
    # for B1, what is below this is background
    low_b1: float = 0.05
    # C learns from the mean of what B1 and B2 say: what is above this is object
    high_c: float = 0.7
    # for C, what is below this is background
    low_c: float = 0.1
    # an image with fewer object pixels than this takes 0.7 times its map's maximum in place of the upper threshold
    min_pixels: int = 30
    # maps of the 3x3 convolutions of B1, B2 and C
    head_channels: int = 512
    # share of the label given evenly to all classes
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for layer in ("b2", "b1", "c"):
            low, high = getattr(self, f"low_{layer}"), getattr(self, f"high_{layer}")
            if low > high:
                raise UserError(
                    f"low_{layer}: {low} is above high_{layer} {high} and leaves no band to ignore; give at most that"
                )


@dataclass(frozen=True)
class TSCAMSettings(Checked):
    """Settings of TS-CAM."""

    RANGES: ClassVar[dict[str, Range]] = {
        "depth": COUNT,
        "width": COUNT,
        "heads": COUNT,
        "class_token_weight": Range(0),
    }

    # transformer blocks behind the backbone
    depth: int = 2
    # numbers in a token, a multiple of 4 and of the heads
    width: int = 128
    # heads of the attention in each block
    heads: int = 2
    # weight of a cross-entropy of the class token; 0 in the paper, whose class token learnt ImageNet's classes before
    class_token_weight: float = 0.0
    # the map at test: the semantic map times the attention (coupled, the paper's), or one of the two alone
    test_map: Literal["coupled", "semantic", "attention"] = "coupled"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % 4 or self.width % self.heads:
            good = 64 * self.heads
            raise UserError(
                f"width: {self.width} is no multiple of 4 and of {self.heads} heads; give one, such as {good}"
            )

"""What an evaluation found: every metric under its own name, and the titles that tables, pages and files give them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, TypeVar

from cmr.errors import UserError
from cmr.plain import from_plain, to_plain

T = TypeVar("T")
IOU_THRESHOLDS = (30, 50, 70)  # percents at which a box counts as right
#: Field to title, of all dataclasses of this module. `{}` stands for an IoU threshold, the second one for a box rule.
TITLES = {
    "images": "images",
    "top1_clas": "Top-1 Clas",
    "top5_clas": "Top-5 Clas",
    "top1_loc": "Top-1 Loc",
    "top5_loc": "Top-5 Loc",
    "gt_known_loc": "GT-known Loc",
    "top1_loc_best": "Top-1 Loc (best tau)",
    "top5_loc_best": "Top-5 Loc (best tau)",
    "gt_known_loc_best": "GT-known Loc (best tau)",
    "max_box_acc": "MaxBoxAcc",
    "max_box_acc_v2": "MaxBoxAccV2",
    "box_acc": "accuracy at IoU {}",
    "best_tau": "best tau",
    "mean_iou": "mean IoU",
    "mean_iou_best": "mean IoU (best tau)",
    "max_box_acc_at": "MaxBoxAcc {} ({})",
    "sizes": "sizes",
    "errors": "errors",
    "iou_histogram": "IoU histogram",
    "curves": "curves",
    "baselines": "baselines",
    "pxap": "PxAP",
    "parts": "parts",
    "agreement": "agreement",
    # of curves, and of both box rules
    "tau": "tau",
    "all_contours": "all contours",
    "largest_contour": "largest contour",
    "mean_iou_all": "mean IoU (all contours)",
    "mean_iou_largest": "mean IoU (largest contour)",
}
CENTRED, FULL = "centred box", "full image"  # the boxes that look at no image


@dataclass(frozen=True)
class SizeResult:
    """Localization of the images whose object has one size.

    Attributes:
        images: their number.
        gt_known_loc: percent, at the fixed tau.
        max_box_acc: percent, at the tau that is best for all images.
    """

    KEYS: ClassVar = TITLES

    images: int
    gt_known_loc: float | None = None
    max_box_acc: float | None = None


@dataclass(frozen=True)
class BoxRules:
    """The best accuracy over all taus at one IoU threshold, in percent, under either rule for what the box is.

    Attributes:
        all_contours: the best box of all contours.
        largest_contour: the largest contour's box.
    """

    KEYS: ClassVar = TITLES

    all_contours: float
    largest_contour: float


@dataclass(frozen=True)
class Curves:
    """What box metrics are at each tau, in percent.

    Attributes:
        tau: T thresholds in [0, 1).
        all_contours: IoU threshold in percent to T accuracies, best box of all contours.
        largest_contour: the same of the largest contour's box.
        mean_iou_all: T values, best box of all contours.
        mean_iou_largest: T values, the largest contour's box.
    """

    KEYS: ClassVar = TITLES

    tau: Sequence[float]
    all_contours: Mapping[int, Sequence[float]]
    largest_contour: Mapping[int, Sequence[float]]
    mean_iou_all: Sequence[float]
    mean_iou_largest: Sequence[float]


@dataclass(frozen=True)
class Baseline:
    """What a box scores that looks at no image, in percent.

    Attributes:
        gt_known_loc: of a box that has no threshold to choose.
        max_box_acc: at IoU .5.
        max_box_acc_v2: mean over the IoU thresholds.
        curve: IoU threshold in percent to accuracy.
    """

    KEYS: ClassVar = TITLES

    gt_known_loc: float | None = None
    max_box_acc: float | None = None
    max_box_acc_v2: float | None = None
    curve: Mapping[int, float] | None = None

    def numbers(self) -> dict[str, float]:
        """The single numbers by title."""
        return _numbers(to_plain(self))


@dataclass(frozen=True)
class Agreement:
    """How far the maps of two complementary views agree, as cosines from -1 to 1.

    Attributes:
        map: of the raw maps of the true class.
        own: of these less what the maps of all classes share.
    """

    map: float
    own: float


@dataclass(frozen=True)
class Result:
    """The metrics of one test, in percent; None for what was not computed.

    Class metrics need logits, box metrics an image with a true box, metrics of pixels and parts masks. A box is right
    from IoU .5 where no other threshold is named. Titles are in `TITLES`; files have them as keys.

    Attributes:
        images: their number.
        top1_clas, top5_clas: the true class is the best, or among the best five.
        top1_loc, top5_loc, gt_known_loc: the largest contour's box at the fixed tau is right, and for the first two
            the class as well.
        top1_loc_best, top5_loc_best, gt_known_loc_best: the same at the tau that is best for each.
        max_box_acc: the largest contour's box at the best tau is right.
        max_box_acc_v2: all contours, the mean of the best at each IoU threshold.
        box_acc: accuracy of boxes that no tau made, by IoU threshold in percent.
        best_tau: of max_box_acc, in [0, 1).
        mean_iou, mean_iou_best: of the largest contour's box, at the fixed tau and at best_tau.
        max_box_acc_at: the best accuracy by IoU threshold in percent, for both box rules.
        sizes: by size of the object, of `cmr.metrics.failures.SIZES`.
        errors: share of each kind, of `cmr.metrics.failures.ERRORS`.
        iou_histogram: number of images in 20 equal bins of IoU over [0, 1], at the fixed tau.
        curves: accuracy and mean IoU at each tau.
        baselines: "centred box" and "full image", which look at no image.
        pxap: average precision of pixels.
        parts: share of each part's pixels above the fixed tau.
        agreement: of two complementary views.

    Example:
        >>> values = {"images": 8, "MaxBoxAcc 30 (all contours)": 75.0, "MaxBoxAcc 30 (largest contour)": 62.5}
        >>> result = Result.from_dict(values, "a.json")
        >>> result.images, result.top1_clas, result.max_box_acc_at[30].largest_contour
        (8, None, 62.5)
        >>> result.to_dict() == values
        True
    """

    KEYS: ClassVar = TITLES

    images: int | None = None
    top1_clas: float | None = None
    top5_clas: float | None = None
    top1_loc: float | None = None
    top5_loc: float | None = None
    gt_known_loc: float | None = None
    top1_loc_best: float | None = None
    top5_loc_best: float | None = None
    gt_known_loc_best: float | None = None
    max_box_acc: float | None = None
    max_box_acc_v2: float | None = None
    box_acc: Mapping[int, float] | None = None
    best_tau: float | None = None
    mean_iou: float | None = None
    mean_iou_best: float | None = None
    max_box_acc_at: Mapping[int, BoxRules] | None = None
    sizes: Mapping[str, SizeResult] | None = None
    errors: Mapping[str, float] | None = None
    iou_histogram: Sequence[int] | None = None
    curves: Curves | None = None
    baselines: Mapping[str, Baseline] | None = None
    pxap: float | None = None
    parts: Mapping[str, float] | None = None
    agreement: Agreement | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> "Result":
        """Reads what `to_dict` wrote.

        Args:
            values: title to value, as JSON has them.
            where: the file, for messages.

        Raises:
            UserError: an unknown title, or a value of another type.
        """
        nested: dict[str, Any] = {}
        for key, value in values.items():
            *places, last = _place(key)
            inner = nested
            for place in places:
                inner = inner.setdefault(place, {})
            inner[last] = value
        return from_plain(cls, nested, where)

    def to_dict(self) -> dict[str, Any]:
        """As plain values under their titles, for JSON and figures; what was not computed is left out."""
        found: dict[str, Any] = {}
        for title, value in to_plain(self).items():
            if title == TITLES["max_box_acc_at"]:
                found |= {title.format(iou, rule): best for iou, rules in value.items() for rule, best in rules.items()}
            elif title == TITLES["box_acc"]:
                found |= {title.format(int(iou) / 100): share for iou, share in value.items()}
            else:
                found[title] = value
        return found

    def numbers(self) -> dict[str, float]:
        """The single numbers by title, without counts, breakdowns and curves."""
        return _numbers(self.to_dict())


def known(value: T | None) -> T:
    """A value of a result that must have been computed.

    Raises:
        UserError: it was not.

    Example:
        >>> known(Result(gt_known_loc=50.0).gt_known_loc)
        50.0
    """
    if value is None:
        raise UserError("a metric that is needed here was not computed: no true boxes or logits, or no finished test")
    return value


@cache
def _place(key: str) -> tuple[str, ...]:
    """Where the value of a key lies: under its title, or below that under an IoU threshold, and there under a rule."""
    if found := re.fullmatch(r"MaxBoxAcc (\d+) \((.+)\)", key):
        return TITLES["max_box_acc_at"], found[1], found[2]
    if found := re.fullmatch(r"accuracy at IoU (0\.\d+)", key):
        return TITLES["box_acc"], f"{100 * float(found[1]):.0f}"
    return (key,)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {title: value for title, value in values.items() if isinstance(value, float)}

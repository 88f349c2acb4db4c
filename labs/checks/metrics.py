"""Checks of lab 3: what the metrics count."""

from collections.abc import Callable

import numpy as np

from . import check, compare, done

TOP1 = "An image counts for Top-1 Loc where class and box are both right, so it always counts for each of the two."
CENTRED = "A box that looks at no image is the floor: a method below it has found less than the middle of the picture."
HONEST = (
    "The threshold that is best for these very images can only be level or better on them. The gain does not exist "
    "on new images."
)

IOU = np.array([0.9, 0.5, 0.49, 0.7, 0.1, 0.55, 0.3, 0.62])
NAMED = np.array([1, 1, 1, 0, 0, 0, 1, 1], bool)


def gt_known(function: Callable) -> None:
    """Step 1: GT-known Loc in percent."""
    mistakes = [
        (50.0, "an IoU of exactly one half counts as right; use >= and not >"),
        (0.625, "this is a share; give percent"),
        (100 * IOU.mean(), "this is the mean IoU; count the images whose IoU is at least one half"),
    ]
    compare(function(IOU), 62.5, mistakes, "your GT-known Loc")
    done(1, "GT-known Loc is a share of images.")


def top1_loc(function: Callable) -> None:
    """Step 2: Top-1 Loc in percent."""
    mistakes = [
        (62.5, "the class is not asked; an image counts where class and box are both right"),
        (100 * 0.625 * 0.625, "you multiplied two shares; count the images in which both are right"),
        (87.5, "you took or; an image counts where class and box are both right"),
    ]
    compare(function(IOU, NAMED), 37.5, mistakes, "your Top-1 Loc")
    done(2, "Top-1 Loc asks for class and box in one image.")


def maxboxaccv2(function: Callable) -> None:
    """Step 4: the mean over three IoU thresholds of the best accuracy over tau."""
    ious = np.array([[0.35, 0.40, 0.32, 0.20], [0.60, 0.10, 0.55, 0.10], [0.75, 0.10, 0.10, 0.45]])  # (taus, images)
    mistakes = [
        (100 * (0.5 + 0.5 + 0) / 3, "you chose one tau for all; each IoU threshold has a best tau of its own"),
        (100 * (0.75 + 0.5 + 0.25), "you added up the three accuracies; take their mean"),
        (100 * (0.75 + 0.5 + 0.25) / 3 / 100, "this is a share; give percent"),
        (
            100 * (ious.max(0)[:, None] >= [0.3, 0.5, 0.7]).mean(),
            "you chose the best tau of each image; one tau serves all images",
        ),
    ]
    compare(function(ious), 50.0, mistakes, "your MaxBoxAccV2")
    done(4, "MaxBoxAccV2 takes the best threshold three times.")


def honest(function: Callable) -> None:
    """Step 5: tau chosen on some images, accuracy on others."""
    choose = np.array([[0.6, 0.6, 0.2], [0.2, 0.6, 0.2]])
    test = np.array([[0.1, 0.6], [0.6, 0.6]])
    mistakes = [
        (100.0, "the threshold is chosen on the test images; choose it on the first set"),
        (100 * 2 / 3, "this is the accuracy on the images that chose the threshold; measure it on the second set"),
    ]
    compare(function(choose, test), 50.0, mistakes, "your accuracy")
    done(5, "the threshold is chosen on other images than it is judged on.")


def centred(function: Callable) -> None:
    """Step 6: a square box in the middle, inclusive pixels."""
    mistakes = [
        ([2, 2, 6, 6], "your box is half-open; expected inclusive pixels, so a width of 4 is 2, 3, 4, 5"),
        ([0, 0, 3, 3], "this box lies in the corner; put it in the middle"),
    ]
    compare(function(4, 8), [2, 2, 5, 5], mistakes, "your box")
    compare(function(8, 8), [0, 0, 7, 7], what="your box of the full width")
    done(6, "the box lies in the middle.")


def baseline(best: float, library: float) -> None:
    """Step 7: the accuracy of the best centred box."""
    check(best > 1, f"your best centred box has {best:.3f}; give percent")
    check(
        abs(best - library) <= 2,
        f"your best centred box has {best:.1f}, the library's {library:.1f}; try every width from 1 to the side",
    )
    done(7, f"no image was looked at, and {best:.1f} % of the boxes are right.")

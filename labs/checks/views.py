"""Checks of lab 4: hide-and-seek and complementary views."""

from collections.abc import Callable

import torch

from . import check, compare, done

CELLS = "The last row and column of cells are strips: the grid starts at the upper left corner and is cut at the sides."
SPREAD = (
    "On average half of the bird is shown, whatever the size. A few large cells decide more at once, so views of one "
    "bird differ more."
)

UNSEEN = (
    "The network has never seen hidden cells, and half of the evidence is gone from each view. A method that trains on "
    "views has to learn classes from them."
)


def mask(function: Callable) -> None:
    """Step 1: from one bit per cell to one per pixel."""
    bits = torch.tensor([[True, False, True], [False, True, False]])
    right = torch.tensor([[1, 1, 0, 0, 1], [1, 1, 0, 0, 1], [0, 0, 1, 1, 0]], dtype=torch.bool)
    mistakes = [
        (torch.kron(bits.int(), torch.ones(2, 2, dtype=torch.int32)).bool(), "cut the mask to height and width"),
        (bits.repeat(2, 2)[:3, :5], "you repeated the whole grid; repeat each cell (`repeat_interleave`)"),
        (~right, "True means hidden; your mask is True where the view shows the image"),
    ]
    compare(function(bits, 2, 3, 5), right, mistakes, "your mask")
    done(1, "each cell hides its pixels, and the last ones are cut.")


def views(function: Callable) -> None:
    """Step 3: X and X~ from one mask."""
    image = torch.arange(12.0).reshape(3, 2, 2)
    hidden = torch.tensor([[True, False], [False, True]])
    fill = -1.0
    x, x_tilde = torch.where(hidden, fill, image), torch.where(hidden, image, fill)
    given = function(image, hidden, fill)
    check(isinstance(given, tuple | list) and len(given) == 2, "return two views, X and X~")
    check(not compare_quietly(given, (x_tilde, x)), "X and X~ are exchanged; X hides where the mask is True")
    check(not compare_quietly(given, (x, x)), "both views hide the same cells; X~ shows what X hides")
    zeros = torch.where(hidden, 0.0, image), torch.where(hidden, image, 0.0)
    check(not compare_quietly(given, zeros), "hidden pixels are 0 in your views; they take the value of `fill`")
    compare(given[0], x, what="your X")
    compare(given[1], x_tilde, what="your X~")
    done(3, "X + X~ - fill is the image.")


def compare_quietly(given: tuple, wrong: tuple) -> bool:
    """Whether a pair of views is exactly this pair."""
    return all(torch.is_tensor(one) and torch.equal(one, other) for one, other in zip(given, wrong, strict=True))


def shown(function: Callable) -> None:
    """Step 4: the share of an object that a view shows."""
    part = torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)
    hidden = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    mistakes = [
        (0.25, "this is the share that is hidden; the mask is True where the view hides"),
        (3 / 8, "you divided by all pixels; divide by those of the object"),
        (75.0, "give a share from 0 to 1, not percent"),
        (3, "this is a number of pixels; divide by the object's"),
    ]
    compare(function(part, hidden), 0.75, mistakes, "your share")
    done(4, "you can say how much of an object a view shows.")


def both_hidden(independent: float, complementary: float) -> None:
    """Step 6: how often no view shows a spot of the bird."""
    check(
        complementary == 0,
        f"complementary views leave {100 * complementary:.0f} % of the pixels unseen; make X~ from the same mask",
    )
    check(
        0.2 < independent < 0.3,
        f"two draws leave {100 * independent:.0f} % of the pixels unseen; draw the second mask anew, count both hidden",
    )
    done(
        6,
        f"two independent draws leave {100 * independent:.0f} % of the bird unseen. Complementary views leave nothing: "
        "what X hides, X~ shows.",
    )

"""Checks of lab 6: the fusion loss, and the shortcut that lowers it."""

from collections.abc import Callable

import torch
from torch import Tensor

from . import check, compare, done

SCALE = "Both maps are scaled to length 1 first. Only the angle between them counts."
SIGNS = (
    "Signed maps agree on the large negative background, and the loss is small although the bright cells are not the "
    "same. The positive parts have no cell in common, and the loss is 2."
)
INVISIBLE = (
    "Every logit rises by the same number, which the softmax takes out again. The maps do change: both turn towards "
    "what was added."
)
BLIND = (
    "What is cut off has no gradient: the loss on positive parts cannot pull a dark cell up. On signed maps the "
    "gradient along the map itself is 0, because the length of a map does not count."
)
LEARNT = (
    "The gradients of the cross-entropy add up to 0 over the classes, so it leaves the mean where it began. The fusion "
    "loss moves the row of the true class alone, and nothing brings the mean back."
)


def unit(maps: Tensor) -> Tensor:
    """A map as a vector of length 1."""
    return maps.flatten() / maps.flatten().norm()


def fusion(function: Callable) -> None:
    """Step 1: equation 14."""
    a, b = torch.tensor([[1.0, 2.0], [-2.0, 0.0]]), torch.tensor([[2.0, 1.0], [2.0, 0.0]])
    gap = unit(a) - unit(b)
    mistakes = [
        ((a - b).square().sum(), "the maps are not scaled to length 1 before they are compared"),
        (gap.square().mean(), "you took the mean over the cells; equation 14 adds up"),
        (gap.norm(), "this is the distance; equation 14 squares it"),
        ((unit(a.relu()) - unit(b.relu())).square().sum(), "the maps keep their signs in this step"),
        (
            (torch.nn.functional.normalize(a, dim=1) - torch.nn.functional.normalize(b, dim=1)).square().sum(),
            "each row is scaled by itself; one norm belongs to the whole map",
        ),
    ]
    compare(function(a, b), gap.square().sum(), mistakes, "your loss")
    done(1, "the loss is the squared distance of two maps of length 1.")


def positive(function: Callable) -> None:
    """Step 3: equation 14 on positive parts."""
    a, b = torch.tensor([[3.0, -1.0], [0.5, -4.0]]), torch.tensor([[1.0, 2.0], [-1.0, -4.0]])
    mistakes = [
        ((unit(a.abs()) - unit(b.abs())).square().sum(), "you took absolute values; what is below 0 becomes 0"),
        ((unit(a) - unit(b)).square().sum(), "the maps still have negative cells; cut them off first"),
        ((unit(a).relu() - unit(b).relu()).square().sum(), "cut negative cells off before the norm, not after"),
    ]
    right = (unit(a.relu()) - unit(b.relu())).square().sum()
    compare(function(a, b), right, mistakes, "your loss")
    done(3, "only evidence for the class is compared.")


def gradient(function: Callable) -> None:
    """Step 5: the gradient of a loss with respect to the first map, by autograd."""
    a, b = torch.tensor([[1.0, 2.0], [-2.0, 0.5]]), torch.tensor([[2.0, 1.0], [2.0, 0.0]])

    def loss(one: Tensor, other: Tensor) -> Tensor:
        return (one.flatten() / one.norm() - other.flatten() / other.norm()).square().sum()

    leaf = a.clone().requires_grad_()
    (right,) = torch.autograd.grad(loss(leaf, b), leaf)
    given = function(loss, a, b)
    check(not isinstance(given, tuple), "`torch.autograd.grad` returns a tuple; take its first entry")
    compare(given, right, [(-right, "this is the step downhill; the gradient points uphill")], "your gradient")
    check(not a.requires_grad, "the map that you were given now asks for gradients; work on a copy of it")
    done(5, "the gradient has the shape of the map.")


def shared(function: Callable) -> None:
    """Step 6: one vector added to the weights of all classes."""
    weight, vector = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([10.0, 20.0])
    only_first = weight.clone()
    only_first[0] += vector
    mistakes = [
        (only_first, "only one class got the vector; add it to the row of every class"),
        (weight + 10, "every weight got the same number; add the vector, one entry per channel"),
    ]
    right = weight + vector
    compare(function(weight, vector), right, mistakes, "your weights")
    check(float(weight[0, 0]) == 1, "you changed the weights that you were given; return new ones")
    done(6, "all classes share the vector.")


def invisible(before: Tensor, after: Tensor) -> None:
    """Step 7: probabilities before and after."""
    check(before.shape == after.shape, "the two sets of probabilities differ in shape; use the same features")
    gap = float((before - after).abs().max())
    check(gap < 1e-3, f"a probability changed by {gap:.3f}; the vector must be the same for every class")
    done(7, "no probability changed.")

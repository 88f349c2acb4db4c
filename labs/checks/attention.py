"""Checks of lab 5: the two attention modules on a small tensor."""

from collections.abc import Callable

import torch

from . import compare, done

START = (
    "The output is the input, so the forward pass changes nothing. The gradient of the scalar is not 0, so the first "
    "step of training turns the module on."
)
SHUFFLED = (
    "The sums run over all cells, whatever their order. SSAM compares what cells hold and knows nothing of where they "
    "lie."
)
COLLAPSE = (
    "A softmax sees differences. Energies are sums of N products, so strong features make large differences, and one "
    "channel takes all the weight."
)


def draws() -> tuple[torch.Tensor, torch.Tensor]:
    """Two small feature maps, (C, h, w) = (3, 2, 2) each."""
    draw = torch.Generator().manual_seed(5)
    return torch.rand(3, 2, 2, generator=draw), torch.rand(3, 2, 2, generator=draw)


def energies(function: Callable) -> None:
    """Step 1: one energy for each pair of channels."""
    f_x, f_xt = draws()
    a, b = f_x.flatten(1), f_xt.flatten(1)
    mistakes = [
        (b @ a.T, "this is the transpose; rows belong to the channels of X"),
        (a.T @ b, "you compared cells; the channels are compared, so the product is C x C"),
        (a @ a.T, "you compared X with itself; the other factor is X~"),
    ]
    compare(function(f_x, f_xt), a @ b.T, mistakes, "your energies")
    done(1, "each channel of X has an energy with each channel of X~.")


def weights(function: Callable) -> None:
    """Step 2: the softmax over each column."""
    scores = torch.tensor([[0.0, 1.0], [2.0, 1.0]])
    mistakes = [
        (scores.softmax(1), "your rows add up to 1; the softmax runs over each column"),
        (scores.flatten().softmax(0).view(2, 2), "the whole matrix adds up to 1; each column should"),
        (scores.exp(), "the exponentials are not yet divided by their sum"),
        (scores / scores.sum(0), "you divided the energies by their sum; a softmax takes their exponentials first"),
    ]
    compare(function(scores), scores.softmax(0), mistakes, "your weights")
    done(2, "each column adds up to 1.")


def caam(function: Callable) -> None:
    """Step 3: what X receives from X~."""
    f_x, f_xt = draws()
    a, b = f_x.flatten(1), f_xt.flatten(1)
    q = (a @ b.T).softmax(0)
    y = (q.T @ b).view_as(f_x)
    mistakes = [
        (f_x + 0.5 * (q @ b).view_as(f_x), "you used Q; equation 2 has its transpose"),
        (f_x + 0.5 * (q.T @ a).view_as(f_x), "X is mixed from its own channels; the features are those of X~"),
        (f_x + y, "delta is missing"),
        (0.5 * y, "the input is missing; what is received is added to it"),
    ]
    compare(function(f_x, f_xt, 0.5), f_x + 0.5 * y, mistakes, "your F_x^c")
    done(3, "X receives from X~, and `cmr.CAAM` gives the same.")


def ssam(function: Callable) -> None:
    """Step 5: what each cell gathers from the others."""
    draw = torch.Generator().manual_seed(7)
    m, ell, p = (torch.rand(c, 4, generator=draw) for c in (2, 2, 3))
    k = (m.T @ ell).softmax(1)
    mistakes = [
        (p @ k, "you used K; equation 8 has its transpose, so that the weights of a cell add up to 1"),
        (p @ (m.T @ ell).softmax(0).T, "the softmax runs over each row here"),
        (p @ (ell.T @ m).softmax(1).T, "M and L are exchanged; M has the transpose"),
    ]
    compare(function(m, ell, p), p @ k.T, mistakes, "your R")
    done(5, "each cell holds a weighted mean of P.")

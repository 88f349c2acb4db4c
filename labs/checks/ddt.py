"""Checks of lab 8: the first principal component of descriptors."""

from collections.abc import Callable

import torch

from . import check, compare, done

LABELS = (
    "DDT was told no label of these birds. The network learnt from other drawn birds, and in its features birds are "
    "what differs most from the rest of a picture."
)
RANDOM = (
    "Any features have a first principal component. That it points to the object comes from a network that knows "
    "objects."
)


def cells() -> torch.Tensor:
    """Descriptors that differ mostly along (3, 4), away from the origin; (5, 2)."""
    steps = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    return torch.stack((3 * steps + 10, 4 * steps + 20), 1) + torch.tensor(
        [[0.4, -0.3], [-0.4, 0.3], [0.0, 0.0], [-0.4, 0.3], [0.4, -0.3]]
    )


def descriptors(function: Callable) -> None:
    """Step 1: one row per cell of each image."""
    features = torch.arange(24.0).reshape(2, 3, 2, 2)
    right = torch.stack([features[i, :, y, x] for i in range(2) for y in range(2) for x in range(2)])
    mistakes = [
        (features.reshape(-1, 3), "the numbers of a row come from one channel; move the channels to the end first"),
        (features.movedim(1, -1).reshape(2, 4, 3), "images are still apart; every cell of every image is one row"),
        (right.T, "cells and channels are exchanged; a row is one cell"),
    ]
    compare(function(features), right, mistakes, "your matrix")
    done(1, "each row describes one cell.")


def covariance(function: Callable) -> None:
    """Step 2: how the descriptors vary together."""
    rows = cells()
    centred = rows - rows.mean(0)
    mistakes = [
        (rows.T @ rows / 5, "the mean is still in; subtract it first"),
        (centred.T @ centred, "divide by the number of rows"),
        (centred.T @ centred / 4, "you divided by one less than the number of rows; divide by their number"),
    ]
    compare(function(rows), centred.T @ centred / 5, mistakes, "your covariance")
    done(2, "the covariance is C x C.")


def direction(function: Callable) -> None:
    """Step 3: the direction of largest variance, turned to the object."""
    matrix = torch.tensor([[3.0, 1.0], [1.0, 2.0]])
    vectors = torch.linalg.eigh(matrix).eigenvectors
    first = vectors[:, 1] * vectors[:, 1].sum().sign()
    given = torch.as_tensor(function(matrix))
    last = vectors[:, 0]
    for sign in (1, -1):
        check(
            given.shape != last.shape or not torch.allclose(given, sign * last, atol=1e-3),
            "this is the direction of least variance; `eigh` puts the largest eigenvalue last",
        )
    mistakes = [
        (-first, "the direction points away from the object; turn it so that its entries add up to more than 0"),
        (vectors[1], "this is a row; the eigenvectors are the columns"),
        (vectors[-1] * vectors[-1].sum().sign(), "this is a row; the eigenvectors are the columns"),
    ]
    compare(given, first, mistakes, "your direction")
    draw = torch.Generator().manual_seed(0)
    for matrix in (torch.cov(torch.randn(3, 9, generator=draw)) for _ in range(8)):
        check(
            float(torch.as_tensor(function(matrix)).sum()) > 0,
            "the direction points away from the object; turn it so that its entries add up to more than 0",
        )
    done(3, "the direction has length 1 and points to stronger features.")


def ddt_map(function: Callable) -> None:
    """Step 4: how far each cell lies along the direction."""
    features = torch.tensor([[[0.0, 4.0]], [[0.0, 3.0]]])  # (C, h, w)
    mean, along = torch.tensor([2.0, 1.5]), torch.tensor([0.8, 0.6])
    right = torch.tensor([[-2.5, 2.5]])
    mistakes = [
        (torch.tensor([[0.0, 5.0]]), "the mean is still in; without it no cell lies below 0"),
        (-right, "the sign is turned; subtract the mean from the features"),
        (right.relu(), "keep what is below 0 here; the threshold comes later"),
    ]
    compare(function(features, mean, along), right, mistakes, "your map")
    done(4, "what is above 0 is object.")

"""Checks of lab 1: a class activation map by hand."""

from collections.abc import Callable

import torch

from . import compare, done

FEATURES = torch.tensor([[[1.0, 3.0], [0.0, 2.0]], [[4.0, 0.0], [1.0, 1.0]]])  # (C, h, w)
WEIGHT = torch.tensor([2.0, -1.0])
BIAS = 0.5

MOVED = "The mean over the cells does not know where a cell lies, so no logit changes; the map moves with the cells."
PEAK = "The network is free to use any part that tells the species, and the one that it likes best is brightest."


def class_map(function: Callable) -> None:
    """Step 1: the channels added up with the weights of one class."""
    right = torch.tensor([[-2.0, 6.0], [-1.0, 3.0]])
    mistakes = [
        (right / 2, "you took the mean over the channels; a class map is their weighted sum"),
        (FEATURES.sum(0), "the weights are missing; each channel counts as much as its weight says"),
        (right.relu(), "negative evidence is part of the map; do not cut it off"),
        (FEATURES * WEIGHT[:, None, None], "the channels are weighted but not yet added up"),
        (FEATURES @ WEIGHT, "you added up the columns; the weights belong to the channels, the first axis"),
    ]
    compare(function(FEATURES, WEIGHT), right, mistakes, "your map")
    done(1, "the map is high where the first channel is strong, and below 0 where the second is.")


def logit(function: Callable) -> None:
    """Step 2: the class score from pooled features."""
    mistakes = [
        (6.5, "you added up the cells; global average pooling takes their mean"),
        (1.5, "the bias is missing"),
        (2.5, "you pooled with the maximum; global average pooling takes the mean"),
    ]
    compare(function(FEATURES, WEIGHT, BIAS), 2.0, mistakes, "your logit")
    done(2, "the mean of the class map plus the bias is the same number, so the map says where the score is from.")


def class_maps(function: Callable) -> None:
    """Step 4: the maps of all classes of a batch."""
    draw = torch.Generator().manual_seed(0)
    features, weight = torch.rand(2, 3, 4, 5, generator=draw), torch.randn(6, 3, generator=draw)
    right = torch.stack([torch.stack([(w[:, None, None] * f).sum(0) for w in weight]) for f in features])
    mistakes = [(right.transpose(0, 1), "images and classes are exchanged; the first axis is the batch")]
    compare(function(features, weight), right, mistakes, "your function")
    done(4, "one call gives a map for each image and each class.")


def maps_of(function: Callable) -> None:
    """Step 5: of each image the map of one class."""
    maps, labels = torch.arange(24.0).reshape(2, 3, 2, 2), torch.tensor([2, 0])
    mistakes = [
        (maps[:, labels], "each image got the maps of all labels; pair image 0 with label 0, image 1 with label 1"),
        (maps[:, 0], "each image got the map of class 0; take the class of its label"),
    ]
    compare(function(maps, labels), torch.stack([maps[0, 2], maps[1, 0]]), mistakes, "your function")
    done(5, "each image has the map of its own class.")


def peak(function: Callable) -> None:
    """Step 6: row and column of the brightest cell."""
    scores = torch.zeros(3, 4)
    scores[1, 3] = 1
    mistakes = [
        ([3, 1], "row and column are exchanged; the row comes first"),
        (7, "this is the place in the flattened map; turn it into a row and a column"),
    ]
    compare(function(scores), [1, 3], mistakes, "your function")
    done(6, "you can find the brightest cell.")

"""Faithfulness: does a map point to what the network decides by?

Deletion and insertion take the pixels in the order of the map, the highest first, and follow the score of a class
(Petsiuk et al., BMVC 2018). Average drop and increase in confidence look once, at the image times its map
(Chattopadhay et al., WACV 2018). None of them knows a box.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cmr.data.arrays import as_maps, as_tensor
from cmr.errors import UserError

# normalised images (n, 3, H, W) -> logits (n, K)
Classify = Callable[[Tensor], Tensor]

BATCH = 64  # images that the network sees at a time


def pixel_ranks(maps: Tensor) -> Tensor:
    """The place of each pixel when a map's pixels are taken from the highest to the lowest.

    Equal pixels are taken in a random order, the same for all images and maps: in raster order, an empty map would
    delete an image from its top to its bottom, which is an order of its own.

    Args:
        maps: (B, H, W), numbers of any scale; only their order counts.

    Returns:
        (B, H * W) int64, 0 for the highest pixel, on the device of the maps.

    Raises:
        UserError: maps have not three axes or no pixel, or hold NaN.

    Example:
        >>> pixel_ranks(torch.tensor([[[0.5, 3.0], [-1.0, 0.7]]])).tolist()
        [[2, 0, 3, 1]]
    """
    maps = as_maps(maps, "pixel_ranks: maps")
    flat = maps.flatten(1)  # (B, H, W) -> (B, N)
    if not flat.shape[1]:
        raise UserError(f"pixel_ranks: maps have shape {tuple(maps.shape)}; expected at least one pixel")
    if flat.isnan().any():
        wrong = int(flat.isnan().any(1).nonzero()[0])
        raise UserError(f"pixel_ranks: map {wrong} holds NaN, which has no place in an order; mend the map")
    shuffled = torch.randperm(flat.shape[1], generator=torch.Generator().manual_seed(0)).to(flat.device)
    order = shuffled[flat[:, shuffled].argsort(dim=1, descending=True, stable=True)]  # (B, N) pixels, highest first
    places = torch.arange(flat.shape[1], device=flat.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)


def pixel_counts(pixels: int, steps: int) -> Tensor:
    """How many pixels have been taken after each step: (steps + 1,) int64, from 0 to all, as even as whole numbers can.

    Raises:
        UserError: fewer than one step, or more steps than pixels.

    Example:
        >>> pixel_counts(10, 4).tolist()
        [0, 3, 5, 8, 10]
    """
    if not 1 <= steps <= pixels:
        raise UserError(f"steps: {steps} for {pixels} pixels; give 1 or more, and no more than pixels")
    return (torch.arange(steps + 1) * pixels + steps // 2) // steps


def blurred(images: Tensor) -> Tensor:
    """What insertion begins with: the image out of focus, whose colours are there and whose details are not.

    Petsiuk et al. 2018 blur images of 224 pixels with a Gaussian of standard deviation 5 on 11 x 11 pixels.

    Args:
        images: (B, 3, H, W) float, H and W 6 or more.

    Returns:
        (B, 3, H, W); beyond the border the image is mirrored.

    Raises:
        UserError: images too small to be mirrored.

    Example:
        >>> grey = torch.full((1, 3, 16, 16), 0.5)
        >>> torch.allclose(blurred(grey), grey)
        True
    """
    from torchvision.transforms.v2.functional import gaussian_blur  # here: it takes a second to load

    if min(images.shape[2:]) < 6:
        raise UserError(f"blurred: images of {min(images.shape[2:])} pixels; give images of 6 or more")
    return gaussian_blur(images, [11, 11], [5.0, 5.0])


def deletion(
    classify: Classify,
    images: Tensor,
    classes: Tensor,
    maps: Tensor,
    baseline: Tensor | None = None,
    steps: int = 16,
    ends: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The score of a class while the map's highest pixels go, until none is left.

    Petsiuk et al. 2018, "RISE", section 4.1. A map that points to what the network decides by makes the score fall
    early, so that little area is left under the curve (`area`).

    Args:
        classify: the network, in evaluation mode: normalised images (n, 3, H, W) -> logits (n, K).
        images: (B, 3, H, W) float, normalised.
        classes: (B,) int64, the class whose softmax score is followed.
        maps: (B, H, W), of the images' size (`cmr.maps.locate.resize`); only their order counts.
        baseline: (B, 3, H, W), what takes a pixel's place; None: 0, which is the mean colour of ImageNet. Published.
        steps: T, into which the pixels are divided evenly.
        ends: scores (B,) of the images and of the baseline, where they are known from another map (`scores_of`).

    Returns:
        (B, T + 1) float32 in [0, 1]: scores of the whole image, after each step, and of the baseline.

    Raises:
        UserError: shapes that do not fit, NaN in a map, a number of steps that cannot be.

    Example:
        >>> first_pixel = lambda seen: torch.stack((seen[:, 0, 0, 0], 0 * seen[:, 0, 0, 0]), 1)
        >>> images, maps = torch.full((1, 3, 2, 2), 9.0), torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
        >>> [round(score, 1) for score in deletion(first_pixel, images, torch.tensor([0]), maps, steps=4)[0].tolist()]
        [1.0, 0.5, 0.5, 0.5, 0.5]
    """
    other = torch.zeros_like(images) if baseline is None else baseline
    return _followed(classify, images, classes, maps, (images, other), steps, ends)


def insertion(
    classify: Classify,
    images: Tensor,
    classes: Tensor,
    maps: Tensor,
    baseline: Tensor | None = None,
    steps: int = 16,
    ends: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The score of a class while the map's highest pixels come, until all are there.

    Petsiuk et al. 2018, section 4.1. A map that points to what the network decides by makes the score rise early, so
    that much area lies under the curve (`area`).

    Args:
        classify, images, classes, maps, steps: as in `deletion`.
        baseline: (B, 3, H, W), the image that it begins with; None: `blurred` as published.
        ends: scores (B,) of the baseline and of the images, where they are known.

    Returns:
        (B, T + 1) float32 in [0, 1]: scores of the baseline, after each step, and of the whole image.

    Raises:
        UserError: as in `deletion`.

    Example:
        >>> first_pixel = lambda seen: torch.stack((seen[:, 0, 0, 0], 0 * seen[:, 0, 0, 0]), 1)
        >>> images, maps = torch.full((1, 3, 2, 2), 9.0), torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
        >>> scores = insertion(first_pixel, images, torch.tensor([0]), maps, torch.zeros_like(images), steps=4)
        >>> [round(score, 1) for score in scores[0].tolist()]
        [0.5, 1.0, 1.0, 1.0, 1.0]
    """
    first = blurred(images) if baseline is None else baseline
    return _followed(classify, images, classes, maps, (first, images), steps, ends)


@torch.no_grad()
def _followed(
    classify: Classify,
    images: Tensor,
    classes: Tensor,
    maps: Tensor,
    way: tuple[Tensor, Tensor],
    steps: int,
    ends: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """Scores (B, T + 1) on the way from one image to another, pixel by pixel in the order of the map."""
    _check(images, classes, maps)
    if way[0].shape != way[1].shape:
        given = tuple(way[0].shape if way[1] is images else way[1].shape)
        raise UserError(f"baseline: has shape {given} for images of {tuple(images.shape)}; give as many pixels")
    ranks = pixel_ranks(maps).view(len(images), 1, *images.shape[2:])  # (B, 1, H, W)
    inner = pixel_counts(ranks[0].numel(), steps)[1:-1].to(ranks.device)
    first, last = (scores_of(classify, end, classes) for end in way) if ends is None else ends
    scores = []
    between = torch.arange(len(images) * len(inner), device=ranks.device)
    for part in between.split(BATCH) if len(inner) else ():
        i, step = part // len(inner), part % len(inner)
        taken = ranks[i] < inner[step].view(-1, 1, 1, 1)
        scores.append(class_score(classify(torch.where(taken, way[1][i], way[0][i])), classes[i]))
    inside = torch.cat(scores).view(len(images), -1) if scores else first.new_zeros(len(images), 0)
    return torch.cat((first[:, None], inside, last[:, None]), 1)


@torch.no_grad()
def scores_of(classify: Classify, images: Tensor, classes: Tensor) -> Tensor:
    """The softmax of one class per image, a batch at a time: arguments as in `deletion` -> (B,) float32."""
    pairs = zip(images.split(BATCH), classes.split(BATCH), strict=True)
    return torch.cat([class_score(classify(part), those) for part, those in pairs])


def class_score(logits: Tensor, classes: Tensor) -> Tensor:
    """The softmax of one class per image: (n, K), (n,) int64 -> (n,) float32."""
    return logits.float().softmax(1).gather(1, classes[:, None])[:, 0]


def area(scores: Tensor, pixels: int | None = None) -> Tensor:
    """The area under curves of scores, by the trapezoidal rule over the share of pixels taken.

    Args:
        scores: (B, T + 1), of `deletion` or `insertion`.
        pixels: of the image, where T does not divide them evenly (`pixel_counts`); None: even steps.

    Returns:
        (B,) in [0, 1]: low is faithful for deletion, high for insertion.

    Raises:
        UserError: not two axes, or fewer than two points.

    Example:
        >>> area(torch.tensor([[1.0, 0.5, 0.0], [1.0, 0.0, 0.0]])).tolist()
        [0.5, 0.25]
    """
    scores = as_tensor(scores, "area: scores")
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise UserError(f"area: scores have shape {tuple(scores.shape)}; expected (images, steps + 1)")
    steps = scores.shape[1] - 1
    counts = pixel_counts(steps if pixels is None else pixels, steps).to(scores.device)
    return torch.trapezoid(scores, counts / counts[-1], dim=1)


@dataclass(frozen=True)
class Confidence:
    """What the score does when the network sees an image times its map.

    Attributes:
        average_drop: percent of the score that is lost, a rise counted as 0, mean over the images; low is faithful.
        increase: percent of images whose score rises; high is faithful.
    """

    average_drop: float
    increase: float


def masked_scores(classify: Classify, images: Tensor, classes: Tensor, scoremaps: Tensor) -> Tensor:
    """The score of a class for each image times its map.

    Chattopadhay et al. 2018, section 4.1. The product is of normalised pixels, so what a map leaves out takes the mean
    colour of ImageNet.

    Args:
        classify, images, classes: as in `deletion`.
        scoremaps: (B, H, W) in [0, 1], of the images' size (`cmr.maps.locate.normalise`).

    Returns:
        (B,) float32.

    Raises:
        UserError: shapes that do not fit, or maps that are not in [0, 1].

    Example:
        >>> first_pixel = lambda seen: torch.stack((seen[:, 0, 0, 0], 0 * seen[:, 0, 0, 0]), 1)
        >>> masked_scores(first_pixel, torch.full((1, 3, 2, 2), 9.0), torch.tensor([0]), torch.zeros(1, 2, 2))
        tensor([0.5000])
    """
    _check(images, classes, scoremaps)
    if not bool(((scoremaps >= 0) & (scoremaps <= 1)).all()):
        raise UserError("masked_scores: maps hold NaN or values outside [0, 1]; normalise them first")
    return scores_of(classify, images * scoremaps[:, None].to(images.dtype), classes)


def confidence(before: Tensor, after: Tensor) -> Confidence:
    """Average drop and increase in confidence.

    Args:
        before: (B,) scores above 0 of the images, of `scores_of`.
        after: (B,) scores of the images times their maps, of `masked_scores`.

    Raises:
        UserError: no image, shapes that differ, or a score before that is not above 0.

    Example:
        >>> confidence(torch.tensor([0.8, 0.5]), torch.tensor([0.2, 0.6]))
        Confidence(average_drop=37.5, increase=50.0)
    """
    if before.shape != after.shape or before.ndim != 1 or not len(before):
        raise UserError(
            f"confidence: scores of shapes {tuple(before.shape)} and {tuple(after.shape)}; expected (images,) twice"
        )
    if not bool((before > 0).all()):
        raise UserError("confidence: a score of the whole image is not above 0, and no share of it can be lost")
    lost = (1 - after.double() / before.double()).clamp(min=0)
    return Confidence(100 * float(lost.mean()), 100 * float((after > before).double().mean()))


def _check(images: Tensor, classes: Tensor, maps: Tensor) -> None:
    if images.ndim != 4 or not len(images) or classes.shape != images.shape[:1]:
        raise UserError(
            f"images have shape {tuple(images.shape)}, classes {tuple(classes.shape)}; expected (B, 3, H, W) and (B,)"
        )
    if maps.shape != (len(images), *images.shape[2:]):
        raise UserError(
            f"maps have shape {tuple(maps.shape)} for images of {tuple(images.shape)}; resize them to the image's "
            "pixels first (cmr.maps.locate.resize)"
        )

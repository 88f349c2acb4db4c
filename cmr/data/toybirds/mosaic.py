"""Pictures with several birds: four pictures of ToyBirds in one, of which some hold a bird."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cmr.data.toybirds import Picture, Settings, empty, render
from cmr.errors import UserError

PLACES = 4  # two by two


@dataclass(frozen=True)
class Mosaic:
    """A picture with several birds and its truth.

    Attributes:
        image: (2 S, 2 S, 3) uint8 RGB.
        boxes: (n, 4) int64 xyxy, pixels, half-open, tight around each visible bird.
        labels: n class indices.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: tuple[int, ...]


def mosaic(settings: Settings, index: int, species: Sequence[int]) -> Mosaic:
    """Puts test pictures of one size together, two by two; each bird is as large as in the data set.

    Args:
        settings: of ToyBirds; the mosaic has twice the side.
        index: another one gives other birds of these species, places and backgrounds.
        species: class index of each bird, one to four; the other places show no bird.

    Returns:
        Image, boxes and labels, the birds in the order given.

    Raises:
        UserError: another number of birds, or a class that is none.

    Example:
        >>> made = mosaic(Settings(), 0, [3, 3, 7])
        >>> made.image.shape, made.labels, len(made.boxes)
        ((128, 128, 3), (3, 3, 7), 3)
    """
    if not 1 <= len(species) <= PLACES:
        raise UserError(f"mosaic: {len(species)} birds; give the classes of one to {PLACES}")
    if wrong := [label for label in species if not 0 <= label < settings.classes]:
        raise UserError(f"mosaic: there is no class {wrong[0]}; give 0 to {settings.classes - 1}")
    size, first = settings.size, PLACES * index * settings.classes
    places = np.random.default_rng([settings.seed, index]).permutation(PLACES)
    image = np.empty((2 * size, 2 * size, 3), np.uint8)
    boxes = []
    for n, place in enumerate(places):
        top, left = size * np.array(divmod(int(place), 2))
        at = first + n * settings.classes
        shown = n < len(species)
        picture: Picture = render(settings, "test", at + species[n]) if shown else empty(settings, "test", at)
        image[top : top + size, left : left + size] = picture.image
        if shown:
            rows, columns = np.nonzero(picture.owner)
            boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            boxes[-1] = [side + shift for side, shift in zip(boxes[-1], (left, top) * 2, strict=True)]
    return Mosaic(image, np.array(boxes, np.int64), tuple(species))

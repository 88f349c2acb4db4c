"""ToyBirds: a generated data set whose truth is exact, with a mask per part and a dial per part.

Twenty invented species differ in six parts. For each part a dial says how strongly its look tells the class, so that it
can be seen, with exact truth, how far a method's localization follows the evidence: a classifier looks only at what
tells. Made in seconds, no file to fetch; the same pixels on every machine.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import tyro
from tqdm import tqdm

from cmr.config import SHARE, Range, check
from cmr.data.split import Split, fingerprint
from cmr.data.toybirds.bird import draw_bird
from cmr.data.toybirds.brush import Canvas
from cmr.data.toybirds.drawn import kept
from cmr.data.toybirds.others import others
from cmr.data.toybirds.pose import PARTS, draw_pose
from cmr.data.toybirds.scene import draw_background, draw_foreground
from cmr.data.toybirds.species import SPECIES, Species
from cmr.errors import UserError, require_known, shown

#: Goes up whenever the same settings give other pixels.
VERSION = 1

SPLITS = ("train", "test")

FLOCKS: dict[str, Callable[[], tuple[Species, ...]]] = {"twenty": lambda: SPECIES, "others": others}


@dataclass(frozen=True)
class Settings:
    """What to generate.

    The dial of a part is a probability p: with p its look is that of the bird's class, else that of a class drawn
    from all of them with equal chances (the bird's own included). So at 0 the look is independent of the class, at 1 it
    is always the class's, and in between P(look = class) = p + (1 - p) / classes. The parts' draws are independent.
    Turning a dial changes looks only: pose, place and background of every image stay.

    Raises:
        UserError: for a value out of range or of another type.

    Example:
        >>> Settings(train=40, test=20, head=0.5).head
        0.5
    """

    RANGES: ClassVar[dict[str, Range]] = {
        "train": Range(1, 10**7),
        "test": Range(1, 10**7),
        "size": Range(16, 4096),
        "seed": Range(0, 2**63 - 1),
        **dict.fromkeys(PARTS, SHARE),
    }

    train: int = 1500  # images to learn from
    test: int = 500  # images to score
    classes: int = 20  # species, 2 to 20 (to 60 of the flock of others)
    size: int = 64  # side of the images in pixels, 16 or more
    # another seed gives other images of the same species
    seed: Annotated[int, tyro.conf.arg(name="data-seed")] = 0  # a run has a seed too
    head: float = 1.0  # dial of the head: colour, markings and crest, 0 to 1
    beak: float = 0.4  # dial of the beak: colour and shape, 0 to 1
    body: float = 0.2  # dial of the body: back, belly and breast pattern, 0 to 1
    wing: float = 0.5  # dial of the wing: coverts, flight feathers and bars, 0 to 1
    tail: float = 0.5  # dial of the tail: colour, pattern and shape, 0 to 1
    legs: float = 0.3  # dial of the legs: colour and thickness, 0 to 1
    flock: Literal["twenty", "others"] = "twenty"  # the species; others: those that the ToyBirds start learnt from

    def __post_init__(self) -> None:
        try:
            check(self)
        except UserError as error:  # a run has a seed, too
            raise UserError(f"ToyBirds {error}") from None
        if self.classes not in (possible := Range(2, len(FLOCKS[self.flock]()))):
            raise UserError(f"ToyBirds classes: {shown(self.classes)} is out of range; give {possible}")


@dataclass(frozen=True)
class Picture:
    """One generated image with its truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        owner: (H, W) uint8, 0 for background, else 1 + the index in PARTS of the part that is visible there.
        label: class index.
        looks: for each of PARTS the class whose look it has.
    """

    image: np.ndarray
    owner: np.ndarray
    label: int
    looks: tuple[int, ...]


def looks(settings: Settings, split: str, index: int) -> tuple[int, tuple[int, ...]]:
    """Tells the class of an image, and for each part the class whose look it has.

    Args:
        settings: of the data set.
        split: "train" or "test".
        index: of the image; depends on nothing else, so that more images leave the first ones alone.

    Returns:
        The class index, and six class indices in the order of PARTS.

    Raises:
        UserError: for an unknown split.

    Example:
        >>> label, parts = looks(Settings(), "test", 3)
        >>> label, parts[0]  # the head always tells at the default dial
        (3, 3)
    """
    rng = _chance(settings, split, index, 0)
    label = index % settings.classes
    draws = rng.random((len(PARTS), 2))
    own = [draws[p, 0] < getattr(settings, part) for p, part in enumerate(PARTS)]
    other = (draws[:, 1] * settings.classes).astype(int)
    return label, tuple(label if tells else int(k) for tells, k in zip(own, other, strict=True))


def render(settings: Settings, split: str, index: int, size: int | None = None) -> Picture:
    """Draws one image, at any size: the same picture as in the data set, with more detail.

    Args:
        settings: of the data set.
        split: "train" or "test".
        index: of the image, 0 or more (also beyond the number in the split).
        size: side in pixels; None is the settings' own.

    Returns:
        Image, part map, class and looks.

    Raises:
        UserError: for an unknown split.

    Example:
        >>> picture = render(Settings(), "train", 7, size=96)
        >>> picture.image.shape, picture.label
        ((96, 96, 3), 7)
    """
    return _painted(settings, split, index, size, bird=True)


def empty(settings: Settings, split: str, index: int) -> Picture:
    """Draws the same picture without its bird; arguments as of `render`, whose label and looks it keeps.

    Example:
        >>> empty(Settings(), "test", 3).owner.any()
        np.False_
    """
    return _painted(settings, split, index, None, bird=False)


def _painted(settings: Settings, split: str, index: int, size: int | None, bird: bool) -> Picture:
    label, parts = looks(settings, split, index)
    pose = draw_pose(_chance(settings, split, index, 1))
    canvas = Canvas(settings.size if size is None else size)
    flock = FLOCKS[settings.flock]()
    painter = draw_background(canvas, pose, flock, _chance(settings, split, index, 2))
    if bird:
        draw_bird(canvas, pose, [flock[k] for k in parts], _chance(settings, split, index, 3))
    draw_foreground(painter, pose)
    return Picture(canvas.bytes(), canvas.owner, label, parts)


def load(root: str | Path | None, split: str, settings: Settings | None = None) -> Split:
    """Generates a split, once: asked again with the same settings, it comes from memory or disk (`kept`).

    Args:
        root: not used; here so that every data set is loaded alike.
        split: "train" or "test".
        settings: None is `Settings()`.

    Returns:
        The split. Boxes: one per image, xyxy, pixels, half-open, tight around the visible bird.

    Raises:
        UserError: for an unknown split.

    Example:
        >>> split = load(None, "test", Settings(test=4, classes=2))
        >>> split.read(0).shape, split.part_names
        ((64, 64, 3), ('head', 'beak', 'body', 'wing', 'tail', 'legs'))
    """
    require_known(split, "split of ToyBirds", SPLITS)
    return _generate(settings or Settings(), split)


@dataclass(frozen=True)
class _Images:
    images: np.ndarray = field(repr=False)  # (n, H, W, 3) uint8

    def __call__(self, i: int) -> np.ndarray:
        return self.images[i].copy()


@dataclass(frozen=True)
class _Masks:
    owners: np.ndarray = field(repr=False)  # (n, H, W) uint8

    def __call__(self, i: int) -> np.ndarray:
        return self.owners[i] > 0


@dataclass(frozen=True)
class _Parts:
    owners: np.ndarray = field(repr=False)  # (n, H, W) uint8

    def __call__(self, i: int) -> np.ndarray:
        return self.owners[i][None] == np.arange(1, len(PARTS) + 1, dtype=np.uint8)[:, None, None]  # (P, H, W)


@lru_cache(maxsize=6)
def _generate(settings: Settings, split: str) -> Split:
    count, size = getattr(settings, split), settings.size
    drawn = kept(f"{split} {VERSION} {json.dumps(asdict(settings))}", lambda: _draw(settings, split))
    images, owners, labels = drawn["images"], drawn["owners"], drawn["labels"]
    images.flags.writeable = owners.flags.writeable = False
    ids = tuple(f"{split}/{i:05d}" for i in range(count))
    sizes = np.full((count, 2), size, np.int64)
    boxes = tuple(_tight(owners))
    values = {"version": VERSION, **asdict(settings)}
    if settings.flock == "twenty":  # as before there were others, so that the fingerprints of earlier runs still hold
        del values["flock"]
    content = json.dumps(values).encode() + images.tobytes() + owners.tobytes()
    return Split(
        dataset="ToyBirds",
        split=split,
        ids=ids,
        labels=labels,
        sizes=sizes,
        boxes=boxes,
        classes=tuple(species.name for species in FLOCKS[settings.flock]()[: settings.classes]),
        read=_Images(images),
        fingerprint=fingerprint(ids, labels, sizes, boxes, content),
        masks=_Masks(owners),
        parts=_Parts(owners),
        part_names=PARTS,
    )


def _draw(settings: Settings, split: str) -> dict[str, np.ndarray]:
    count, size = getattr(settings, split), settings.size
    images = np.empty((count, size, size, 3), np.uint8)
    owners = np.empty((count, size, size), np.uint8)
    labels = np.empty(count, np.int64)
    for i in tqdm(range(count), desc=f"ToyBirds {split}", leave=False, disable=None):
        picture = render(settings, split, i)
        images[i], owners[i], labels[i] = picture.image, picture.owner, picture.label
    return {"images": images, "owners": owners, "labels": labels}


def _tight(owners: np.ndarray) -> np.ndarray:
    """(n, 1, 4) float64 xyxy, half-open: the tight boxes of what is not background."""
    rows, cols, size = np.any(owners > 0, 2), np.any(owners > 0, 1), owners.shape[1]
    ends = [cols.argmax(1), rows.argmax(1), size - cols[:, ::-1].argmax(1), size - rows[:, ::-1].argmax(1)]
    return np.stack(ends, 1).astype(np.float64)[:, None]  # (n, 4) -> (n, 1, 4)


def _chance(settings: Settings, split: str, index: int, purpose: int) -> np.random.Generator:
    """Own numbers for each image and purpose, so that turning a dial or adding images moves nothing else."""
    require_known(split, "split of ToyBirds", SPLITS)
    return np.random.default_rng([settings.seed, SPLITS.index(split), index, purpose])

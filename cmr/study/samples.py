"""Single images as figures want them: picture, score map, boxes; from a record alone, or with a trained method."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmr.config import Config
from cmr.data import toybirds
from cmr.data.boxes import centre_offset, classic_boxes, resize_boxes
from cmr.data.images import MEAN, STD, normalise, resize_image
from cmr.data.split import Split
from cmr.errors import UserError
from cmr.maps import locate
from cmr.maps.multiscale import at_scales
from cmr.methods.method import Method
from cmr.presets import make
from cmr.study.parameters import parse_parameters
from cmr.study.runs import Run
from cmr.views import complementary_views, hide_masks

Read = Callable[[int], np.ndarray]

SIDE = 256  # of the pictures, pixels


def configuration(
    variant: str,
    seed: int = 0,
    *,
    preset: str = "toybirds",
    images: int = 1200,
    epochs: int = 6,
    device: str = "auto",
    **dials: float,
) -> Config:
    """A configuration on ToyBirds from a few words, as the pages with live results write it.

    Args:
        variant: a method, and settings of its own: "cmr beta=0.0".
        seed: random seed.
        preset: as in `cmr.presets.make`.
        images: of the training split.
        epochs: passes over them.
        device: auto, cpu, cuda or cuda:N.
        **dials: settings of the data set: how much each part tells, 0 to 1.

    Returns:
        The configuration.

    Example:
        >>> configuration("cmr beta=0.0", preset="tiny", images=64, head=1.0).settings.beta
        0.0
    """
    method, *settings = variant.split()
    data_settings = {"train": images, **dials}
    return make(
        preset, parse_parameters(settings), data_settings, method=method, seed=seed, epochs=epochs, device=device
    )


def drawn_large(settings: toybirds.Settings, i: int) -> np.ndarray:
    """A test image of ToyBirds drawn again with more detail: (256, 256, 3) uint8."""
    return toybirds.render(settings, "test", int(i), SIDE).image


def recorded_items(run: Run, split: Split, positions: Sequence[int], read: Read | None = None) -> list[dict[str, Any]]:
    """Gallery items of test images whose maps the run's record holds; no model is needed.

    Args:
        run: a finished run.
        split: the test split it was scored on.
        positions: of the images in the split; the record must hold their maps (`map_index`).
        read: gives picture i where a larger one than the split's own is at hand.

    Returns:
        Items for `cmr.figures.gallery`, of 256 pixels: image, scoremap, gt_boxes, box (xyxy, half-open, pixels of the
        picture), iou.

    Raises:
        UserError: the split is not the one of the record, or holds no map of that image.
    """
    if (recorded := run.record.data.get(split.split)) is None or recorded.fingerprint != split.fingerprint:
        raise UserError(
            f"{run.path}: was not scored on this {split.dataset} {split.split} split; its fingerprint differs"
        )
    outcomes, config = run.outcomes(), run.config
    held = {int(position): row for row, position in enumerate(outcomes["map_index"])}
    items = []
    for position in positions:
        if position not in held:
            raise UserError(f"{run.path}: holds no map of test image {position}; it holds those of {sorted(held)}")
        maps = torch.from_numpy(outcomes["maps"][held[position]])[None]  # (1, h, w)
        scoremap = locate.normalise(locate.resize(maps, SIDE), config.normalise)[0].numpy()
        items.append(outcome_item(run, split, position, SIDE, read) | {"scoremap": scoremap})
    return items


def outcome_item(run: Run, split: Split, position: int, side: int, read: Read | None = None) -> dict[str, Any]:
    """The gallery item of any test image, without its map; arguments as in `recorded_items`."""
    outcomes, config = run.outcomes(), run.config
    iou = float(outcomes["iou"][position])
    boxes, size = split.boxes[position], split.sizes[position]
    if config.test_crop == "classic":
        boxes, size = classic_boxes(boxes, size, config.resize, config.image_size), [config.image_size] * 2
    item = {
        "image": cropped((read or split.read)(position), config, side),
        "gt_boxes": resize_boxes(boxes, size, (side, side)),
        "box": half_open(outcomes["box"][position]) * (side / config.image_size),
    }
    return item if np.isnan(iou) else item | {"iou": iou}


def cropped(image: np.ndarray, config: Config, side: int) -> np.ndarray:
    """What the test crop leaves of an image, `side` pixels wide: (H, W, 3) uint8 -> (side, side, 3) uint8."""
    if config.test_crop == "resize":
        return resize_image(image, side)
    whole = round(side * config.resize / config.image_size)
    start = centre_offset(whole, side)
    return resize_image(image, whole)[start : start + side, start : start + side]


def half_open(box: np.ndarray) -> np.ndarray:
    """A box of inclusive pixels as one whose right and lower sides lie one beyond: (..., 4) xyxy -> (..., 4) float."""
    return np.asarray(box, dtype=np.float64) + np.array([0, 0, 1, 1])


def network_images(split: Split, positions: Sequence[int] | np.ndarray, config: Config) -> Tensor:
    """Test images as a method takes them: (B, 3, image_size, image_size), normalised."""
    images = np.stack([cropped(split.read(i), config, config.image_size) for i in positions])  # (B, H, W, 3)
    return normalise(torch.from_numpy(images).permute(0, 3, 1, 2))


def pictures(images: Tensor) -> np.ndarray:
    """Normalised images back as pictures: (B, 3, H, W) -> (B, H, W, 3) uint8."""
    mean, std = MEAN.view(1, 3, 1, 1), STD.view(1, 3, 1, 1)
    return ((images * std + mean).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def views(images: Tensor, sizes: Sequence[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Complementary views of normalised images, drawn with a seed of their own."""
    batch, _, height, width = images.shape
    masks = hide_masks(batch, height, width, sizes, generator=torch.Generator().manual_seed(seed))
    return complementary_views(images, masks)


@torch.no_grad()
def scoremaps(method: Method, images: Tensor, labels: Tensor, config: Config, side: int) -> Tensor:
    """Score maps in [0, 1] of the given classes as the test makes them: (B, 3, H, W), (B,) -> (B, side, side)."""
    _, maps = at_scales(method.eval().localize, config.test_scales, config.test_flip, method.backbone.stride)(images)
    chosen = maps[torch.arange(len(labels)), labels]  # (B, h, w)
    return locate.normalise(locate.resize(chosen, side), config.normalise)


def side_by_side(
    found: Mapping[str, Run], split: Split, positions: Sequence[int], read: Read | None = None
) -> list[list[dict[str, Any]]]:
    """Rows for `cmr.figures.gallery`: a row per image, a column per run under its title; else as `recorded_items`."""
    columns = [
        [item | {"title": title} for item in recorded_items(run, split, positions, read)]
        for title, run in found.items()
    ]
    return [list(row) for row in zip(*columns, strict=True)]

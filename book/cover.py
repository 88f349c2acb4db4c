"""Draws the cover, book/_static/cover.png, from generated birds: python -m book.cover"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cmr import figures
from cmr.data.toybirds import Settings, render
from cmr.views import complementary_views, hide_masks

BIRDS = (3, 22, 25, 26)
SIDE = 300  # pixels of a tile


def tiles() -> list[np.ndarray]:
    """Four birds, each followed by one of its complementary views with cells of a seventh of the side."""
    shown = []
    for number, index in enumerate(BIRDS):
        bird = render(Settings(head=1, beak=1, body=1, wing=1, tail=1, legs=1), "train", index, SIDE).image
        image = torch.from_numpy(bird.copy()).permute(2, 0, 1)[None].float()  # (1, 3, H, W)
        masks = hide_masks(1, SIDE, SIDE, [SIDE // 7], generator=torch.Generator().manual_seed(index))
        view = complementary_views(image, masks, fill=28.0)[number % 2]
        shown += [bird, view[0].permute(1, 2, 0).byte().numpy()]
    return shown


def main(path: Path = Path(__file__).parent / "_static" / "cover.png") -> None:
    """Writes the picture in 256 colours, which halves its size."""
    figures.save(figures.cover(tiles()), path, dpi=110)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()

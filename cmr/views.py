"""Section 3.2: two complementary views of an image, X and X~, by hiding patches as in Hide-and-Seek.

The image is cut into a grid of square cells from its upper left corner. X hides each cell with probability p and X~
hides exactly the cells that X shows, so what one branch loses the other one sees.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from cmr.errors import UserError


def hide_masks(
    batch: int,
    height: int,
    width: int,
    sizes: Sequence[int],
    p: float = 0.5,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draws which pixels the view X hides, a grid of cells per image (section 3.2, after Hide-and-Seek).

    Each image draws one cell size from `sizes` with equal chance, then hides each of its cells with probability `p`.
    Cells start at the upper left corner; the last ones are cut where the size does not divide the side (44 in 224:
    five whole cells and a strip of 4 pixels). A size as large as the image makes one cell of the whole image, which
    is then hidden from one of the two views altogether.

    Args:
        batch: number of images B.
        height: image height H in pixels.
        width: image width W in pixels.
        sizes: cell sides in pixels, each 1 or more; one size keeps it fixed, several are the paper's "Mixed".
        p: chance that X hides a cell, in [0, 1].
        generator: source of the random numbers. They are drawn on the generator's own device, so that a generator on
            the CPU gives the same masks on every device. Default: torch's global one of `device`.
        device: where the masks are made. Default: torch's default device.

    Returns:
        Boolean tensor (B, 1, H, W); True where X is hidden, and so where X~ is shown.

    Raises:
        UserError: no size, a size below 1, a side below 1, or p outside [0, 1].

    Example:
        >>> masks = hide_masks(2, 4, 4, sizes=[2], p=0.5, generator=torch.Generator().manual_seed(0))
        >>> masks.shape
        torch.Size([2, 1, 4, 4])
        >>> masks[0, 0].int()
        tensor([[1, 1, 1, 1],
                [1, 1, 1, 1],
                [1, 1, 0, 0],
                [1, 1, 0, 0]], dtype=torch.int32)
    """
    if len(sizes) == 0:
        raise UserError("hide sizes: the list is empty; give at least one patch size in pixels, e.g. 56")
    wrong = [size for size in sizes if size < 1 or size != int(size)]
    if wrong:
        raise UserError(f"hide sizes: {wrong[0]} is not a patch size in pixels; give a whole number, 1 or more")
    if not 0.0 <= p <= 1.0:
        raise UserError(f"hide probability: {p} is outside [0, 1]")
    if height < 1 or width < 1:
        raise UserError(f"hide masks: an image of {height} x {width} pixels has no cells")
    device = torch.get_default_device() if device is None else torch.device(device)
    draw_on = device if generator is None else generator.device
    rows, cols = (-(-side // int(min(sizes))) for side in (height, width))  # enough for the smallest cells
    pick = torch.randint(len(sizes), (batch,), generator=generator, device=draw_on).to(device)
    bits = (torch.rand(batch, rows, cols, generator=generator, device=draw_on) < p).to(device)
    size = torch.tensor([int(size) for size in sizes], device=device)[pick, None]  # (B, 1)
    row = torch.arange(height, device=device) // size  # (B, H) cell of each pixel row
    col = torch.arange(width, device=device) // size  # (B, W)
    image = torch.arange(batch, device=device)
    return bits[image[:, None, None], row[:, :, None], col[:, None, :]][:, None]  # (B, 1, H, W)


def complementary_views(images: Tensor, masks: Tensor, fill: float | Tensor = 0.0) -> tuple[Tensor, Tensor]:
    """Makes X and X~ from images and the masks of what X hides (section 3.2).

    At every pixel one view holds the image and the other one the fill, so X + X~ - fill == image.

    Args:
        images: (B, 3, H, W) floating point, normalised by mean and standard deviation.
        masks: (B, 1, H, W) bool, True where X is hidden (`hide_masks`).
        fill: what hidden pixels become, in the units of `images`: a number (0 is the data set's mean colour once the
            images are normalised), (3,) one value per channel, or (B, 3, H, W), e.g. noise.

    Returns:
        X and X~, each (B, 3, H, W) with the dtype of `images`.

    Raises:
        UserError: integer images, masks or a fill of a shape that does not go with the images.

    Example:
        >>> images = torch.arange(4.0).reshape(1, 1, 2, 2)
        >>> x, x_tilde = complementary_views(images, torch.tensor([[[[True, False], [False, True]]]]), fill=9.0)
        >>> x.flatten().tolist(), x_tilde.flatten().tolist()
        ([9.0, 1.0, 2.0, 9.0], [0.0, 9.0, 9.0, 3.0])
    """
    if not images.is_floating_point():
        raise UserError(f"complementary views: images are {images.dtype}; normalise them first (0 must be the mean)")
    batch, channels, height, width = images.shape
    if masks.shape != (batch, 1, height, width) or masks.dtype != torch.bool:
        raise UserError(
            f"complementary views: masks are {masks.dtype} {tuple(masks.shape)}; "
            f"images {tuple(images.shape)} need bool {(batch, 1, height, width)}"
        )
    fill = torch.as_tensor(fill, dtype=images.dtype, device=images.device)
    if fill.shape == (channels,):
        fill = fill[:, None, None]  # (C, 1, 1)
    elif fill.ndim and fill.shape != images.shape:
        raise UserError(
            f"hide fill: shape {tuple(fill.shape)} does not go with images {tuple(images.shape)}; "
            f"give a number, ({channels},) or the images' own shape"
        )
    return torch.where(masks, fill, images), torch.where(masks, images, fill)

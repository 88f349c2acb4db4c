"""Pictures as batches: read, resize, crop, flip, normalise. The boxes follow in `cmr.data.boxes`.

Images stay uint8 until the network needs them: a whole data set then often fits on the device, and crop, flip
and normalisation run there for the batch at once. The protocol is the benchmark's: training images are
resized to 256x256 (aspect not kept) and cropped to 224x224 at random, test images are resized to 224x224.
"""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from cmr.data.split import Split
from cmr.data.threaded import in_threads
from cmr.errors import UserError

#: ImageNet's mean and standard deviation of RGB in [0, 1].
MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])

#: Images decoded between two copies to the device: bounds the memory of the machine that holds the device.
CHUNK = 256


def threads(most: int = 16) -> int:
    """Counts the threads worth starting to decode images: one per usable core, at most `most`."""
    return min(most, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def resize_image(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes one image to a square with an antialiased bilinear filter; the aspect is not kept.

    This is PIL's filter, bit for bit the one of the benchmark (`torchvision.transforms.Resize` on a PIL image).

    Args:
        image: (H, W, 3) uint8.
        size: side of the result in pixels.

    Returns:
        (size, size, 3) uint8.

    Example:
        >>> resize_image(np.full((4, 6, 3), 7, np.uint8), 2).shape
        (2, 2, 3)
    """
    if image.shape[:2] == (size, size):
        return image
    return np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


def load_images(split: Split, size: int, device: torch.device | str = "cpu", progress: bool = True) -> Tensor:
    """Decodes and resizes every image of a split, in threads, and keeps them as one tensor on the device.

    Args:
        split: the images.
        size: side of the square images in pixels.
        device: where the tensor lies.
        progress: show a progress bar.

    Returns:
        (n, 3, size, size) uint8 on the device.

    Raises:
        UserError: when an image cannot be read, naming the file and its line.

    Example:
        >>> from cmr.data.split import NO_BOXES
        >>> split = Split("Grey", "test", ("a",), np.array([0]), np.array([[6, 4]]), (NO_BOXES,), ("dull",),
        ...               lambda i: np.full((4, 6, 3), 7, np.uint8), "0" * 16)
        >>> load_images(split, 2, progress=False).shape
        torch.Size([1, 3, 2, 2])
    """
    n = len(split)
    out = torch.empty((n, 3, size, size), dtype=torch.uint8, device=device)
    decoded = in_threads(lambda i: resize_image(split.read(i), size), n, threads(), piece=1, ahead=CHUNK)
    with tqdm(total=n, desc=f"reading {split.dataset} {split.split}", unit="image", disable=not progress) as bar:
        for part in out.split(CHUNK) if n else ():
            chunk = torch.from_numpy(np.stack([*islice(decoded, len(part))]))
            # (b, size, size, 3) -> (b, 3, size, size), turned on the device
            part.copy_(chunk.to(device).permute(0, 3, 1, 2))
            bar.update(len(part))
    return out


def random_crop_flip(images: Tensor, crop: int, generator: torch.Generator | None = None) -> Tensor:
    """Crops each image of a batch at its own random place and mirrors half of them, in one gather.

    Args:
        images: (B, 3, H, W), any type.
        crop: side of the square crop, at most H and W.
        generator: draws places and flips. A CPU generator gives the same crops on every device.

    Returns:
        (B, 3, crop, crop), same type and device.

    Raises:
        UserError: when the crop is larger than the images.

    Example:
        >>> images = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4).expand(2, 3, 4, 4)
        >>> random_crop_flip(images, 2, torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3, 2, 2])
    """
    height, width = images.shape[-2:]
    if crop < 1 or crop > min(height, width):
        raise UserError(
            f"crop {crop} does not fit into images of {width}x{height} pixels; give 1 to {min(height, width)}"
        )
    device = images.device
    source = device if generator is None else generator.device
    b = len(images)

    def draw(high: int) -> Tensor:
        return torch.randint(high, (b, 1), generator=generator, device=source).to(device, non_blocking=True)

    steps = torch.arange(crop, device=device)
    rows = draw(height - crop + 1) + steps  # (B, crop)
    columns = draw(width - crop + 1) + torch.where(draw(2) == 1, steps.flip(0), steps)  # (B, crop)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).view(b, 1, crop * crop)  # (B, 1, crop * crop)
    # (B, 3, H, W) -> (B, 3, H * W) -> (B, 3, crop * crop) -> (B, 3, crop, crop)
    return images.flatten(2).gather(2, pixels.expand(-1, 3, -1)).unflatten(2, (crop, crop))


def normalise(images: Tensor) -> Tensor:
    """Turns uint8 pixels into what ImageNet's networks expect: (x / 255 - mean) / std per channel.

    Args:
        images: (B, 3, H, W) uint8 in 0 to 255.

    Returns:
        (B, 3, H, W) float32 on the same device; 0 is ImageNet's mean colour.

    Example:
        >>> normalise(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten()
        tensor([2.2489, 2.4286, 2.6400])
    """
    scale = (1 / (255 * STD)).to(images.device).view(3, 1, 1)
    shift = (MEAN / STD).to(images.device).view(3, 1, 1)
    return images.to(torch.float32).mul_(scale).sub_(shift)


class Batches:
    """The images of a split as batches of uint8 on the device, in any order, as often as wanted.

    Small data sets are decoded once and stay on the device (`resident`); large ones are decoded again in each
    epoch by threads that work ahead. Both ways give the same pixel values. Threads, not processes: PIL decodes and
    resizes outside Python's lock, nothing is pickled, and nothing forks after the GPU has been started.

    Args:
        split: the images.
        size: side of the square images in pixels.
        batch_size: images in a batch; the last one may be smaller.
        device: where the batches lie.
        resident: keep all images on the device; None keeps them when they fit (`fits`).
        workers: threads that decode ahead when the images are not resident, at least 1.
        progress: show a progress bar while resident images are read.

    Raises:
        UserError: for a batch size, size or number of workers below 1, or an image that cannot be read.

    Example:
        >>> from cmr.data.split import NO_BOXES
        >>> split = Split("Grey", "test", ("a", "b", "c"), np.arange(3), np.full((3, 2), 4), (NO_BOXES,) * 3,
        ...               ("x", "y", "z"), lambda i: np.full((4, 4, 3), i, np.uint8), "0" * 16)
        >>> batches = Batches(split, 2, batch_size=2, progress=False)
        >>> [(tuple(images.shape), index.tolist()) for images, labels, index in batches.epoch()]
        [((2, 3, 2, 2), [0, 1]), ((1, 3, 2, 2), [2])]
    """

    def __init__(
        self,
        split: Split,
        size: int,
        batch_size: int,
        device: torch.device | str = "cpu",
        resident: bool | None = None,
        workers: int = 2,
        progress: bool = True,
    ) -> None:
        for what, value in (("size", size), ("batch size", batch_size), ("workers", workers)):
            if value < 1:
                raise UserError(f"{what}: {value} is not possible; give 1 or more")
        self.split = split
        self.size = size
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.workers = workers
        self.resident = fits(len(split) * 3 * size * size, self.device) if resident is None else resident
        self._labels = torch.from_numpy(split.labels).to(self.device)
        self._images = load_images(split, size, self.device, progress) if self.resident else None

    def __len__(self) -> int:
        """Counts the batches of an epoch over all images."""
        return -(-len(self.split) // self.batch_size)

    def epoch(self, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Gives the batches of one pass.

        Args:
            order: (n',) int64, which images in which order; None for all of them as they stand.

        Yields:
            images (B, 3, size, size) uint8 on the device, labels (B,) int64 on the device, and index (B,) int64
            on the CPU, the images' positions in the split.
        """
        order = torch.arange(len(self.split)) if order is None else order.cpu()
        parts = order.split(self.batch_size) if len(order) else ()
        if self._images is not None:
            for index in parts:
                chosen = index.to(self.device)
                yield self._images[chosen], self._labels[chosen], index
            return
        wanted = order.tolist()

        def decode(place: int) -> np.ndarray:
            return resize_image(self.split.read(wanted[place]), self.size)

        # Two batches ahead of the one in use.
        decoded = in_threads(decode, len(wanted), self.workers, piece=1, ahead=2 * self.batch_size)
        for index in parts:
            images = torch.from_numpy(np.stack([*islice(decoded, len(index))]))  # (B, size, size, 3)
            # (B, size, size, 3) -> (B, 3, size, size), turned on the device
            images = images.to(self.device).permute(0, 3, 1, 2).contiguous()
            yield images, self._labels[index.to(self.device)], index


def fits(count: int, device: torch.device | str) -> bool:
    """Says whether so many bytes may stay on a device: half of a GPU's free memory, a quarter of other memory.

    Args:
        count: bytes.
        device: the device.

    Returns:
        True when they may.

    Example:
        >>> fits(1, "cpu"), fits(10**18, "cpu")
        (True, False)
    """
    device = torch.device(device)
    if device.type == "cuda":
        return count <= torch.cuda.mem_get_info(device)[0] // 2
    return count <= _memory() // 4


def _memory() -> int:
    """Bytes of memory this process may use: the machine's, or less where a container has a limit."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(limit).read_text()))
        except (OSError, ValueError):
            continue  # no such file, or "max": no limit
    return total

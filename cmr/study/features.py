"""Features of a frozen network: made as they are asked for, or kept in a file, where many measurements share them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cmr.data.images import Batches, normalise
from cmr.data.split import Split
from cmr.errors import UserError
from cmr.files import write_aside

Look = Callable[[Tensor], Tensor]  # normalised images (B, 3, H, W) -> features (B, C, h, w)


class Features:
    """The features of a split's images in any order, as often as wanted.

    They are rounded to half precision, kept or not, so that both ways give the same numbers.

    Args:
        split: the images.
        look: the network's call.
        side: of the square image that the network sees, in pixels.
        batch_size: images in a batch.
        device: where the network is.
        store: file (.npy) that keeps them, (n, h, w, C) float16; it is made where it is missing. None: nothing is kept.
        mirrored: the features of the mirrored images, mirrored back.
        progress: show a bar.

    Raises:
        UserError: a file that does not hold the features of so many images.
    """

    def __init__(
        self,
        split: Split,
        look: Look,
        side: int,
        batch_size: int,
        device: torch.device,
        store: Path | None = None,
        mirrored: bool = False,
        progress: bool = True,
    ) -> None:
        self.split, self.look, self.mirrored, self.progress = split, look, mirrored, progress
        self.batch_size, self.device = batch_size, device
        self.pictures = Batches(split, side, batch_size, device, resident=False, progress=progress)
        self.kept = None if store is None else self._kept(store)

    def batches(self, order: np.ndarray | None = None) -> Iterator[tuple[Tensor, Tensor, np.ndarray]]:
        """Gives the features batch by batch.

        Args:
            order: positions of the images; None for all as they stand.

        Yields:
            features (B, C, h, w) float32, labels (B,) int64, and the images' positions (B,).
        """
        order = np.arange(len(self.split)) if order is None else order
        if self.kept is None:
            yield from self._made(order)
            return
        for start in range(0, len(order), self.batch_size):
            index = order[start : start + self.batch_size]
            # (B, h, w, C) -> (B, C, h, w), a view
            features = torch.from_numpy(self.kept[index]).to(self.device).float().movedim(-1, 1)
            yield features, torch.from_numpy(self.split.labels[index]), index

    @torch.no_grad()
    def _made(self, order: np.ndarray) -> Iterator[tuple[Tensor, Tensor, np.ndarray]]:
        bar = tqdm(total=len(order), desc=f"features {self.split.split}", disable=not self.progress, leave=False)
        with bar:
            for images, labels, index in self.pictures.epoch(torch.from_numpy(order)):
                images = normalise(images)
                features = self.look(images.flip(3)).flip(3) if self.mirrored else self.look(images)
                yield features.half().float(), labels, index.numpy()
                bar.update(len(index))

    def _kept(self, store: Path) -> np.ndarray:
        if not store.is_file():
            self._make(store)
        try:
            kept = np.load(store, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{store}: cannot be read as features ({error}); delete it, and it is made again") from None
        if kept.ndim != 4 or len(kept) != len(self.split) or kept.dtype != np.float16:
            raise UserError(
                f"{store}: holds {kept.dtype} of shape {kept.shape}; expected float16 of {len(self.split)} images; "
                "delete it, and it is made again"
            )
        return kept

    def _make(self, store: Path) -> None:

        def fill(file: BinaryIO) -> None:
            for features, _labels, _index in self._made(np.arange(len(self.split))):
                rows = features.movedim(1, -1).half().cpu().numpy()  # (B, C, h, w) -> (B, h, w, C)
                if not file.tell():
                    shape = (len(self.split), *rows.shape[1:])
                    about = {"descr": np.lib.format.dtype_to_descr(rows.dtype), "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, about)
                file.write(rows.tobytes())
            if not file.tell():
                raise UserError(f"{self.split.dataset} {self.split.split}: there are no images")

        write_aside(store, fill)

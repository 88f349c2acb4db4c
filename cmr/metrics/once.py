"""A metric that knows which images it has seen: each exactly once, in however many processes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from cmr.data.arrays import as_tensor
from cmr.errors import UserError


def names_of(ids: Any) -> tuple[Any, ...]:
    """Names of images, each of which can be looked up: numbers in a tensor or an array become Python's.

    Raises:
        UserError: a single text, whose letters would be taken for names.

    Example:
        >>> names_of(torch.tensor([3, 4])), names_of(["a.jpg"])
        ((3, 4), ('a.jpg',))
    """
    if isinstance(ids, str | bytes):
        raise UserError(f"ids: {ids!r} is one text; expected a list with the name of each image")
    if isinstance(ids, Tensor | np.ndarray):
        return tuple(ids.tolist())
    return tuple(as_tensor(name, "ids").tolist() if isinstance(name, Tensor) else name for name in ids)


class PerImageMetric(Metric):
    """Counts how often each image was evaluated.

    With the list of expected ids the counts are a state (4 bytes an image), added up over processes, so that an image
    that a sampler left out, or repeated to make the processes' shares equal, is found by name. Without it only images
    that come twice in the same process are found.

    Args:
        ids: the images that must come, each once; `None` when any may come.
    """

    full_state_update = False
    higher_is_better = True
    seen: Tensor

    def __init__(self, ids: Sequence[str] | None = None) -> None:
        super().__init__()
        self.ids = None if ids is None else names_of(ids)
        self._place = {name: i for i, name in enumerate(self.ids or ())}
        if self.ids is not None:
            if len(self._place) < len(self.ids):
                twice = next(name for i, name in enumerate(self.ids) if self._place[name] != i)
                raise UserError(f"the list of expected images names '{twice}' twice; ids must be unique")
            self.add_state("seen", torch.zeros(len(self.ids), dtype=torch.int32), dist_reduce_fx="sum")
        self._names: set[str] = set()

    def _check_new(self, ids: Sequence[str]) -> None:
        """Raises a `UserError` for an id that is not expected or was seen before; changes nothing."""
        batch: set[str] = set()
        for name in ids:
            if self.ids is not None and name not in self._place:
                raise UserError(f"image '{name}' is not among the {len(self.ids)} that are to be evaluated")
            if name in batch or name in self._names:
                raise UserError(f"image '{name}' is evaluated twice; use a sampler that does not pad or repeat")
            batch.add(name)

    def _note(self, ids: Sequence[str]) -> None:
        self._names.update(ids)
        if self.ids is not None:
            places = torch.tensor([self._place[name] for name in ids], dtype=torch.int64, device=self.seen.device)
            self.seen[places] += 1

    def _check_all(self) -> None:
        """Raises a `UserError` when an expected image is missing or came from two processes."""
        if self.ids is None:
            return
        seen = self.seen.cpu()
        for wrong, what in ((seen > 1, "evaluated twice; use a sampler that does not pad"), (seen == 0, "missing")):
            if wrong.any():
                first, more = self.ids[int(wrong.nonzero()[0])], int(wrong.sum()) - 1
                others = f" and {more} more" if more else ""
                raise UserError(f"image '{first}'{others} of the {len(self.ids)} to be evaluated: {what}")

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Counts a batch as `update` does, and gives what `compute` would if the batch were all."""
        before = {name: getattr(self, name).clone() for name in self._defaults}
        self.update(*args, **kwargs)
        after, ids, to_sync = {name: getattr(self, name).clone() for name in before}, self.ids, self._to_sync
        try:
            for name, value in after.items():  # every state is a sum
                setattr(self, name, value - before[name])
            self.ids, self._to_sync, self._computed = None, False, None  # one batch need not hold every image
            return self.compute()
        finally:
            for name, value in after.items():
                setattr(self, name, value)
            self.ids, self._to_sync, self._computed = ids, to_sync, None

    def reset(self) -> None:
        """Forgets all images."""
        super().reset()
        self._names = set()

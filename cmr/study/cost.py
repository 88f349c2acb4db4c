"""What a computation costs: multiply-adds, memory and time, measured so that two of them can be compared."""

import statistics
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

Work = Callable[[], object]


def multiply_adds(work: Work) -> int:
    """Counts the multiply-adds of convolutions, matrix products and attention while `work` runs, backward included.

    Example:
        >>> multiply_adds(lambda: torch.ones(2, 3) @ torch.ones(3, 5))
        30
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() // 2  # the counter has 2 for each


def synchronize(device: torch.device) -> None:
    """Waits until the device has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory_mb(work: Work, device: torch.device) -> float:
    """The most memory that tensors hold at once while `work` runs, beyond what was held before.

    On a GPU its allocator counts. On a CPU the storages that operations hand out are counted, by the same meaning:
    parameters, gradients, optimizer state and activations, but not what a kernel needs inside.

    Args:
        work: builds all that it needs.
        device: where its tensors lie.

    Returns:
        MiB.

    Example:
        >>> peak_memory_mb(lambda: torch.zeros(2**18) + torch.zeros(2**18), torch.device("cpu"))
        3.0
    """
    if device.type != "cuda":
        with _StoragesHeld() as held:
            work()
        return round(held.most / 2**20, 1)
    synchronize(device)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    synchronize(device)
    return round((torch.cuda.max_memory_allocated(device) - before) / 2**20, 1)


class _StoragesHeld(TorchDispatchMode):
    """Adds up the storages of all tensors that operations return, and takes them off when they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # of torch
        self.now = self.most = 0
        self._seen: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.layout == torch.strided:
                self._hold(tensor.untyped_storage())
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        key = storage.data_ptr()
        if key in self._seen or not storage.nbytes():
            return  # a view, or an operation in place
        self._seen[key] = weakref.finalize(storage, self._free, key, storage.nbytes())
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)

    def _free(self, key: int, size: int) -> None:
        del self._seen[key]
        self.now -= size

    def __exit__(self, *error: Any) -> None:
        for finalizer in self._seen.values():
            finalizer.detach()
        super().__exit__(*error)  # type: ignore[no-untyped-call]  # of torch


def interleaved(
    works: Mapping[str, Work],
    repeats: int,
    device: torch.device,
    steps: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Times several works in turn, so that whatever else the machine does meets all of them alike.

    Args:
        works: what to time, by name; each runs once beforehand, untimed.
        repeats: rounds; in each, every work is timed once.
        device: waited for before and after.
        steps: calls timed as one, without waiting between them.
        clock: seconds; `time.process_time` counts this process only, all of its threads together.

    Returns:
        Seconds per call, one value per round.

    Example:
        >>> ticks = iter(range(100))
        >>> interleaved({"a": lambda: 0, "b": lambda: 0}, 2, torch.device("cpu"), clock=lambda: next(ticks))
        {'a': [1.0, 1.0], 'b': [1.0, 1.0]}
    """
    for work in works.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            synchronize(device)
            start = clock()
            for _ in range(steps):
                work()
            synchronize(device)
            seconds[name].append((clock() - start) / steps)
    return seconds


def ratio(first: Iterable[float], second: Iterable[float]) -> float:
    """The median of the ratios within each round: `first` / `second`, as `interleaved` gives them.

    Example:
        >>> ratio([2.0, 40.0, 2.2], [1.0, 20.0, 1.0])
        2.0
    """
    return statistics.median(a / b for a, b in zip(first, second, strict=True))

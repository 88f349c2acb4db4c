"""Algorithm 1: one visible training loop, for every method."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from cmr.config import Config
from cmr.data.images import Batches, normalise, random_crop_flip
from cmr.errors import Diverged, UserError
from cmr.methods.method import Method
from cmr.optim import lr_factor, make_optimizer

CHECK_EVERY = 20  # steps between two looks at the losses; each look waits for the device


def fit(
    fabric: Fabric,
    method: Method,
    optimizer: torch.optim.Optimizer,
    images: Batches,
    config: Config,
    done: int = 0,
) -> Iterator[dict[str, float]]:
    """Trains epoch by epoch, and yields a row of the history after each.

    Paper: Algorithm 1 and section 4.2. The method is known here only by its call `losses`.

    Args:
        fabric: knows device, processes and precision.
        method, optimizer: from `set_up`.
        images: the training images.
        config: epochs, batch size, rates, seed.
        done: epochs that are behind the method already. Everything random of an epoch follows from the seed and the
            epoch's number, so that a training that was stopped goes on exactly.

    Yields:
        "epoch" (from 1), the mean of each loss, "lr" (the backbone's, at the last step) and "seconds".

    Raises:
        Diverged: a loss or a parameter that is not finite; the message says where.
    """
    steps = steps_of_epoch(len(images.split), config)
    for epoch in range(done, config.epochs):
        torch.manual_seed(_mix(config.seed, epoch))
        order = torch.randperm(len(images.split))[: steps * config.batch_size]  # the same on every process
        mine = order.view(steps, fabric.world_size, -1)[:, fabric.global_rank].reshape(-1)
        torch.manual_seed(_mix(config.seed, epoch, 1 + fabric.global_rank))
        started, logged = time.perf_counter(), []
        method.train()
        for step, (batch, labels, _) in enumerate(images.epoch(mine)):
            factor = lr_factor(config, epoch * steps + step, steps)
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
            logged.append(train_step(fabric, method, optimizer, batch, labels, config))
            if len(logged) % CHECK_EVERY == 0 or step == steps - 1:
                require_finite(fabric, logged, epoch, steps)
        if not all(parameter.isfinite().all() for parameter in method.parameters()):
            raise Diverged(f"parameters stopped being finite in epoch {epoch + 1}")
        means = {name: torch.stack([item[name] for item in logged]).float().mean().item() for name in logged[0]}
        row = {"epoch": epoch + 1, **means, "lr": factor * config.lr}
        yield {name: short(value) for name, value in row.items()} | {"seconds": round(time.perf_counter() - started, 2)}


def steps_of_epoch(images: int, config: Config) -> int:
    """How many whole batches there are. Raises where there is none."""
    if images < config.batch_size:
        raise UserError(f"batch_size: {config.batch_size} is more than the {images} training images; give at most that")
    return images // config.batch_size


def set_up(fabric: Fabric, method: Method, config: Config) -> tuple[Method, torch.optim.Optimizer]:
    """The method on its device, in the memory layout and precision of training, and its optimizer."""
    method = method.to(memory_format=torch.channels_last)  # 1.3 times as fast on a CPU, and what GPUs want in bfloat16
    wrapped, optimizer = fabric.setup(method, make_optimizer(method, config))
    wrapped.mark_forward_method("losses")
    return wrapped, optimizer


def train_step(
    fabric: Fabric,
    method: Method,
    optimizer: torch.optim.Optimizer,
    batch: Tensor,
    labels: Tensor,
    config: Config,
) -> dict[str, Tensor]:
    """One step of Algorithm 1, lines 2-11: random crops and flips, losses, gradients, update.

    Args:
        fabric: knows device and precision.
        method, optimizer: from `set_up`.
        batch: (B, 3, resize, resize) uint8 on the device.
        labels: (B,) int64 on the device.
        config: image size and clipping.

    Returns:
        The method's losses, scalars on the device; nothing waits for them.
    """
    images = normalise(random_crop_flip(batch, config.image_size))
    with flushed():
        with fabric.autocast():  # by itself Fabric enters it in `forward` alone, where one process trains
            losses = method.losses(images, labels)
        optimizer.zero_grad(set_to_none=True)
        fabric.backward(losses["total"])
    if config.clip:
        fabric.clip_gradients(method, optimizer, max_norm=config.clip)
    optimizer.step()
    return {name: value.detach() for name, value in losses.items()}


@contextmanager
def flushed() -> Iterator[None]:
    """Takes numbers below 1e-38 for zero, until the block ends, on a CPU and in the thread that calls.

    CAAM's softmax saturates, and its backward pass is full of them; a processor is many times slower with such numbers.
    With one thread a step of the method took 1.7 times as long. Threads that torch has started are not reached.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def require_finite(fabric: Fabric, logged: list[dict[str, Tensor]], epoch: int, steps: int) -> None:
    """Raises `Diverged` where the total loss of one of this epoch's last steps is not finite, on whatever process."""
    recent = logged[-CHECK_EVERY:]
    totals = torch.stack([item["total"] for item in recent]).float()
    if fabric.world_size > 1:  # a sum that is not finite says so to all: none goes on alone into the next step
        totals = torch.as_tensor(fabric.all_reduce(totals, reduce_op="sum"))
    finite = totals.isfinite().tolist()
    if not all(finite):
        step = len(logged) - len(recent) + finite.index(False)
        value, number = totals[finite.index(False)].item(), epoch * steps + step + 1
        raise Diverged(f"the loss became {value} at step {number} (epoch {epoch + 1}, step {step + 1} of {steps})")


@torch.no_grad()
def reestimate_batch_norm(method: Method, images: Batches, config: Config) -> None:
    """Replaces the batch-norm statistics by the plain average over all training images, cropped as in training.

    The crops follow from the seed alone, so a run that was stopped, or tested again, has the same statistics. A batch
    counts by its images; a last one of one image is left out, since it has no variance where the map is one cell.
    """
    torch.manual_seed(_mix(config.seed, config.epochs))
    norms = [module for module in method.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    method.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    seen = 0
    for batch, _, _ in images.epoch():
        if seen and len(batch) == 1:
            break
        seen += len(batch)
        for norm in norms:
            norm.momentum = len(batch) / seen  # a cumulative average
        method.localize(normalise(random_crop_flip(batch, config.image_size)))


def same_everywhere(fabric: Fabric, method: Method) -> None:
    """Gives all processes the first one's batch-norm statistics, before a test by the method itself.

    Fabric's wrapper would do so at each call, but it would also compute in the precision of training.
    """
    if fabric.world_size > 1:
        for buffer in method.buffers():
            torch.distributed.broadcast(buffer, 0)


def short(value: Any) -> Any:
    """A float to five digits, as the history keeps it."""
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _mix(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)

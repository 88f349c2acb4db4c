"""Algorithm 1: one visible training loop, for every method."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from cmr import runs
from cmr.config import Config
from cmr.data.images import Batches, normalise, random_crop_flip
from cmr.errors import Diverged, UserError
from cmr.evaluate import evaluate
from cmr.optim import lr_factor, make_optimizer
from cmr.prepare import batches_for_test, build, make_fabric, precision, reading, splits
from cmr.scales import at_scales
from cmr.weights import weights_fingerprint

CHECK_EVERY = 20  # steps between two looks at the losses; each look waits for the device


def train(
    config: Config,
    out: str | Path = "runs",
    resume: bool = False,
    rerun: bool = False,
    progress: bool = True,
    command: str | None = None,
) -> runs.Run:
    """Trains a method and tests it; leaves one folder with the record, the outcomes and the model.

    Paper: Algorithm 1 and section 4.2. The method is known here only by its calls `losses` and `localize`.

    Args:
        config: what to run.
        out: where the run's folder goes.
        resume: go on from the last checkpoint of the same run, exactly as if it had not been stopped.
        rerun: run again although the run is finished.
        progress: show a bar with losses and the time left.
        command: what the record gives as the command; that of this process where it is not given.

    Returns:
        The finished run; one that was already there is returned as it is.

    Raises:
        UserError: data, weights or settings that cannot be; an unfinished run in the way.
        Diverged: a loss that is not finite, now or when the same run was tried before; `diverged.json` says where.
    """
    fabric = make_fabric(config)
    train_split, test_split = splits(config)
    fingerprints = {"train": train_split.fingerprint, "test": test_split.fingerprint}
    fingerprints["weights"] = weights_fingerprint(config.weights, config.backbone)
    folder = Path(out) / runs.identity(config, fingerprints)
    if (folder / runs.RECORD).is_file() and not rerun:
        return runs.read(folder)
    if (folder / runs.DIVERGED).is_file() and not rerun:
        [before] = runs.find_diverged(folder)
        raise Diverged(f"{folder}: {before.diverged}; this was found when it ran before. Run it again with --rerun")
    checkpoint = folder / runs.CHECKPOINT
    if checkpoint.is_file() and not resume and not rerun:
        raise UserError(f"{folder}: an unfinished run is there; go on with --resume, or start over with --rerun")

    torch.manual_seed(config.seed)
    method = build(config, len(train_split.classes))
    wrapped, optimizer = set_up(fabric, method, config)
    images = Batches(
        train_split, config.resize, config.batch_size // fabric.world_size, fabric.device, **reading(config, progress)
    )
    tests = batches_for_test(test_split, config, fabric.device, progress)

    localize = at_scales(wrapped.localize, config.test_scales, config.test_flip)
    history: list[dict] = []
    spent = 0.0
    if resume and checkpoint.is_file():
        state = torch.load(checkpoint, map_location=fabric.device, weights_only=True)
        method.load_state_dict(state["method"])
        optimizer.load_state_dict(state["optimizer"])
        history, spent = state["history"], state["spent"]
    started = time.perf_counter() - spent

    def about() -> dict[str, Any]:
        """What a record says of this run beside its result."""
        return {
            "id": folder.name,
            "config": runs.portable(config).to_dict(),
            "data": {
                part.split: {
                    "name": part.dataset,
                    "images": len(part),
                    "classes": len(part.classes),
                    "fingerprint": part.fingerprint,
                }
                for part in (train_split, test_split)
            },
            "weights": fingerprints["weights"],
            "seeds": {"seed": config.seed},
            "environment": runs.environment(fabric.device)
            | {"precision": precision(config, fabric.device), "processes": fabric.world_size},
            "command": command or runs.command_line(),
            "duration_s": round(time.perf_counter() - started, 1),
            "peak_memory_mb": runs.peak_memory_mb(fabric.device),
            "classes": list(train_split.classes),
            "parameters": sum(p.numel() for p in method.parameters()),
            "history": history,
        }

    def require_finite(where: str) -> None:
        """Ends the run where something is not finite: `where` is "" or says what and at which step."""
        if not where:
            return
        if fabric.global_rank == 0:
            runs.write_diverged(folder, where, about())
        kept = f"the checkpoint after epoch {len(history)} is kept" if history else "no epoch was finished"
        raise Diverged(f"{folder}: {where}; {kept}. Lower lr or beta, or set clip")

    steps = len(train_split) // config.batch_size
    if steps == 0:
        raise UserError(f"batch_size: {config.batch_size} is more than the {len(train_split)} training images")
    bar = tqdm(
        total=config.epochs * steps,
        initial=len(history) * steps,
        desc=folder.name,
        disable=not progress or fabric.global_rank > 0,
    )
    for epoch in range(len(history), config.epochs):
        # Everything random of an epoch follows from (seed, epoch): this is what makes --resume exact.
        torch.manual_seed(_mix(config.seed, epoch))
        order = torch.randperm(len(train_split))[: steps * config.batch_size]  # the same on every process
        mine = order.view(steps, fabric.world_size, -1)[:, fabric.global_rank].reshape(-1)
        torch.manual_seed(_mix(config.seed, epoch, 1 + fabric.global_rank))
        epoch_started = time.perf_counter()
        wrapped.train()
        logged: list[dict[str, Tensor]] = []
        for step, (batch, labels, _) in enumerate(images.epoch(mine)):
            factor = lr_factor(config, epoch * steps + step, steps)
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
            logged.append(train_step(fabric, wrapped, optimizer, batch, labels, config))
            bar.update()
            if len(logged) % CHECK_EVERY == 0 or step == steps - 1:
                require_finite(not_finite(logged, epoch, steps))
                bar.set_postfix({name: f"{value.item():.3g}" for name, value in logged[-1].items()}, refresh=False)
        row = {name: _round(torch.stack([item[name] for item in logged]).float().mean().item()) for name in logged[0]}
        row = {
            "epoch": epoch + 1,
            **row,
            "lr": _round(factor * config.lr),
            "seconds": round(time.perf_counter() - epoch_started, 2),
        }
        if config.eval_every and (epoch + 1) % config.eval_every == 0 and epoch + 1 < config.epochs:
            wrapped.eval()
            result, _ = evaluate(localize, test_split, tests, config, fabric.global_rank, fabric.world_size, progress)
            row |= {name: _round(value) for name, value in result.items() if isinstance(value, float)}
            row |= {f"part {name}": _round(value) for name, value in result.get("parts", {}).items()}
        if not all(parameter.isfinite().all() for parameter in method.parameters()):
            require_finite(f"parameters stopped being finite in epoch {epoch + 1}")
        history.append(row)
        if fabric.global_rank == 0:
            save_checkpoint(checkpoint, method, optimizer, history, time.perf_counter() - started)
    bar.close()

    if config.precise_bn:
        reestimate_batch_norm(wrapped, images, config)
    wrapped.eval()
    result, outcomes = evaluate(localize, test_split, tests, config, fabric.global_rank, fabric.world_size, progress)
    record = {
        **about(),
        "result": runs.rounded(result),
        "maps_of": [test_split.ids[i] for i in outcomes["map_index"]],
    }
    if fabric.global_rank == 0:
        runs.save_model(folder, method)
        runs.write(folder, record, outcomes)
        checkpoint.unlink(missing_ok=True)
        (folder / runs.DIVERGED).unlink(missing_ok=True)  # --rerun, and this time it did not
    fabric.barrier()
    return runs.read(folder)


def set_up(fabric: Fabric, method: nn.Module, config: Config) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The method on its device, in the memory layout and precision of training, and its optimizer."""
    method = method.to(memory_format=torch.channels_last)  # 1.3 times as fast on a CPU, and what GPUs want in bfloat16
    wrapped, optimizer = fabric.setup(method, make_optimizer(method, config))
    wrapped.mark_forward_method("losses")
    wrapped.mark_forward_method("localize")
    return wrapped, optimizer


def train_step(
    fabric: Fabric,
    wrapped: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Tensor,
    labels: Tensor,
    config: Config,
) -> dict[str, Tensor]:
    """One step of Algorithm 1, lines 2-11: random crops and flips, losses, gradients, update.

    Args:
        fabric: knows device and precision.
        wrapped, optimizer: from `set_up`.
        batch: (B, 3, resize, resize) uint8 on the device.
        labels: (B,) int64 on the device.
        config: image size and clipping.

    Returns:
        The method's losses, scalars on the device; nothing waits for them.
    """
    images = normalise(random_crop_flip(batch, config.image_size))
    with fabric.autocast():  # by itself Fabric enters it in `forward` alone, where one process trains
        losses = wrapped.losses(images, labels)
    optimizer.zero_grad(set_to_none=True)
    fabric.backward(losses["total"])
    if config.clip:
        fabric.clip_gradients(wrapped, optimizer, max_norm=config.clip)
    optimizer.step()
    return {name: value.detach() for name, value in losses.items()}


def not_finite(logged: list[dict[str, Tensor]], epoch: int, steps: int) -> str:
    """The first of this epoch's last steps whose total loss is not finite, in words; "" where all are."""
    recent = logged[-CHECK_EVERY:]
    finite = torch.stack([item["total"] for item in recent]).isfinite().tolist()
    if all(finite):
        return ""
    step = len(logged) - len(recent) + finite.index(False)
    value, number = logged[step]["total"].item(), epoch * steps + step + 1
    return f"the loss became {value} at step {number} (epoch {epoch + 1}, step {step + 1} of {steps})"


def save_checkpoint(
    path: Path, method: nn.Module, optimizer: torch.optim.Optimizer, history: list, spent: float
) -> None:
    """Writes the state after an epoch, aside first, then renamed over the last one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    torch.save(
        {"method": method.state_dict(), "optimizer": optimizer.state_dict(), "history": history, "spent": spent}, aside
    )
    aside.replace(path)


@torch.no_grad()
def reestimate_batch_norm(method: nn.Module, images: Batches, config: Config) -> None:
    """Replaces the batch-norm statistics by the plain average over whole training images."""
    norms = [module for module in method.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    method.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
        norm.train()
    for batch, _, _ in images.epoch():
        method.localize(normalise(random_crop_flip(batch, config.image_size)))


def _mix(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def _round(value: float) -> float:
    return float(f"{value:.5g}")

"""A run from its configuration to its folder: trained, tested, recorded."""

import io
import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from cmr.assemble import batches_for_test, build, make_fabric, reading
from cmr.config import Config
from cmr.data.images import Batches
from cmr.data.split import Split
from cmr.errors import Diverged, UserError, first_line
from cmr.evaluate import evaluate
from cmr.files import alone, clear, require_room, write_aside
from cmr.maps import of_labels
from cmr.maps.multiscale import at_scales
from cmr.nets.published import weights_fingerprint
from cmr.study import machine, models, records, runs
from cmr.study.identity import fingerprints, identity
from cmr.study.measured import tracked
from cmr.study.record import Record
from cmr.study.splits import splits
from cmr.train import fit, reestimate_batch_norm, same_everywhere, set_up, short, steps_of_epoch


def train(
    config: Config,
    out: str | Path = "runs",
    resume: bool = False,
    rerun: bool = False,
    progress: bool = True,
    command: str | None = None,
) -> runs.Run:
    """Trains a method and tests it; leaves one folder with the record, the outcomes and the model.

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
        UserError: data, weights or settings that cannot be; an unfinished run in the way, or another process.
        Diverged: a loss that is not finite, now or when the same run was tried before; `diverged.json` says where.
        OSError: the folder cannot be written; the last checkpoint stays.
    """
    fabric = make_fabric(config)
    train_split, test_split = splits(config)
    steps_of_epoch(len(train_split), config)  # a mistake is told before images are read
    prints = fingerprints(train_split, test_split, weights_fingerprint(config.weights, config.backbone))
    folder = Path(out) / identity(config, prints)
    first, again = fabric.global_rank == 0, folder.with_name(f"{folder.name}{runs.RERUN}")
    if not rerun and (folder / runs.RECORD).is_file():
        if first:
            _tidy(folder)
        return runs.read(folder)  # whole, whoever works beside it
    with alone(folder) if first else nullcontext():
        if first:
            _settle(again, folder)
        fabric.barrier()
        if not rerun and (finished := _before(folder, resume)):
            return finished
        # A run that is made again is made beside the old one, which stays until the new one is whole.
        begun = (folder / runs.CHECKPOINT).is_file() and not (folder / runs.RECORD).is_file()
        beside = rerun and not (resume and begun and not (again / runs.CHECKPOINT).is_file())
        if beside and first and not resume:
            shutil.rmtree(again, ignore_errors=True)
        fabric.barrier()
        place = again if beside else folder
        try:
            _work(fabric, config, place, folder.name, (train_split, test_split), prints, resume, progress, command)
        finally:
            if first:
                _settle(again, folder)
    fabric.barrier()
    return replace(runs.read(folder), fresh=True)


def train_with_model(config: Config, out: str | Path = "runs", command: str | None = None) -> runs.Run:
    """A finished run whose folder holds the model: trained again where only the record was kept, as in a fresh clone.

    Args:
        config, out, command: as in `train`; an unfinished run goes on.

    Raises:
        UserError, Diverged, OSError: as `train`.
    """
    run = train(config, out, resume=True, command=command)
    return run if (run.path / runs.MODEL).is_file() else train(config, out, rerun=True, command=command)


def _work(
    fabric: Fabric,
    config: Config,
    folder: Path,
    name: str,
    parts: tuple[Split, Split],
    prints: dict[str, str],
    resume: bool,
    progress: bool,
    command: str | None,
) -> None:
    """Trains and tests, and leaves checkpoint, record, outcomes and model in the folder."""
    train_split, test_split = parts
    torch.manual_seed(config.seed)
    method = build(config, len(train_split.classes))
    wrapped, optimizer = set_up(fabric, method, config)
    first = fabric.global_rank == 0
    if first:
        require_room(folder, room_needed(method), "this run, with its checkpoints and its model,")
    size = config.batch_size // fabric.world_size
    images = Batches(train_split, config.resize, size, fabric.device, **reading(config, progress))
    tests = batches_for_test(test_split, config, fabric.device, progress)
    localize = of_labels(at_scales(method.localize, config.test_scales, config.test_flip, method.backbone.stride))
    checkpoint = folder / runs.CHECKPOINT
    history, spent = load_checkpoint(checkpoint, method, optimizer, fabric) if resume else ([], 0.0)
    started = time.perf_counter() - spent
    place = (fabric.global_rank, fabric.world_size, progress)

    def record() -> Record:
        """What there is to say of this run so far."""
        return Record(
            id=name,
            **machine.circumstances(config, fabric.device, fabric.world_size, started),
            data=runs.data_of(train_split, test_split),
            weights=prints["weights"],
            content=prints["content"],
            seeds={"seed": config.seed},
            command=command or machine.command_line(),
            classes=list(train_split.classes),
            parameters=sum(p.numel() for p in method.parameters()),
            history=history,
        )

    stepping = Stepping(images, config, len(history), name, progress and first)
    try:
        for row in fit(fabric, wrapped, optimizer, stepping, config, len(history)):
            stepping.tell(row["total"], machine.peak_memory_mb(fabric.device))
            if config.eval_every and row["epoch"] % config.eval_every == 0 and row["epoch"] < config.epochs:
                same_everywhere(fabric, method.eval())
                on_the_way, _ = evaluate(localize, test_split, tests, config, *place)
                row |= {title: short(value) for title, value in tracked(on_the_way).items()}
            history.append(row)
            if first:
                save_checkpoint(checkpoint, method, optimizer, history, time.perf_counter() - started)
    except Diverged as found:
        if first:
            runs.write_diverged(folder, str(found), record())
        kept = f"the checkpoint after epoch {len(history)} is kept" if history else "no epoch was finished"
        raise Diverged(f"{folder.with_name(name)}: {found}; {kept}. Lower lr or beta, or set clip") from None
    finally:
        stepping.bar.close()

    if config.precise_bn:
        reestimate_batch_norm(method, images, config)
    same_everywhere(fabric, method.eval())
    result, outcomes = evaluate(localize, test_split, tests, config, *place)
    if first:
        model = models.save_model(folder, method)
        maps_of = [test_split.ids[i] for i in outcomes["map_index"]]
        runs.write(folder, replace(record(), model=model, result=result, maps_of=maps_of), outcomes)
        checkpoint.unlink(missing_ok=True)
        (folder / runs.DIVERGED).unlink(missing_ok=True)  # an earlier one did


def room_needed(method: nn.Module) -> int:
    """Bytes that a run takes on the disk at most: two checkpoints, the last and the next, with SGD's momentum.

    The model and the outcomes come when the next is no more.
    """
    parameters = sum(p.numel() * p.element_size() for p in method.parameters() if p.requires_grad)
    return 2 * (parameters + sum(value.numel() * value.element_size() for value in method.state_dict().values()))


class Stepping(Batches):
    """Batches that move a bar as they are taken: images per second, time left, and what it is told.

    Args:
        images: the training images.
        config: epochs and batch size, over all processes.
        done: epochs that are behind.
        name: of the run.
        shown: whether there is a bar.
    """

    def __init__(self, images: Batches, config: Config, done: int, name: str, shown: bool) -> None:
        vars(self).update(vars(images))  # the same images, not read again
        self.each = config.batch_size
        epoch = steps_of_epoch(len(images.split), config) * self.each
        total = config.epochs * epoch
        self.bar = tqdm(total=total, initial=done * epoch, desc=name, unit=" images", disable=not shown)

    def tell(self, loss: float, memory_mb: float) -> None:
        """Writes the last epoch's loss and the peak of the memory beside the bar."""
        self.bar.set_postfix(total=f"{loss:.3g}", memory=f"{memory_mb / 1024:.1f} GB", refresh=False)

    def epoch(self, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """As `Batches.epoch`."""
        for batch in super().epoch(order):
            yield batch
            self.bar.update(self.each)


def _settle(again: Path, folder: Path) -> None:
    """Lets a run that was made again take the place of the old one, once it is whole; finishes what was cut short.

    Only the run's own files are moved, its record last. One that diverged takes the place of one without a result.
    """
    whole = (again / runs.RECORD).is_file()
    if not whole and not ((again / runs.DIVERGED).is_file() and not (folder / runs.RECORD).is_file()):
        return
    folder.mkdir(exist_ok=True)
    for name in (runs.RECORD, runs.DIVERGED, runs.CHECKPOINT, *runs.DRAWN) if whole else ():
        (folder / name).unlink(missing_ok=True)
    for name in (runs.MODEL, records.OUTCOMES, runs.CHECKPOINT, runs.DIVERGED, runs.RECORD):
        if (again / name).is_file() and not (whole and name in (runs.CHECKPOINT, runs.DIVERGED)):
            (again / name).replace(folder / name)
    shutil.rmtree(again, ignore_errors=True)


def _tidy(folder: Path) -> None:
    """Takes away what a process that was killed at its very end left beside a finished run; not what another holds."""
    with suppress(UserError, OSError):
        if (folder / runs.CHECKPOINT).is_file():
            with alone(folder):
                (folder / runs.CHECKPOINT).unlink(missing_ok=True)
        clear(folder)


def _before(folder: Path, resume: bool) -> runs.Run | None:
    """The run where it is finished. Raises where it diverged, or is unfinished and not to be resumed."""
    if (folder / runs.RECORD).is_file():
        return runs.read(folder)
    if (folder / runs.DIVERGED).is_file():
        [before] = runs.find_diverged(folder)
        raise Diverged(f"{folder}: {before.diverged}; this was found when it ran before. Run it again with --rerun")
    if (folder / runs.CHECKPOINT).is_file() and not resume:
        raise UserError(f"{folder}: an unfinished run is there; go on with --resume, or start over with --rerun")
    return None


def load_checkpoint(
    path: Path, method: nn.Module, optimizer: torch.optim.Optimizer, fabric: Fabric
) -> tuple[list[dict[str, float]], float]:
    """Puts back the state after the last epoch, where there is one; the history so far and the seconds spent."""
    if not path.is_file():
        return [], 0.0
    try:
        content = io.BytesIO(path.read_bytes())
        if broken := zipfile.ZipFile(content).testzip():  # torch does not look at the checksums that it writes
            raise ValueError(f"{broken} does not fit its checksum")
        content.seek(0)
        state = torch.load(content, map_location=fabric.device, weights_only=True)
        method.load_state_dict(state["method"])
        optimizer.load_state_dict(state["optimizer"])
        return state["history"], state["spent"]
    except OSError:
        raise
    except Exception as error:  # a damaged file makes torch raise a dozen kinds
        reason = first_line(error)
        raise UserError(f"{path}: the checkpoint cannot be read ({reason}); start over with --rerun") from error


def save_checkpoint(
    path: Path, method: nn.Module, optimizer: torch.optim.Optimizer, history: list, spent: float
) -> None:
    """Writes the state after an epoch, aside first, then renamed over the last one."""
    state = {"method": method.state_dict(), "optimizer": optimizer.state_dict(), "history": history, "spent": spent}
    packed = io.BytesIO()  # torch.save into a file turns a full disk into an error of its own
    torch.save(state, packed)
    write_aside(path, packed.getbuffer())

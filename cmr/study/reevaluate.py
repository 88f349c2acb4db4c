"""A trained run evaluated again, otherwise: what changes only the test needs no training."""

import time
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from cmr.assemble import batches_for_test, make_lone_fabric, reading
from cmr.config import Config
from cmr.data.images import Batches
from cmr.errors import UserError, require_known
from cmr.evaluate import evaluate
from cmr.files import alone, require_room
from cmr.maps import LocalizeLabels, of_labels
from cmr.maps.multiscale import at_scales
from cmr.maps.posthoc import posthoc_call
from cmr.metrics.result import Result
from cmr.presets import converted
from cmr.study import machine, models, runs
from cmr.study.agreement import view_agreement
from cmr.study.identity import fingerprints, identity
from cmr.study.record import Trained
from cmr.study.records import ROOM
from cmr.study.splits import splits
from cmr.train import reestimate_batch_norm

GENERAL = ("normalise", "threshold", "test_crop", "test_scales", "test_flip", "precise_bn")


def changed(config: Config, changes: dict[str, Any]) -> Config:
    """A configuration with other test settings.

    Args:
        config: of a finished run.
        changes: values by name: fields in `GENERAL`, and the method's own settings that begin with `test_`.

    Returns:
        The new configuration, checked.

    Raises:
        UserError: a name that would need training, or is not known; a value that cannot be.

    Example:
        >>> from cmr.presets import make
        >>> changed(make("tiny", method="cmr"), {"test_modules": "on"}).settings.test_modules
        'on'
    """
    own = [item.name for item in fields(config.settings) if item.name.startswith("test_")]
    for name in changes:
        require_known(name, "test setting", (*GENERAL, *own))
    settings = replace(
        config.settings, **converted(type(config.settings), {n: changes[n] for n in own if n in changes})
    )
    return replace(config, settings=settings, **converted(Config, {n: changes[n] for n in GENERAL if n in changes}))


def command(run: runs.Run, config: Config, out: str | Path, maps: str = "") -> str:
    """The command line that makes this test alone; of an absolute path the last part is kept, as records are shared.

    Example:
        >>> from types import SimpleNamespace
        >>> from cmr.presets import make
        >>> config = make("tiny", method="cmr")
        >>> run = SimpleNamespace(path=Path("runs/a"), config=config)
        >>> command(run, changed(config, {"test_modules": "on", "test_scales": [1.0, 1.5]}), "runs")
        "cmr evaluate --run runs/a --record runs --set 'test_scales=[1.0, 1.5]' --set test_modules=on"
    """
    words = ["cmr", "evaluate", "--run", str(run.path), "--record", str(out)]
    old, own = run.config, [item.name for item in fields(config.settings) if item.name.startswith("test_")]
    pairs = [(name, getattr(old, name), getattr(config, name)) for name in GENERAL]
    pairs += [(name, getattr(old.settings, name), getattr(config.settings, name)) for name in own]
    for name, before, now in pairs:
        if now != before:
            words += ["--set", f"{name}={list(now) if isinstance(now, tuple) else now}"]
    return machine.portable_command(words + (["--maps", maps] if maps else []))


def reevaluate(run: runs.Run, config: Config, out: str | Path = "", progress: bool = True, maps: str = "") -> Result:
    """Tests a run's model under another configuration of the test.

    Args:
        run: a finished run whose folder holds its model.
        config: from `changed`.
        out: folder in which the test gets a run's folder of its own, with record and outcomes; none: nothing is kept.
        progress: show bars.
        maps: gradcam, gradcam++ or layercam in place of the method's own maps.

    Returns:
        The metrics, as `cmr.evaluate.evaluate` has them; with `test_map = "mean_free"` also agreement, how far the
        maps of the two views agree with and without what all classes share (`cmr.study.agreement`), unless it crops.

    Raises:
        UserError: the run's model was not kept, the maps are not known, or a training's record would be overwritten.
    """
    started = time.perf_counter()
    fabric = make_lone_fabric(config)
    train_split, test_split = splits(config)
    known = run.record.classes
    if known and tuple(known) != test_split.classes:
        theirs = f"{', '.join(known[:4])}{', ...' * (len(known) > 4)}"
        raise UserError(
            f"data_root: {test_split.dataset} has {len(test_split.classes)} classes, not the {len(known)} that the run "
            f"was trained on ({theirs}); name the folder of the run's data"
        )
    if run.config.precise_bn and not config.precise_bn:
        raise UserError(f"{run.path}: precise_bn replaced its batch-norm statistics, and no others are kept")
    prints = fingerprints(train_split, test_split, run.record.weights)
    name = identity(config, prints) + (maps and f"-{maps}")
    place = Path(out) / name
    if out and (place / runs.RECORD).is_file() and not runs.read(place).record.trained:
        raise UserError(f"{place}: is a training's own record, which this test would overwrite; name another folder")
    with alone(place) if out else nullcontext():  # also tells of a place that cannot be written, before the work
        if out:
            require_room(place, ROOM, "the record of this test")
        method = models.load_method(run, len(test_split.classes), config).to(fabric.device)
        if config.precise_bn and not run.config.precise_bn:
            resized = Batches(train_split, config.resize, config.batch_size, fabric.device, **reading(config, progress))
            reestimate_batch_norm(method, resized, config)
        method.eval()
        tests = batches_for_test(test_split, config, fabric.device, progress)
        views = config.test_scales, config.test_flip, method.backbone.stride
        localize: LocalizeLabels
        if maps:
            for_labels = posthoc_call(method, maps)

            def look(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
                return at_scales(lambda seen: for_labels(seen, labels), *views)(images)

            localize = look
        else:
            localize = of_labels(at_scales(method.localize, *views))
        result, outcomes = evaluate(localize, test_split, tests, config, progress=progress)
        if getattr(config.settings, "test_map", "") == "mean_free" and config.test_crop == "resize":
            result = replace(result, agreement=view_agreement(method, tests, len(test_split), config.seed))
        if out:
            record = replace(
                run.record,
                id=name,
                result=result,
                **machine.circumstances(config, fabric.device, 1, started),
                data=runs.data_of(train_split, test_split),
                content=prints["content"],
                command=command(run, config, out, maps),
                maps_of=[test_split.ids[i] for i in outcomes["map_index"]],
                trained=Trained(run.id, run.record.command, run.record.environment.commit),
                maps=maps or run.record.maps,
            )
            runs.write(place, record, outcomes)
    return result

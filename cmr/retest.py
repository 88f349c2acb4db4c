"""A trained run tested again, otherwise: what changes only the test needs no training."""

import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from cmr import runs
from cmr.config import Config, known
from cmr.data.images import Batches
from cmr.evaluate import evaluate
from cmr.scales import at_scales
from cmr.train import (
    batches_for_test,
    load_method,
    make_fabric,
    portable,
    precision,
    reading,
    reestimate_batch_norm,
    rounded,
    splits,
)

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
        >>> from cmr.config import make
        >>> changed(make("tiny", method="cmr"), {"test_modules": "on"}).settings.test_modules
        'on'
    """
    own = [item.name for item in fields(config.settings) if item.name.startswith("test_")]
    for name in changes:
        known(name, "test setting", (*GENERAL, *own))
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
    settings = replace(config.settings, **{name: values.pop(name) for name in own if name in values})
    return replace(config, settings=settings, **values)


def retest(run: runs.Run, config: Config, out: str | Path = "", progress: bool = True) -> dict[str, Any]:
    """Tests a run's model under another configuration of the test.

    Args:
        run: a finished run whose folder holds its model.
        config: from `changed`.
        out: folder in which the test gets a run's folder of its own, with record and outcomes; none: nothing is kept.
        progress: show bars.

    Returns:
        The metrics, as `cmr.evaluate.evaluate` has them.
    """
    started = time.perf_counter()
    fabric = make_fabric(config)
    train_split, test_split = splits(config)
    method = fabric.setup(load_method(run, len(test_split.classes)))
    method.mark_forward_method("localize")
    if config.precise_bn and not run.config.precise_bn:
        resized = Batches(train_split, config.resize, config.batch_size, fabric.device, **reading(config, progress))
        reestimate_batch_norm(method, resized, config)
    look = at_scales(method.eval().localize, config.test_scales, config.test_flip)
    tests = batches_for_test(test_split, config, fabric.device, progress)
    result, outcomes = evaluate(look, test_split, tests, config, progress=progress)
    if out:
        trained = {"id": run.id, "command": run.record["command"], "commit": run.record["environment"]["commit"]}
        fingerprints = {part.split: part.fingerprint for part in (train_split, test_split)}
        record = run.record | {
            "id": runs.identity(config, fingerprints | {"weights": run.record["weights"]}),
            "result": rounded(result),
            "config": portable(config).to_dict(),
            "environment": runs.environment(fabric.device)
            | {"precision": precision(config, fabric.device), "processes": 1},
            "command": runs.command_line(),
            "duration_s": round(time.perf_counter() - started, 1),
            "peak_memory_mb": runs.peak_memory_mb(fabric.device),
            "maps_of": [test_split.ids[i] for i in outcomes["map_index"]],
            "trained": trained,
        }
        runs.write(Path(out) / record["id"], record, outcomes)
    return result

"""Trained models: written beside a run's record, read again for a test, noticed where they are damaged."""

from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch

from cmr.assemble import build
from cmr.config import Config
from cmr.errors import UserError, first_line
from cmr.files import write_aside
from cmr.methods.method import Method
from cmr.study.runs import MODEL, Run
from cmr.study.seal import model_fingerprint


def save_model(folder: Path, method: torch.nn.Module) -> str:
    """Writes the trained parameters and statistics as safetensors; returns their fingerprint."""
    state = {name: value.detach().cpu().clone().contiguous() for name, value in method.state_dict().items()}
    content = safetensors.torch.save(state)
    write_aside(folder / MODEL, content)
    return model_fingerprint(content)


def load_method(run: Run, classes: int, config: Config | None = None) -> Method:
    """The trained method of a finished run, on the CPU, ready for `localize`.

    Args:
        run: a finished run whose folder holds model.safetensors.
        classes: K.
        config: settings in place of the run's own, where only those of the test differ.

    Raises:
        UserError: the folder holds a record only (records are committed, models are not).
    """
    path = run.path / MODEL
    if not path.is_file():
        raise UserError(
            f"{run.path}: no {MODEL} there; only the record was kept. Train it again with: {run.record.command}"
        )
    method = build(replace(config or run.config, weights="none"), classes)
    try:
        content = path.read_bytes()
        if run.record.model not in (None, model_fingerprint(content)):
            raise ValueError("it is not the one that the record's numbers were made with")
        method.load_state_dict(safetensors.torch.load(content))
    except OSError:
        raise
    except Exception as error:  # a damaged file makes the readers raise several kinds
        reason = first_line(error)
        raise UserError(f"{path}: the model cannot be read ({reason}); train the run again with --rerun") from error
    # In the memory layout of training: in another one a convolution rounds otherwise, and a box may move.
    return method.to(memory_format=torch.channels_last).eval()

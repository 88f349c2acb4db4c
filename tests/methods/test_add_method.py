"""The page that shows how to add a method: its code runs, trains and tests as it stands there."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch

from cmr.errors import UserError
from cmr.methods import METHODS
from cmr.nets.backbones import build_backbone
from cmr.presets import make
from cmr.study.training import train

PAGE = Path(__file__).resolve().parents[2] / "book" / "methods" / "add.md"


@pytest.fixture
def cutout(tmp_path, monkeypatch):
    file = tmp_path / "cutout.py"
    file.write_text(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1))
    spec = importlib.util.spec_from_file_location("cutout", file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "cutout", module)
    spec.loader.exec_module(module)
    monkeypatch.setitem(METHODS, "cutout", module.Cutout)
    return module.Cutout


def test_it_trains_and_tests_with_nothing_else_changed(cutout, tmp_path):
    run = train(make("tiny", method="cutout", settings={"side": 0.5}, epochs=1), tmp_path, progress=False)
    assert run.config.settings.side == 0.5
    assert run.id.startswith("toybirds-cutout-tiny-s0-")
    assert 0 <= run.result.gt_known_loc <= 100


def test_it_erases_one_square_and_nothing_else(cutout):
    method = cutout(build_backbone("tiny"), 3, cutout.Settings(side=0.5))
    erased = method.erase(torch.ones(200, 3, 32, 32)) == 0
    rows, columns = erased[:, 0].any(2), erased[:, 0].any(1)
    assert (erased == (rows[:, None, :, None] & columns[:, None, None, :])).all()  # a rectangle
    assert rows.sum(1).max() <= 16
    assert rows.sum(1).float().mean() > 10  # cut only where it leaves the image
    assert (cutout(build_backbone("tiny"), 3, cutout.Settings(side=0.0)).erase(torch.ones(2, 3, 8, 8)) == 1).all()


def test_a_side_that_cannot_be_is_named(cutout):
    with pytest.raises(UserError, match="side: 2.0 is out of range; give 0 to 1"):
        cutout.Settings(side=2.0)


def test_unknown_setting_is_named(cutout):
    with pytest.raises(UserError, match="unknown setting of method 'cutout' 'sides': did you mean 'side'"):
        make("tiny", method="cutout", settings={"sides": 0.5})

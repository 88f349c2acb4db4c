"""The start of ToyBirds: one command makes it, the same every time."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from cmr.data.toybirds import Settings
from cmr.nets.backbones import build_backbone
from cmr.presets import make
from study.start import RECORDS, recipe, start

ROOT = Path(__file__).resolve().parents[1]


def small():
    data = {"train": 64, "test": 32, "classes": 4, "flock": "others", "size": 36}
    return make("tiny", method="cam", epochs=1, data_settings=data, device="cpu")


@pytest.mark.slow
def test_the_same_file_every_time_and_a_backbone_starts_from_it(tmp_path):
    threads = torch.get_num_threads()
    try:
        first = start(tmp_path / "a.safetensors", tmp_path / "runs", small())
        assert start(tmp_path / "b.safetensors", tmp_path / "others", small()) == first
        (model,) = (tmp_path / "runs").glob("*/model.safetensors")
        assert start(tmp_path / "a.safetensors", tmp_path / "runs", small()) == first  # not trained again
        model.unlink()
        assert start(tmp_path / "a.safetensors", tmp_path / "runs", small()) == first  # trained again
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert (tmp_path / "a.safetensors.sha256").read_text() == f"{first}  a.safetensors\n"
    backbone = build_backbone("tiny", tmp_path / "a.safetensors")
    stored = safetensors.torch.load_file(tmp_path / "a.safetensors")
    assert all(torch.equal(value.half(), stored[name].half()) for name, value in backbone.body.state_dict().items())


def test_its_record_is_the_recipes_and_knows_none_of_the_twenty():
    (path,) = (ROOT / RECORDS).glob("*/record.json")
    record = json.loads(path.read_text())
    assert record["config"] == json.loads(json.dumps(recipe().to_dict()))
    settings = Settings(**record["config"]["data_settings"])
    assert settings.flock == "others" and settings.seed != Settings().seed
    assert all(name.startswith("Other ") for name in record["classes"]) and len(record["classes"]) == 60
    assert record["weights"] == "none"

"""The scripts that measure: they run, what they count is right, and they write what they print."""

import json

import pytest

from benchmarks import methods as methods_script
from benchmarks import train as train_script
from cmr.errors import UserError
from cmr.methods import METHODS
from cmr.methods.cam import CAM
from cmr.nets.backbones import build_backbone

TINY = ["--preset", "tiny", "--device", "cpu"]


class Nowhere(CAM):
    def __init__(self, *_args):
        raise UserError("method 'nowhere' says no layers for backbone 'tiny'")


@pytest.mark.slow
def test_cost_of_methods(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(METHODS, "nowhere", Nowhere)
    path = tmp_path / "methods.json"
    methods_script.main([*TINY, "--methods", "cam", "has", "cmr", "nowhere", "--out", str(path)])
    said = capsys.readouterr().out
    record = json.loads(path.read_text())
    assert {"command", "finished", "environment", "precision", "size", "batch"} <= set(record)
    assert record["command"].startswith("python -m benchmarks.methods --preset tiny")
    rows = {row["method"]: row for row in record["rows"]}
    assert list(rows) == ["cam", "has", "cmr", "nowhere"]
    assert rows["nowhere"]["not_defined"] in said
    cam, has, cmr = (rows[name] for name in ("cam", "has", "cmr"))
    assert cam["parameters"] == sum(p.numel() for p in CAM(build_backbone("tiny"), 5, CAM.Settings()).parameters())
    for count in ("parameters", "train_multiply_adds", "test_multiply_adds"):
        assert has[count] == cam[count]  # the hidden image passes the same network
    assert cmr["train_multiply_adds"] > 2 * cam["train_multiply_adds"]  # two views, and attention
    assert cmr["memory_mb"] > 1.5 * cam["memory_mb"]
    assert all(rows[name][f"{part}_ratio"] > 0 for name in ("cam", "has", "cmr") for part in ("train", "test"))


@pytest.mark.slow
def test_speed_of_a_training_step(tmp_path, capsys):
    path = tmp_path / "train.json"
    train_script.main([*TINY, "--out", str(path)])
    said = capsys.readouterr().out
    record = json.loads(path.read_text())
    rows = {row["step"]: row for row in record["rows"]}
    assert list(rows) == ["bare", "cam", "cmr", "plain"]
    assert rows["bare"]["multiply_adds"] == rows["cam"]["multiply_adds"]  # the same network, so the times compare
    assert rows["cmr"]["multiply_adds"] == rows["plain"]["multiply_adds"] > 2 * rows["cam"]["multiply_adds"]
    for row in rows.values():
        assert row["images_a_second"] == pytest.approx(1e3 * record["batch"] / row["ms"], rel=0.01, abs=0.051)
        assert row["share_of_peak"] == pytest.approx(row["tflops"] / record["peak_tflops"], rel=0.05, abs=1e-3)
    assert set(record["apart_ms"]) == {"attention", "CAAM (fused)", "CAAM (shared)", "fusion loss"}
    assert set(record["speeds"]) == {"cam / bare", "cmr / cam", "cmr / plain"}
    assert record["speeds"]["cmr / plain"] == pytest.approx(rows["plain"]["ms"] / rows["cmr"]["ms"], rel=0.01)
    assert "cmr / plain" in said


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        (methods_script, ["--methods", "camm"], "unknown method 'camm': did you mean 'cam'?"),
        (methods_script, ["--backbones", "vgg"], "unknown backbone 'vgg': did you mean 'vgg16'?"),
        (train_script, ["--images", "1"], "1 images do not make a batch of 2"),
        (train_script, ["--device", "tpu"], "'tpu' is not one of auto, cpu, cuda"),
    ],
)
def test_mistakes_end_in_one_line(script, arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        script.main([*TINY, *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err

"""The script that judges maps layer by layer: its rule for images by hand, a small run, and its records."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import layers as script
from cmr.study.layers import CONTROLS, KIND_TITLES, areas
from cmr.study.records import read_outcomes

RESULTS = Path(__file__).resolve().parents[1] / "results/benchmarks"
MAPS = ["CAM", *KIND_TITLES.values(), "DDT"]


def test_the_first_images_of_each_class():
    assert script.first_of_each(np.array([4, 4, 2, 4, 2, 7]), 2).tolist() == [True, True, True, False, True, True]
    assert not script.first_of_each(np.array([4, 2]), 0).any()


@pytest.mark.slow
def test_a_small_run_on_toybirds(tmp_path, capsys):
    out = tmp_path / "layers.json"
    small = ["--preset", "tiny", "--images", "64", "--epochs", "1", "--followed", "1", "--steps", "4"]
    where = ["--runs", str(tmp_path / "runs"), "--out", str(out)]
    script.main(["--data", "toybirds", "--methods", "cam", "has", *small, *where])
    assert "Grad-CAM++" in capsys.readouterr().out
    record = json.loads(out.read_text())
    rows = record["rows"]
    assert [row["map"] for row in rows if row["network"] == "CAM"].count("LayerCAM") == 3
    assert [(row["map"], row["layer"]) for row in rows if row["network"] == "HaS"] == [
        ("HaS", "layer2"),
        ("random cells", ""),
    ]
    arrays = read_outcomes(tmp_path / "layers")
    assert arrays["deletion"].shape == (17, record["images"]["followed"], 5)
    assert arrays["1.insertion"].shape == (2, record["images"]["followed"], 5)
    for i, row in enumerate(rows[:17]):
        assert 100 * areas(arrays["deletion"][i], 32**2).mean() == pytest.approx(row["followed"]["deletion"], abs=0.1)
    assert record["ends"]["whole"] == pytest.approx(rows[0]["followed"]["score"], abs=0.01)


@pytest.mark.parametrize("net", ["resnet18", "resnet50"])
def test_the_records_of_photographs_have_every_map_at_every_layer(net):
    record = json.loads((RESULTS / f"layers-cub50-{net}.json").read_text())
    places = {(row["map"], row["layer"]) for row in record["rows"]}
    inner = {(title, layer) for title in MAPS[1:] for layer in script.LAYERS[net]}
    assert places == inner | {("CAM", "layer4")} | {(title, "") for title in CONTROLS}
    best = {row["map"]: row for row in record["rows"]}["true box"]
    assert best["MaxBoxAcc"] == 100 and best["GT-known Loc"] == 100


@pytest.mark.parametrize("name", ["layers-cub50-resnet18", "layers-toybirds"])
def test_what_a_record_says_is_what_its_curves_say(name):
    record, arrays = json.loads((RESULTS / f"{name}.json").read_text()), read_outcomes(RESULTS / name)
    count, images = arrays["before"].shape
    assert images == record["images"]["followed"] == len(arrays["image"])
    side = 64 if "toybirds" in name else 224
    for i, row in enumerate(record["rows"][:count]):
        for game in ("deletion", "insertion"):
            assert 100 * areas(arrays[game][i], side**2).mean() == pytest.approx(row["followed"][game], abs=0.05)
    right = np.unpackbits(arrays["right"], axis=2, count=255)
    boxed = [row["followed"]["MaxBoxAcc"] for row in record["rows"][:count]]
    assert (100 * right.mean(1).max(1)).tolist() == pytest.approx(boxed, abs=1e-3)

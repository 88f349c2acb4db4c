"""The boxes of trained runs, judged: by hand, and against the record that a page prints."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from benchmarks import run_boxes as script
from cmr.data.split import Split

RECORD = Path(__file__).resolve().parents[1] / "results/benchmarks/run-boxes.json"


def test_right_and_whole_by_hand():
    """Pictures of 20x10 that the lists have at 40x20: right, whole, and beside the object; two true boxes in one."""
    truth = ([[0, 0, 20, 20]], [[0, 0, 40, 20]], [[30, 10, 40, 20], [0, 0, 4, 4]])
    found = ([0, 0, 10, 8], [0, 0, 20, 9.5], [6, 0, 10, 4])
    boxes = tuple(np.array(some, float) for some in truth)
    ids, sizes = ("a", "b", "c"), np.array([[40, 20]] * 3)
    split = Split(
        "Grey", "test", ids, np.zeros(3, int), sizes, boxes, ("g",), lambda i: np.zeros((10, 20, 3), np.uint8), "0" * 16
    )
    seen = []

    def stream(pictures):
        for (name, picture), box in zip(pictures, found, strict=True):
            seen.append((name, picture.size))
            yield SimpleNamespace(box=box, picture=picture)

    # IoU 80 of 100; 190 of 200, which is also more than 90 % of the picture; 0
    assert script.judged(SimpleNamespace(stream=stream), split) == {"right": 66.67, "whole": 33.33}
    assert seen == [(name, (20, 10)) for name in ids]


def test_a_run_from_its_folder_to_the_file(tiny_run, tmp_path):
    script.main([str(tiny_run.path), "--out", str(tmp_path / "boxes.json")])
    [row] = json.loads((tmp_path / "boxes.json").read_text())["rows"]
    assert (row["run"], row["images"], row["method"]) == (tiny_run.id, 32, "cam")
    assert set(row["boxes"]) == set(row["run's test"]) == {"right", "whole"}


def test_the_record_bears_out_the_default():
    """On every run that was measured the rule for boxes is the better one; the page says so."""
    rows = json.loads(RECORD.read_text())["rows"]
    assert {row["method"] for row in rows} == {"cam", "has", "cutmix", "adl"}
    assert all(row["boxes"]["right"] > row["run's test"]["right"] for row in rows)
    assert all(row["boxes"]["whole"] < row["run's test"]["whole"] for row in rows)

"""What single runs give to tables and figures, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from cmr.study import measured, runs
from tests.study.records import record


def test_box_sizes_by_hand(tmp_path):
    """Boxes are inclusive: 0 to 31 is the whole side of an image of 32 pixels."""
    about = record(tmp_path, "a", 10.0).record
    box = np.array([[0, 0, 31, 31], [0, 0, 15, 31], [0, 0, 31, 16], [4, 4, 4, 4]], np.int16)
    run = runs.write(tmp_path / "a", about, {"box": box, "maps": np.zeros((1, 7, 7), np.float32)})
    sizes = measured.box_sizes(run)
    assert sizes["boxes over 50 %"] == 50.0
    assert sizes["boxes over 90 %"] == 25.0
    assert sizes["mean share of the image"] == pytest.approx(100 * (1024 + 512 + 544 + 1) / 4 / 1024)


def test_parts(tmp_path):
    run = record(tmp_path, "a", 12.5)
    assert measured.part_rows(run, method="x") == [{"method": "x", "part": "head", "coverage": 50.0}]


def test_a_course_is_the_mean_over_seeds_at_every_tested_epoch_and_at_the_end(tmp_path):
    def seed_of(seed, middle, end):
        run = record(tmp_path, f"s{seed}", end, seed=seed, epochs=3)
        history = [
            {"epoch": 1, "total": 9.0},  # not tested
            {"epoch": 2, "total": 8.0, "GT-known Loc": middle, "part head": 20.0},
            {"epoch": 3, "total": 7.0},
        ]
        return replace(run, record=replace(run.record, history=history))

    assert measured.course([seed_of(0, 10.0, 40.0), seed_of(1, 30.0, 50.0)]) == [
        {"epoch": 2, "GT-known Loc": 20.0, "part head": 20.0},
        {"epoch": 3, "GT-known Loc": 45.0, "part head": 50.0},
    ]

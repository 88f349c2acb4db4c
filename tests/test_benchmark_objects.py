"""The script that counts several objects in photographs: its ways by hand, and the shape of its record."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import objects as script
from cmr.pictures.result import Found, Localization

RECORD = Path(__file__).resolve().parents[1] / "results/benchmarks/objects.json"


def result():
    found = (
        Found("jay", 3, 0.7, (0.0, 0.0, 50.0, 20.0)),
        Found("jay", 3, 0.7, (50.0, 0.0, 100.0, 20.0)),
        Found("wren", 5, 0.2, (0.0, 10.0, 10.0, 20.0)),
    )
    return Localization("a.jpg", Image.new("RGB", (100, 20)), found, {3: np.zeros((2, 2)), 5: np.zeros((2, 2))})


@pytest.mark.parametrize(("way", "count"), list(zip(script.WAYS, (1, 2, 3), strict=True)))
def test_each_way_takes_more_boxes_as_shares_of_the_picture(way, count):
    boxes = script.found_by(way, result())
    assert len(boxes) == count
    assert boxes[0].tolist() == [0, 0, 0.5, 1]


def test_the_record_counts_every_image_once_for_each_way_and_network():
    record = json.loads(RECORD.read_text())
    for net in script.NETS:
        for way in script.WAYS:
            rows = [row for row in record["rows"] if (row["network"], row["way"]) == (net, way)]
            assert [row["true boxes"] for row in rows] == list(script.GROUPS)
            assert sum(row["images"] for row in rows) == record["data"]["ILSVRC-20"]["images"] == 500
            one_box = next(row for row in rows if row["true boxes"] == "1")
            assert one_box["recall"] == one_box["corloc"]  # one object: the same question

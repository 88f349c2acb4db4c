"""Components above a threshold, against OpenCV and by hand."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmr.errors import UserError
from cmr.maps.components import component_boxes
from cmr.maps.locate import largest_box


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2, 0.5, 0.9]))
@settings(max_examples=50, deadline=None)
def test_boxes_are_those_of_opencv(seed, tau):
    levels = np.random.default_rng(seed).integers(0, 6, (9, 13), dtype=np.uint8) * 51
    mask = (levels > int(tau * levels.max())).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    expected = {(x, y, x + w, y + h, area) for x, y, w, h, area in stats[1:].tolist()}
    boxes = component_boxes(levels, tau)
    assert {tuple(box) for box in boxes.tolist()} == {row[:4] for row in expected}
    assert len(boxes) == len(stats) - 1
    if len(boxes):
        largest = max(row[4] for row in expected)
        assert tuple(boxes[0]) in {row[:4] for row in expected if row[4] == largest}


def test_the_largest_is_the_benchmarks_box_without_its_last_pixel():
    scoremap = np.zeros((20, 30))
    scoremap[3:9, 5:15], scoremap[12:14, 20:22] = 1.0, 0.7
    [x0, y0, x1, y1] = component_boxes(scoremap, 0.5)[0]
    assert largest_box(torch.from_numpy(scoremap)[None], 0.5)[0].tolist() == [x0, y0, x1, y1]
    assert [x0, y0, x1, y1] == [5, 3, 15, 9]


def test_small_ones_are_left_out_but_never_the_largest():
    scoremap = np.zeros((10, 10))
    scoremap[0, 0], scoremap[5:8, 5:8] = 1, 1
    assert len(component_boxes(scoremap, 0.5, 0.05)) == 1
    assert len(component_boxes(scoremap, 0.5, 0.01)) == 2
    assert len(component_boxes(scoremap, 0.5, 0.9)) == 1


def test_nothing_above_gives_no_box_and_mistakes_are_told():
    assert component_boxes(np.zeros((4, 4)), 0.2).shape == (0, 4)
    with pytest.raises(UserError, match="threshold is 1.5; expected a number in"):
        component_boxes(np.zeros((4, 4)), 1.5)
    with pytest.raises(UserError, match="expected numbers in"):
        component_boxes(np.full((4, 4), 2.0), 0.5)
    for shape in ((1, 4, 4), (4,), (0, 4)):
        with pytest.raises(UserError, match=r"component_boxes: the map has shape \(.*\); expected one map, \(H, W\)"):
            component_boxes(np.zeros(shape), 0.5)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_half_precision_has_the_levels_of_largest_box(seed):
    halves = np.random.default_rng(seed).random((6, 6)).astype(np.float16)
    assert component_boxes(halves, 0.3).tolist() == component_boxes(halves.astype(np.float32), 0.3).tolist()

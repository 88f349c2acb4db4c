"""Several boxes out of one map, by hand."""

import numpy as np
import pytest
import torch

from cmr.errors import UserError
from cmr.study.several import several_boxes


def maps():
    """Class 0 is high at two corners, class 1 at one of them and a little elsewhere."""
    made = torch.zeros(1, 3, 8, 8)
    made[0, 0, :3, :3], made[0, 0, 6:, 6:] = 1.0, 0.8
    made[0, 1, :3, :3], made[0, 1, :2, 6:] = 1.0, 0.9
    return made


LOGITS = torch.tensor([[3.0, 2.0, 1.0]])


def test_one_box_is_the_largest_component_of_the_likeliest_class():
    [boxes] = several_boxes(maps(), LOGITS, 64, "one box", threshold=0.5)
    assert len(boxes) == 1
    assert np.abs(boxes[0] - [0, 0, 24, 24]).max() <= 3  # bicubic interpolation moves an edge a little


def test_every_component_of_it():
    [boxes] = several_boxes(maps(), LOGITS, 64, "every component", threshold=0.5)
    assert len(boxes) == 2
    assert np.abs(boxes[1] - [48, 48, 64, 64]).max() <= 3


def test_of_two_classes_the_likelier_keeps_a_shared_place():
    [boxes] = several_boxes(maps(), LOGITS, 64, "two classes", threshold=0.5)
    assert len(boxes) == 3  # of four components, two lie at one place
    assert np.abs(boxes[2] - [48, 0, 64, 16]).max() <= 3


def test_a_map_without_a_class_has_one_way_less():
    [boxes] = several_boxes(maps()[:, :1], LOGITS[:, :1], 64, "two classes", threshold=0.5)
    assert len(boxes) == 2


def test_an_unknown_way_is_named():
    with pytest.raises(UserError, match="unknown way 'one': did you mean 'one box'"):
        several_boxes(maps(), LOGITS, 64, "one")

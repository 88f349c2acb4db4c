"""Several objects in a picture: pairs by hand and by trying all, what is counted, and what is refused."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmr.errors import UserError
from cmr.metrics.objects import most_pairs, object_scores, overlaps

LEFT, RIGHT, AWAY = [0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]


def test_overlap_by_hand():
    a, b = np.array([[0, 0, 4, 2]]), np.array([[2, 0, 6, 2], [0, 0, 4, 2], [4, 0, 5, 1], [0, 0, 0, 0]])
    assert overlaps(a, b).tolist() == [[4 / 12, 1.0, 0.0, 0.0]]


def test_scores_by_hand():
    found = [np.array([LEFT, AWAY]), np.zeros((0, 4), int), np.array([RIGHT, [21, 0, 30, 10]])]
    truth = [np.array([LEFT, RIGHT]), np.array([LEFT]), np.array([RIGHT])]
    scores = object_scores(found, truth)
    assert (scores.recall, scores.precision) == (50.0, 50.0)  # 2 of 4 objects, 2 of 4 boxes: one each, not twice
    assert scores.corloc == pytest.approx(200 / 3)
    assert scores.boxes == pytest.approx(4 / 3)


def test_without_a_box_there_is_no_precision():
    scores = object_scores([np.zeros((0, 4))], [np.array([LEFT])])
    assert scores.recall == scores.corloc == scores.boxes == 0.0
    assert np.isnan(scores.precision)


def test_the_order_of_boxes_does_not_matter():
    """A greedy pairing would give the first box the only object that the second one fits."""
    truth = [np.array([[0, 0, 10, 10], [4, 0, 14, 10]])]
    wide, narrow = [2, 0, 12, 10], [0, 0, 9, 10]
    for boxes in ([wide, narrow], [narrow, wide]):
        assert object_scores([np.array(boxes)], truth).recall == 100.0


@given(st.integers(0, 4), st.integers(1, 4), st.data())
def test_pairs_are_as_many_as_trying_all_finds(n, m, data):
    fits = np.array(data.draw(st.lists(st.booleans(), min_size=n * m, max_size=n * m)), bool).reshape(n, m)
    slots = [*range(m), *[None] * n]
    best = max(
        (
            sum(slot is not None and bool(fits[i, slot]) for i, slot in enumerate(order))
            for order in permutations(slots, n)
        ),
        default=0,
    )
    assert most_pairs(fits) == best


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "boxes of 0 pictures and truth of 0"),
        (([[LEFT]], [[LEFT], [LEFT]]), "boxes of 1 pictures and truth of 2"),
        (([[LEFT]], [np.zeros((0, 4))]), "picture 0 has no object"),
        (([[[5, 0, 1, 1]]], [[LEFT]]), "a box of picture 0 is"),
    ],
)
def test_what_cannot_be_right_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        object_scores(*arguments)


@pytest.mark.parametrize("kind", [np.uint8, np.uint32, np.float16, np.float64])
def test_the_type_of_the_boxes_does_not_count(kind):
    large = [0, 0, 250, 250]
    assert object_scores([np.array([LEFT], kind)], [np.array([AWAY], kind)]).recall == 0.0
    assert object_scores([np.array([large], kind)], [np.array([large], kind)]).recall == 100.0

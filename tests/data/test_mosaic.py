"""Mosaics: each bird lies where its picture does, and a place without a bird shows none."""

import numpy as np
import pytest

from cmr.data.toybirds import Settings, empty, render
from cmr.data.toybirds.mosaic import mosaic
from cmr.errors import UserError

SETTINGS = Settings(size=32)


def test_each_bird_is_the_data_sets_own_in_its_place():
    made = mosaic(SETTINGS, 2, [4, 9])
    assert made.labels == (4, 9)
    for n, (label, box) in enumerate(zip(made.labels, made.boxes, strict=True)):
        index = (4 * 2 * 20) + n * 20 + label
        picture = render(SETTINGS, "test", index)
        assert picture.label == label
        top, left = 32 * (box[1] // 32), 32 * (box[0] // 32)
        assert (made.image[top : top + 32, left : left + 32] == picture.image).all()
        rows, columns = np.nonzero(picture.owner)
        assert (box - [left, top, left, top]).tolist() == [
            columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        ]  # fmt: skip


def test_four_birds_fill_the_picture_and_no_two_lie_in_one_place():
    made = mosaic(SETTINGS, 0, [1, 1, 1, 1])
    assert {tuple(box[:2] // 32) for box in made.boxes} == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_an_empty_place_is_the_picture_without_its_bird():
    bare, whole = empty(SETTINGS, "test", 5), render(SETTINGS, "test", 5)
    assert not bare.owner.any()
    far = np.ones((32, 32), bool)
    rows, columns = np.nonzero(whole.owner)
    far[max(0, rows.min() - 4) : rows.max() + 5, max(0, columns.min() - 4) : columns.max() + 5] = False
    assert (bare.image[far] == whole.image[far]).all()


@pytest.mark.parametrize(
    ("species", "message"), [([], "0 birds"), ([0] * 5, "5 birds"), ([0, 20], "no class 20; give 0 to 19")]
)
def test_what_cannot_be_drawn_is_named(species, message):
    with pytest.raises(UserError, match=message):
        mosaic(SETTINGS, 0, species)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmr.errors import UserError
from cmr.metrics import box_baselines, box_iou, gt_boxes
from cmr.metrics.baselines import blind_iou, centre_map


def test_box_iou_gives_the_references_unit_values():
    # The reference's first case: single pixels, all the same.
    assert box_iou(np.zeros((3, 4)), np.zeros((5, 4))).tolist() == [[1.0] * 5] * 3
    pair = np.array([[1, 1, 3, 3], [4, 4, 5, 5]])
    assert box_iou(pair, pair).tolist() == [[1, 0], [0, 1]]
    assert box_iou(np.array([[1, 2, 5, 6]]), np.array([[3, 1, 4, 5]])).item() == 8 / 27


@pytest.mark.parametrize(
    ("box", "found"),
    [([1, 1, 0, 0], "[1.0, 1.0, 0.0, 0.0]"), ([0, 0, float("nan"), 1], "nan"), ([0, 2, 3, 1], "[0.0, 2.0, 3.0, 1.0]")],
)
def test_a_wrong_box_is_refused_by_its_numbers(box, found):
    good = np.array([[0, 0, 1, 1]])
    for arguments in ((np.array([box]), good), (good, np.array([box]))):
        with pytest.raises(UserError, match="box 0 is") as error:
            box_iou(*arguments)
        assert found in str(error.value)
    with pytest.raises(UserError, match="gt_boxes: a box of image 1 is"):
        gt_boxes([good, np.array([box])], np.array([[9, 9], [9, 9]]))


boxes_on_a_grid = st.tuples(*[st.integers(0, 12)] * 4).map(
    lambda c: [min(c[0], c[1]), min(c[2], c[3]), max(c[0], c[1]), max(c[2], c[3])]
)


@settings(max_examples=50, deadline=None)
@given(st.lists(boxes_on_a_grid, min_size=1, max_size=4), st.lists(boxes_on_a_grid, min_size=1, max_size=4))
def test_box_iou_counts_pixels(a, b):
    def pixels(box):
        x0, y0, x1, y1 = box
        return {(x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1)}

    expected = [[len(pixels(p) & pixels(q)) / len(pixels(p) | pixels(q)) for q in b] for p in a]
    assert box_iou(np.array(a), np.array(b)).tolist() == expected


def test_gt_boxes_gives_the_references_unit_value():
    assert gt_boxes([np.array([[1, 2, 4, 3]])], np.array([[10, 20]]), (35, 10))[0].tolist() == [[3, 1, 14, 1]]


def test_gt_boxes_cuts_fractions_off_and_may_end_outside_the_grid():
    boxes = gt_boxes([np.array([[60, 27, 385, 331], [0, 0, 500, 335]]), np.zeros((0, 4))], [[500, 335], [8, 8]])
    # 60 * 224 / 500 = 26.88, 27 * 224 / 335 = 18.05, 385 * 224 / 500 = 172.48, 331 * 224 / 335 = 221.3
    assert boxes[0].tolist() == [[26, 18, 172, 221], [0, 0, 224, 224]]
    assert boxes[1].shape == (0, 4)
    assert boxes[0].dtype == np.int64


def test_gt_boxes_multiplies_before_it_divides():
    # 145 * 224 / 224 is 145; 145 * (1 / 224) * 224 would be 144.99999999999997 and lose a pixel.
    sizes = np.arange(1, 500)
    boxes = gt_boxes([np.array([[0, 0, s, s]]) for s in sizes], np.stack([sizes, sizes], 1))
    assert all(b.tolist() == [[0, 0, 224, 224]] for b in boxes)


def test_gt_boxes_wants_a_size_for_each_image():
    with pytest.raises(UserError, match="2 images have boxes but 1 have a size"):
        gt_boxes([np.zeros((0, 4))] * 2, [[5, 5]])
    assert gt_boxes([], np.zeros((0, 2))) == []


def test_blind_iou_is_the_best_of_each_images_boxes():
    rng = np.random.default_rng(0)
    truth = [np.sort(rng.integers(0, 20, (k, 2, 2)), axis=1).reshape(k, 4) for k in rng.integers(1, 4, 9000)]
    predicted = np.array([[0, 0, 9, 9], [5, 5, 19, 19]])
    result = blind_iou(predicted, truth)
    assert result.shape == (2, 9000)
    for n in (0, 1, 4095, 4096, 8999):  # around the border of a block
        assert result[:, n].tolist() == box_iou(predicted, truth[n]).max(axis=1).tolist()


def test_a_grid_of_one_pixel_has_no_box_but_the_whole():
    found = box_baselines([np.array([[0, 0, 0, 0]])], 1)
    assert found["full image"].gt_known_loc == 100 and found["centred box"].max_box_acc == 0


def test_baselines_of_boxes_that_are_known():
    side = 40
    full, corner = np.array([[0, 0, 39, 39]]), np.array([[0, 0, 3, 3]])
    result = box_baselines([full, full, full, corner, np.zeros((0, 4))], side)
    assert result["full image"].gt_known_loc == 75.0
    assert result["full image"].curve == {30: 75.0, 50: 75.0, 70: 75.0}
    assert result["centred box"].max_box_acc == 75.0  # the lowest threshold leaves all but the corners' pixels
    assert box_baselines([np.zeros((0, 4))], side) == {}


def test_the_centre_map_is_the_benchmarks():
    y, x = np.mgrid[:224, :224]
    expected = np.exp(-((x - 111.5) ** 2 + (y - 111.5) ** 2) / (2 * 56**2))
    expected -= expected.min()
    expected /= expected.max()
    np.testing.assert_array_equal(centre_map(224)[0].numpy(), expected)

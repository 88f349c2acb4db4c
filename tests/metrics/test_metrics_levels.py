"""All thresholds in one pass against OpenCV's contours, one threshold at a time."""

import zlib

import numpy as np
import pytest
import torch

from benchmarks.metrics import opencv_boxes, opencv_iou
from cmr.errors import UserError
from cmr.maps.locate import largest_box
from cmr.metrics import contour_boxes, score_levels, tau_list
from cmr.metrics.contours.levels import checked, quantise


def smooth(rng, height, width):
    wave = rng.standard_normal((4, 5))
    rows, columns = np.linspace(0, 3, height), np.linspace(0, 4, width)
    lines = np.stack([np.interp(columns, np.arange(5), line) for line in wave])
    field = np.stack([np.interp(rows, np.arange(4), column) for column in lines.T], axis=1)
    return ((field - field.min()) / (np.ptp(field) or 1) * 255).astype(np.uint8)


def noisy(rng, height, width):
    return rng.integers(0, 256, (height, width), dtype=np.uint8)


def plateaus(rng, height, width):
    levels = np.sort(rng.integers(0, 256, 4)).astype(np.uint8)
    return levels[rng.integers(0, 4, (height // 3 + 1, width // 3 + 1)).repeat(3, 0).repeat(3, 1)[:height, :width]]


def lines(rng, height, width):
    image = np.zeros((height, width), np.uint8)
    for _ in range(6):
        x, y = rng.integers(width), rng.integers(height)
        dx, dy = [(1, 0), (0, 1), (1, 1), (1, -1)][rng.integers(4)]
        value = rng.integers(1, 256)
        for _ in range(rng.integers(1, 30)):
            if 0 <= x < width and 0 <= y < height:
                image[y, x] = value
            x, y = x + dx, y + dy
    return image


def holes_in_holes(rng, height, width):
    image = np.zeros((height, width), np.uint8)
    y, x = np.mgrid[:height, :width]
    for _ in range(rng.integers(1, 4)):
        distance = np.maximum(abs(y - rng.integers(height)), abs(x - rng.integers(width)))
        image = np.maximum(image, (distance % rng.integers(2, 6) == 0) * rng.integers(1, 256)).astype(np.uint8)
    breaks = rng.random((height, width)) < 0.05
    return np.where(breaks, rng.integers(0, 256, (height, width)), image).astype(np.uint8)


def equal(rng, height, width):
    return np.full((height, width), rng.choice([0, 1, 254, 255, rng.integers(256)]), np.uint8)


def sparse(rng, height, width):
    return ((rng.random((height, width)) < rng.random()) * rng.integers(1, 256)).astype(np.uint8)


KINDS = (smooth, noisy, plateaus, lines, holes_in_holes, equal, sparse)
SHAPES = ((1, 1), (1, 17), (23, 1), (2, 2), (5, 3), (16, 16), (31, 12), (9, 40), (28, 28))
MAPS, THRESHOLDS = 60, 6  # of each kind, of each map: 2,520 cases


def cases(kind):
    rng = np.random.default_rng(zlib.crc32(kind.__name__.encode()))
    for _ in range(MAPS):
        image = kind(rng, *SHAPES[rng.integers(len(SHAPES))])
        # Thresholds at the map's own levels and anywhere; tau is the middle of the level.
        levels = np.concatenate([rng.choice(image.ravel(), THRESHOLDS // 2), rng.integers(0, 255, THRESHOLDS // 2)])
        yield image, levels.astype(int)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_contours_are_opencvs(kind):
    for image, levels in cases(kind):
        boxes, lo, hi = contour_boxes(image)
        largest = score_levels(image[None], [np.zeros((0, 4))], all_contours=False).box_largest[0]
        highest = int(image.max())
        for level in levels:
            tau = (level + 0.5) / highest if level < highest else 1.0
            here = boxes[(lo <= level) & (level <= hi)]
            found = {tuple(box) for box in here.tolist()} or {(0, 0, 0, 0)}
            assert found == {tuple(box) for box in opencv_boxes(image, tau, True).tolist()}, (image, level)
            assert [largest[level].tolist()] == opencv_boxes(image, tau, False).tolist(), (image, level)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_best_iou_is_that_of_the_loop_at_every_threshold(kind):
    rng = np.random.default_rng(5)
    taus = np.append(tau_list(0.05), 1.0)
    shape = (14, 19)
    maps = np.stack([kind(rng, *shape) for _ in range(6)])
    corners = [np.sort(rng.integers(0, 15, (k, 2, 2)), axis=1).reshape(k, 4) for k in (1, 2, 3, 1, 1, 2)]
    scores = score_levels(maps, corners)
    levels = scores.levels(taus)
    for rule, iou in ((True, scores.iou_all), (False, scores.iou_largest)):
        expected = [opencv_iou(image, boxes, taus, rule) for image, boxes in zip(maps, corners, strict=True)]
        np.testing.assert_array_equal(np.take_along_axis(iou, levels, axis=1), expected)


def test_ties_go_to_the_component_that_comes_last():
    image = np.zeros((9, 9), np.uint8)
    image[0:2, 0:2] = image[4:6, 6:8] = image[7:9, 0:2] = 200  # three squares of area 1
    assert score_levels(image[None], [np.zeros((0, 4))]).box_largest[0, 100].tolist() == [0, 7, 2, 8]
    assert opencv_boxes(image, 0.5, False).tolist() == [[0, 7, 2, 8]]


def test_an_open_ring_is_smaller_than_the_closed_one():
    closed = np.zeros((12, 20), np.uint8)
    closed[1:10, 1:10] = 200
    closed[2:9, 2:9] = 0
    closed[3:9, 12:18] = 200  # solid: area 25 against the ring's 64 with its hole, 0 when it is open
    boxes = score_levels(closed[None], [np.zeros((0, 4))]).box_largest[0]
    assert boxes[100].tolist() == [1, 1, 10, 10]
    opened = closed.copy()
    opened[1, 5] = 0
    assert score_levels(opened[None], [np.zeros((0, 4))]).box_largest[0, 100].tolist() == [12, 3, 18, 9]


def test_tau_lists_hold_the_same_levels():
    highest = np.arange(256)[:, None]
    every = (tau_list() * highest).astype(int)
    thousand = (tau_list(0.001) * highest).astype(int)
    for row, other in zip(every, thousand, strict=True):
        assert set(row) == set(other)
    np.testing.assert_array_equal(tau_list(0.01), np.arange(0, 1, 0.01))
    with pytest.raises(UserError, match="tau_list: step is 0"):
        tau_list(0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_quantise_cuts_the_fraction_off(dtype):
    maps = torch.linspace(0, 1, 101).to(dtype).reshape(1, 1, -1)
    wide = maps.double() if dtype == torch.float64 else maps.float()
    assert quantise(maps).tolist() == (wide * 255).floor().int().tolist()
    assert quantise(maps).dtype == np.uint8


def test_quantise_takes_what_numpy_gives():
    image = np.random.default_rng(0).random((2, 4, 6))
    np.testing.assert_array_equal(quantise(image), (image * 255).astype(np.uint8))
    np.testing.assert_array_equal(quantise(image.transpose(0, 2, 1)), (image * 255).astype(np.uint8).transpose(0, 2, 1))
    levels = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    np.testing.assert_array_equal(quantise(levels), levels)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.01, 1.01])
def test_a_map_outside_the_range_is_refused_by_name(bad):
    maps = torch.full((3, 2, 2), 0.5)
    maps[1, 1, 0] = bad
    with pytest.raises(
        UserError, match=r"the score map of image 'b\.jpg' lies between .* expected numbers in \[0, 1\]"
    ):
        checked(maps, ["a.jpg", "b.jpg", "c.jpg"])


def test_what_is_no_batch_of_maps_is_refused():
    with pytest.raises(UserError, match=r"shape \(4, 4\); expected three axes"):
        checked(torch.zeros(4, 4))
    with pytest.raises(UserError, match=r"score maps are torch.int64; expected a float type"):
        checked(torch.zeros(1, 4, 4, dtype=torch.int64))
    with pytest.raises(UserError, match="2 score maps come with 1 ids"):
        checked(torch.zeros(2, 4, 4), ["a"])
    with pytest.raises(UserError, match="2 score maps come with the boxes of 1 images"):
        score_levels(np.zeros((2, 4, 4), np.uint8), [np.zeros((1, 4))])


def test_threads_do_not_change_the_result():
    rng = np.random.default_rng(2)
    maps = rng.integers(0, 256, (5, 20, 30), dtype=np.uint8)
    boxes = [np.array([[2, 3, 20, 15]])] * 5
    one, three = (score_levels(maps, boxes, threads=threads) for threads in (1, 3))
    for name in ("iou_all", "iou_largest", "box_largest", "highest"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))


def test_maps_do_not_share_memory_of_the_one_before():
    # The working memory is used again for the next map; a map must score the same wherever it stands in the batch.
    rng = np.random.default_rng(3)
    maps = np.stack([noisy(rng, 12, 9), equal(rng, 12, 9), holes_in_holes(rng, 12, 9), smooth(rng, 12, 9)])
    boxes = [np.array([[1, 1, 7, 8]])] * 4
    together = score_levels(maps, boxes, threads=1)
    backwards = score_levels(maps[::-1], boxes, threads=1)
    np.testing.assert_array_equal(together.iou_all, backwards.iou_all[::-1])
    np.testing.assert_array_equal(together.box_largest, backwards.box_largest[::-1])


def test_largest_box_is_the_same_rule():
    rng = np.random.default_rng(4)
    maps = np.stack([smooth(rng, 20, 20), noisy(rng, 20, 20)])
    for tau in (0.0, 0.2, 0.7):
        expected = [opencv_boxes(image, tau, False)[0].tolist() for image in maps]
        assert largest_box(maps, tau).tolist() == expected


def test_kernels_compile_where_no_cache_can_be_written(monkeypatch):
    from cmr.metrics.contours import neighbours

    asked = []

    def njit(**settings):
        asked.append(settings)
        if settings.get("cache"):
            raise RuntimeError("cannot cache function 'f': no locator available for file 'f.py'")
        return lambda function: function

    monkeypatch.setattr(neighbours, "njit", njit)
    assert neighbours.compiled(len) is len
    assert asked == [{"cache": True, "nogil": True}, {"nogil": True}]

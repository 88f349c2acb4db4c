import json
import os
import pickle
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from benchmarks.metrics import opencv_boxes, opencv_iou
from cmr.errors import UserError
from cmr.metrics import PartCoverage, PxAP, Result, WSOLMetrics, box_iou, tau_list
from cmr.metrics.counts import IOU_UNIT
from cmr.metrics.failures import ERRORS, SIZES, box_sizes, error_kinds


def block(x0, y0, x1, y1, side=20, value=1.0, ground=0.0):
    """A map with one square, whose predicted box is x0, y0, x1 + 1, y1 + 1."""
    scoremap = np.full((side, side), ground)
    scoremap[y0 : y1 + 1, x0 : x1 + 1] = value
    return scoremap


@pytest.fixture
def four():
    """Four images done by hand: the box is exact, too small, exact, elsewhere; the class is 1st, 1st, 3rd, never."""
    maps = np.stack([block(2, 2, 10, 10), block(2, 2, 5, 5), block(0, 0, 18, 18), block(15, 15, 17, 17)])
    boxes = [np.array([b]) for b in ([2, 2, 11, 11], [2, 2, 11, 11], [0, 0, 19, 19], [0, 0, 4, 4])]
    logits = torch.zeros(4, 7)
    logits[0, 3], logits[1, 3] = 2, 2
    logits[2] = torch.tensor([5.0, 4, 3, 2, 1, 0, 0])
    logits[3] = torch.tensor([5.0, 4, 3, 2, 1, 0, 0])
    labels = torch.tensor([3, 3, 2, 6])
    return maps, logits, labels, boxes, ["a", "b", "c", "d"]


def test_every_number_of_four_images_by_hand(four):
    metrics = WSOLMetrics(threshold=0.2)
    outcomes = metrics.score(*four)
    metrics.update(outcomes)
    assert outcomes.box.tolist() == [[2, 2, 11, 11], [2, 2, 6, 6], [0, 0, 19, 19], [15, 15, 18, 18]]
    assert outcomes.iou.tolist() == [1.0, 25 / 100, 1.0, 0.0]
    assert outcomes.top5[2].tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close(outcomes.score, four[1].softmax(1).topk(5).values)

    result = metrics.result()
    assert result.images == 4
    expected = {
        "Top-1 Clas": 50, "Top-5 Clas": 75, "Top-1 Loc": 25, "Top-5 Loc": 50, "GT-known Loc": 50, "MaxBoxAcc": 50,
        "Top-1 Loc (best tau)": 25, "Top-5 Loc (best tau)": 50, "GT-known Loc (best tau)": 50, "MaxBoxAccV2": 50,
        "MaxBoxAcc 30 (all contours)": 50, "MaxBoxAcc 70 (largest contour)": 50, "mean IoU": 100 * 2.25 / 4,
    }  # fmt: skip
    numbers = result.numbers()
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    # Objects of 100, 100, 400 and 25 of 400 pixels.
    assert {name: (size.images, size.gt_known_loc) for name, size in result.sizes.items()} == {
        "small": (1, 0.0),
        "medium": (2, 50.0),
        "large": (1, 100.0),
    }
    shares = {"right": 25, "wrong class": 50, "several objects": 0, "too small": 25, "too large": 0, "elsewhere": 0}
    assert result.errors == shares
    assert result.iou_histogram == [1] + [0] * 4 + [1] + [0] * 13 + [2]
    assert len(result.curves.tau) == len(result.curves.largest_contour[50]) == 255
    assert Result.from_dict(json.loads(json.dumps(result.to_dict())), "a.json") == result


def test_fixed_and_best_tau_are_told_apart():
    # At tau .2 the weak ground (level 76) belongs to the box; above .3 only the object does.
    maps = block(4, 4, 11, 11, ground=0.3)[None]
    metrics = WSOLMetrics(threshold=0.2)
    metrics.update(maps, torch.eye(6)[:1], torch.tensor([0]), [np.array([[4, 4, 12, 12]])], ["a"])
    result = metrics.result()
    assert result.gt_known_loc == result.top1_loc == 0
    assert result.gt_known_loc_best == result.top1_loc_best == result.max_box_acc == 100
    assert int(result.best_tau * 255) == 76
    assert result.mean_iou_best == 100
    assert result.mean_iou == pytest.approx(100 * 81 / 400)


def test_the_two_box_rules_are_told_apart():
    # The larger square is the wrong one: only "all contours" finds the object.
    maps = (block(0, 0, 9, 9) + block(12, 12, 17, 17))[None]
    metrics = WSOLMetrics()
    metrics.update(maps, None, None, [np.array([[12, 12, 18, 18]])], ["a"])
    result = metrics.result()
    assert (result.max_box_acc, result.max_box_acc_v2) == (0, 100)
    assert result.curves.mean_iou_all[10] == 100


def random_set(n=23, side=24, classes=9):
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:side, :side]
    maps = []
    for _ in range(n):
        field = sum(
            rng.random() * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * s**2))
            for a, b, s in zip(*rng.integers(2, side - 2, (2, 3)), rng.uniform(2, 6, 3), strict=True)
        )
        field = np.maximum(field + 0.05 * rng.random((side, side)), 0)
        maps.append(field / field.max() * rng.choice([1.0, 0.6]))  # highest levels other than 255, too
    boxes = [np.sort(rng.integers(0, side, (k, 2, 2)), axis=1).reshape(k, 4) for k in rng.choice([1, 1, 2, 3], n)]
    logits, labels = rng.standard_normal((n, classes)), rng.integers(0, classes, n)
    logits[np.arange(n), labels] += 1
    return np.stack(maps), logits, labels, boxes, [f"{i}.jpg" for i in range(n)]


def batches(data, sizes):
    maps, logits, labels, boxes, ids = data
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        yield maps[part], logits[part], labels[part], boxes[part], ids[part]
        start += size


def test_scoring_counts_nothing(four):
    scored, updated = WSOLMetrics(ids=four[4]), WSOLMetrics(ids=four[4])
    before = {name: getattr(scored, name).clone() for name in scored._defaults}
    outcomes = scored.score(*four)
    assert scored.score(*four).iou.equal(outcomes.iou)  # twice: nothing is noted
    assert all(torch.equal(getattr(scored, name), value) for name, value in before.items())
    scored.update(outcomes)
    updated.update(*four)
    assert scored.result() == updated.result()
    with pytest.raises(UserError, match="image 'a' is evaluated twice"):
        scored.update(outcomes)


def test_all_metrics_are_those_of_the_loop():
    data = random_set()
    maps, logits, labels, boxes, _ = data
    metrics = WSOLMetrics(threshold=0.3, step=0.05)
    for batch in batches(data, (10, 1, 12)):
        metrics.update(*batch)
    result = metrics.result()

    taus = tau_list(0.05)
    every, largest = (
        np.stack([opencv_iou(m, b, taus, rule) for m, b in zip(maps, boxes, strict=True)]) for rule in (True, False)
    )  # (n, T)
    fixed_box = np.stack([opencv_boxes(m, 0.3, False)[0] for m in maps])
    fixed = np.array([box_iou(p[None], b).max() for p, b in zip(fixed_box, boxes, strict=True)])
    ranks = (-logits).argsort(1)
    top1, top5 = ranks[:, 0] == labels, (ranks[:, :5] == labels[:, None]).any(1)

    expected = {
        "Top-1 Clas": top1.mean(),
        "Top-5 Clas": top5.mean(),
        "GT-known Loc": (fixed >= 0.5).mean(),
        "Top-1 Loc": ((fixed >= 0.5) & top1).mean(),
        "Top-5 Loc": ((fixed >= 0.5) & top5).mean(),
        "MaxBoxAcc": (largest >= 0.5).mean(0).max(),
        "GT-known Loc (best tau)": (largest >= 0.5).mean(0).max(),
        "Top-1 Loc (best tau)": ((largest >= 0.5) & top1[:, None]).mean(0).max(),
        "Top-5 Loc (best tau)": ((largest >= 0.5) & top5[:, None]).mean(0).max(),
        "MaxBoxAccV2": np.mean([(every >= d).mean(0).max() for d in (0.3, 0.5, 0.7)]),
        "mean IoU": fixed.mean(),
    }
    numbers = result.numbers()
    assert {name: numbers[name] for name in expected} == pytest.approx({k: 100 * v for k, v in expected.items()})
    for delta in (30, 50, 70):
        for curve, iou in ((result.curves.all_contours, every), (result.curves.largest_contour, largest)):
            np.testing.assert_allclose(curve[delta], 100 * (iou >= delta / 100).mean(0))
    np.testing.assert_allclose(result.curves.mean_iou_all, 100 * every.mean(0))
    np.testing.assert_allclose(result.curves.mean_iou_largest, 100 * largest.mean(0))
    assert sum(result.iou_histogram) == len(maps)
    assert sum(result.errors.values()) == pytest.approx(100)
    assert 0 < expected["Top-1 Loc"] < expected["GT-known Loc"] < 1  # the random set says something


def test_the_order_and_the_batches_do_not_matter_at_all():
    data = random_set()
    one, many = WSOLMetrics(), WSOLMetrics()
    one.update(*data)
    order = np.random.default_rng(0).permutation(len(data[4]))
    shuffled = [[part[i] for i in order] if isinstance(part, list) else part[order] for part in data]
    for batch in batches(shuffled, (5, 9, 9)):
        many.update(*batch)
    assert one.result() == many.result()  # equal to the last bit, sums of IoU included


def test_torch_numpy_and_half_maps_go_in():
    maps, logits, labels, boxes, ids = random_set(4)
    maps = np.floor(maps * 64) / 64  # exact in all types
    results = []
    for kind in (lambda a: a, torch.tensor, lambda a: torch.tensor(a).to(torch.float16)):
        metrics = WSOLMetrics()
        metrics.update(kind(maps), torch.tensor(logits), torch.tensor(labels), boxes, ids)
        results.append(metrics.result())
    assert results[0] == results[1] == results[2]


def test_boxes_may_end_at_the_first_pixel_beyond_the_grid_and_come_as_lists():
    outcomes = WSOLMetrics().score(np.ones((1, 20, 20)), None, None, [[[0, 0, 20, 20]]], ["a"])
    assert outcomes.iou.item() == 400 / 441


def test_images_without_a_box_count_for_the_class_only(four):
    maps, logits, labels, boxes, ids = four
    boxes[3] = np.zeros((0, 4))
    metrics = WSOLMetrics()
    outcomes = metrics.score(maps, logits, labels, boxes, ids)
    metrics.update(outcomes)
    assert outcomes.iou[3].isnan()
    result = metrics.result()
    assert result.top1_clas == 50
    assert result.gt_known_loc == pytest.approx(100 * 2 / 3)
    metrics = WSOLMetrics()
    metrics.update(maps, logits, labels, [np.zeros((0, 4))] * 4, ids)
    assert metrics.result() == Result(images=4, top1_clas=50, top5_clas=75)


def test_without_logits_there_are_no_class_metrics(four):
    metrics = WSOLMetrics()
    outcomes = metrics.score(four[0], None, None, *four[3:])
    metrics.update(outcomes)
    assert outcomes.top5 is None and outcomes.score is None
    result = metrics.result()
    assert not [title for title in result.to_dict() if "Clas" in title or "Top-" in title]
    assert result.errors["wrong class"] == 0
    metrics.update(four[0], four[1], four[2], four[3], list("efgh"))
    with pytest.raises(UserError, match="4 of 8 images came with logits; give all or none"):
        metrics.result()


def test_images_are_checked_by_name(four):
    metrics = WSOLMetrics(ids=["a", "b", "c", "d", "e.jpg", "f"])
    metrics.update(*four)
    with pytest.raises(UserError, match=r"image 'e\.jpg' and 1 more of the 6 to be evaluated: missing"):
        metrics.result()
    before = {name: getattr(metrics, name).clone() for name in metrics._defaults}
    maps, logits, labels, boxes, ids = (part[:1] for part in four)
    with pytest.raises(UserError, match="image 'a' is evaluated twice; use a sampler that does not pad"):
        metrics.update(maps, logits, labels, boxes, ids)
    with pytest.raises(UserError, match="image 'z' is not among the 6"):
        metrics.update(maps, logits, labels, boxes, ["z"])
    with pytest.raises(UserError, match="the score map of image 'f' lies between"):
        metrics.update(maps * float("nan"), logits, labels, boxes, ["f"])
    with pytest.raises(UserError, match="the logits of image 'f' hold NaN"):
        metrics.update(maps, logits * float("inf"), labels, boxes, ["f"])
    with pytest.raises(UserError, match=r"1 images come with logits of shape \(1, 7\) and labels of shape \(2,\)"):
        metrics.update(maps, logits, torch.tensor([0, 1]), boxes, ["f"])
    for box, problem in (
        ([9, 9, 2, 12], "expected x0, y0, x1, y1 with"),
        ([3, 3, 21, 9], "outside the maps' 20x20 pixels; bring boxes to the maps' grid with cmr.metrics.gt_boxes"),
        ([-1, 3, 5, 9], "outside the maps' 20x20 pixels"),
    ):
        with pytest.raises(UserError, match=r"true boxes: a box of image 'f' is \[.*" + problem):
            metrics.update(maps, logits, labels, [np.array([box])], ["f"])
    with pytest.raises(UserError, match="1 images come with the boxes of 2; give one list an image"):
        metrics.update(maps, logits, labels, boxes * 2, ["f"])
    # Refused, not half counted.
    assert all(torch.equal(getattr(metrics, name), value) for name, value in before.items())
    metrics.update(maps, logits, labels, boxes, ["e.jpg"])
    metrics.update(maps, logits, labels, boxes, ["f"])
    assert metrics.result().images == 6
    metrics.reset()
    metrics.update(*four)  # forgotten, so not twice


def test_doubled_names_are_found_without_a_list_and_in_the_list(four):
    metrics = WSOLMetrics()
    with pytest.raises(UserError, match="image 'a' is evaluated twice"):
        metrics.update(*four[:4], ["a", "b", "a", "d"])
    with pytest.raises(UserError, match="names 'b' twice"):
        WSOLMetrics(ids=["a", "b", "b"])


def test_nothing_to_compute_is_said(four):
    with pytest.warns(UserWarning, match="was called before the"), pytest.raises(UserError, match="no image was eval"):
        WSOLMetrics().result()


def test_settings_are_checked():
    with pytest.raises(UserError, match=r"threshold is 1; expected a number in \[0, 1\)"):
        WSOLMetrics(threshold=1)


def test_a_metric_survives_pickling(four):
    metrics = pickle.loads(pickle.dumps(WSOLMetrics(ids=four[4])))
    metrics.update(*four)
    assert pickle.loads(pickle.dumps(metrics)).result() == metrics.result()
    assert pickle.loads(pickle.dumps(metrics)).result() == metrics.result()  # what was computed goes along


def test_a_call_gives_the_result_of_its_batch(four):
    """Torchmetrics' own ways to a result: `forward`, a copy, a collection."""
    metrics, whole = WSOLMetrics(), WSOLMetrics()
    whole.update(*four)
    first, second = ([part[half] for part in four] for half in (slice(0, 2), slice(2, 4)))
    alone = WSOLMetrics()
    alone.update(*second)
    metrics(*first)
    assert metrics(*second) == alone.compute() == alone.result().to_dict()
    assert metrics.result() == whole.result() == metrics.clone().result()
    with pytest.raises(UserError, match="is evaluated twice"):
        metrics(*first)
    assert metrics.result() == whole.result()
    expecting = WSOLMetrics(ids=four[4])
    expecting.update(*first)
    assert expecting(*second) == alone.compute()
    assert expecting.result() == whole.result()
    collection = MetricCollection([WSOLMetrics()])
    collection.update(*four)
    assert collection.compute() == whole.compute()


def test_iou_sums_are_exact_whole_numbers(four):
    metrics = WSOLMetrics()
    metrics.update(*four)
    assert metrics.iou_largest[-1].item() == 2.25 * IOU_UNIT


def test_kinds_of_errors_by_hand():
    true = [np.array([[10, 10, 29, 29]])]  # 400 pixels
    pair = [np.array([[0, 0, 9, 19], [20, 0, 29, 19]])]  # 200 pixels each
    for box, boxes, kind in [
        ([10, 10, 29, 19], true, "too small"),  # half of the object, all of the box
        ([0, 0, 39, 39], true, "too large"),  # all of the object, a quarter of the box
        ([25, 25, 44, 44], true, "elsewhere"),  # 25 shared pixels of 400 and of 400
        ([60, 60, 61, 61], true, "elsewhere"),
        ([0, 0, 29, 19], pair, "several objects"),  # all of both
        ([9, 0, 20, 2], pair, "elsewhere"),  # a touch of both, 3 of 200 pixels each
        ([0, 0, 9, 5], pair, "too small"),
    ]:
        assert ERRORS[error_kinds(np.array([box]), boxes, np.array([False]), None)[0]] == kind, box
    right = error_kinds(np.zeros((2, 4)), true * 2, np.array([True, True]), np.array([True, False]))
    assert [ERRORS[k] for k in right] == ["right", "wrong class"]


def test_sizes_take_the_largest_box_and_their_edges_belong_above():
    boxes = [np.array([b]) for b in ([0, 0, 9, 18], [0, 0, 9, 19], [0, 0, 9, 48], [0, 0, 9, 49])]  # 19, 20, 49, 50 %
    boxes.append(np.array([[0, 0, 0, 0], [0, 0, 9, 99]]))
    assert [SIZES[s] for s in box_sizes(boxes, (100, 10))] == ["small", "medium", "medium", "large", "large"]


def test_part_coverage_by_hand():
    coverage = PartCoverage(["head", "tail", "leg"], threshold=0.5)
    maps = torch.zeros(2, 4, 4)
    maps[0, :2], maps[1, :, :1] = 1, 0.5  # the second map's own maximum counts
    parts = np.zeros((2, 3, 8, 8), bool)  # twice the maps' size
    parts[0, 0, :4], parts[0, 1, 2:6] = True, True
    parts[1, 0, 6:, :4] = True
    coverage.update(maps, parts)
    # Head: 8 of 8 pixels, then 1 of 2. Tail: 4 of 8. The leg is never seen.
    assert coverage.compute() == {"head": 90.0, "tail": 50.0}
    with pytest.raises(
        UserError, match=r"part masks have shape \(2, 2, 8, 8\) for 2 maps and the parts head, tail, leg"
    ):
        coverage.update(maps, parts[:, :2])


def in_two_processes(rank, meeting):
    """What each of two processes computes from every second image; run in this process and in a fresh one."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    try:
        data = random_set()
        ids = data[4]

        def share(places):
            metric = WSOLMetrics(ids=ids)
            for i in places:
                metric.update(*(part[i : i + 1] for part in data))
            return metric

        result = share(range(rank, len(ids), 2)).compute()
        pxap, mine = PxAP(ids=ids), slice(rank, None, 2)
        pxap.update(data[0][mine], object_masks()[mine], None, ids[mine])
        errors = []
        # Torch's own sampler repeats an image to make the shares equal; and a process may lose one.
        for places in ([*range(rank, len(ids), 2)] + [0] * rank, range(rank, len(ids) - 1, 2)):
            try:
                share(places).compute()
            except UserError as error:
                errors.append(str(error))
        return [result, pxap.compute(), errors]
    finally:
        torch.distributed.destroy_process_group()


def object_masks():
    return torch.rand(random_set()[0].shape, generator=torch.Generator().manual_seed(0)) < 0.3


WORKER = """
import json, sys
import cmr.metrics, cmr.maps.locate
loaded_early = "numba" in sys.modules  # a second that only those should pay who evaluate
from test_metrics_wsol import in_two_processes
print(json.dumps([loaded_early, *in_two_processes(1, sys.argv[1])]))
"""


@pytest.mark.slow
def test_two_processes_are_exactly_one(tmp_path):
    here = Path(__file__).resolve().parent
    meeting = str(tmp_path / "meeting")
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, meeting],
        env=os.environ | {"PYTHONPATH": f"{here.parent}:{here}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as other:
        try:
            first = in_two_processes(0, meeting)
            output, problems = other.communicate(timeout=120)
        finally:
            other.kill()
    assert other.returncode == 0, problems
    loaded_early, *second = json.loads(output.splitlines()[-1])
    assert not loaded_early

    data = random_set()
    assert len(data[4]) % 2 == 1
    metrics, pxap = WSOLMetrics(ids=data[4]), PxAP(ids=data[4])
    metrics.update(*data)
    pxap.update(data[0], object_masks(), None, data[4])
    errors = [
        "image '0.jpg' of the 23 to be evaluated: evaluated twice; use a sampler that does not pad",
        "image '22.jpg' of the 23 to be evaluated: missing",
    ]
    assert first == second == [metrics.compute(), pxap.compute(), errors]


@pytest.mark.parametrize("kind", [np.uint16, np.uint32, np.uint64, np.int8])
def test_the_type_of_the_labels_does_not_count(four, kind):
    maps, logits, labels, boxes, ids = four
    same, whole = WSOLMetrics(), WSOLMetrics()
    same.update(maps, logits, np.asarray(labels).astype(kind), boxes, ids)
    whole.update(*four)
    assert same.result() == whole.result()

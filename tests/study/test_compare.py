"""The paired bootstrap: exact where nothing is random, near the textbook elsewhere, honest about what differs."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cmr.errors import UserError
from cmr.metrics.result import Result
from cmr.presets import make
from cmr.study import runs
from cmr.study.compare import Difference, against, bootstrap, difference, gaps, right
from cmr.study.groups import by_interpretation, by_setting
from cmr.study.training import train
from tests.study.records import said

pytestmark = pytest.mark.slow


def test_one_seed_a_side_is_the_paired_standard_error():
    rng = np.random.default_rng(1)
    a = rng.random((1, 2000)) < 0.6
    b = np.where(rng.random((1, 2000)) < 0.2, ~a, a)  # mostly the same images right
    gap = a.astype(float) - b
    half = 1.96 * gap.std() / np.sqrt(2000) * 100
    got = bootstrap(a, b, draws=4000)
    assert got.mean == pytest.approx(100 * gap.mean())
    assert got.high - got.mean == pytest.approx(half, rel=0.1)
    assert got.mean - got.low == pytest.approx(half, rel=0.1)


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(2)
    a = rng.random((1, 500)) < 0.5
    same, other = a, rng.permutation(a[0])[None]
    assert bootstrap(a, same).high == bootstrap(a, same).low == 0.0
    assert bootstrap(a, other).high > 4.0


def test_seeds_that_disagree_widen_it():
    rng = np.random.default_rng(3)
    calm = np.stack([rng.random(1000) < 0.5 for _ in range(3)])
    wild = np.stack([rng.random(1000) < p for p in (0.2, 0.5, 0.8)])
    base = rng.random((3, 1000)) < 0.5
    narrow, wide = bootstrap(calm, base), bootstrap(wild, base)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_same_draws_every_time():
    a = np.random.default_rng(0).random((2, 50)) < 0.5
    assert bootstrap(a, ~a, draws=100) == bootstrap(a, ~a, draws=100)
    assert bootstrap(a, ~a, draws=100) != bootstrap(a, ~a, draws=100, seed=1)


def test_verdicts():
    assert Difference(2.0, 0.5, 3.0, 3).verdict == "higher"
    assert Difference(-2.0, -3.0, -0.5, 3).verdict == "lower"
    assert Difference(0.2, -1.0, 1.4, 3).verdict == "no difference found"
    assert str(Difference(0.2, -1.0, 1.4, 3)) == "+0.2 [-1.0, +1.4]"


def test_a_difference_knows_the_seeds_of_its_weaker_side():
    right = np.ones((3, 4), bool)
    assert bootstrap(right, right[:1], 10).seeds == 1 and bootstrap(right, right[:2], 10).seeds == 2


def test_what_a_run_got_right_averages_to_its_metrics(four_runs):
    run = four_runs[0]
    for metric in ("GT-known Loc", "Top-1 Loc", "Top-1 Clas"):
        assert 100 * right(run, metric).mean() == pytest.approx(run.result.numbers()[metric], abs=1e-3)


def test_differences_for_a_pages_text(four_runs):
    groups = by_interpretation(four_runs)
    said = gaps(groups, [("cmr_beta_0", "cam"), ("cmr", "views_only")])
    assert said == {"cmr_beta_0_over_cam": str(difference(groups["cmr_beta_0"].runs, groups["cam"].runs))}


def test_differences_in_a_table(four_runs):
    groups = by_setting(four_runs)
    table = against(groups, "cam", ("Top-1 Clas",), draws=200)
    assert list(table.index) == ["CMR (literal)", "CMR, no fusion loss"]
    want = difference(groups["cmr"].runs, groups["cam"].runs, "Top-1 Clas", draws=200)
    written = table.loc["CMR (literal)", "Top-1 Clas"]
    assert written.replace("\u00a0", " ") == f"{want} (no difference found, one seed)"
    assert written.count(" ") == 1  # a narrow table breaks before the remark
    with pytest.raises(UserError, match="unknown reference 'can': did you mean 'cam'"):
        against(groups, "can")


def test_what_cannot_be_compared_is_named(four_runs, tmp_path):
    with pytest.raises(UserError, match="a side holds no run"):
        difference([], four_runs)
    with pytest.raises(UserError, match="unknown metric of single images 'MaxBoxAcc'"):
        right(four_runs[0], "MaxBoxAcc")
    other = train(make("tiny", method="cam", epochs=1, data_settings={"test": 16}), tmp_path, progress=False)
    with pytest.raises(UserError, match="tested on different images"):
        difference([other], four_runs[:1])


def test_images_without_a_true_box_count_for_their_class_only(tmp_path):
    nan = float("nan")

    def run(name, iou, top):
        outcomes = {"iou": torch.tensor(iou), "label": torch.zeros(4, dtype=torch.long), "top5": torch.tensor(top)}
        return runs.write(tmp_path / name, said(name, make("tiny"), result=Result()), outcomes)

    one = run("one", [0.9, 0.2, nan, nan], [[0], [0], [0], [1]])
    other = run("other", [0.1, 0.2, nan, nan], [[1], [1], [1], [1]])
    assert right(one, "GT-known Loc").tolist() == right(one, "Top-1 Loc").tolist() == [True, False]
    assert right(one, "Top-1 Clas").tolist() == [True, True, True, False]
    assert difference([one], [other]).mean == 50.0
    assert difference([one], [other], "Top-1 Clas").mean == 75.0
    with pytest.raises(UserError, match="the crop at test took the boxes of other images"):
        difference([one], [run("cropped", [0.1, nan, 0.2, nan], [[1]] * 4)])
    with pytest.raises(UserError, match="bare: no test image has a true box, so there is no Top-1 Loc"):
        right(run("bare", [nan] * 4, [[0]] * 4), "Top-1 Loc")


def test_a_measurement_without_classes_has_boxes_to_compare():
    boxes = SimpleNamespace(id="ddt", outcomes=lambda: {"iou": np.array([0.6, 0.4])})
    assert right(boxes, "GT-known Loc").tolist() == [True, False]
    with pytest.raises(UserError, match="ddt: it names no classes, so there is no Top-1 Clas"):
        right(boxes, "Top-1 Clas")

"""What a choice on boxes is worth: worked by hand on records made up for it."""

from types import SimpleNamespace

import pytest

from cmr.metrics.result import Curves, Result
from cmr.presets import make
from cmr.study.groups import Group
from cmr.study.record import Trained
from cmr.study.supervision import at_tau, held_out, worth


def run(loc, taus=(0.1, 0.2, 0.3), curve=(10.0, 20.0, 15.0), history=(), trained="", maps=None, **config):
    best = taus[max(range(len(curve)), key=lambda i: curve[i])]
    curves = Curves(tau=taus, all_contours={}, largest_contour={50: curve}, mean_iou_all=[], mean_iou_largest=[])
    result = Result(gt_known_loc=loc, max_box_acc=max(curve), best_tau=best, curves=curves)
    config = make("tiny", **{"method": "cam", **config})
    record = SimpleNamespace(trained=Trained(trained, "cmr train", "c") if trained else None, maps=maps)
    return SimpleNamespace(id="a", config=config, result=result, history=history, record=record)


def cam(*runs):
    return {"cam": Group("cam", "CAM", runs)}


def points(rows):
    return {(row["choice"], row["chosen on"]): row["points"] for row in rows}


def test_a_threshold_chosen_on_test_boxes_gains_the_way_to_the_top():
    assert points(worth(cam(run(17.0)))) == {("threshold", "test boxes"): 3.0}


def test_a_threshold_chosen_on_held_out_boxes_is_read_off_the_test_curve():
    search = run(0.0, curve=(5.0, 6.0, 9.0), holdout=0.2, seed=7)
    found = points(worth(cam(run(17.0)), [search]))
    assert found[("threshold", "held-out boxes")] == pytest.approx(-2.0)  # at 0.3 the test curve has 15
    for other in (run(0.0, holdout=0.2, lr=0.5), run(0.0, seed=7)):
        assert held_out(run(17.0), [other]) == []


def test_the_best_epoch_is_at_least_the_last():
    tested = [{"epoch": 1, "GT-known Loc": 19.0}, {"epoch": 2, "loss": 1.0}, {"epoch": 3, "GT-known Loc": 12.0}]
    assert points(worth(cam(run(17.0, history=tested))))[("epoch", "test boxes")] == 2.0
    assert points(worth(cam(run(21.0, history=tested))))[("epoch", "test boxes")] == 0.0


def test_normalisers_count_where_nothing_else_differs():
    again = run(25.0, trained="a", normalise="ivr")
    other_maps = run(90.0, trained="a", maps="layercam", normalise="ivr")
    mirrored = run(90.0, trained="a", normalise="ivr", test_flip=True)
    stranger = run(90.0, trained="b", normalise="ivr")
    found = points(worth(cam(run(17.0)), (), [again, other_maps, mirrored, stranger]))
    assert found[("normaliser", "test boxes")] == 8.0
    assert ("normaliser", "test boxes") not in points(worth(cam(run(17.0)), (), [stranger]))


def test_seeds_are_averaged():
    (row,) = worth(cam(run(17.0), run(19.0, seed=1)))
    assert (row["points"], row["fixed"], row["seeds"]) == (2.0, 18.0, 2)


def test_the_nearest_threshold_is_taken():
    assert at_tau(run(17.0), 0.24) == 20.0
    assert at_tau(run(17.0), 0.9) == 15.0

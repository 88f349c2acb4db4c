"""What raw maps consist of, by hand; how far those of two views agree, averaged over the right seeds."""

from dataclasses import replace

import numpy as np
import pytest

from cmr.metrics.result import Agreement, Result
from cmr.study import rawmaps, runs
from cmr.study.groups import Group
from cmr.study.record import Trained
from tests.study.records import record


def test_shape_of_maps_by_hand():
    bump = np.zeros((4, 4), np.float32)
    bump[1:3, 1:3] = 4
    shape = rawmaps.map_shape(np.stack([bump, np.full((4, 4), -2)]))
    assert list(shape.values()) == [1.0, -1.0, 0.0, (25 + 100) / 2]  # mean 1, mean square 4; and a flat map
    assert list(rawmaps.map_shape(-bump[None]).values()) == [-4.0, 0.0, 100.0, 25.0]
    assert list(rawmaps.map_shape(np.zeros((1, 4, 4))).values())[-1] == 0.0


def test_a_map_is_what_all_classes_share_and_its_own(tmp_path):
    run = record(tmp_path, "a", 10.0, method="cmr")
    run = runs.write(tmp_path / "a", run.record, {"maps": np.full((1, 2, 2), -3.0, np.float32)})
    own = np.array([[[1.0, 0.0], [0.0, -1.0]]], np.float32)
    about = record(tmp_path, "b", 10.0, method="cmr", settings={"test_map": "mean_free"}).record
    about = replace(about, trained=Trained("a", "cmr train", "c"))
    test = runs.write(tmp_path / "b", about, {"maps": own})
    parts = rawmaps.map_parts({"cmr": Group("cmr", "CMR", (run,))}, [test])["CMR"]
    assert list(parts) == ["map", "shared", "own"]
    np.testing.assert_array_equal(parts["shared"] + parts["own"], parts["map"])
    np.testing.assert_array_equal(parts["shared"][0], [[-4.0, -3.0], [-3.0, -2.0]])
    assert list(rawmaps.map_shapes({"CMR": {name: np.zeros((1, 4, 4)) for name in parts}}).index) == [
        "CMR",
        "CMR: shared",
        "CMR: own",
    ]
    of_another = runs.write(tmp_path / "c", replace(about, trained=Trained("d", "cmr train", "c")), {"maps": own})
    otherwise = runs.write(tmp_path / "d", replace(run.record, trained=Trained("a", "cmr train", "c")), {"maps": own})
    assert list(rawmaps.map_parts({"cmr": Group("cmr", "CMR", (run,))}, [of_another, otherwise])["CMR"]) == ["map"]


def test_agreement_is_averaged_over_the_seeds_that_were_tested(tmp_path):
    models = [record(tmp_path, f"m{seed}", 10.0, method="cmr", seed=seed) for seed in range(3)]
    tests = []
    for model, value in zip(models[:2], (0.9, 0.7), strict=True):
        about = record(tmp_path, f"t{model.id}", 10.0, method="cmr").record
        result = Result(agreement=Agreement(map=value, own=0.5))
        about = replace(about, trained=Trained(model.id, "cmr train", "c"), result=result)
        tests.append(runs.write(tmp_path / f"t{model.id}", about, {}))
    without = record(tmp_path, "w", 10.0)
    about = replace(without.record, trained=Trained("w", "cmr train", "c"))
    tests.append(runs.write(tmp_path / "u", about, {}))
    rows = rawmaps.agreement({"cmr": Group("cmr", "CMR", tuple(models)), "cam": Group("cam", "CAM", (without,))}, tests)
    assert rows == {"cmr": {"seeds": 2, "map": pytest.approx(0.8), "own": 0.5}}

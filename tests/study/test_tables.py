"""Tables: seeds together, settings apart, nothing invented."""

import numpy as np
import pytest

from cmr.assemble import make
from cmr.files import write_json
from cmr.study import rawmaps, runs, tables


def record(tmp_path, name, gt_known, **arguments):
    config = make("tiny", **arguments)
    data = {"test": {"name": "ToyBirds", "images": 32, "fingerprint": "f"}}
    baselines = {"centred box": {"MaxBoxAcc": 40.0, "curve": {}}, "full image": {"GT-known Loc": 10.0}}
    values = {
        "id": name,
        "result": {"GT-known Loc": gt_known, "baselines": baselines, "parts": {"head": 50.0}},
        "config": config.to_dict(),
        "data": data,
        "weights": "none",
        "seeds": {"seed": config.seed},
        "history": [],
        "environment": {"commit": "c0ffee" * 6, "dirty": True, "versions": {"torch": "9"}, "device": "a <cpu>"}
        | {"threads": 2, "precision": "32-true", "python": "3.13"},
        "command": "cmr train",
        "duration_s": 1.0,
        "peak_memory_mb": 2.0,
    }
    return runs.write(tmp_path / name, values, {})


def test_seeds_are_one_row_and_settings_are_two(tmp_path):
    for seed, value in enumerate((10.0, 20.0, 30.0)):
        record(tmp_path, f"a{seed}", value, seed=seed)
    record(tmp_path, "b", 55.0, settings={"beta": 1.0})
    rows = tables.table(tmp_path)
    by_variant = {row["variant"]: row for row in rows}
    assert set(by_variant) == {"beta=50.0", "beta=1.0"}
    assert by_variant["beta=50.0"]["GT-known Loc"] == (20.0, 10.0)
    assert by_variant["beta=50.0"]["seeds"] == 3
    assert by_variant["beta=1.0"]["GT-known Loc"] == (55.0, None)


def test_a_training_that_diverged_has_no_number_and_takes_none_from_others(tmp_path):
    fallen = record(tmp_path, "a", 10.0).record
    content = {name: value for name, value in fallen.items() if name != "result"} | {"diverged": "the loss became nan"}
    content["config"] = content["config"] | {"seed": 1}
    write_json(tmp_path / "b" / runs.DIVERGED, content)
    (run,) = runs.find_diverged(tmp_path)
    [row] = tables.rows_of([run])
    assert (row["GT-known Loc"], tables.cell(row, "GT-known Loc")) == ("diverged", "diverged")
    [row] = tables.rows_of([run, *runs.find(tmp_path, method="cmr")])
    assert row["GT-known Loc"] == "diverged, 1 of 2"
    assert tables.headline([row]) == {}


def test_box_sizes_by_hand(tmp_path):
    """Boxes are inclusive: 0 to 31 is the whole side of an image of 32 pixels."""
    about = record(tmp_path, "a", 10.0).record
    box = np.array([[0, 0, 31, 31], [0, 0, 15, 31], [0, 0, 31, 16], [4, 4, 4, 4]], np.int16)
    run = runs.write(tmp_path / "a", about, {"box": box, "maps": np.zeros((1, 7, 7), np.float32)})
    sizes = tables.box_sizes(run)
    assert sizes["boxes over 50 %"] == 50.0
    assert sizes["boxes over 90 %"] == 25.0
    assert sizes["mean share of the image"] == pytest.approx(100 * (1024 + 512 + 544 + 1) / 4 / 1024)
    assert tables.setting(run) == "tiny, images of 32 pixels, maps of 7 by 7, 2 epochs, a <cpu>, 32-true."


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
    about = record(tmp_path, "b", 10.0, method="cmr", settings={"test_map": "centred"}).record
    about |= {"trained": {"id": "a"}}
    test = runs.write(tmp_path / "b", about, {"maps": own})
    parts = rawmaps.map_parts({"CMR": [run]}, [test])["CMR"]
    assert list(parts) == ["map", "shared", "own"]
    np.testing.assert_array_equal(parts["shared"] + parts["own"], parts["map"])
    np.testing.assert_array_equal(parts["shared"][0], [[-4.0, -3.0], [-3.0, -2.0]])
    assert list(rawmaps.map_shapes({"CMR": {name: np.zeros((1, 4, 4)) for name in parts}}).index) == [
        "CMR",
        "CMR: shared",
        "CMR: own",
    ]
    of_another = runs.write(tmp_path / "c", about | {"trained": {"id": "d"}}, {"maps": own})
    otherwise = runs.write(tmp_path / "d", run.record | {"trained": {"id": "a"}}, {"maps": own})
    assert list(rawmaps.map_parts({"CMR": [run]}, [of_another, otherwise])["CMR"]) == ["map"]


def test_agreement_is_averaged_over_the_seeds_that_were_tested(tmp_path):
    models = [record(tmp_path, f"m{seed}", 10.0, method="cmr", seed=seed) for seed in range(3)]
    tests = []
    for model, value in zip(models[:2], (0.9, 0.7), strict=True):
        about = record(tmp_path, f"t{model.id}", 10.0, method="cmr").record
        about = about | {"trained": {"id": model.id}, "result": {"agreement": {"map": value, "own": 0.5}}}
        tests.append(runs.write(tmp_path / f"t{model.id}", about, {}))
    without = record(tmp_path, "w", 10.0)
    tests.append(runs.write(tmp_path / "u", without.record | {"trained": {"id": "w"}}, {}))
    rows = rawmaps.agreement({"CMR": models, "CAM": [without]}, tests)
    assert rows == {"CMR": {"seeds": 2, "map": pytest.approx(0.8), "own": 0.5}}


def test_where_a_run_happened_makes_no_row_of_its_own(tmp_path):
    record(tmp_path, "a", 10.0)
    record(tmp_path, "b", 12.0, seed=1, device="cpu", workers=5)
    assert len(tables.table(tmp_path)) == 1


def test_cells():
    row = {"a": (61.234, 0.81), "b": (61.25, None), "c": None}
    assert [tables.cell(row, name) for name in "abcd"] == ["61.2 ± 0.8", "61.2", "–", "not run"]


def test_a_metric_without_a_run_says_so(tmp_path):
    text = tables.render(tables.rows_of([record(tmp_path, "a", 10.0)]))
    assert "10.0" in text
    assert "not run" in text  # Top-1 Loc and others


def test_a_terminal_gets_no_line_longer_than_itself(tmp_path):
    rows = tables.rows_of([record(tmp_path, "a", 10.0)])
    rows[0]["variant"] = "setting=value, " * 20
    lines = tables.render(rows, width=160).splitlines()
    assert max(map(len, lines)) <= 160 and "..." in lines[1]
    assert "setting=value, " * 20 in tables.render(rows, "csv").replace('"', "")


def test_baselines_stand_beside_the_methods(tmp_path):
    rows = tables.baselines([record(tmp_path, "a", 10.0)])
    assert [row["method"] for row in rows] == ["centred box", "full image"]
    assert rows[0]["MaxBoxAcc"] == (40.0, None)
    assert rows[0]["GT-known Loc"] is None  # its box is chosen at the best threshold
    frame = tables.frame([*tables.rows_of([record(tmp_path, "b", 12.0)]), *rows])
    assert frame.loc["centred box", "GT-known Loc"] == "–"
    assert tables.baselines([]) == []


def test_headline_and_parts(tmp_path):
    run = record(tmp_path, "a", 12.5)
    assert tables.headline(tables.rows_of([run])) == {"cmr_gt_known": 12.5}
    assert tables.part_rows(run, method="x") == [{"method": "x", "part": "head", "coverage": 50.0}]


def test_provenance_names_everything_and_escapes(tmp_path):
    box = tables.provenance([record(tmp_path, "a", 1.0)])
    for fact in (
        "c0ffeec0ff with local changes",
        "seed: 0",
        "ToyBirds test f",
        "a &lt;cpu&gt;",
        "cmr train",
        "Python 3.13",
    ):
        assert fact in box
    assert "<cpu>" not in box


def test_summary(tmp_path):
    said = tables.summary(record(tmp_path, "a", 33.333))
    assert "cmr on ToyBirds (32 test images)" in said
    assert "33.33" in said


@pytest.mark.parametrize("holdout", [0.0, 0.5])
def test_label_knows_the_holdout(tmp_path, holdout):
    run = record(tmp_path, "a", 1.0)
    if holdout:
        run.record["data"] = {"holdout": {"name": "ToyBirds", "images": 9, "fingerprint": "g"}}
    assert tables.label(run) == ("ToyBirds", "tiny", "32 px", "cmr")


def test_a_course_is_the_mean_over_seeds_at_every_tested_epoch_and_at_the_end(tmp_path):
    def seed_of(seed, middle, end):
        run = record(tmp_path, f"s{seed}", end, seed=seed, epochs=3)
        run.record["history"] = [
            {"epoch": 1, "total": 9.0},  # not tested
            {"epoch": 2, "total": 8.0, "GT-known Loc": middle, "part head": 20.0},
            {"epoch": 3, "total": 7.0},
        ]
        return run

    assert tables.course([seed_of(0, 10.0, 40.0), seed_of(1, 30.0, 50.0)]) == [
        {"epoch": 2, "GT-known Loc": 20.0, "part head": 20.0},
        {"epoch": 3, "GT-known Loc": 45.0, "part head": 50.0},
    ]

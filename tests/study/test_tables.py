"""Tables: seeds together, settings apart, nothing invented."""

from dataclasses import replace

from cmr.study import report, runs, tables
from cmr.study.groups import by_setting
from tests.study.records import record


def test_a_row_per_run_and_a_printed_row_per_group(tmp_path):
    for seed, value in enumerate((10.0, 20.0, 30.0)):
        record(tmp_path, f"a{seed}", value, seed=seed)
    record(tmp_path, "b", 55.0, settings={"beta": 1.0})
    table = tables.tidy(by_setting(runs.find(tmp_path)))
    assert list(table["key"]) == ["cmr", "cmr", "cmr", "cmr_beta_1"]
    assert list(table["seed"]) == [0, 1, 2, 0]
    printed = tables.printed(table)
    assert list(printed.index) == ["CMR (literal)", "CMR (literal), weight 1"]
    assert list(printed["GT-known Loc"]) == ["20.0\u00a0±\u00a010.0", "55.0"]
    assert list(printed["seeds"]) == [3, 1]
    assert list(printed["Top-1 Loc"]) == ["not run", "not run"]
    assert tables.numbers(table) == {"cmr_gt_known": 20.0, "cmr_beta_1_gt_known": 55.0}


def test_a_training_that_diverged_has_no_number_and_takes_none_from_others(tmp_path):
    fallen = record(tmp_path, "a", 10.0).record
    fallen = replace(fallen, result=None, settings={**fallen.settings, "seed": 1})
    runs.write_diverged(tmp_path / "b", "the loss became nan", fallen)
    (run,) = runs.find_diverged(tmp_path)
    for members, word in (([run], "diverged"), ([run, *runs.find(tmp_path)], "diverged, 1 of 2")):
        table = tables.tidy(by_setting(members))
        assert list(tables.printed(table)["GT-known Loc"]) == [word]
        assert tables.numbers(table) == {}
        [row] = report.rows(members)
        assert row["GT-known Loc"] == word


def test_what_was_asked_for_and_not_run_says_so(tmp_path):
    printed = tables.printed(tables.tidy(by_setting([record(tmp_path, "a", 10.0)]), missing=["HaS"]))
    assert list(printed.loc["HaS"]) == ["not run"] * 7


def test_boxes_that_look_at_no_image_stand_beside_the_methods(tmp_path):
    table = tables.tidy(by_setting([record(tmp_path, "b", 12.0)]), [record(tmp_path, "a", 10.0)])
    printed = tables.printed(table, ["GT-known Loc", "MaxBoxAcc"])
    assert list(printed.index) == ["CMR (literal)", "centred box", "full image"]
    assert list(printed.loc["centred box"]) == ["–", "40.0"]  # its box is chosen at the best threshold
    assert tables.numbers(table)["centred_box_maxboxacc"] == 40.0
    assert len(tables.tidy({}, [])) == 0

"""`cmr report`: one row per setting, on whatever data."""

import json
from dataclasses import replace

import pytest

from cmr import cli
from cmr.errors import UserError
from cmr.study import frozen, report, runs
from cmr.study.ddt import measure
from cmr.study.record import SplitRecord
from cmr.study.settings import DDT
from tests.study.records import record


def test_seeds_are_one_row_and_settings_are_two(tmp_path):
    for seed, value in enumerate((10.0, 20.0, 30.0)):
        record(tmp_path, f"a{seed}", value, seed=seed)
    record(tmp_path, "b", 55.0, settings={"beta": 1.0})
    rows = report.rows(runs.find(tmp_path))
    assert [(row["method"], row["seeds"], row["GT-known Loc"]) for row in rows] == [
        ("CMR (literal)", 3, (20.0, 10.0)),
        ("CMR (literal), weight 1", 1, (55.0, None)),
    ]
    assert [row["GT-known Loc"] for row in json.loads(report.render(rows, "json"))] == [[20.0, 10.0], [55.0, None]]
    text = report.render(rows)
    assert "20.0 ± 10.0" in text
    assert "not run" in text  # Top-1 Loc and others
    assert report.render([]) == "no runs found"


def test_where_as_many_have_one_value_as_another_each_is_named(tmp_path):
    for name, sizes in (("a", (4, 8)), ("b", (12,))):
        record(tmp_path, name, 10.0, settings={"sizes": sizes})
    titles = [row["method"] for row in report.rows(runs.find(tmp_path))]
    assert titles == ["CMR (literal), cells of 4/8", "CMR (literal), cells of 12"]


def test_measurements_have_rows_and_a_damaged_one_ends_nothing(tmp_path, capsys):
    measured = measure(DDT(preset="tiny", image_size=32, device="cpu"), tmp_path, progress=False)
    record(tmp_path, "a", 10.0)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / frozen.RECORD).write_text("{")
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", str(tmp_path), "--format", "json"])
    said = capsys.readouterr()
    rows = json.loads(said.out)
    assert ended.value.code == 1 and "broken/frozen.json: not JSON" in said.err
    assert [(row["method"], row["GT-known Loc"]) for row in rows] == [
        ("CMR (literal)", [10.0, None]),
        ("DDT", [measured.result.gt_known_loc, None]),
    ]


def test_where_a_run_happened_makes_no_row_of_its_own(tmp_path):
    record(tmp_path, "a", 10.0)
    record(tmp_path, "b", 12.0, seed=1, device="cpu", workers=5)
    assert len(report.rows(runs.find(tmp_path))) == 1


def test_runs_on_other_data_of_the_same_name_have_a_row_of_their_own(tmp_path):
    run = record(tmp_path, "a", 10.0)
    runs.write(tmp_path / "b", replace(run.record, id="b", weights="other"), {})
    assert len(report.rows(runs.find(tmp_path))) == 2


@pytest.mark.parametrize("holdout", [0.0, 0.5])
def test_what_a_row_is_about_knows_the_holdout(tmp_path, holdout):
    run = record(tmp_path, "a", 1.0)
    if holdout:
        run = replace(run, record=replace(run.record, data={"holdout": SplitRecord("ToyBirds", 9, 4, "g")}))
    assert report.about(run) == ("ToyBirds", "tiny", "32 px")


def test_runs_are_kept_by_data_and_method(tmp_path):
    found = [record(tmp_path, "a", 10.0, method="cam"), record(tmp_path, "b", 10.0)]
    assert report.kept(found) == report.kept(found, "toy") == found
    assert report.kept(found, "TOYBIRDS", "CMR") == found[1:]
    with pytest.raises(UserError, match="unknown method 'can': did you mean 'cam'"):
        report.kept(found, method="can")
    with pytest.raises(UserError, match="unknown data 'cub'"):
        report.kept(found, "cub")


def test_a_terminal_gets_no_line_longer_than_itself(tmp_path):
    rows = report.rows([record(tmp_path, "a", 10.0)])
    rows[0]["method"] = "setting value, " * 20
    lines = report.render(rows, width=160).splitlines()
    assert max(map(len, lines)) <= 160 and "..." in lines[1]
    head, line = report.render(rows, "csv").splitlines()
    assert "setting value, " * 20 in line.replace('"', "") and head.count(",") == line.replace(
        "setting value,", ""
    ).count(",")
    assert report.render(rows, "markdown").splitlines()[1].startswith("| --- |")

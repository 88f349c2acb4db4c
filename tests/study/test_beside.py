"""The paper's tables: the numbers that the book prints, and ours beside them only where there are any."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cmr.errors import UserError
from cmr.metrics.result import Result
from cmr.presets import make
from cmr.study import beside, runs
from cmr.study.beside import Recorded, leads
from cmr.study.groups import by_setting
from tests.study.records import said

PAGE = Path(__file__).resolve().parents[2] / "book/paper.md"


def recorded(tmp_path, *wanted, place="CUB-50, ResNet50"):
    """Runs of (method, settings, percent of four images with the right box, the same for the class, seed)."""
    for number, (method, settings, boxed, named, seed) in enumerate(wanted):
        outcomes = {
            "label": torch.zeros(4, dtype=torch.long),
            "top5": torch.tensor([[int(100 * (i + 0.5) / 4 > named)] for i in range(4)]),
            "iou": torch.tensor([0.9 if 100 * (i + 0.5) / 4 < boxed else 0.1 for i in range(4)]),
        }
        result = Result(gt_known_loc=boxed, top1_clas=named, top1_loc=min(boxed, named))
        config = make("tiny", method=method, settings=settings, seed=seed)
        runs.write(tmp_path / f"{number}", said(f"{number}", config, result=result), outcomes)
    return Recorded(place, by_setting(runs.find(tmp_path)))


def test_the_numbers_are_those_that_the_book_prints():
    rows = beside.printed()
    text = PAGE.read_text(encoding="utf-8")
    tables = dict(re.findall(r":name: tab-paper-(\d)\n\n((?:\|.*\n)+)", text))
    assert sorted(tables) == list("123456")
    for number, lines in tables.items():
        shown = [re.sub(r" \{cite\}`\w+`|\*\*", "", line).strip("| ").split(" | ") for line in lines.splitlines()[2:]]
        ours = rows[rows["table"].str.startswith(number)]
        wanted = {
            data: of_data.drop(columns=["table", "data", "network", "ours"]) for data, of_data in ours.groupby("data")
        }
        for line, *parts in zip(shown, *(frame.to_dict("records") for frame in wanted.values()), strict=True):
            methods = {part.pop("method") for part in parts}
            if number == "5":
                left_out = [
                    name for name, there in zip(("CAAM", "SSAM", "fusion loss"), line, strict=False) if there == "no"
                ]
                assert methods == {f"no {left_out[0]}" if left_out else "all parts"}
                line = line[2:]
            else:
                assert methods == {line[0]}
            known = [number for part in parts for number in part.values() if number]
            assert known == [number for number in line[1:] if number != "–"]


def test_every_row_of_the_paper_stands_in_its_table():
    assert set(beside.printed()["table"]) == set(beside.TABLES)
    for name in beside.TABLES:
        table = beside.beside(name, {})
        keys = beside.printed().query("table == @name")["ours"].str.split()
        assert len(table) == sum(len(of_row) for of_row in keys)
        assert beside.NOT_RUN in table.iloc[-1].tolist()


def test_ours_stands_beside_the_row_of_its_network_and_interpretation(tmp_path):
    ours = recorded(
        tmp_path,
        ("cam", {}, 50.0, 75.0, 0),
        ("cam", {}, 25.0, 50.0, 1),
        ("cmr", {"fusion_map": "relu"}, 75.0, 50.0, 0),
        ("has", {}, 100.0, 25.0, 0),
    )
    table = beside.beside("1", {"resnet50": ours}, more=["has"])
    place = ["CUB-50, ResNet50"]
    cells = ["49.41", "37.5\u00a0±\u00a017.7", "-11.9", "75.68", "62.5\u00a0±\u00a017.7", "-13.2"]
    assert table.loc["ResNet50-CAM"].tolist() == [*cells, *place]
    own = "ResNet50, CMR"
    assert table.loc[f"{own} (positive parts)"].tolist() == ["64.70", "50.0", "-14.7", "77.28", "50.0", "-27.3", *place]
    assert table.loc[f"{own} (literal)"].tolist() == ["64.70", beside.NOT_RUN, "–", "77.28", beside.NOT_RUN, "–", ""]
    assert table.loc["VGG-CAM"].tolist() == ["34.41", beside.NOT_RUN, "–", "67.55", beside.NOT_RUN, "–", ""]
    assert "InceptionV3-SPG" not in table.index
    assert table.loc["ResNet50, HaS"].tolist() == ["–", "25.0", "–", "–", "25.0", "–", *place]
    assert table.index[-1] == "ResNet50, HaS"
    assert "ResNet50, HaS" not in beside.beside("1", {"resnet50": ours}).index


def test_cells_of_one_size_and_parts_left_out_find_their_rows(tmp_path):
    ours = recorded(
        tmp_path,
        ("cmr", {"fusion_map": "relu"}, 75.0, 50.0, 0),
        ("cmr", {"fusion_map": "relu", "sizes": (16,)}, 50.0, 50.0, 0),
        ("cmr", {"beta": 0.0}, 25.0, 50.0, 0),
        ("cmr", {"fusion_map": "relu", "caam": False}, 0.0, 50.0, 0),
    )
    ours = Recorded("here", ours.groups)
    sizes = beside.beside("6 CUB", {"resnet50": ours})["GT-known Loc", "ours"]
    assert sizes[["16, positive parts", "16, literal", "Mixed, positive parts"]].tolist() == [
        "50.0",
        beside.NOT_RUN,
        "75.0",
    ]
    parts = beside.beside("5", {"vgg16": ours})["GT-known Loc", "ours"]
    assert parts[["no fusion loss", "no CAAM, positive parts", "all parts, literal"]].tolist() == [
        "25.0",
        "0.0",
        beside.NOT_RUN,
    ]


def test_a_training_that_diverged_is_named_and_not_compared(tmp_path):
    ours = recorded(tmp_path, ("cam", {}, 50.0, 75.0, 0))
    (run,) = runs.find(tmp_path)
    fallen = replace(run.record, result=None, settings={**run.record.settings, "seed": 1})
    runs.write_diverged(tmp_path / "fallen", "the loss became nan", fallen)
    ours = Recorded("here", by_setting([run, *runs.find_diverged(tmp_path)]))
    cells = beside.beside("3", {"vgg16": ours}).loc["VGG-CAM"].tolist()
    assert cells == ["66.60", "diverged, 1 of 2", "–", "here"]


def test_what_may_be_compared_is_the_lead_over_cam(tmp_path):
    ours = recorded(
        tmp_path, ("cam", {}, 50.0, 75.0, 0), ("cmr", {"fusion_map": "relu"}, 75.0, 75.0, 0), place="CUB-50, VGG16"
    )
    table = leads("2", {"vgg16": ours})
    assert list(table.index) == [
        f"table 2, {net}: {m}" for net in ("VGG16", "ResNet50") for m in ("GT-known Loc", "Top-1 Loc")
    ]
    row = table.loc["table 2, VGG16: GT-known Loc"]
    assert row["paper"] == "+8.6"  # 66.32 - 57.72
    assert row["CMR (literal)"] == beside.NOT_RUN
    assert row["CMR (positive parts)"].startswith("+25.0 [+0.0, ")
    assert row["ours on"] == "CUB-50, VGG16"
    assert table.loc["table 2, ResNet50: Top-1 Loc"].tolist() == ["+13.4", beside.NOT_RUN, beside.NOT_RUN, ""]


@pytest.mark.parametrize("method", ["cam", "cmr"])
def test_of_one_method_alone_there_is_no_lead(tmp_path, method):
    ours = recorded(tmp_path, (method, {}, 50.0, 75.0, 0))
    row = leads("1", {"vgg16": ours}).loc["table 1, VGG16: Top-1 Loc"]
    assert row.tolist() == ["+23.7", beside.NOT_RUN, beside.NOT_RUN, ""]


@pytest.mark.parametrize("call", [beside.beside, leads])
def test_an_unknown_table_names_the_known_ones(call):
    with pytest.raises(UserError, match="table of the paper.*'7'"):
        call("7", {})
    with pytest.raises(UserError, match="own method"):
        leads("4 CUB", {})

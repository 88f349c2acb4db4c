"""Measurements on frozen networks: their records are read, named and put into rows, and their grid files expand."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from cmr.errors import UserError
from cmr.metrics.result import Result
from cmr.study import frozen, provenance, tables
from cmr.study.record import FrozenRecord, SplitRecord
from cmr.study.runs import portable
from cmr.study.settings import DDT
from tests.study.records import ENVIRONMENT

PRINTS = {"train": "a", "test": "b", "content": "c", "weights": "d"}


def written(folder, settings, loc, **more):
    values = {"title": "DDT", "uses": "nothing", **more}
    record = FrozenRecord(
        id=frozen.identity("ddt", settings, PRINTS),
        kind="ddt",
        settings=asdict(portable(settings)),
        data={"test": SplitRecord("Toy", 2, 2, "b")},
        weights="d",
        seeds={"seed": settings.seed},
        command="cmr ddt",
        classes=["a", "b"],
        environment=ENVIRONMENT,
        duration_s=1.0,
        peak_memory_mb=2.0,
        result=Result(gt_known_loc=loc, max_box_acc_v2=50.0),
        **values,
    )
    return frozen.write(folder / record.id, record, {"iou": np.array([0.1, 0.9])})


def test_what_is_written_is_read(tmp_path):
    run = written(tmp_path, DDT(), 100 / 3)
    again = frozen.read(run.path)
    assert again.record == run.record
    assert again.result.gt_known_loc == 33.3333
    assert again.outcomes()["iou"].tolist() == [0.1, 0.9]
    assert again.record.finished and again.record.history is None
    assert (again.config.image_size, again.config.normalise, again.config.threshold) == (64, "max", 0.0)
    assert "32-true" in provenance.box([again])


def test_the_id_says_what_and_not_where(tmp_path):
    one = frozen.identity("ddt", DDT(), PRINTS)
    assert one.startswith("toybirds-ddt-tiny-s0-")
    assert one == frozen.identity("ddt", DDT(data_root="elsewhere", device="cpu"), PRINTS)
    assert one != frozen.identity("ddt", DDT(images=5), PRINTS)
    assert one != frozen.identity("boxes", DDT(), PRINTS)
    assert one != frozen.identity("ddt", DDT(), PRINTS | {"weights": "e"})
    kept = portable(DDT(data_root=str(tmp_path / "birds"), weights=str(tmp_path / "a.pth")))
    assert (kept.data_root, kept.weights) == ("birds", "a.pth")


def test_measurements_are_found_by_their_settings(tmp_path):
    written(tmp_path, DDT(), 40)
    written(tmp_path, DDT(component="class"), 50)
    assert [run.result.gt_known_loc for run in frozen.find(tmp_path, component="class")] == [50]
    assert len(frozen.find(tmp_path, kind="ddt")) == 2
    assert frozen.find(tmp_path / "gone") == []


def test_seeds_share_a_row_and_settings_do_not(tmp_path):
    drawn = DDT(images=5, layers=("layer1", "last"))
    runs = [written(tmp_path, replace(drawn, seed=seed), loc) for seed, loc in enumerate((40, 44, 48))]
    runs.append(written(tmp_path, DDT(), 60, title="DDT, all", uses="labels"))
    groups = frozen.groups(runs)
    assert list(groups) == ["ddt_layers_layer1_last_images_5", "ddt_layers_last_images_0"]
    printed = tables.printed(tables.tidy(groups), ("seeds", "GT-known Loc", "Top-1 Loc"))
    assert printed.iloc[0].tolist() == [3, "44.0\u00a0±\u00a04.0", "not run"]
    assert printed.loc["DDT, all"].tolist() == [1, "60.0", "not run"]
    assert frozen.groups([*runs, *runs]) == groups  # what two folders hold counts once


def test_the_same_settings_on_other_data_are_another_row(tmp_path):
    here = written(tmp_path / "a", DDT(), 40)
    there = replace(here, record=replace(here.record, data={"test": SplitRecord("Other", 2, 2, "f")}))
    assert [group.runs for group in frozen.groups([here, there]).values()] == [(here,), (there,)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"frozen.json: not JSON \(.*\); move it away, or measure again"),
        ("[]", "not a record of cmr; it lacks all of it"),
        (json.dumps({"id": "a"}), "not a record of cmr; it lacks kind"),
    ],
)
def test_a_record_that_is_none_is_named(tmp_path, text, message):
    (tmp_path / frozen.RECORD).write_text(text)
    with pytest.raises(UserError, match=message):
        frozen.find(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"ddt": {}, "runs": []}, "unknown key of a.toml 'runs'"),
        ({"ddt": {"layer": "last"}}, "unknown setting in a.toml 'layer': did you mean 'layers'"),
        ({"ddt": {"threshold": 2}}, "^a.toml: threshold: 2.0 is out of range"),
        ({"ddt": {}, "measure": [{"component": "all"}]}, "^a.toml: component: 'all' is not one of set, class, image"),
        ({"ddt": {"layers": "last"}}, "^a.toml: layers: 'last' is not a list"),
    ],
)
def test_a_mistake_in_a_grid_file_is_named(content, message):
    with pytest.raises(UserError, match=message):
        frozen.expand(content, "ddt", DDT, "a.toml")


def test_lists_stand_for_each_of_their_values_and_a_list_field_for_itself():
    content = {"ddt": {"layers": ["layer1", "last"]}, "measure": [{"images": [1, 5], "seed": [0, 1]}, {"flip": True}]}
    found = frozen.expand(content, "ddt", DDT, "a.toml")
    assert [(one.images, one.seed, one.flip) for one in found] == [
        (1, 0, False),
        (1, 1, False),
        (5, 0, False),
        (5, 1, False),
        (0, 0, True),
    ]
    assert {one.layers for one in found} == {("layer1", "last")}

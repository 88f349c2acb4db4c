"""Which finished runs a configuration describes, and what a finished search chooses; records are written by hand."""

import dataclasses
from dataclasses import replace

import pytest

from cmr.errors import UserError
from cmr.metrics.result import Result
from cmr.presets import make
from cmr.study import grid, records, runs, search
from cmr.study.identity import identity
from cmr.study.record import SplitRecord
from tests.study.records import said

pytestmark = pytest.mark.slow

PRINTS = {"train": "aa", "test": "bb", "weights": "none"}


def record(root, config, name="", weights="none", **result):
    """A finished run, as far as anybody here reads it."""
    tested = "holdout" if config.holdout else "test"
    data = {part: SplitRecord("Toy", 4, 2, mark) for part, mark in (("train", "aa"), (tested, "bb"))}
    name = name or identity(config, PRINTS)
    return runs.write(
        root / name, said(name, config, data=data, weights=weights, result=Result(images=4, **result)), {}
    )


def test_a_run_is_found_by_its_configuration_and_not_by_its_id(tmp_path):
    config = make("tiny", method="cam", data_root="here")
    record(tmp_path, make("tiny", method="cam", seed=1), "another")
    record(tmp_path, dataclasses.replace(config, workers=9, device="cpu", data_root="there"), "an-id-of-long-ago")
    found = search.records(tmp_path)
    assert search.recorded(config, found, PRINTS).id == "an-id-of-long-ago"
    assert search.recorded(make("tiny", method="cam", seed=2), found, PRINTS) is None
    assert search.recorded(config, found, PRINTS | {"test": "cc"}) is None  # other images
    assert search.recorded(config, found, PRINTS | {"weights": "dd"}) is None
    assert search.recorded(config, found) is None  # nothing at hand: the last part of the path says other data
    assert search.recorded(dataclasses.replace(config, data_root="else/there"), found).id == "an-id-of-long-ago"


def test_where_lists_lie_does_not_count_if_they_say_the_same(tmp_path):
    here, there = (make("paper", data="ilsvrc", data_settings={"metadata": f"{where}/lists"}) for where in ("a", "b"))
    other = make("paper", data="ilsvrc", data_settings={"metadata": "a/other"})
    assert identity(here, PRINTS) == identity(there, PRINTS) == identity(other, PRINTS)  # prints tell the lists apart
    record(tmp_path, here)
    found = search.records(tmp_path)
    assert search.recorded(there, found, PRINTS) is not None
    assert search.recorded(there, found, PRINTS | {"train": "cc"}) is None
    assert search.recorded(there, found) is not None
    assert search.recorded(other, found) is None  # no lists at hand: the last part of the path says other lists
    assert len(grid.once([here, other, here])) == 2


def test_weights_that_are_not_at_hand_go_by_their_name(tmp_path):
    config = make("tiny", method="cam", weights="w.safetensors")
    record(tmp_path, config, weights="0123")
    found = search.records(tmp_path)
    moved = dataclasses.replace(config, weights="/else/w.safetensors")
    assert search.recorded(moved, found) is not None
    assert search.recorded(moved, found, {"weights": "0123"}) is not None
    assert search.recorded(moved, found, {"weights": "4567"}) is None
    assert search.recorded(dataclasses.replace(config, weights="v.safetensors"), found) is None


def test_a_record_older_than_a_setting_still_counts_and_one_with_a_lost_setting_does_not(tmp_path):
    config = make("tiny", method="cmr")
    written = record(tmp_path, config)
    old = written.config.to_dict()
    del old["test_flip"], old["settings"]["ssam_reduction"]
    records.write_record(written.path / runs.RECORD, replace(written.record, settings=old))
    assert search.recorded(config, search.records(tmp_path), PRINTS) is not None
    old["settings"]["of_long_ago"] = 1
    records.write_record(written.path / runs.RECORD, replace(written.record, settings=old))
    assert search.records(tmp_path) == {}
    assert search.records(tmp_path / "missing") == {}


SEARCH = """
preset = "tiny"
seeds = [0, 1]
[common]
holdout = 0.25
[[runs]]
method = "cam"
grid = {lr = [0.1, 0.01, 0.001]}
[[runs]]
method = "has"
grid = {lr = [0.1, 0.01, 0.001]}
"""
GRID = """
preset = "tiny"
seeds = [0, 1, 2]
[[runs]]
method = "cam"
[[runs]]
method = "has"
[choose]
results = "results"
sweep = "search.toml"
field = "lr"
by = ["method"]
metric = "Top-1 Clas"
"""
# cam: 0.01 is best in the mean of both seeds, though 0.1 has the best single run; has: a tie
SCORES = {
    ("cam", 0.1): (90.0, 10.0),
    ("cam", 0.01): (60.0, 62.0),
    ("cam", 0.001): (50.0, 50.0),
    ("has", 0.1): (70.0, 30.0),
    ("has", 0.01): (50.0, 50.0),
    ("has", 0.001): (40.0, 41.0),
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search.toml").write_text(SEARCH)
    (tmp_path / "grid.toml").write_text(GRID)
    for config in grid.load("search.toml").configs:
        record(tmp_path / "results", config, top1_clas=SCORES[config.method, config.lr][config.seed])
    return tmp_path


def test_the_best_mean_on_held_out_images_is_chosen_and_of_equals_the_smaller(place):
    filled, notes = search.chosen(grid.load("grid.toml"))
    assert [(c.method, c.lr, c.seed, c.holdout) for c in filled.configs] == [
        (method, 0.01, seed, 0.0) for seed in (0, 1, 2) for method in ("cam", "has")
    ]
    assert notes == [
        "method=cam: lr=0.01 from search.toml, Top-1 Clas on the held-out images of 6 runs "
        "(0.001: 50.00, 0.01: 61.00, 0.1: 50.00)",
        "method=has: lr=0.01 from search.toml, Top-1 Clas on the held-out images of 6 runs "
        "(0.001: 40.50, 0.01: 50.00, 0.1: 50.00)",
    ]


def diverge(place, method, lr, seeds=(0, 1)):
    """Turns records of the search into trainings that diverged."""
    for run in runs.find("results"):
        if (run.config.method, run.config.lr) == (method, lr) and run.config.seed in seeds:
            (run.path / runs.RECORD).unlink()
            runs.write_diverged(run.path, "the loss became nan at step 4", replace(run.record, result=None))


def test_a_value_with_which_a_training_diverged_is_not_chosen(place):
    diverge(place, "cam", 0.01, seeds=(1,))
    filled, notes = search.chosen(grid.load("grid.toml"))
    assert {config.lr for config in filled.configs if config.method == "cam"} == {0.001}
    assert "(0.001: 50.00, 0.1: 50.00, 0.01: diverged)" in notes[0]


def test_a_search_all_of_which_diverged_chooses_nothing(place):
    for lr in (0.1, 0.01, 0.001):
        diverge(place, "has", lr)
    with pytest.raises(UserError, match="every training of the search diverged; add other values of lr to it"):
        search.chosen(grid.load("grid.toml"))


def test_without_a_choice_the_grid_stays(place):
    loaded = grid.load("search.toml")
    assert search.chosen(loaded) == (loaded, [])


def test_the_search_lies_beside_the_grid_file_and_its_results_where_the_command_is_called(place, monkeypatch):
    (place / "deeper").mkdir()
    (place / "deeper/grid.toml").write_text(GRID.replace("search.toml", "../search.toml"))
    assert search.chosen(grid.load("deeper/grid.toml"))[0].configs[0].lr == 0.01
    monkeypatch.chdir(place / "deeper")
    with pytest.raises(UserError, match=r"12 of the 12 runs of \.\./search\.toml are not finished in results"):
        search.chosen(grid.load("grid.toml"))


def test_an_unfinished_search_chooses_nothing(place):
    [run] = [
        run for run in runs.find("results") if (run.config.method, run.config.lr, run.config.seed) == ("has", 0.1, 1)
    ]
    (run.path / runs.RECORD).unlink()
    with pytest.raises(UserError) as raised:
        search.chosen(grid.load("grid.toml"))
    assert str(raised.value) == (
        "grid.toml: [choose]: 1 of the 12 runs of search.toml are not finished in results "
        "(first: lr=0.1 method=has seed=1); run: cmr sweep search.toml --out results"
    )


def test_a_setting_of_one_method_is_chosen_for_that_method_only(place):
    (place / "search.toml").write_text(
        'preset = "tiny"\n[common]\nholdout = 0.5\n[[runs]]\nmethod = "cmr"\ngrid = {beta = [0, 2]}'
    )
    for config in grid.load("search.toml").configs:
        record(place / "results", config, top1_clas=10.0 + config.settings.beta)
    (place / "grid.toml").write_text(GRID.replace('"has"', '"cmr"').replace('"lr"', '"beta"'))
    filled, notes = search.chosen(grid.load("grid.toml"))
    assert [c.settings.beta for c in filled.configs if c.method == "cmr"] == [2.0] * 3
    assert len(filled.configs) == 6 and len(notes) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('field = "lr"\n', ""), "[choose]: field is missing; it needs results, sweep, field, by, metric"),
        (("field =", "feild ="), "unknown key in grid.toml: [choose] 'feild': did you mean 'field'?"),
        (('field = "lr"', 'field = "lrr"'), "unknown parameter in grid.toml: [choose] 'lrr': did you mean 'lr'?"),
        (('["method"]', '["metod"]'), "unknown parameter in grid.toml: [choose] 'metod': did you mean 'method'?"),
        (('["method"]', '"method"'), "[choose]: by: 'method' is not a list of names"),
        (('["method"]', "[3]"), "[choose]: by: [3] is not a list of names"),
        (('"search.toml"', "3"), "[choose]: sweep: 3 is not text"),
        (('"search.toml"', '"\\u0000"'), "[choose]: sweep: '\\x00' holds a control character; remove it"),
        (('"search.toml"', '"grid.toml"'), "[choose]: sweep: grid.toml is this file; name the search's"),
        (('"search.toml"', '"other.toml"'), "other.toml: there is no such grid file"),
        (("Top-1 Clas", "Top-1 Class"), "'Top-1 Class': did you mean 'Top-1 Clas'?"),
        (('[[runs]]\nmethod = "has"', '[[runs]]\nmethod = "cmr"'), "no run of search.toml agrees with method=cmr"),
        (('method = "has"', 'method = "has"\nlr = 0.3'), "[choose]: lr is given in the file too; leave one out"),
        (('["method"]', "[]"), "[choose]: : the search's runs differ in method"),
    ],
)
def test_mistakes_of_a_choice(place, change, message):
    (place / "grid.toml").write_text(GRID.replace(*change))
    with pytest.raises(UserError) as raised:
        search.chosen(grid.load("grid.toml"))
    assert message in str(raised.value)


def test_searches_in_a_circle_or_a_long_row_end_in_one_message(place):
    text = GRID.replace("search.toml", "{}.toml")
    (place / "a.toml").write_text(text.format("b"))
    (place / "b.toml").write_text(text.format("a"))
    with pytest.raises(UserError, match=r"b.toml: \[choose\]: sweep: a.toml chooses from this file in turn; give the"):
        search.chosen(grid.load("a.toml"))
    for i in range(20):
        (place / f"{i}.toml").write_text(text.format(i + 1))
    with pytest.raises(UserError, match=r"10.toml: \[choose\]: sweep: 11.toml is search 11 in a row"):
        search.chosen(grid.load("0.toml"))


def test_a_search_on_the_test_images_chooses_nothing(place):
    (place / "search.toml").write_text(SEARCH.replace("holdout = 0.25", ""))
    for config in grid.load("search.toml").configs:
        record(place / "results", config, top1_clas=1.0)
    with pytest.raises(
        UserError, match="search.toml has runs with holdout 0, which would choose lr on the test images"
    ):
        search.chosen(grid.load("grid.toml"))


def test_a_search_over_more_than_the_field_must_say_so(place):
    (place / "search.toml").write_text(SEARCH.replace("{lr = ", "{epochs = [1, 2], lr = "))
    for config in grid.load("search.toml").configs:
        record(place / "results", config, top1_clas=1.0)
    with pytest.raises(UserError, match="method=cam: the search's runs differ in epochs too; name it in by"):
        search.chosen(grid.load("grid.toml"))

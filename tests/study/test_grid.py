"""Grid files: what they expand to, worked by hand, and what they say when they are wrong."""

import shlex
from dataclasses import fields
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from cmr import cli
from cmr.errors import UserError
from cmr.methods import METHODS
from cmr.presets import make
from cmr.study import grid, runs
from cmr.study.identity import identity


@pytest.fixture
def load(tmp_path):
    def read(text):
        path = tmp_path / "grid.toml"
        path.write_text(text)
        return grid.load(path)

    return read


GRID = """
preset = "tiny"
seeds = [3, 4]
[common]
epochs = 5
hide_probability = 0.25
[[runs]]
method = "cam"
[[runs]]
method = "cmr"
sizes = [8]
[runs.grid]
beta = [0, 2.5]
caam = [true, false]
"""


def test_a_grid_expands_to_these_runs(load):
    loaded = load(GRID)
    assert loaded.preset == "tiny"
    seen = [(c.seed, c.method, c.epochs, getattr(c.settings, "beta", None)) for c in loaded.configs]
    once = [("cam", 5, None), ("cmr", 5, 0.0), ("cmr", 5, 0.0), ("cmr", 5, 2.5), ("cmr", 5, 2.5)]
    assert seen == [(seed, *rest) for seed in (3, 4) for rest in once]
    assert [c.settings.caam for c in loaded.configs[1:5]] == [True, False, True, False]
    crossed = loaded.configs[4]
    assert crossed == make(
        "tiny",
        method="cmr",
        epochs=5,
        seed=3,
        settings={"sizes": (8,), "beta": 2.5, "caam": False, "hide_probability": 0.25},
    )


def test_an_integer_is_the_same_run_as_the_float(load):
    config = load('preset = "tiny"\n[[runs]]\nbeta = 1\nlr = 1').configs[0]
    other = make("tiny", lr=1.0, settings={"beta": 1.0})
    prints = {"train": "a", "test": "b", "weights": "none"}
    assert identity(config, prints) == identity(other, prints)  # as JSON, 1 and 1.0 would not be equal


def test_the_nearer_value_counts(load):
    text = (
        'preset = "tiny"\n[common]\nepochs = 5\nbatch_size = 4\n[[runs]]\nepochs = 7\n[[runs]]\ngrid = {epochs = [9]}'
    )
    assert [(c.epochs, c.batch_size) for c in load(text).configs] == [(7, 4), (9, 4)]


def test_settings_of_the_data(load):
    text = """
    preset = "tiny"
    [common]
    data_settings = {train = 40, head = 1}
    [[runs]]
    [[runs]]
    data_settings = {train = 50}
    [[runs]]
    data = "folder"
    """
    first, second, third = load(text).configs
    assert (first.data_settings.train, first.data_settings.test, first.data_settings.head) == (40, 32, 1.0)
    assert isinstance(first.data_settings.head, float)
    assert (second.data_settings.train, second.data_settings.head) == (50, 1.0)
    assert not hasattr(third.data_settings, "train")  # the other data set has no such setting, so it is left out


def test_a_list_of_lists_crosses_a_setting_that_is_a_list(load):
    configs = load('preset = "tiny"\n[[runs]]\ngrid = {sizes = [[4], [4, 8]]}').configs
    assert [c.settings.sizes for c in configs] == [(4,), (4, 8)]


def test_the_same_run_twice_is_one(load):
    runs_twice = '[[runs]]\nmethod = "cam"\nworkers = 3\n[[runs]]\nmethod = "cam"\n'
    assert len(load('preset = "tiny"\n' + runs_twice).configs) == 1
    elsewhere = runs_twice + '[[runs]]\nmethod = "cam"\ndata_root = "other"'  # may hold other images
    assert len(load('preset = "tiny"\n' + elsewhere).configs) == 2
    assert len(load("seeds = [1, 1]\n[[runs]]").configs) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("presett = 'tiny'\n[[runs]]", "unknown key in grid.toml 'presett': did you mean 'preset'?"),
        ("preset = 'tinny'\n[[runs]]", "unknown preset in grid.toml 'tinny': did you mean 'tiny'?"),
        ("preset = \n", "grid.toml: not TOML: Invalid value (at line 1, column 10)"),
        ("seeds = [0]", "grid.toml: there is no run; begin each with a line [[runs]]"),
        ("seeds = []\n[[runs]]", "grid.toml: seeds: [] is not a list of seeds"),
        ("seeds = ['a']\n[[runs]]", "grid.toml: [[runs]] 1 (method cmr): seed: 'a' is not of type int"),
        ("common = 3\n[[runs]]", "grid.toml: common: 3 is not a table"),
        ("runs = [3]", "grid.toml: [[runs]] 1: 3 is not a table"),
        ("[common]\nepoch = 3\n[[runs]]", "grid.toml: [common] 'epoch': did you mean 'epochs'?"),
        ("[common]\nbetta = 3\n[[runs]]", "grid.toml: [common] 'betta': did you mean 'beta'?"),
        ("[common]\nbeta = 3\n[[runs]]\nmethod = 'cam'", "unknown parameter in grid.toml: [common] 'beta'"),
        ("[common]\ndata_settings = {trane = 3}\n[[runs]]", "[common] 'trane': did you mean 'train'?"),
        ("[[runs]]\n[[runs]]\nepoch = 3", "unknown parameter in grid.toml: [[runs]] 2 'epoch': did you mean 'epochs'?"),
        ("[[runs]]\nmethod = 'cam'\ncaam = true", "[[runs]] 1: method 'cam' has no setting 'caam' (only cmr)"),
        ("[[runs]]\nmethod = 'cam'\n[runs.grid]\nbeta = [3]", "[[runs]] 1: method 'cam' has no setting 'beta' (only "),
        ("[[runs]]\nmethod = 'crm'", "unknown method in grid.toml: [[runs]] 1 'crm': did you mean 'cmr'?"),
        ("[[runs]]\nmethod = 3", "unknown method in grid.toml: [[runs]] 1 '3'"),
        ("[[runs]]\ndata = 'cubb'", "unknown data set in grid.toml: [[runs]] 1 'cubb': did you mean 'cub'?"),
        ("[[runs]]\n[runs.grid]\nlr = []", "[[runs]] 1: grid: lr has no values"),
        ("[[runs]]\n[runs.grid]\nlr = 0.1", "[[runs]] 1: grid: lr: 0.1 is not a list of values; give [0.1]"),
        ("[[runs]]\nlr = 0.1\n[runs.grid]\nlr = [0.1]", "[[runs]] 1: lr has a value and is in the grid too"),
        ("[[runs]]\ngrid = 3", "[[runs]] 1: grid: 3 is not a table"),
        ("[[runs]]\nlr = [0.1, 0.2]", "[[runs]] 1 (method cmr): lr: [0.1, 0.2] is not of type float"),
        ("[[runs]]\n[runs.grid]\nsizes = [4, 8]", "[[runs]] 1 (method cmr): sizes: 4 is not a list; give [4]"),
        ("[[runs]]\nsizes = ['a']", "[[runs]] 1 (method cmr): sizes: 'a' is not of type int"),
        (f"[[runs]]\nepochs = {'9' * 5000}", "grid.toml: not TOML: "),
        (f"[[runs]]\nepochs = 0x{'f' * 5000}", "(method cmr): epochs: a number of thousands of digits is out of range"),
        (f"[[runs]]\nlr = 0x{'f' * 5000}", "(method cmr): lr: a number of thousands of digits is out of range"),
        (f"[[runs]]\nlr = {'[' * 5000}{']' * 5000}", "grid.toml: not TOML: its brackets are nested too deep"),
        (
            f"seeds = [0, 1]\n[[runs]]\ngrid = {{lr = {[0.1] * 800}, beta = {[0.1] * 800}}}\n[[runs]]",
            "grid.toml: 2 seeds and all combinations of the values are 1,280,002 runs, more than 10,000",
        ),
        ("[[runs]]\nepochs = 0", "[[runs]] 1 (method cmr): epochs: 0 is out of range"),
        ("[[runs]]\nseed = 3", "[[runs]] 1: seed: give it as seeds = [3] at the top of the file"),
    ],
)
def test_a_mistake_says_where_and_what(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.toml").write_text(text)
    with pytest.raises(UserError) as raised:
        grid.load("grid.toml")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_file():
    with pytest.raises(UserError, match=r"no/grid.toml: there is no such grid file"):
        grid.load("no/grid.toml")


def test_what_varies_names_the_runs(load):
    configs = load(GRID).configs
    assert grid.varying(configs) == ["caam", "beta"]  # cam has neither, which makes no difference of its own
    assert [grid.label(config, ["beta", "caam"]) for config in configs[:3]] == [
        "",
        "beta=0.0 caam=True",
        "beta=0.0 caam=False",
    ]


CONFIGS = [
    ("toybirds", make("toybirds")),
    ("toybirds", make("tiny", method="has", seed=5)),
    ("tiny", make("tiny", settings={"sizes": (4,), "caam": False, "fill": "noise", "beta": 1e-7}, holdout=0.25)),
    ("paper", make("paper", data_root="some where/CUB's", precise_bn=True, momentum=0.0, schedule="onecycle")),
    ("tiny", make("tiny", data_settings={"train": 40, "head": 0.5}, test_scales=(1.0, 1.5), weight_decay=0.0)),
]


@pytest.mark.parametrize(("preset", "config"), CONFIGS)
def test_the_command_of_a_run_reads_back_as_that_run(monkeypatch, preset, config):
    asked = []
    monkeypatch.setattr("cmr.study.training.train", lambda config, *_: asked.append(config))
    monkeypatch.setattr("cmr.study.course.closing", lambda *_: "")
    words = shlex.split(runs.train_command(config, preset))
    assert words[0] == "cmr"
    cli.main(words[1:])
    assert asked == [config]


def another(value, hint):
    """A value of the same type that is not this one."""
    if get_origin(hint) is Literal:
        return next(choice for choice in get_args(hint) if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value / 2 or 1.0
    if isinstance(value, tuple):
        return (*value, *value[-1:])
    return 2 * value if value > 0 else value + 1  # twice the width of TS-CAM still suits twice the heads


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_setting_of_every_method_reads_back(monkeypatch, method):
    asked = []
    monkeypatch.setattr("cmr.study.training.train", lambda config, *_: asked.append(config))
    monkeypatch.setattr("cmr.study.course.closing", lambda *_: "")
    usual, hints = make("tiny", method=method).settings, get_type_hints(METHODS[method].Settings)
    changed = {item.name: another(getattr(usual, item.name), hints[item.name]) for item in fields(usual)}
    config = make("tiny", method=method, settings=changed)
    cli.main(shlex.split(runs.train_command(config, "tiny"))[1:])
    assert asked == [config]

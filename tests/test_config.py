"""Configurations: presets, checks, and the way to a record and back."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from cmr.config import Checked, Config
from cmr.errors import UserError
from cmr.methods import METHODS
from cmr.presets import PRESETS, converted, from_dict, make, preset_for
from cmr.study.splits import splits
from cmr.train import steps_of_epoch


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("method", sorted(METHODS))
def test_survives_json(preset, method):
    config = make(preset, method=method)
    assert from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_value_overrides_the_preset():
    config = make("tiny", {"beta": 3.0, "sizes": [4]}, {"classes": 5}, epochs=9)
    assert (config.settings.beta, config.settings.sizes, config.data_settings.classes) == (3.0, (4,), 5)
    assert (config.epochs, config.image_size) == (9, 32)


def test_paper_preset_is_section_4_2():
    config = make("paper")
    assert config.settings.sizes == (16, 32, 44, 56)
    assert config.settings.beta == 50
    assert config.settings.hide_probability == 0.5
    assert (config.image_size, config.resize, config.epochs, config.lr_step) == (224, 256, 50, 15)


def test_own_preset_is_a_pretrained_network_with_steps_for_few_pictures():
    config = make("own")
    assert (config.data, config.method, config.backbone, config.weights) == ("folder", "cam", "resnet50", "imagenet")
    assert steps_of_epoch(6, config) == 1  # what is left of eight pictures without a test
    page = (Path(__file__).resolve().parents[1] / "book/start/use.md").read_text(encoding="utf-8")
    said = ("network", f"`{config.backbone}`"), ("method", f"`{config.method}`"), ("images per step", config.batch_size)
    for what, value in (*said, ("learning rate", config.lr), ("epochs", config.epochs)):
        assert f"| {what} | {value}" in page
    assert [preset_for(data) for data in ("folder", "cub", None)] == ["own", "toybirds", "toybirds"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epoch": 3}, "unknown parameter 'epoch': did you mean 'epochs'"),
        ({"method": "cmrr"}, "unknown method 'cmrr': did you mean 'cmr'"),
        ({"data": "cubs"}, "unknown data set 'cubs': did you mean 'cub'"),
        ({"backbone": "resnet5"}, "unknown backbone 'resnet5': did you mean 'resnet50'"),
        ({"settings": {"bta": 1.0}}, "unknown setting of method 'cmr' 'bta': did you mean 'beta'"),
        ({"data_settings": {"hed": 1.0}}, "unknown setting of data set 'toybirds' 'hed': did you mean 'head'"),
        ({"settings": {"pooling": "max"}}, "pooling: 'max' is not one of mean, sum"),
        ({"settings": {"beta": "much"}}, "beta: 'much' is not of type float"),
        ({"schedule": "cosine"}, "schedule: 'cosine' is not one of onecycle, step"),
        ({"normalise": np.array(["max", "minmax"])}, "normalise: array.* is not one of minmax"),
        ({"normalise": np.array("max")}, "normalise: array.* is not one of minmax"),  # which JSON cannot hold
        ({"epochs": 0}, "epochs: 0 is out of range; give 1 to 1,000,000,000"),
        ({"epochs": 1.5}, "epochs: 1.5 is not of type int"),
        ({"threshold": 1.0}, "threshold: 1.0 is out of range; give 0 to below 1"),
        ({"test_scales": "abc"}, r"test_scales: 'abc' is not a list; give \['abc'\]"),
        ({"test_scales": 1.5}, r"test_scales: 1.5 is not a list; give \[1.5\]"),
        ({"settings": {"sizes": []}}, "sizes: the list is empty; give at least one value"),
        ({"test_scales": []}, "test_scales: the list is empty"),
        ({"data_root": "a\0b"}, r"data_root: 'a\\x00b' holds a control character; remove it"),
        ({"settings": {"sizes": [4, "a"]}}, "sizes: 'a' is not of type int"),
        ({"epochs": 10**5000}, "epochs: a number of thousands of digits is out of range"),
        ({"resize": 16}, "resize: 16 is below image_size 32"),
    ],
)
def test_what_cannot_be_is_named(arguments, message):
    with pytest.raises(UserError, match=message):
        make("tiny", **arguments)


EVERY = [(None, name) for name in Config.RANGES] + [
    (method, name) for method, kind in METHODS.items() for name in kind.Settings.RANGES
]


@pytest.mark.parametrize(("method", "name"), EVERY)
def test_every_field_with_a_range_refuses_what_is_outside_and_what_is_not_finite(method, name):
    """Before any image is read, in the words of the field."""
    of_method = METHODS[method].Settings if method else None
    field = next(item for item in dataclasses.fields(of_method or Config) if item.name == name)
    several, whole = isinstance(field.default, tuple), isinstance(field.default, int)
    bad = (
        [-(10**40), 10**40] if whole or (several and isinstance(field.default[0], int)) else [math.nan, math.inf, -2.0]
    )
    for value in bad:
        given = {name: (value,) if several else value}
        with pytest.raises(UserError, match=f"{name}: .* is out of range; give "):
            make("tiny", method=method, settings=given) if method else make("tiny", **given)


def test_numbers_without_a_range_must_be_finite():
    @dataclasses.dataclass(frozen=True)
    class Plain(Checked):
        number: float = 0.0

    for value in (math.nan, math.inf):
        with pytest.raises(UserError, match="number: .* is out of range; give a finite number"):
            Plain(value)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("cutmix", {"beta": -1}, "beta: -1.0 is out of range; give a number above 0"),
        ("cutmix", {"beta": 0}, "beta: 0.0 is out of range; give a number above 0"),
        ("ccam", {"top_share": 0}, "top_share: 0.0 is out of range; give above 0 to 1"),
        ("spg", {"high_c": 1.5}, "high_c: 1.5 is out of range; give 0 to 1"),
        ("spg", {"low_b1": -0.1}, "low_b1: -0.1 is out of range; give 0 to 1"),
        ("spg", {"low_b2": 0.9}, "low_b2: 0.9 is above high_b2 0.7 and leaves no band to ignore"),
        ("spg", {"label_smoothing": 1.1}, "label_smoothing: 1.1 is out of range; give 0 to 1"),
        ("cmr", {"fuse_kernel": 2}, "fuse_kernel: 2 is even, and maps would grow by a cell; give an odd side, or 0"),
        ("tscam", {"width": 130}, "width: 130 is no multiple of 4 and of 2 heads; give one, such as 128"),
        ("tscam", {"width": 20, "heads": 8}, "width: 20 is no multiple of 4 and of 8 heads; give one, such as 512"),
    ],
)
def test_what_a_method_cannot_take_is_named_before_a_file_is_read_and_by_its_settings_themselves(
    method, settings, message
):
    with pytest.raises(UserError, match=message):
        make("tiny", settings, method=method)
    kind = METHODS.settings(method)
    with pytest.raises(UserError, match=message):
        kind(**converted(kind, settings))


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_number_of_a_method_has_a_range(method):
    kind = METHODS.settings(method)
    numbers = {item.name for item in dataclasses.fields(kind) if type(item.default) in (int, float)}
    assert numbers <= set(kind.RANGES) <= {item.name for item in dataclasses.fields(kind)}


def test_a_share_that_holds_out_nothing_is_told_before_images_are_read():
    with pytest.raises(UserError, match="holdout: 1e-09 of 64 training images holds out none"):
        splits(make("tiny", holdout=1e-9))


def test_each_class_keeps_an_image_to_learn_from():
    train, held = splits(make("tiny", holdout=0.99))
    assert set(train.labels) == set(held.labels) == {0, 1, 2, 3}
    assert len(train) == 4


def test_unknown_preset():
    with pytest.raises(UserError, match="unknown preset 'toybird': did you mean 'toybirds'"):
        make("toybird")


def test_a_whole_number_is_no_other_run_than_the_same_with_a_point():
    one = make("tiny", method="cmr", lr_new=1, threshold=0, test_scales=[1, 2], settings={"beta": 1})
    same = make("tiny", method="cmr", lr_new=1.0, threshold=0.0, test_scales=(1.0, 2.0), settings={"beta": 1.0})
    assert json.dumps(one.to_dict()) == json.dumps(same.to_dict()) == json.dumps(from_dict(one.to_dict()).to_dict())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"method": "mymethod"}, "unknown method 'mymethod'"),
        ({"data": "mydata"}, "unknown data set 'mydata'"),
        ({"settings": [1]}, "needs the settings of its method"),
        ({"data_settings": None}, "needs the settings of its method"),
    ],
)
def test_a_record_of_what_is_not_known_here_is_named(changed, message):
    with pytest.raises(UserError, match=message):
        from_dict(make("tiny").to_dict() | changed)

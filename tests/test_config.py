"""Configurations: presets, checks, and the way to a record and back."""

import json

import pytest

from cmr.assemble import PRESETS, from_dict, make
from cmr.errors import UserError
from cmr.methods import METHODS


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
        ({"epochs": 0}, "epochs: 0 is not positive"),
        ({"epochs": 1.5}, "epochs: 1.5 is not of type int"),
        ({"threshold": 1.0}, r"threshold: 1.0 is outside \[0, 1\)"),
        ({"resize": 16}, "resize: 16 is below image_size 32"),
    ],
)
def test_what_cannot_be_is_named(arguments, message):
    with pytest.raises(UserError, match=message):
        make("tiny", **arguments)


def test_unknown_preset():
    with pytest.raises(UserError, match="unknown preset 'toybird': did you mean 'toybirds'"):
        make("toybird")

"""Configurations, from presets and from records. It needs no torch, so that `cmr train --help` does not wait for it."""

from dataclasses import dataclass, field, fields
from typing import Any, get_args, get_type_hints

from cmr.config import Config
from cmr.data import DATASETS
from cmr.errors import UserError, require_known
from cmr.methods import METHODS
from cmr.nets import BACKBONES


@dataclass(frozen=True)
class Preset:
    """Values that go together; a value for a method's or data set's own field counts where it has that field."""

    general: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    data_settings: dict[str, Any] = field(default_factory=dict)


# At 64 px the paper's cells of 16, 32, 44 and 56 in 224 become 5, 9, 13 and 16.
_TOY = {"sizes": (5, 9, 13, 16), "head_channels": 128}
PRESETS = {
    # seconds on a CPU: for trying things out and for tests
    "tiny": Preset(
        {"epochs": 2, "image_size": 32, "resize": 36, "lr_new": 1.0},
        {"sizes": (4, 8), "head_channels": 16},
        {"train": 64, "test": 32, "classes": 4, "size": 36},
    ),
    # minutes on a CPU: the book's live results. The start knows birds, though not these species; every part tells
    # something; one rate for the whole network; 1x1 branches, as a new 3x3 convolution hides what the start knows
    "toybirds": Preset(
        {"weights": "toybirds", "epochs": 6, "lr": 0.02, "lr_new": 1.0, "weight_decay": 5e-4},
        {**_TOY, "fuse_kernel": 1},
        {"train": 1200, "head": 0.7, "beak": 0.5, "body": 0.7, "wing": 0.7, "tail": 0.7, "legs": 0.5},
    ),
    # one's own pictures, few of them: a network that knows pictures, and steps of 4, so that 8 pictures are enough. CAM
    # has no weight of a loss to choose. The rate is what suited ResNet18 on CUB-50 in steps of 32 (0.002), made smaller
    # with the step
    "own": Preset(
        {
            "method": "cam",
            "data": "folder",
            "backbone": "resnet50",
            "weights": "imagenet",
            "image_size": 224,
            "resize": 256,
            "epochs": 20,
            "batch_size": 4,
            "lr": 0.0005,
        }
    ),
    # section 4.2 of the paper, as far as it says; the rest from the field's usual recipe
    "paper": Preset(
        {
            "data": "cub",
            "backbone": "resnet50",
            "weights": "imagenet",
            "image_size": 224,
            "resize": 256,
            "epochs": 50,
            "lr": 0.001,
            "schedule": "step",
        }
    ),
}


def make(
    preset: str = "toybirds", settings: dict | None = None, data_settings: dict | None = None, **general: Any
) -> Config:
    """A configuration from a preset and what differs from it.

    Args:
        preset: tiny, toybirds, own or paper.
        settings: the method's own settings that differ, by name.
        data_settings: the data set's own settings that differ, by name.
        **general: fields of `Config` that differ.

    Returns:
        The checked configuration.

    Raises:
        UserError: an unknown name (the message names the nearest known one) or a value that cannot be.

    Example:
        >>> config = make("tiny", method="cmr", settings={"beta": 1.0}, epochs=3)
        >>> config.epochs, config.settings.beta, config.settings.sizes
        (3, 1.0, (4, 8))
        >>> make("tiny", epoch=3)
        Traceback (most recent call last):
        cmr.errors.UserError: unknown parameter 'epoch': did you mean 'epochs'? Known: ...
    """
    require_known(preset, "preset", PRESETS)
    chosen = PRESETS[preset]
    return _made(chosen.general | general, settings or {}, data_settings or {}, chosen)


def preset_for(data: str | None) -> str:
    """The preset that suits a data set where none was asked for: "own" for one's own folder, else "toybirds"."""
    return "own" if data == PRESETS["own"].general["data"] else "toybirds"


def checked(config: Config) -> Config:
    """The configuration, whose method, data set and network are known. Raises `UserError` for one that is not."""
    require_known(config.method, "method", METHODS)
    require_known(config.data, "data set", DATASETS)
    require_known(config.backbone, "backbone", BACKBONES)
    return config


def _made(values: dict[str, Any], settings: dict, data_settings: dict, preset: Preset) -> Config:
    """The configuration with these fields and settings, and the preset's settings where none are given."""
    names = {item.name for item in fields(Config)} - {"settings", "data_settings"}
    for name in values:
        require_known(name, "parameter", names)
    method, data = values.get("method", Config.method), values.get("data", Config.data)
    require_known(method, "method", METHODS)
    require_known(data, "data set", DATASETS)
    own = _settings(METHODS.settings(method), preset.settings, settings, f"setting of method '{method}'")
    data_own = _settings(DATASETS[data].Settings, preset.data_settings, data_settings, f"setting of data set '{data}'")
    return checked(Config(own, data_own, **converted(Config, values)))


def _settings(kind: type, preset: dict, given: dict, what: str) -> Any:
    names = {item.name for item in fields(kind)}
    for name in given:
        require_known(name, what, names)
    values = {name: value for name, value in preset.items() if name in names} | given
    return kind(**converted(kind, values))


def converted(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Lists, which is what JSON and TOML have, as tuples; 1 as 1.0 in a field of floats, or it would be another run."""
    hints = get_type_hints(kind)
    return {name: _value(value, hints.get(name)) for name, value in values.items()}


def _value(value: Any, hint: Any) -> Any:
    if isinstance(value, list | tuple):
        inner = (get_args(hint) or (None,))[0]
        return tuple(_value(item, inner) for item in value)
    return float(value) if hint is float and type(value) is int and abs(value) < 2**64 else value


def from_dict(values: dict[str, Any]) -> Config:
    """The configuration that `Config.to_dict` wrote, as read from a JSON record."""
    values = dict(values)
    settings, data_settings = values.pop("settings", None), values.pop("data_settings", None)
    if not isinstance(settings, dict) or not isinstance(data_settings, dict):
        raise UserError("a configuration needs the settings of its method and of its data")
    require_known(values.get("method", Config.method), "method", METHODS)
    before = getattr(METHODS.settings(values.get("method", Config.method)), "BEFORE", {})
    settings = {
        name: before.get((name, value), value) if isinstance(value, str) else value for name, value in settings.items()
    }
    return _made(values, settings, data_settings, Preset())

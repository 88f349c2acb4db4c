"""What a record says, field by field: of a run, and of what was measured on a frozen network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

from cmr.config import Config
from cmr.errors import UserError
from cmr.metrics.result import Result
from cmr.presets import from_dict, make


@dataclass(frozen=True)
class SplitRecord:
    """What a record says of a split.

    Attributes:
        name: of the data set, as tables have it.
        images, classes: their numbers.
        fingerprint: 16 hex digits over the lists.
    """

    name: str
    images: int
    classes: int
    fingerprint: str


@dataclass(frozen=True)
class Trained:
    """The run whose model a re-evaluation tested.

    Attributes:
        id: of the run.
        command: that trained it.
        commit: that it was trained at.
    """

    id: str
    command: str
    commit: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a run happened on.

    Attributes:
        commit: of the repository; "unknown" outside one.
        dirty: whether the library's files differ from the commit's.
        cmr, python: versions.
        versions: of torch, torchvision, timm and numpy.
        device: the processor's name, or the GPU's.
        threads: of torch.
        system: operating system and architecture.
        driver, cuda: versions, on a GPU.
        precision: of the network's arithmetic, in Fabric's words; None for what has none of its own.
        processes: how many shared the work.
    """

    commit: str
    dirty: bool
    cmr: str
    python: str
    versions: Mapping[str, str]
    device: str
    threads: int
    system: str
    driver: str | None = None
    cuda: str | None = None
    precision: str | None = None
    processes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """What record.json says of a finished run, or diverged.json of one that has no result.

    Attributes:
        diverged: where the loss stopped being finite; None where it did not.
        id: the run's identity, a readable start and a hash of what determines its numbers.
        settings: the configuration it ran with as JSON has it; `config` is the same as a `Config`.
        environment: what it happened on.
        duration_s, peak_memory_mb: seconds, and MiB of the process or of the GPU's allocator.
        data: "train", and "test" or "holdout".
        weights: fingerprint of the weights that it started from.
        content: fingerprint of class names and pixels; None in records from before they counted.
        seeds: "seed".
        command: that makes it again.
        classes: their names.
        parameters: number of trained ones.
        history: one row per epoch: losses, learning rate, seconds, and the metrics by title where it was tested.
        model: fingerprint of the model's file.
        result: the metrics; None where the training diverged.
        maps_of: ids of the test images whose raw maps are kept.
        trained: the run whose model this is a test of; None in the run itself.
        maps: what made the maps in place of the method, after the training: "layercam".
        amended: what was changed in the record afterwards, and why.
        finished: when it was written, "2026-01-31T12:00:00Z".
    """

    KEYS: ClassVar[Mapping[str, str]] = {"settings": "config"}

    diverged: str | None = None
    id: str
    settings: Mapping[str, Any]
    environment: Environment
    duration_s: float
    peak_memory_mb: float
    data: Mapping[str, SplitRecord]
    weights: str
    content: str | None = None
    seeds: Mapping[str, int]
    command: str
    classes: Sequence[str]
    parameters: int | None = None
    history: Sequence[Mapping[str, Any]] | None = None
    model: str | None = None
    result: Result | None = None
    maps_of: Sequence[str] | None = None
    trained: Trained | None = None
    maps: str | None = None
    amended: Sequence[Mapping[str, Any]] | None = None
    finished: str | None = None

    @cached_property
    def config(self) -> Config:
        """The configuration it ran with, through today's settings.

        Raises:
            UserError: a setting that is not known.
        """
        return from_dict(dict(self.settings))

    @property
    def tested(self) -> SplitRecord:
        """The images that it was tested on: the test split, or a held-out part of training."""
        return self.data.get("test") or self.data["holdout"]

    def __post_init__(self) -> None:
        if not {"test", "holdout"} & set(self.data):
            raise UserError("data: neither test nor holdout is there; a record says what was tested on")


@dataclass(frozen=True, kw_only=True)
class FrozenRecord(Record):
    """What frozen.json says of a measurement on a frozen network; it has no training to tell of.

    Attributes:
        kind: "ddt" or "boxes".
        title: what a table calls it.
        uses: what it uses of the training data beside its pixels: "nothing", "labels" or "boxes".
        explained: of each component the share of the variance.
        boxed_images: number of training images whose boxes a regressor was told.
        strength: of a regressor's ridge, as a share of the mean eigenvalue.
    """

    KEYS: ClassVar[Mapping[str, str]] = {"boxed_images": "boxed images"}

    kind: str
    title: str
    uses: str
    explained: Sequence[float] | None = None
    boxed_images: int | None = None
    strength: float | None = None

    @cached_property
    def config(self) -> Config:
        """The configuration of data, network and test; nothing else of it was used."""
        return configuration(self.settings)


def configuration(settings: Mapping[str, Any]) -> Config:
    """The configuration of data, network and test that a measurement's settings describe; nothing else of it is used.

    Example:
        >>> configuration({"preset": "tiny", "data": "toybirds", "image_size": 32, "component": "set"}).image_size
        32
    """
    known = {item.name for item in fields(Config)}
    same = {name: value for name, value in settings.items() if name in known}
    lacking = [name for name in ("preset", "image_size") if name not in settings]
    if lacking:
        raise UserError(f"the settings of a measurement need {' and '.join(lacking)}")
    return make(settings["preset"], resize=settings["image_size"], **same)

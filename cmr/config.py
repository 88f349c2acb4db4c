"""What determines a run: a frozen dataclass, one field per decision, with the values that each may take."""

import sys
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from cmr.errors import UserError, shown

Normaliser = Literal["minmax", "max", "pas", "ivr"]
LARGEST = sys.float_info.max
MethodSettings = TypeVar("MethodSettings")
DataSettings = TypeVar("DataSettings")


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, both included unless they are open.

    Example:
        >>> 0.5 in Range(0, 1), 1.0 in Range(0, 1, open_high=True), float("nan") in Range()
        (True, False, False)
        >>> print(Range(0, 1), "|", Range(0, open_low=True), "|", Range(1))
        0 to 1 | a number above 0 | 1 or more
    """

    low: float = -LARGEST
    high: float = LARGEST
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        return above and (value < self.high if self.open_high else value <= self.high)

    def __str__(self) -> str:
        if self.low == -LARGEST:
            return "a finite number"
        if self.high == LARGEST:
            return f"a number above {self.low:g}" if self.open_low else f"{self.low:g} or more"
        high = f"{self.high:,}" if isinstance(self.high, int) else f"{self.high:g}"
        return f"{'above ' * self.open_low}{self.low:g} to {'below ' * self.open_high}{high}"


ANY = Range()
SHARE = Range(0, 1)
COUNT = Range(1, 10**9)


@dataclass(frozen=True)
class Config(Generic[MethodSettings, DataSettings]):
    """Everything that determines a run's numbers, and where it runs.

    `RANGES` says which numbers a field may hold. Build one with `cmr.presets.make`, which knows the methods and data
    sets and fills in their own settings.
    """

    RANGES: ClassVar[dict[str, Range]] = {
        "holdout": Range(0, 1, open_high=True),
        "stride": Range(0, 64),
        "image_size": Range(8, 8192),
        "resize": Range(8, 8192),
        "epochs": COUNT,
        "batch_size": COUNT,
        "lr": Range(0, open_low=True),
        "lr_new": Range(0, open_low=True),
        "momentum": Range(0, 1, open_high=True),
        "weight_decay": Range(0),
        "lr_step": COUNT,
        "lr_gamma": Range(0, 1, open_low=True),
        "clip": Range(0),
        "test_scales": Range(0.1, 16),
        "eval_every": Range(0, 10**9),
        "threshold": Range(0, 1, open_high=True),
        "seed": Range(0, 2**63 - 1),
        "workers": Range(1, 1024),
    }

    # the method's own settings (cmr/methods/<method>.py)
    settings: Annotated[MethodSettings, tyro.conf.arg(name="")]
    # the data set's own settings (cmr/data/<data>.py)
    data_settings: Annotated[DataSettings, tyro.conf.arg(name="")]
    # method: cam, has, cmr, acol, adl, ccam, cutmix, danet, eil, meil, spg or tscam
    method: str = "cmr"
    # data set: toybirds, cub, ilsvrc, openimages or folder
    data: str = "toybirds"
    # folder of the data set; toybirds needs none
    data_root: str = ""
    # share of the training images, class by class, held out and used as the test split: for choosing settings
    holdout: float = 0.0
    # network: vgg16, resnet50, resnet18, inception_v3, squeezenet1_1 or tiny
    backbone: str = "tiny"
    # start: none, imagenet (fetched by timm), toybirds (for tiny), or a file (.safetensors, .safetensors.xz, .pth)
    weights: str = "none"
    # accept a weights file that lacks some of the network's parameters; these start from random values
    partial_weights: bool = False
    # input pixels per cell of the map; 0 takes the network's default (16: 14x14 at 224; 8: 28x28)
    stride: int = 0
    # side of the square image that the network sees, in pixels
    image_size: int = 64
    # side to which training images are resized before the random crop of image_size
    resize: int = 72
    # test images: resize to image_size, or classic (resize, then crop the centre)
    test_crop: Literal["resize", "classic"] = "resize"
    # passes over the training images
    epochs: int = 12
    # images per step, over all devices
    batch_size: int = 32
    # learning rate of the backbone
    lr: float = 0.01
    # factor on lr for everything that is not the backbone
    lr_new: float = 10.0
    # Nesterov momentum
    momentum: float = 0.9
    # weight decay; never on the scalars delta and alpha
    weight_decay: float = 1e-4
    # learning rate over time: one-cycle, or step (times lr_gamma every lr_step epochs)
    schedule: Literal["onecycle", "step"] = "onecycle"
    # epochs between two steps of the step schedule
    lr_step: int = 15
    # factor of each step of the step schedule
    lr_gamma: float = 0.1
    # largest norm of the gradient; 0: no clipping
    clip: float = 0.0
    # re-estimate the batch-norm statistics on all training images before testing
    precise_bn: bool = False
    # number type of training; auto: bf16-mixed on a GPU and, except for tiny, on a CPU that has it; tests use float32
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    # factors by which test images are enlarged; the raw maps are averaged; 1.0: the image as it is
    test_scales: tuple[float, ...] = (1.0,)
    # average each raw map with that of the mirrored test image
    test_flip: bool = False
    # epochs between two evaluations during training; 0: at the end only
    eval_every: int = 0
    # how a raw map is brought to [0, 1]
    normalise: Normaliser = "minmax"
    # tau: the share of the map's maximum above which a pixel counts as object
    threshold: float = 0.2
    # random seed
    seed: int = 0
    # auto, cpu, cuda or cuda:N
    device: str = "auto"
    # keep the images on the device as uint8: auto (when they fit), yes or no
    resident: Literal["auto", "yes", "no"] = "auto"
    # threads that read images when they are not resident
    workers: int = 2

    def __post_init__(self) -> None:
        # What is `Checked` has been checked. Settings of data sets, and those of somebody's own method, may be plain.
        for settings in (self, self.settings, self.data_settings):
            check(settings)
        if self.resize < self.image_size:
            raise UserError(f"resize: {self.resize} is below image_size {self.image_size}; no crop would fit")

    def to_dict(self) -> dict[str, Any]:
        """As plain types, for a JSON record."""
        # All values are plain, so there is nothing to copy deeply: a table reads hundreds of configurations.
        return {**vars(self), "settings": {**vars(self.settings)}, "data_settings": {**vars(self.data_settings)}}


# Fields that do not affect results and are therefore left out of the run's identity.
PLACE = ("data_root", "device", "resident", "workers", "eval_every")
# The same of a data set's own settings: folders, whose contents count by their fingerprints.
DATA_PLACE = ("metadata", "masks", "cubv2")


@cache
def _hints(kind: type[object]) -> dict[str, tuple[Any, Any, tuple[Any, ...]]]:
    """By field the type, its origin and its arguments; resolved once, since a table reads hundreds of records."""
    hints = get_type_hints(kind)
    return {item.name: (hint := hints[item.name], get_origin(hint), get_args(hint)) for item in fields(kind)}  # type: ignore[arg-type]


def check(settings: Any) -> None:
    """Checks the fields of a dataclass of settings against their types, choices and ranges.

    Args:
        settings: its class may have `RANGES`, a `Range` by the name of a field. Numbers must be finite in any case.

    Raises:
        UserError: naming the first field that is wrong, its value, and what it may be.
    """
    ranges: dict[str, Range] = getattr(settings, "RANGES", {})
    for name, (hint, origin, args) in _hints(settings.__class__).items():
        value = getattr(settings, name)
        if origin is Literal and (not isinstance(value, str) or value not in args):
            raise UserError(f"{name}: {shown(value)} is not one of {', '.join(map(str, args))}")
        if origin is tuple:
            if not isinstance(value, tuple):
                raise UserError(f"{name}: {shown(value)} is not a list; give [{shown(value)}]")
            if not value:
                raise UserError(f"{name}: the list is empty; give at least one value")
        kind = args[0] if origin is tuple else hint
        for item in value if origin is tuple else (value,):
            if kind in (int, float, str, bool):
                right = isinstance(item, (int, float) if kind is float else kind)
                if not right or (isinstance(item, bool) and kind is not bool):
                    said = shown(list(item) if isinstance(item, tuple) else item)
                    raise UserError(f"{name}: {said} is not of type {kind.__name__}")
            if isinstance(item, str) and "\0" in item:
                raise UserError(f"{name}: {shown(item)} holds a control character; remove it")
            if isinstance(item, (int, float)) and item not in ranges.get(name, ANY):
                raise UserError(f"{name}: {shown(item)} is out of range; give {ranges.get(name, ANY)}")


@dataclass(frozen=True)
class Checked:
    """Settings that `check` themselves when they are made, so that nothing that takes them needs to.

    Example:
        >>> @dataclass(frozen=True)
        ... class Mine(Checked):
        ...     RANGES = {"share": SHARE}
        ...     share: float = 0.5
        >>> Mine(share=2.0)
        Traceback (most recent call last):
        cmr.errors.UserError: share: 2.0 is out of range; give 0 to 1
    """

    RANGES: ClassVar[dict[str, Range]] = {}

    def __post_init__(self) -> None:
        check(self)

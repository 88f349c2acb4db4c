"""What determines a run: a frozen dataclass, one field per decision, with the values that each may take."""

import dataclasses
from dataclasses import dataclass, fields
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from cmr.errors import UserError

Normaliser = Literal["minmax", "max", "pas", "ivr"]
MethodSettings = TypeVar("MethodSettings")
DataSettings = TypeVar("DataSettings")


@dataclass(frozen=True)
class Config(Generic[MethodSettings, DataSettings]):
    """Everything that determines a run's numbers, and where it runs.

    Build one with `cmr.assemble.make`, which knows the methods and data sets and fills in their own settings.
    """

    # the method's own settings (cmr/methods/<method>.py)
    settings: Annotated[MethodSettings, tyro.conf.arg(name="")]
    # the data set's own settings (cmr/data/<data>.py)
    data_settings: DataSettings
    # method: a name of cmr/methods/__init__.py
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
    # the file may lack some of the network's parameters, which then start from random values
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
    # images a step, over all devices
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
    # largest norm of the gradient; 0 leaves it as it is
    clip: float = 0.0
    # re-estimate the batch-norm statistics on full images before testing
    precise_bn: bool = False
    # arithmetic of training; auto: bf16-mixed on a GPU and, except for tiny, on a CPU made for it; tests are in float32
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    # test images are also looked at enlarged by these factors, and the raw maps averaged; 1.0: as they are
    test_scales: tuple[float, ...] = (1.0,)
    # test images are also looked at mirrored
    test_flip: bool = False
    # epochs between two evaluations on the way; 0 evaluates at the end only
    eval_every: int = 0
    # how a map becomes a score map in [0, 1]
    normalise: Normaliser = "minmax"
    # tau: the share of the map's maximum above which a pixel counts as object
    threshold: float = 0.2
    # random seed
    seed: int = 0
    # auto, cpu or cuda
    device: str = "auto"
    # keep the images on the device as uint8: auto (when they fit), yes or no
    resident: Literal["auto", "yes", "no"] = "auto"
    # processes that read images when they are not resident
    workers: int = 2

    def __post_init__(self) -> None:
        for settings in (self, self.settings, self.data_settings):
            _check_choices(settings)
        for name in ("image_size", "resize", "epochs", "batch_size", "lr", "lr_step"):
            if getattr(self, name) <= 0:
                raise UserError(f"{name}: {getattr(self, name)} is not positive; give a number above 0")
        if self.resize < self.image_size:
            raise UserError(f"resize: {self.resize} is below image_size {self.image_size}; no crop would fit")
        if not self.test_scales or min(self.test_scales) <= 0:
            raise UserError(f"test_scales: {self.test_scales} must hold factors above 0; 1.0 is the image as it is")
        for name in ("threshold", "holdout"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name}: {getattr(self, name)} is outside [0, 1)")

    def to_dict(self) -> dict[str, Any]:
        """As plain types, for a JSON record."""
        return dataclasses.asdict(self)


# Fields that do not affect results and are therefore left out of the run's identity.
PLACE = ("data_root", "device", "resident", "workers", "eval_every")


def _check_choices(settings: Any) -> None:
    """Raises for a field of `Literal` type that holds something else, and for one of the wrong type."""
    hints = get_type_hints(type(settings))
    for item in fields(settings):
        value, hint = getattr(settings, item.name), hints[item.name]
        if get_origin(hint) is Literal and value not in get_args(hint):
            raise UserError(f"{item.name}: {value!r} is not one of {', '.join(map(str, get_args(hint)))}")
        if hint in (int, float, str, bool):
            right = isinstance(value, (int, float) if hint is float else hint)
            if not right or (isinstance(value, bool) and hint is not bool):
                raise UserError(f"{item.name}: {value!r} is not of type {hint.__name__}")

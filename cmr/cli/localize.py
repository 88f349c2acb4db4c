"""`cmr localize`: one's own pictures in, annotated pictures and boxes out."""

import dataclasses
from dataclasses import dataclass

import tyro

from cmr.cli.arguments import parse
from cmr.config import Normaliser


@dataclass(frozen=True)
class Localize:
    """Draw a box on one's own pictures, with a trained run or with an ImageNet classifier and its CAM."""

    # pictures, or folders of pictures with all that lies below
    path: tyro.conf.Positional[tuple[str, ...]]
    # folder for the annotated pictures and localizations.json; pictures of an earlier call stay in both
    out: str = "localized"
    # folder of a trained run; none: an ImageNet classifier
    run: str = ""
    # classifier, where there is no run: resnet50, resnet18 or squeezenet1_1
    backbone: str = "resnet50"
    # its weights: imagenet (fetched by timm) or a file
    weights: str = "imagenet"
    # side of the square image that the network sees, where there is no run
    image_size: int = 224
    # minmax, max, pas or ivr
    normalise: Normaliser = "minmax"
    # tau: the share of the map's maximum above which a pixel counts as object
    threshold: float = 0.2
    # auto, cpu, cuda, cuda:N or mps
    device: str = "auto"


def command(arguments: list[str]) -> None:
    """Reads the command line and localizes."""
    asked = parse(Localize, arguments, "localize")
    from cmr.study.pictures import localize_pictures

    localize_pictures(**dataclasses.asdict(asked))

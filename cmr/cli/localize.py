"""`cmr localize`: one's own pictures in, annotated pictures and boxes out."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from cmr.cli.arguments import parse
from cmr.config import Normaliser
from cmr.errors import UserError


@dataclass(frozen=True)
class Localize:
    """Draw boxes on your own pictures with an ImageNet classifier, any timm model or a trained run.

    Example: cmr localize bird.jpg holiday/ --objects all --format coco
    """

    # pictures, or folders, which are searched recursively
    path: tyro.conf.Positional[tuple[str, ...]]
    # folder for annotated pictures, localizations.json and sheet.html; pictures of an earlier call stay in it
    out: str = "localized"
    # folder of a trained run; none: an ImageNet classifier
    run: str = ""
    # classifier, where there is no run: resnet50, resnet18, squeezenet1_1, or any timm model by its name
    backbone: str = "resnet50"
    # its weights: imagenet (fetched by timm) or a file
    weights: str = "imagenet"
    # the module whose output is read as features; none: the last map of features
    layer: str = ""
    # side of the square image that the network sees, where there is no run; 0: the network's own
    image_size: int = 0
    # one box per class, or all regions above the threshold
    objects: Literal["one", "all"] = "one"
    # number of the likeliest classes to show
    top: int = 1
    # look for this class alone: its name, its number, or a word that several names have
    only: Annotated[str, tyro.conf.arg(name="class")] = ""
    # file with the names of the classes, one per line, where they are not ImageNet's
    classes: str = ""
    # boxes: chosen for its boxes; cam: the class map as published, minmax and 0.2; run: the test of a run's record
    rule: Literal["boxes", "cam", "run"] = "boxes"
    # minmax, max, pas or ivr; none: the rule's
    normalise: Normaliser | None = None
    # tau: the share of the map's maximum above which a pixel counts as object; none: the rule's
    threshold: float | None = None
    # more files with the boxes: any of coco yolo voc csv
    format: tuple[Literal["coco", "yolo", "voc", "csv"], ...] = ()
    # write the maps, too: maps/NAME.npy, which cmr score reads
    maps: bool = False
    # write sheet.html, a page with all pictures
    sheet: bool = True
    # auto, cpu, cuda or cuda:N
    device: str = "auto"


def command(arguments: list[str]) -> None:
    """Reads the command line and localizes."""
    asked = dataclasses.asdict(parse(Localize, arguments, "localize"))
    from cmr.pictures.folder import localize_pictures

    asked["classes"] = _names(asked["classes"])
    localize_pictures(contact_sheet=asked.pop("sheet"), **asked)


def _names(path: str) -> tuple[str, ...]:
    if not path:
        return ()
    try:
        names = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"classes: {path} cannot be read ({error}); give a text file with one name per line") from error
    found = tuple(name.strip() for name in names if name.strip())
    if not found:
        raise UserError(f"classes: {path} holds no name; give one name per line")
    return found

"""What can be set of the measurements on a frozen network. It needs no torch, so that `--help` does not wait for it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from cmr.config import COUNT, Checked, Config, Normaliser, Range
from cmr.errors import UserError


@dataclass(frozen=True)
class DDT(Checked):
    """What determines a measurement of DDT, and where it runs."""

    RANGES: ClassVar[dict[str, Range]] = {
        **{name: Config.RANGES[name] for name in ("stride", "image_size", "threshold", "seed")},
        "images": Range(0, 10**9),
        "batch_size": COUNT,
    }

    # data set: toybirds, cub, ilsvrc, openimages or folder
    data: str = "toybirds"
    # folder of the data set; toybirds needs none
    data_root: str = ""
    # where ToyBirds' own settings come from: tiny, toybirds or paper
    preset: str = "toybirds"
    # network: vgg16, resnet50, resnet18, inception_v3, squeezenet1_1 or tiny
    backbone: str = "tiny"
    # imagenet (fetched by timm), toybirds (for tiny), none (random), or a file (.safetensors, .safetensors.xz, .pth)
    weights: str = "toybirds"
    # input pixels per cell of the map; 0 takes the network's default
    stride: int = 0
    # layers whose features describe a cell (layer3, features.22, ...); last: the network's output
    layers: tuple[str, ...] = ("last",)
    # one principal component for the whole set, one for each class (this uses labels), or one for each test image
    component: Literal["set", "class", "image"] = "set"
    # training images that a component is made of, drawn at random; 0: all. With one for each class: of each class
    images: int = 0
    # side of the square image that the network sees, in pixels
    image_size: int = 64
    # test images are also looked at mirrored, and the maps averaged
    flip: bool = False
    # how a map becomes a score map; max with threshold 0 is the paper's rule: what is above 0 is object
    normalise: Normaliser = "max"
    # tau: the share of the map's maximum above which a pixel counts as object
    threshold: float = 0.0
    # arithmetic of the network; auto: bf16-mixed where it is faster, except for tiny. The component is in float64
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    # images per step
    batch_size: int = 16
    # seed of the draw of images
    seed: int = 0
    # auto, cpu, cuda or cuda:N
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images and self.component == "image":
            raise UserError(f"images: {self.images} has no meaning where each test image has a component of its own")


@dataclass(frozen=True)
class Regressor(DDT):
    """What determines a box regressor; what it has in common with `DDT` says how the pseudo-boxes are made."""

    RANGES: ClassVar[dict[str, Range]] = {**DDT.RANGES, "boxed": Range(0, 10**9), "cells": Range(1, 64)}

    # where the training boxes come from: ddt (no box is used) or true
    truth: Literal["ddt", "true"] = "ddt"
    # training images of each class, drawn at random, whose boxes are used; 0: all
    boxed: int = 0
    # side of the grid that the features are pooled to
    cells: int = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images or self.flip:
            raise UserError(
                "images, flip: the regressor's pseudo-boxes are made of all images as they are; leave both out"
            )

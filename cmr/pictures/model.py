"""Where classes and maps come from: an ImageNet classifier, any of timm's, a trained run, or a module of one's own."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cmr.config import Range
from cmr.data.images import MEAN, STD
from cmr.errors import UserError, require_known
from cmr.maps import Localize
from cmr.maps.anynet import Read, mirrored, of_all, reader
from cmr.maps.multiscale import at_scales
from cmr.nets.imagenet import CLASSIFIERS, build_classifier
from cmr.nets.published import imagenet_classes, require_file
from cmr.nets.weights import load_weights, read_weights
from cmr.pictures.rule import RULES, RUN, Rule, changed, require_rule

SIDES = Range(32, 8192)
SIDE = 224
BACKBONE, WEIGHTS = "resnet50", "imagenet"  # where nothing else is asked for


@dataclass(frozen=True)
class Model:
    """A network that names what a picture shows and says where.

    Attributes:
        name: for localizations.json.
        module: what is moved to the device.
        read: images and a choice of classes in, logits and maps out (`cmr.maps.anynet.Read`).
        classes: K names.
        side: of the square images that it takes.
        rule: how its maps become boxes.
        mean, std: of each channel, taken out of RGB in [0, 1].
        reading: what else its maps depend on, in words: the layer, or the scales of a run's test.
    """

    name: str
    module: nn.Module
    read: Read
    classes: tuple[str, ...]
    side: int
    rule: Rule
    mean: tuple[float, ...] = tuple(MEAN.tolist())
    std: tuple[float, ...] = tuple(STD.tolist())
    reading: str = ""

    def fingerprint(self) -> str:
        """Sixteen hex digits over the weights, the names of the classes and the reading: the name alone tells none."""
        digest = hashlib.sha256(repr((self.reading, self.classes)).encode())
        for name, value in self.module.state_dict().items():
            content = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(content)
        return digest.hexdigest()[:16]

    def prepare(self, images: Tensor) -> Tensor:
        """uint8 images (B, 3, H, W) as the network takes them."""
        mean, std = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (self.mean, self.std))
        return (images.float() / 255 - mean) / std


def of_run(
    folder: str | Path, normalise: str | None = None, threshold: float | None = None, rule: str = "boxes"
) -> Model:
    """The model of a trained run.

    Args:
        folder: of the run.
        normalise, threshold: in place of the rule's own.
        rule: "boxes" where the method has a map of positive weights (`Method.localize_positive`); elsewhere, and for
            "run" and "cam", the test that the record names: its normaliser, threshold, scales and mirror.

    Raises:
        UserError: an unknown rule, no finished run there, or its folder holds no model.
    """
    require_rule(rule)
    # The apparatus of training takes seconds to load, and a classifier needs none of it.
    from cmr.study import models, runs

    finished = runs.read(folder)
    config, classes = finished.config, tuple(finished.record.classes)
    method = models.load_method(finished, len(classes))
    look: Localize = method.localize
    chosen = Rule(False, config.test_flip, config.normalise, config.threshold)
    if rule not in (RUN, "cam") and (positive := method.localize_positive()):
        look, chosen = positive, RULES[rule]
    call = at_scales(look, config.test_scales, chosen.mirror, method.backbone.stride)
    name = Path(folder).resolve().name
    made = changed(chosen, normalise, threshold)
    return Model(name, method, of_all(call), classes, config.image_size, made, reading=f"scales {config.test_scales}")


def of_classifier(
    backbone: str, weights: str, rule: Rule, side: int = 0, layer: str = "", classes: Sequence[str] = ()
) -> Model:
    """An ImageNet classifier of this project, or any classifier of timm by its name.

    Args:
        backbone: "resnet50", "resnet18", "squeezenet1_1", or a name of timm's ("convnext_tiny").
        weights: "imagenet" (fetched once) or a file with the classifier's weights.
        rule: from map to box.
        side: of the images; 0 for the network's own, 224 for most.
        layer: the module whose output is taken as features, where that is not the last map.
        classes: names, where they are not ImageNet's 1,000.

    Raises:
        UserError: an unknown name, weights that are missing or do not fit, classes that are not as many as the logits,
            or a network out of which no map can be read.
    """
    if side and side not in SIDES:
        raise UserError(f"image_size: {side} is out of range; give {SIDES}")
    if weights == "none":
        raise UserError("weights: a classifier needs weights; give imagenet or a file")
    if weights != WEIGHTS:
        require_file(Path(weights), "or imagenet")
    if backbone in CLASSIFIERS and not layer:
        net = build_classifier(backbone, weights).to(memory_format=torch.channels_last)  # a fifth faster on a CPU
        side = side or SIDE
        net.backbone.require_side(side)
        call = at_scales(partial(net.cam, positive=rule.positive), flip=rule.mirror)
        read, known = of_all(call), _names(classes, len(imagenet_classes()))
        return Model(f"{backbone}, {Path(weights).name}, {side} pixels", net, read, known, side, rule)
    module = _timm(backbone, weights)
    own = module.pretrained_cfg
    side = side or own["input_size"][-1]
    with torch.no_grad():
        made = of_module(module, rule, side, layer, classes, f"{backbone}, {Path(weights).name}, {side} pixels")
    return Model(**{**vars(made), "mean": tuple(own["mean"]), "std": tuple(own["std"])})


def of_module(
    module: nn.Module,
    rule: Rule,
    side: int = SIDE,
    layer: str = "",
    classes: Sequence[str] = (),
    name: str = "",
) -> Model:
    """A module of one's own: images (B, 3, H, W), ImageNet's mean and deviation taken out, to logits (B, K).

    Raises:
        UserError: as `cmr.maps.anynet.reader`, or classes that are not as many as the logits.
    """
    read = reader(module, side, layer, rule.positive)
    with torch.no_grad():
        count = module(torch.zeros(2, 3, side, side)).shape[1]
    read = mirrored(read) if rule.mirror else read
    return Model(name or type(module).__name__, module, read, _names(classes, count), side, rule, reading=layer)


def _names(given: Sequence[str], count: int) -> tuple[str, ...]:
    if given and len(given) != count:
        raise UserError(f"classes: {len(given)} names for a network of {count} classes; give one name per class")
    return tuple(given) or (imagenet_classes() if count == 1000 else tuple(f"class {i}" for i in range(count)))


def _timm(name: str, weights: str) -> Any:
    import timm

    require_known(name, "backbone", timm.list_models())
    if weights == "imagenet":
        return _with_head(name, _fetched(name, lambda: timm.create_model(name, pretrained=True)))
    state = read_weights(weights)
    bare: Any = timm.create_model(name)
    key = bare.pretrained_cfg.get("classifier") or ""
    key = key if isinstance(key, str) else key[0]
    head = state.get(f"{key}.weight")
    module = bare if head is None or len(head) == bare.num_classes else timm.create_model(name, num_classes=len(head))
    load_weights(module, state, weights)
    return _with_head(name, module)


def _with_head(name: str, module: Any) -> Any:
    if not module.num_classes:  # its features would pass for logits
        raise UserError(
            f"backbone: timm's '{name}' gives features and no classes, as one trained without labels does; "
            "give weights with a classifier, or another network"
        )
    return module


def _fetched(name: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Exception as error:  # the hub's client lets the errors of its HTTP library through
        raise UserError(
            f"weights: the weights of '{name}' are not on this machine and cannot be fetched ({type(error).__name__}). "
            "With a network, run once: they stay in the hub's cache (HF_HOME). Without, give a file as weights"
        ) from error

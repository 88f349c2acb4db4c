"""Maps at any layer of a network, from one pass forward and one back: Grad-CAM, Grad-CAM++ and LayerCAM.

`cmr.maps.posthoc` makes of them a call that the evaluator takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmr.errors import UserError, require_known, unknown
from cmr.nets.backbones import Backbone, hooked

KINDS = ("gradcam", "gradcam++", "layercam")
LAST = ""  # the end of the backbone, behind whatever a method does at its last stage


@dataclass(frozen=True)
class Seen:
    """What one pass forward and one back leave of a batch.

    Attributes:
        logits: (B, K).
        classes: (B,) int64, those of the gradients.
        features: layer to (B, C, h, w), the layer's output.
        gradients: layer to (B, C, h, w), the gradient of the class's logit at that output.
    """

    logits: Tensor
    classes: Tensor
    features: dict[str, Tensor]
    gradients: dict[str, Tensor]


def look(
    classify: Callable[[Tensor], Tensor],
    backbone: Backbone,
    images: Tensor,
    layers: Sequence[str],
    classes: Tensor | None = None,
) -> Seen:
    """Looks at several layers at once.

    Args:
        classify: the network, in evaluation mode: normalised images (B, 3, H, W) -> logits (B, K).
        backbone: the part of it that has the layers.
        images: (B, 3, H, W) float.
        layers: names of layers, in the order in which the network passes them (`layer3`, `features.22`); `LAST` is the
            end of the backbone.
        classes: (B,) int64; None: the likeliest of each image.

    Returns:
        Features and gradients. In front of the first layer nothing is kept for the way back.

    Raises:
        UserError: no layer, one that the network has not, or one from which nothing leads to the logits.

    Example:
        >>> from cmr.methods import METHODS
        >>> from cmr.nets.backbones import build_backbone
        >>> cam = METHODS["cam"](build_backbone("tiny"), 5, METHODS["cam"].Settings()).eval()
        >>> classify, layers = lambda images: cam.localize(images)[0], ["layer1", "layer2"]
        >>> seen = look(classify, cam.backbone, torch.rand(2, 3, 64, 64), layers)
        >>> [tuple(seen.gradients[layer].shape) for layer in layers], tuple(seen.classes.shape)
        ([(2, 32, 16, 16), (2, 128, 8, 8)], (2,))
    """
    known = dict(backbone.body.named_modules())
    for layer in layers:
        if layer not in known:
            raise unknown(f"layer of {backbone.name}", layer, [name for name in known if name])
    if not layers:
        raise UserError("layers: none is named; give one or more")
    kept: dict[str, Tensor] = {}

    def keep(layer: str) -> Callable[[Tensor], Tensor]:
        def act(output: Tensor) -> Tensor:
            if not kept:  # the graph begins here
                torch.set_grad_enabled(True)
                output = output.detach().requires_grad_()
            kept[layer] = output
            return output.clone()  # a layer behind may work in place, which a leaf does not allow

        return act

    with torch.no_grad(), hooked(backbone.body, {layer: keep(layer) for layer in layers}):
        logits = classify(images)
    classes = logits.argmax(1) if classes is None else classes
    with torch.enable_grad():
        chosen = logits.gather(1, classes[:, None]).sum()
    wanted = list(kept.values())
    gradients = torch.autograd.grad(chosen, wanted, allow_unused=True) if chosen.requires_grad else [None] * len(wanted)
    used = {layer: gradient for layer, gradient in zip(kept, gradients, strict=True) if gradient is not None}
    if lost := [layer or "the last feature map" for layer in layers if layer not in used]:
        raise UserError(f"layers: from {', '.join(lost)} nothing leads to the logits; name others")
    return Seen(logits.detach(), classes, {layer: output.detach() for layer, output in kept.items()}, used)


def gradient_map(kind: str, features: Tensor, gradients: Tensor) -> Tensor:
    """The map of one kind at one layer, by the published formulas.

    Grad-CAM (Selvaraju et al., ICCV 2017, eq. 1-2), Grad-CAM++ (Chattopadhay et al., WACV 2018, eq. 10-12, its
    coefficient with the square of the gradient cancelled), LayerCAM (Jiang et al., TIP 2021, eq. 6-8).

    Args:
        kind: "gradcam", "gradcam++" or "layercam".
        features: (B, C, h, w), never negative: of a layer behind a ReLU.
        gradients: (B, C, h, w), of the logit at these features.

    Returns:
        (B, h, w) float32, never negative.

    Raises:
        UserError: an unknown kind.

    Example:
        >>> features = torch.tensor([[[[1.0, 3.0]], [[2.0, 0.0]]]])
        >>> gradients = torch.tensor([[[[2.0, 2.0]], [[-1.0, -1.0]]]])
        >>> [gradient_map(kind, features, gradients).flatten().tolist() for kind in ("gradcam", "layercam")]
        [[0.0, 6.0], [2.0, 6.0]]
    """
    require_known(kind, "maps", KINDS)
    features, gradients = features.float(), gradients.float()
    if kind == "gradcam":
        weights = gradients.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
    elif kind == "gradcam++":
        weights = plus_plus_weights(features, gradients)[:, :, None, None]
    else:
        weights = gradients.relu()  # (B, C, h, w)
    return (weights * features).sum(1).relu()


def plus_plus_weights(features: Tensor, gradients: Tensor) -> Tensor:
    """Grad-CAM++'s weight of each feature map: features behind a ReLU and gradients (B, C, h, w) -> (B, C).

    Example:
        >>> plus_plus_weights(torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[2.0, 2.0]]]])).tolist()
        [[0.4000000059604645]]
    """
    # The coefficient g^2 / (2 g^2 + sum(A) g^3) with g^2 cancelled: squares of small gradients are lost in a constant
    # against division by 0. None is needed: pixels with g <= 0 do not count, and where g > 0 features behind a ReLU
    # keep the divisor at 2 or above.
    positive = gradients.relu()
    return (positive / (2 + positive * features.sum((2, 3), keepdim=True))).sum((2, 3))

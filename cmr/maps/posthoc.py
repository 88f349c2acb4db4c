"""Maps read out of a trained classifier after the fact: Grad-CAM, Grad-CAM++ and LayerCAM, by the library torchcam.

All three weigh the features behind the backbone's last stage by the gradient of one logit; none trains anything.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cmr.errors import UserError, unknown
from cmr.maps import LocalizeLabels

if TYPE_CHECKING:
    from cmr.methods.method import Method

KINDS = ("gradcam", "gradcam++", "layercam")


def posthoc_call(method: "Method", kind: str) -> LocalizeLabels:
    """A call like a method's `localize` whose maps follow from the gradient of a logit.

    Papers: Grad-CAM (Selvaraju et al., ICCV 2017), Grad-CAM++ (Chattopadhay et al., WACV 2018), LayerCAM (Jiang et al.,
    TIP 2021). The features are those behind the backbone's last stage; the logits are those of `localize`.

    Args:
        method: a trained method in evaluation mode; its own maps are not used.
        kind: "gradcam", "gradcam++" or "layercam".

    Returns:
        A function of normalised images (B, 3, H, W) and labels (B,) int64: logits (B, K), and raw maps (B, 1, h, w) of
        these labels, never negative. One backward pass from the logits to the features gives the whole batch, but one
        class per image: `cmr.evaluate.evaluate` takes it.

    Raises:
        UserError: an unknown kind, or torchcam is not installed.

    Example:
        >>> from cmr.nets.backbones import build_backbone
        >>> from cmr.methods import METHODS
        >>> method = METHODS["cam"](build_backbone("tiny"), 5, METHODS["cam"].Settings()).eval()
        >>> logits, maps = posthoc_call(method, "gradcam")(torch.rand(2, 3, 64, 64), torch.tensor([4, 0]))
        >>> tuple(logits.shape), tuple(maps.shape), bool((maps >= 0).all())
        ((2, 5), (2, 1, 8, 8), True)
    """
    if kind not in KINDS:
        raise unknown("maps", kind, KINDS)
    extractor = _extractors(kind)[kind]

    def call(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        backbone = method.backbone
        hooks = [backbone.register_forward_pre_hook(_without_graph), backbone.register_forward_hook(_new_leaf)]
        try:
            with torch.enable_grad(), extractor(method, backbone) as cams:
                logits = method.localize(images)[0]
                [maps] = cams(labels.tolist(), logits, normalized=False)  # (B, h, w)
        finally:
            for hook in hooks:
                hook.remove()
        return logits.detach(), maps.detach()[:, None]

    return call


def _without_graph(_module: nn.Module, _args: tuple) -> None:
    # No gradient is wanted inside the backbone, so its activations need not be kept: a pass costs what a test costs.
    torch.set_grad_enabled(False)


def _new_leaf(_module: nn.Module, _args: tuple, features: Tensor) -> Tensor:
    torch.set_grad_enabled(True)
    return features.detach().requires_grad_()


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


def _extractors(kind: str) -> dict[str, type]:
    try:
        from torchcam import methods
    except ImportError:
        raise UserError(f"maps: {kind} needs torchcam; install it in a checkout: pip install -e '.[posthoc]'") from None

    class GradCAMpp(methods.GradCAMpp):
        """Grad-CAM++ with its pixel coefficients.

        torchcam 0.5.0 divides a copy of the coefficients (`alpha[mask].div_(...)`), so they stay the squared gradients
        and the weights come out as sums of cubed ones.
        """

        def _get_weights(  # type: ignore[override]  # as `cams` above calls it
            self, class_idx: list[int], scores: Tensor
        ) -> list[Tensor]:
            self._backprop(scores, class_idx)
            weights = []
            for features, gradient in zip(self.hook_a, self.hook_g, strict=True):  # (B, C, h, w) each
                weights.append(plus_plus_weights(features, gradient))
            return weights

    return {"gradcam": methods.GradCAM, "gradcam++": GradCAMpp, "layercam": methods.LayerCAM}

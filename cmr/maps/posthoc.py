"""Maps read out of a trained classifier after the fact: Grad-CAM, Grad-CAM++ and LayerCAM behind the last stage.

All three weigh the backbone's last feature map by the gradient of one logit; none trains anything. The formulas, and
the same maps at inner layers, are in `cmr.maps.layers`.
"""

from typing import TYPE_CHECKING

from torch import Tensor

from cmr.errors import require_known
from cmr.maps import LocalizeLabels
from cmr.maps.layers import KINDS, LAST, gradient_map, look

if TYPE_CHECKING:
    from cmr.methods.method import Method


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
        UserError: an unknown kind.

    Example:
        >>> import torch
        >>> from cmr.nets.backbones import build_backbone
        >>> from cmr.methods import METHODS
        >>> method = METHODS["cam"](build_backbone("tiny"), 5, METHODS["cam"].Settings()).eval()
        >>> logits, maps = posthoc_call(method, "gradcam")(torch.rand(2, 3, 64, 64), torch.tensor([4, 0]))
        >>> tuple(logits.shape), tuple(maps.shape), bool((maps >= 0).all())
        ((2, 5), (2, 1, 8, 8), True)
    """
    require_known(kind, "maps", KINDS)

    def classify(images: Tensor) -> Tensor:
        return method.localize(images)[0]

    def call(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        seen = look(classify, method.backbone, images, [LAST], labels)
        made = gradient_map(kind, seen.features[LAST], seen.gradients[LAST])  # (B, h, w)
        return seen.logits, made[:, None]

    return call

"""Equations 14 and 15: the attention-based fusion loss and the total loss."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cmr.errors import UserError, require_known

REDUCTIONS = ("mean", "sum")
_EPS = 1e-12  # a map with a smaller norm has no direction


def _direction(maps: Tensor) -> Tensor:
    """(B, H, W) -> (B, N) in float32 or better, of norm 1; an all-zero map stays zero."""
    v = maps.flatten(1).to(torch.promote_types(maps.dtype, torch.float32))  # (B, N)
    norm = torch.linalg.vector_norm(v, dim=1, keepdim=True)  # (B, 1)
    # Division by the eps itself would hand a gradient of 1e12 to the weights at the first all-zero map.
    return v / norm.masked_fill(norm <= _EPS, 1.0)


def fusion_loss(a_x: Tensor, a_xt: Tensor, reduction: str = "mean") -> Tensor:
    """Attention-based fusion loss: squared distance between the two l2-normalised maps (section 3.6, equation 14).

    Summed over pixels it is 2 - 2 cos(A_x, A_x~), from 0 (same direction) to 4 (opposite). It does not see the scale
    of either map, and two flat maps cost nothing either.

    Args:
        a_x: (B, H, W) maps of branch X for the true class, raw: signed, without bias, ReLU or rescaling.
        a_xt: (B, H, W) maps of branch X~.
        reduction: over the pixels: "mean" goes with mean pooling of the features, "sum" is the literal equation and
            goes with sum pooling (equation 10). The batch is averaged in both.

    Returns:
        Scalar, computed in float32 (float64 for float64 maps). A map of norm 1e-12 or less is not divided by it: an
        all-zero map costs as the zero vector does, and its gradient stays bounded.

    Raises:
        UserError: maps of different or wrong shapes, or an unknown reduction.

    Example:
        >>> a = torch.tensor([[[3.0, 4.0]]])
        >>> fusion_loss(a, 10 * a, "sum").item()
        0.0
        >>> round(fusion_loss(a, -a, "sum").item(), 4), round(fusion_loss(a, -a, "mean").item(), 4)
        (4.0, 2.0)
    """
    if a_x.shape != a_xt.shape or a_x.ndim != 3:
        raise UserError(f"fusion loss: maps {tuple(a_x.shape)} and {tuple(a_xt.shape)} must both be (B, H, W)")
    require_known(reduction, "fusion reduction", REDUCTIONS)
    gap = (_direction(a_x) - _direction(a_xt)).square()  # (B, N)
    return gap.mean() if reduction == "mean" else gap.sum(dim=1).mean()


def total_loss(
    logits_x: Tensor,
    logits_xt: Tensor,
    labels: Tensor,
    a_x: Tensor,
    a_xt: Tensor,
    beta: float | Tensor = 50.0,
    reduction: str = "mean",
) -> dict[str, Tensor]:
    """Total loss of the two classifiers and the fusion of their maps (section 3.6, equation 15).

    L_tot = L_CE(y, p_x) + L_CE(y, p_x~) + beta * L_at_fuse

    Args:
        logits_x: (B, K) scores of classifier X before the softmax.
        logits_xt: (B, K) scores of classifier X~.
        labels: (B,) int64 class indices, 0..K-1.
        a_x: (B, H, W) raw maps of branch X for `labels`.
        a_xt: (B, H, W) raw maps of branch X~.
        beta: weight of the fusion loss, 0 or more. With reduction "mean" the same beta weighs H * W times less than
            with "sum", so it also depends on the size of the maps.
        reduction: "mean" or "sum" over the maps' pixels (`fusion_loss`).

    Returns:
        Scalars "total", "ce_x", "ce_xt" and "fusion" (before beta), in float32 (float64 for float64 inputs).

    Raises:
        UserError: maps of different shapes, or an unknown reduction.

    Example:
        >>> logits, labels, maps = torch.zeros(2, 5), torch.tensor([0, 3]), torch.ones(2, 7, 7)
        >>> {name: round(value.item(), 4) for name, value in total_loss(logits, logits, labels, maps, -maps).items()}
        {'total': 7.3005, 'ce_x': 1.6094, 'ce_xt': 1.6094, 'fusion': 0.0816}
    """
    at_least = torch.promote_types(logits_x.dtype, torch.float32)
    ce_x = F.cross_entropy(logits_x.to(at_least), labels)
    ce_xt = F.cross_entropy(logits_xt.to(at_least), labels)
    fusion = fusion_loss(a_x, a_xt, reduction)
    return {"total": ce_x + ce_xt + beta * fusion, "ce_x": ce_x, "ce_xt": ce_xt, "fusion": fusion}

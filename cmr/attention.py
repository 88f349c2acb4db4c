"""Equations 1 to 8: channel-wise assisted attention (CAAM) across the pair, spatial self-attention (SSAM) in each view.

Energies feed an exponential: an error of 1 in an energy is a factor of e in a weight. They reach some hundreds on real
features, where bfloat16 is off by more than 1 and TF32 by 0.3, so they are summed and kept in float32 whatever the
rest of the network runs in. The weighted sums of features run in the dtype of the features.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cmr.errors import UserError, require_known

AXES = ("column", "row", "cross")
SCALES = ("none", "sqrt_n", "n", "cosine")
KERNELS = ("auto", "fused", "shared")
MOST_PLACES = 256  # N up to which torch has a fused attention for GPUs; maps of 14 x 14 have 196


@contextmanager
def _strict(device: torch.device) -> Iterator[None]:
    """Autocast off and float32 products without TF32 or bfloat16 shortcuts, until the block ends."""
    shortcuts = (
        torch.backends.cuda.matmul,
        torch.backends.cudnn.conv,  # type: ignore[attr-defined]  # made at run time
        torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]  # made at run time
        torch.backends.mkldnn.conv,  # type: ignore[attr-defined]  # made at run time
    )
    before = [shortcut.fp32_precision for shortcut in shortcuts]
    try:
        for shortcut in shortcuts:
            shortcut.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for shortcut, precision in zip(shortcuts, before, strict=True):
            shortcut.fp32_precision = precision


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _unit(x: Tensor) -> Tensor:
    """Each channel of (B, C, N) by its norm; a dead channel stays zero, without a division that blows up gradients."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # (B, C, 1)
    return x / norm.masked_fill(norm == 0, 1.0)


def _check_pair(module: str, f_x: Tensor, f_xt: Tensor) -> None:
    if f_x.shape != f_xt.shape or f_x.ndim != 4:
        raise UserError(f"{module}: features {tuple(f_x.shape)} and {tuple(f_xt.shape)} must both be (B, C, H, W)")


class CAAM(nn.Module):
    """Channel-wise assisted attention: each view's channels are helped by the other view's (section 3.3, eq. 1-6).

    With S = F_x F_x~^T (C x C, one energy for every pair of channels, one from each view):

    - "column" (default): Q_x = softmax of S over each column, Y_x = Q_x^T F_x~. Equation 2 as printed, and
      equation 4 is a true weighted sum: the weights of one output channel add up to 1. Output channel i mixes the
      channels k of F_x~ by how well F_x[k] matches F_x~[i].
    - "row": Q_x = softmax of S over each row, Y_x = Q_x^T F_x~. Also equation 2 as printed, but the weights of an
      output channel need not add up to 1.
    - "cross": Q_x = softmax of S over each row, Y_x = Q_x F_x~. The form of the dual attention network's code; output
      channel i mixes the channels of F_x~ by how well they match F_x[i].

    Branch X~ is the same with the views exchanged. S^T = F_x~ F_x^T, but after the softmax Q_x~ is not Q_x^T.

    Args:
        axis: "column", "row" or "cross", as above.
        scale: energies are S times "none" 1, "sqrt_n" 1/sqrt(N), "n" 1/N, or "cosine" the cosine of the two channels.
        invert: softmax of (max - S) instead of S, as in the dual attention network's code: the least alike channels
            weigh most.
        share_q: take Q_x~ = Q_x^T literally, as section 3.3 says.
        kernel: "shared" computes S once for both branches; "fused" runs torch's fused attention once a branch, which
            is possible for axis "column" and "cross" without `share_q`. Same result, different speed, and neither
            keeps a C x C tensor for the backward pass ("fused" on CUDA only where torch has such a kernel for N).
            "auto" takes "fused" on the CPU where it is possible, and on a GPU in bfloat16 up to 256 places. Measured
            with C = 2048, N = 196, forward and backward: on one core in float32 with AVX-512 0.25 s an image against
            0.35 s, equal at C = 512, and in bfloat16 with AMX 0.14 s against 0.27 s; on an H100 6 ms for 32 images
            against 19 ms.

    Shape:
        f_x, f_xt (B, C, H, W) -> F_x^c, F_x~^c (B, C, H, W) in the dtype of the inputs. The learnt scalars `delta_x`
        and `delta_xt` start at 0, where the outputs are the inputs.

    Raises:
        UserError: an unknown axis, scale or kernel, or "fused" where no fused kernel computes the same thing.

    Example:
        >>> caam = CAAM()
        >>> f_x, f_xt = torch.rand(2, 8, 7, 7), torch.rand(2, 8, 7, 7)
        >>> f_x_c, f_xt_c = caam(f_x, f_xt)
        >>> f_x_c.shape, torch.equal(f_x_c, f_x)
        (torch.Size([2, 8, 7, 7]), True)
        >>> q_x, q_xt = caam.weights(f_x, f_xt)
        >>> q_x.shape, torch.allclose(q_x.sum(dim=1), torch.ones(2, 8))
        (torch.Size([2, 8, 8]), True)
    """

    def __init__(
        self,
        axis: str = "column",
        scale: str = "none",
        invert: bool = False,
        share_q: bool = False,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        for what, name, known in (("axis", axis, AXES), ("scale", scale, SCALES), ("kernel", kernel, KERNELS)):
            require_known(name, f"CAAM {what}", known)
        possible = axis != "row" and not share_q
        if kernel == "fused" and not possible:
            reading = "share_q" if share_q else "axis 'row'"
            raise UserError(
                f"CAAM kernel 'fused' cannot compute {reading}: its weights do not add up to 1; use 'shared'"
            )
        self.axis, self.scale, self.invert, self.share_q = axis, scale, invert, share_q
        self.kernel = "shared" if not possible else kernel
        self.delta_x = nn.Parameter(torch.zeros(()))
        self.delta_xt = nn.Parameter(torch.zeros(()))

    def forward(self, f_x: Tensor, f_xt: Tensor) -> tuple[Tensor, Tensor]:
        """F_x^c and F_x~^c of equations 4 and 6."""
        _check_pair("CAAM", f_x, f_xt)
        a, b = f_x.flatten(2), f_xt.flatten(2)  # (B, C, H, W) -> (B, C, N)
        if self.kernel == "fused" or (self.kernel == "auto" and self._fused_is_faster(a)):
            y_x, y_xt = self._fused(a, b)
        else:
            # Computed again in the backward pass, so that no C x C tensor is kept until then.
            y_x, y_xt = checkpoint(self._shared, a, b, use_reentrant=False, preserve_rng_state=False)
        # (B, C, N) -> (B, C, H, W)
        return f_x + self.delta_x * y_x.view_as(f_x), f_xt + self.delta_xt * y_xt.view_as(f_xt)

    def _fused_is_faster(self, a: Tensor) -> bool:
        if a.device.type == "cpu":
            return True
        # Elsewhere torch keeps C x C tensors, or sums in float32 at a fraction of the speed.
        has_kernel = a.device.type == "cuda" and a.dtype == torch.bfloat16 and a.shape[-1] <= MOST_PLACES
        return has_kernel and self.scale == "none"

    def weights(self, f_x: Tensor, f_xt: Tensor) -> tuple[Tensor, Tensor]:
        """Q_x and Q_x~ of equations 1 and 5, each (B, C, C), in float32 or better."""
        _check_pair("CAAM", f_x, f_xt)
        with _strict(f_x.device):
            return self._weights(f_x.flatten(2), f_xt.flatten(2))

    def _energy_factors(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, N) features as the two factors of the scaled, signed energies."""
        a, b = _at_least_float32(a), _at_least_float32(b)
        factor = {"sqrt_n": a.shape[-1] ** -0.5, "n": 1 / a.shape[-1]}.get(self.scale, 1.0)
        if self.scale == "cosine":
            a, b = _unit(a), _unit(b)
        if self.invert:
            factor = -factor  # softmax(max - S) == softmax(-S)
        return (a if factor == 1.0 else a * factor), b

    def _weights(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self._energy_factors(a, b)
        energies = a @ b.mT  # (B, C, C)
        axis, other = (-2, -1) if self.axis == "column" else (-1, -2)
        q_x = energies.softmax(axis)
        return q_x, (q_x if self.share_q else energies.softmax(other)).mT

    def _shared(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        with _strict(a.device):
            q_x, q_xt = (q.to(a.dtype) for q in self._weights(a, b))
            if self.axis != "cross":
                q_x, q_xt = q_x.mT, q_xt.mT
            return q_x @ b, q_xt @ a  # (B, C, N)

    def _fused(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        # The kernel that keeps no C x C tensor wants rows that lie in one piece, which channels_last features are not.
        # On a GPU it wants one more dimension, of heads.
        a, b = a.contiguous()[:, None], b.contiguous()[:, None]  # (B, 1, C, N)
        with _strict(a.device):
            if self.scale == "none" and a.dtype == torch.bfloat16:
                # Products of bfloat16 numbers are exact in float32, in which the kernel adds them up and keeps them.
                left, right = (-a if self.invert else a), b
            else:  # what scales them is not: units and factors would be rounded
                left, right = self._energy_factors(a, b)
            query, key = (right, left) if self.axis == "column" else (left, right)
            y_x = F.scaled_dot_product_attention(query, key, b.to(key.dtype), scale=1.0)
            y_xt = F.scaled_dot_product_attention(key, query, a.to(key.dtype), scale=1.0)
            return y_x[:, 0].to(a.dtype), y_xt[:, 0].to(a.dtype)  # (B, C, N)


def _conv(conv: nn.Conv2d, f: Tensor) -> Tensor:
    """1x1 convolution in the dtype of the features, whatever that of the weights; (B, C, H, W) -> (B, C', N)."""
    bias = conv.bias.to(f.dtype)  # type: ignore[union-attr]  # it has one
    return F.conv2d(f, conv.weight.to(f.dtype), bias).flatten(2)


class _SelfAttention(nn.Module):
    """The three 1x1 convolutions of figure 4 and what equation 7 makes of them."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.m = nn.Conv2d(channels, channels // reduction, 1)
        self.l = nn.Conv2d(channels, channels // reduction, 1)
        self.p = nn.Conv2d(channels, channels, 1)

    def forward(self, f: Tensor) -> Tensor:
        with _strict(f.device):
            factors, p = self._energy_factors(f), _conv(self.p, f)
        r = checkpoint(self._gather, *factors, p, use_reentrant=False, preserve_rng_state=False)
        return r.view_as(f)  # (B, C, N) -> (B, C, H, W)

    def weights(self, f: Tensor) -> Tensor:
        with _strict(f.device):
            m_map, l_map = self._energy_factors(f)
            return (m_map.mT @ l_map).softmax(-1)  # (B, N, N)

    def _energy_factors(self, f: Tensor) -> tuple[Tensor, Tensor]:
        f = _at_least_float32(f)
        return _conv(self.m, f), _conv(self.l, f)  # (B, C / reduction, N)

    @staticmethod
    def _gather(m_map: Tensor, l_map: Tensor, p_map: Tensor) -> Tensor:
        with _strict(p_map.device):
            k = (m_map.mT @ l_map).softmax(-1)  # (B, N, N), rows add up to 1
            return p_map @ k.to(p_map.dtype).mT  # (B, C, N)


class SSAM(nn.Module):
    """Spatial self-attention: each place of a view gathers what similar places of it hold (section 3.4, eq. 7-8).

    K = softmax over each row of M^T L (N x N), R = P K^T, F^s = F + alpha R, with M, L (C / reduction channels) and P
    (C channels) three 1x1 convolutions of F.

    Args:
        channels: C of the features.
        reduction: C divided by the channels of M and L; 1..C.
        shared_convs: one set of convolutions for both views (run on the pair at once), or one for each.

    Shape:
        f_x, f_xt (B, C, H, W) -> F_x^s, F_x~^s (B, C, H, W) in the dtype of the inputs. The learnt scalars `alpha_x`
        and `alpha_xt` start at 0, where the outputs are the inputs. No N x N tensor is kept for the backward pass.

    Raises:
        UserError: a reduction below 1 or above the number of channels.

    Example:
        >>> ssam = SSAM(channels=16)
        >>> f_x, f_xt = torch.rand(2, 16, 7, 7), torch.rand(2, 16, 7, 7)
        >>> f_x_s, f_xt_s = ssam(f_x, f_xt)
        >>> f_x_s.shape, torch.equal(f_x_s, f_x)
        (torch.Size([2, 16, 7, 7]), True)
        >>> ssam.weights(f_x).shape
        torch.Size([2, 49, 49])
    """

    def __init__(self, channels: int, reduction: int = 8, shared_convs: bool = True) -> None:
        super().__init__()
        if not 1 <= reduction <= channels:
            raise UserError(f"SSAM reduction: {reduction} is outside 1..{channels}, the number of channels")
        self.attention = nn.ModuleList(_SelfAttention(channels, reduction) for _ in range(1 if shared_convs else 2))
        self.alpha_x = nn.Parameter(torch.zeros(()))
        self.alpha_xt = nn.Parameter(torch.zeros(()))

    def forward(self, f_x: Tensor, f_xt: Tensor) -> tuple[Tensor, Tensor]:
        """F_x^s and F_x~^s of equations 7 and 8."""
        _check_pair("SSAM", f_x, f_xt)
        if len(self.attention) == 1:
            r_x, r_xt = self.attention[0](torch.cat((f_x, f_xt))).chunk(2)  # (2B, C, H, W) -> 2 of (B, C, H, W)
        else:
            r_x, r_xt = self.attention[0](f_x), self.attention[1](f_xt)
        return f_x + self.alpha_x * r_x, f_xt + self.alpha_xt * r_xt

    def weights(self, f: Tensor, branch: int = 0) -> Tensor:
        """K of equation 7, (B, N, N) in float32 or better; branch 1 is X~, a net of its own without `shared_convs`."""
        chosen = self.attention[branch if len(self.attention) == 2 else 0]
        return chosen.weights(f)  # type: ignore[operator]  # a _SelfAttention

"""A small vision transformer behind a convolutional stem, and what its class token attends to."""

from typing import Any

import torch
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from timm.models.vision_transformer import Block
from torch import Tensor, nn


class Transformer(nn.Module):
    """Transformer blocks on the cells of a feature map, which are its patches, and on a class token.

    The hybrid of Dosovitskiy et al. (ICLR 2021, section 3.1): a patch is a cell of a convolutional network's map, and a
    1x1 convolution makes its token. Positions are the fixed sines and cosines of its row and column, so that a map of
    any size will do. Blocks and their start are those of DeiT, without its dropping of paths.

    Args:
        channels: C of the map.
        width: D, the numbers in a token; a multiple of 4 and of `heads`.
        depth: L, the number of blocks.
        heads: of the attention in each block.

    Example:
        >>> net = Transformer(channels=8, width=16, depth=2, heads=2)
        >>> tokens, attention = net.look(torch.rand(3, 8, 4, 5))
        >>> tuple(tokens.shape), tuple(attention.shape)
        ((3, 16, 4, 5), (3, 2, 4, 5))
    """

    def __init__(self, channels: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(channels, width, 1)
        self.class_token = nn.Parameter(torch.empty(1, 1, width).normal_(std=0.02))
        self.blocks = nn.ModuleList(Block(width, heads, qkv_bias=True) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        for layer in (layer for layer in self.blocks.modules() if isinstance(layer, nn.Linear)):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What the last block gives.

        Args:
            features: (B, C, h, w).

        Returns:
            The patch tokens, each in its cell (B, D, h, w), and the class token (B, D).
        """
        tokens = self._tokens(features)
        for block in self.blocks:
            tokens = block(tokens)
        return self._apart(tokens, features)

    def look(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The patch tokens as of `forward`, and what each block's class token attends to.

        Args:
            features: (B, C, h, w).

        Returns:
            Patch tokens (B, D, h, w); attention (B, L, h, w) float32, see `class_attention`.
        """
        tokens, seen = self._tokens(features), []
        for block in self.blocks:
            seen.append(class_attention(block, tokens))
            tokens = block(tokens)
        return self._apart(tokens, features)[0], torch.stack(seen, 1).unflatten(2, features.shape[2:])

    def _tokens(self, features: Tensor) -> Tensor:
        """What enters the first block, the class token in front: (B, C, h, w) -> (B, 1 + N, D)."""
        patches = self.embed(features).flatten(2).mT  # (B, N, D)
        place = build_sincos2d_pos_embed(list(features.shape[2:]), patches.shape[2], device=features.device)
        return torch.cat((self.class_token.expand(len(patches), -1, -1), patches + place), 1)

    def _apart(self, tokens: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.norm(tokens)
        return tokens[:, 1:].mT.unflatten(2, features.shape[2:]), tokens[:, 0]


def class_attention(block: Any, tokens: Tensor) -> Tensor:
    """How a block's class token shares its attention over the patches: softmax(q_0 K^T / sqrt(d)), mean over the heads.

    Only this row of the attention is computed. The block itself may use a fused kernel, which never holds the rows.

    Args:
        block: timm's `Block`, of a vision transformer.
        tokens: (B, 1 + N, D), what enters the block, the class token first.

    Returns:
        (B, N) float32, not negative; the class token's own share is left out, so that the sum is below 1.

    Example:
        >>> row = class_attention(Block(8, num_heads=2), torch.rand(1, 5, 8))
        >>> tuple(row.shape), 0 < row.sum().item() < 1
        ((1, 4), True)
    """
    attention = block.attn
    q, k, _ = attention.qkv(block.norm1(tokens)).unflatten(2, (3, attention.num_heads, -1)).unbind(2)  # (B, 1+N, H, d)
    energies = torch.einsum("bhd,bnhd->bhn", q[:, 0], k) * attention.scale
    return energies.float().softmax(2)[:, :, 1:].mean(1)

"""A transformer in a U: what a block of the first half says is heard again by its mirror in the second half."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import CrossAttention, SelfAttention
from motion_lightning.models.mdm import Block


class SkipTransformer(nn.Module):
    """Blocks with long skips (Bao et al., U-ViT, CVPR 2023; Chen et al., MLD, CVPR 2023), and a norm behind them.

    Args:
        block: makes one block, called as ``block(h (B, N, W), *rest) -> h``; ``rest`` is the same for all of them.
        width: W.
        depth: of blocks, an odd number: one of them is the middle.
    """

    def __init__(self, block: Callable[[], nn.Module], width: int, depth: int):
        super().__init__()
        if depth % 2 == 0:
            raise UserError(f"depth={depth} of a transformer with long skips is even: one block has to be the middle")
        half = depth // 2
        self.down = nn.ModuleList(block() for _ in range(half))
        self.middle = block()
        self.merge = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(half))
        self.up = nn.ModuleList(block() for _ in range(half))
        self.norm = nn.LayerNorm(width)

    def forward(self, h: Tensor, *rest: Tensor) -> Tensor:
        said = []
        for block in self.down:
            h = block(h, *rest)
            said.append(h)
        h = self.middle(h, *rest)
        for merge, block in zip(self.merge, self.up, strict=True):
            h = block(merge(torch.cat([h, said.pop()], dim=-1)), *rest)
        return self.norm(h)


class ReadingBlock(nn.Module):
    """Self-attention, attention to a memory and perceptron, with norms as in ``models.mdm.Block``."""

    def __init__(self, width: int, heads: int, ff: int, dropout: float, norm_first: bool = False):
        super().__init__()
        self.norm_first = norm_first
        self.attention = SelfAttention(width, heads)
        self.reading, self.memory = CrossAttention(width, heads), nn.Linear(width, 2 * width)
        self.mlp = nn.Sequential(nn.Linear(width, ff), nn.GELU(), nn.Dropout(dropout), nn.Linear(ff, width))
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, mask: Tensor, memory: Tensor, valid: Tensor) -> Tensor:
        """h (B, N, W) with mask (B, N), memory (B, M, W) with mask valid (B, M)."""
        if self.norm_first:
            h = h + self.dropout(self.attention(self.norm1(h), mask))
            h = h + self.dropout(self.reading(self.norm2(h), self.memory(memory), valid))
            return h + self.dropout(self.mlp(self.norm3(h)))
        h = self.norm1(h + self.dropout(self.attention(h, mask)))
        h = self.norm2(h + self.dropout(self.reading(h, self.memory(memory), valid)))
        return self.norm3(h + self.dropout(self.mlp(h)))


def skip_encoder(
    width: int, depth: int, heads: int, ff: int, dropout: float, norm_first: bool = False
) -> SkipTransformer:
    """Called with tokens (B, N, W) and their mask (B, N)."""
    return SkipTransformer(lambda: Block(width, heads, ff, dropout, norm_first), width, depth)


def skip_decoder(
    width: int, depth: int, heads: int, ff: int, dropout: float, norm_first: bool = False
) -> SkipTransformer:
    """Called with tokens (B, N, W), their mask (B, N), a memory (B, M, W) and its mask (B, M)."""
    return SkipTransformer(lambda: ReadingBlock(width, heads, ff, dropout, norm_first), width, depth)

"""DiT for motion: a diffusion transformer (Peebles & Xie 2023) over frames, with cross-attention to text."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import (
    CrossAttention,
    Patches,
    SelfAttention,
    TimeEmbedding,
    modulate,
    sinusoid,
)


class TextContext(NamedTuple):
    """What depends on the text alone; made once per sampling run."""

    pooled: Tensor  # (B, W)
    kv: Tensor  # (B, L, 2W) keys and values, for all blocks the same
    mask: Tensor  # (B, L)


class Block(nn.Module):
    """Self-attention and perceptron with adaLN-Zero; cross-attention to the text between them."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.norm1, self.norm3 = (nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.norm2 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.cross = CrossAttention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        )
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, h: Tensor, c: Tensor, mask: Tensor, kv: Tensor, text_mask: Tensor) -> Tensor:
        shift1, scale1, gate1, shift3, scale3, gate3 = self.modulation(c).chunk(6, dim=-1)  # (B, W) each
        h = h + gate1[:, None] * self.attention(modulate(self.norm1(h), shift1, scale1), mask)
        h = h + self.cross(self.norm2(h), kv, text_mask)
        return h + gate3[:, None] * self.mlp(modulate(self.norm3(h), shift3, scale3))


class DiT(nn.Module):
    """Denoiser of frame sequences.

    Args:
        features: D, numbers a frame.
        text_dim: E, width of the text embeddings.
        width, depth, heads: size of the transformer.
        patch: frames a token.
        overlap: let neighbouring tokens overlap by half (see ``layers.Patches``).
        dropout: in the perceptrons; random numbers cost a third of a training step on a CPU.
    """

    def __init__(
        self,
        features: int,
        text_dim: int,
        width: int = 256,
        depth: int = 6,
        heads: int = 4,
        patch: int = 4,
        overlap: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        if width % heads or width % 4:
            raise UserError(f"model.width={width} is no multiple of 4 and of model.heads={heads}: change one of them")
        self.width = width
        self.patches = Patches(features, width, patch, overlap)
        self.time = TimeEmbedding(width)
        self.text = nn.Linear(text_dim, width)
        self.text_norm = nn.LayerNorm(width)
        self.text_kv = nn.Linear(width, 2 * width)  # one for all blocks: captions are longer than motions here
        self.pooled = nn.Linear(text_dim, width)
        self.null_token = nn.Parameter(torch.empty(width))
        self.null_pooled = nn.Parameter(torch.empty(width))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.initialise()

    def initialise(self) -> None:
        """At the start every block is the identity and the output is zero; the rest is Xavier."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            nn.init.zeros_(block.modulation[-1].weight)  # gates: attention and perceptron add nothing yet
            nn.init.zeros_(block.cross.out.weight)  # nor does the text
        nn.init.zeros_(self.modulation[-1].weight)
        nn.init.zeros_(self.patches.out.weight)
        nn.init.normal_(self.null_token)  # the scale of tokens after their norm
        nn.init.normal_(self.null_pooled, std=0.02)

    def encode(self, cond, drop: Tensor) -> TextContext:
        """Text embeddings → context.

        Args:
            cond: tokens (B, L, E), mask (B, L) and pooled (B, E).
            drop: (B,) bool, True where the learned null takes the place of the text.
        """
        tokens = self.text_norm(self.text(cond.tokens))  # (B, L, W)
        tokens = torch.where(drop[:, None, None], self.null_token, tokens)
        first = torch.arange(tokens.shape[1], device=drop.device) == 0
        mask = torch.where(drop[:, None], first, cond.mask)  # the null is one token
        pooled = torch.where(drop[:, None], self.null_pooled, self.pooled(cond.pooled))
        return TextContext(pooled, self.text_kv(tokens), mask)

    def forward(self, x: Tensor, t: Tensor, ctx: TextContext, mask: Tensor) -> Tensor:
        """Noisy frames → the network's raw output of the same shape.

        Args:
            x: (B, T, D).
            t: (B,) noise level.
            ctx: from :meth:`encode`.
            mask: (B, T), True where a frame is valid.
        """
        frames, patch = x.shape[1], self.patches.patch
        short = -frames % patch
        mask = F.pad(mask, (0, short))
        x = F.pad(x, (0, 0, 0, short)) * mask[..., None]
        valid = mask.unflatten(1, (-1, patch)).any(-1)  # (B, N)
        h = self.patches.embed(x) + self.positions(valid)  # (B, N, W)
        c = self.time(t) + ctx.pooled  # (B, W)
        for block in self.blocks:
            h = block(h, c, valid, ctx.kv, ctx.mask)
        shift, scale = self.modulation(c).chunk(2, dim=-1)
        return self.patches.unembed(modulate(self.norm(h), shift, scale), valid)[:, :frames]

    def positions(self, valid: Tensor) -> Tensor:
        """(B, N) → (B, N, W): each token's distance from the start and from the end; a motion has both."""
        start = torch.arange(valid.shape[1], device=valid.device)
        end = valid.sum(1, keepdim=True) - 1 - start  # (B, N)
        return torch.cat([sinusoid(start.expand_as(end), self.width // 2), sinusoid(end, self.width // 2)], dim=-1)

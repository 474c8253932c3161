"""MDM: a Transformer encoder over frames, behind one token of time and text (Tevet et al. 2023)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import SelfAttention, waves

NULLS = ("learned", "zero")


class Context(NamedTuple):
    """What depends on the text alone; made once per sampling run."""

    text: Tensor  # (B, W)


class Block(nn.Module):
    """Self-attention and perceptron, each followed by its norm (Vaswani et al. 2017), or preceded: ``norm_first``."""

    def __init__(self, width: int, heads: int, ff: int, dropout: float, norm_first: bool = False):
        super().__init__()
        self.norm_first = norm_first
        self.attention = SelfAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, ff), nn.GELU(), nn.Dropout(dropout), nn.Linear(ff, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        if self.norm_first:
            h = h + self.dropout(self.attention(self.norm1(h), mask))
            return h + self.dropout(self.mlp(self.norm2(h)))
        h = self.norm1(h + self.dropout(self.attention(h, mask)))
        return self.norm2(h + self.dropout(self.mlp(h)))


class MDM(nn.Module):
    """Denoiser of frame sequences: a token a frame, and one in front that holds the timestep and the whole text.

    Its parameters are those of the published model, one for one. Of the published dropout the one on attention
    weights is left out.

    Args:
        features: D, numbers a frame.
        text_dim: E, width of the pooled text.
        width, depth, heads, ff: size of the transformer; ff is the width inside its perceptrons.
        dropout: of tokens, sums and perceptrons.
        null_text: what stands for no text: "learned", or "zero" as in the published weights.
        mask_frames: hide padding from attention; the published training did not.
    """

    def __init__(
        self,
        features: int,
        text_dim: int,
        width: int = 512,
        depth: int = 8,
        heads: int = 4,
        ff: int = 1024,
        dropout: float = 0.1,
        null_text: str = "learned",
        mask_frames: bool = True,
    ):
        super().__init__()
        if width % heads or width % 2:
            raise UserError(f"model.width={width} is no even multiple of model.heads={heads}: change one of them")
        if null_text not in NULLS:
            raise UserError(f"model.null_text={null_text} is unknown; choose one of {', '.join(NULLS)}")
        self.width, self.mask_frames = width, mask_frames
        self.inp = nn.Linear(features, width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.text = nn.Linear(text_dim, width)
        if null_text == "learned":
            self.null = nn.Parameter(torch.zeros(text_dim))  # no norm stands between it and the sum with the time
        else:
            self.register_buffer("null", torch.zeros(text_dim), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, ff, dropout) for _ in range(depth))
        self.out = nn.Linear(width, features)
        self.initialise()

    def initialise(self) -> None:
        """Xavier, and an output of zero, which is the mean of x0."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.out.weight)

    def encode(self, cond, mask: Tensor, drop: Tensor) -> Context:
        """Text embeddings → context.

        Args:
            cond: a condition with pooled (B, E), or a named tuple with such a one as ``text``.
            mask: (B, T), not used.
            drop: (B,) bool, True where the null takes the place of the text.
        """
        pooled = getattr(cond, "text", cond).pooled
        return Context(self.text(torch.where(drop[:, None], self.null, pooled)))

    def forward(self, x: Tensor, t: Tensor, ctx: Context, mask: Tensor) -> Tensor:
        """Noisy frames → the network's raw output of the same shape.

        Args:
            x: (B, T, D).
            t: (B,) noise level.
            ctx: from :meth:`encode`.
            mask: (B, T), True where a frame is valid.
        """
        first = self.time(waves(t, self.width)) + ctx.text  # (B, W)
        h = torch.cat([first[:, None], self.inp(x * mask[..., None])], dim=1)  # (B, 1 + T, W)
        h = self.dropout(h + waves(torch.arange(h.shape[1], device=h.device), self.width))
        valid = F.pad(mask if self.mask_frames else torch.ones_like(mask), (1, 0), value=True)
        for block in self.blocks:
            h = block(h, valid)
        return self.out(h[:, 1:])

"""A UNet over time: convolutions and cross-attention to words, as in StableMoFusion (Huang et al. 2024)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import CrossAttention, TimeEmbedding, modulate, places

GROUPS = 8  # of the norms


class Context(NamedTuple):
    """What depends on the text alone; made once per sampling run."""

    pooled: Tensor  # (B, C)
    mask: Tensor  # (B, L)
    kv: tuple[Tensor, ...]  # (B, L, 2W) for every block, in the order of their use


class Conv(nn.Conv1d):
    """Convolution over the time of (B, T, C). What is not valid in the mask (B, T) is zero, as beyond a clip's ends."""

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        return super().forward((h * mask[..., None]).transpose(1, 2)).transpose(1, 2)


class Grow(nn.ConvTranspose1d):
    """(B, T, C) → (B, 2T, C')."""

    def __init__(self, inp: int, out: int):
        super().__init__(inp, out, kernel_size=4, stride=2, padding=1)

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        return super().forward((h * mask[..., None]).transpose(1, 2)).transpose(1, 2)


class FrameNorm(nn.GroupNorm):
    """Group norm of (B, T, C) within each frame, so that no frame's scale depends on others, or on padding."""

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h.reshape(-1, h.shape[-1])).reshape(h.shape)


class Block(nn.Module):
    """Two convolutions with adaptive norm (Dhariwal & Nichol 2021), then attention to the text."""

    def __init__(self, inp: int, out: int, cond: int, heads: int, kernel: int, dropout: float):
        super().__init__()
        self.norm1, self.conv1 = FrameNorm(GROUPS, inp), Conv(inp, out, kernel, padding=kernel // 2)
        self.norm2, self.conv2 = FrameNorm(GROUPS, out), Conv(out, out, kernel, padding=kernel // 2)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(cond, 2 * out))
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Identity() if inp == out else nn.Linear(inp, out)
        self.text_norm = nn.LayerNorm(out)
        self.text = CrossAttention(out, heads)
        self.kv = nn.Linear(cond, 2 * out)  # called where the context is made

    def forward(self, h: Tensor, c: Tensor, kv: Tensor, text_mask: Tensor, mask: Tensor) -> Tensor:
        shift, scale = self.modulation(c).chunk(2, dim=-1)  # (B, C) each
        y = self.conv1(F.silu(self.norm1(h)), mask)
        y = self.conv2(self.dropout(F.silu(modulate(self.norm2(y), shift, scale))), mask)
        h = self.skip(h) + y
        return h + self.text(self.text_norm(h), kv, text_mask)


class UNet1d(nn.Module):
    """Denoiser of frame sequences of any length; each level of the UNet halves their number.

    Beside the paper's parts, frames and words carry their distance from the start and from the end: convolutions do
    not know where in a motion they are, and "a, then b" is about just that. Attention to words is the ordinary one.

    Args:
        features: D, numbers a frame.
        text_dim: E, width of the text embeddings.
        width: channels of a multiple of 1.
        multiples: of the width, for each level from fine to coarse.
        cond_width: C, of time and text.
        blocks: a level, on the way down and on the way up.
        heads: of the attention to words.
        kernel: frames that a convolution spans, odd.
        dropout: in the blocks.
    """

    def __init__(
        self,
        features: int,
        text_dim: int,
        width: int = 96,
        multiples: Sequence[float] = (1, 1, 2),
        cond_width: int = 192,
        blocks: int = 1,
        heads: int = 4,
        kernel: int = 3,
        dropout: float = 0.0,
    ):
        super().__init__()
        widths = [round(width * multiple) for multiple in multiples]
        if bad := [w for w in (width, *widths) if w % GROUPS or w % heads]:
            raise UserError(
                f"model.width={width} times model.multiples gives {bad[0]} channels, no multiple of {GROUPS} and of "
                f"model.heads={heads}: change one of them"
            )
        if kernel % 2 == 0 or blocks < 1 or not widths:
            raise UserError(
                f"model.kernel={kernel} must be odd, model.blocks={blocks} at least 1, and model.multiples hold a level"
            )
        if cond_width % 4:
            raise UserError(f"model.cond_width={cond_width} is no multiple of 4: change it")
        self.width, self.cond_width, self.levels = width, cond_width, len(widths)
        self.time = TimeEmbedding(cond_width)
        self.words = nn.Linear(text_dim, cond_width)
        self.words_norm = nn.LayerNorm(cond_width)
        self.pooled = nn.Linear(text_dim, cond_width)
        self.null_token = nn.Parameter(torch.empty(cond_width))
        self.null_pooled = nn.Parameter(torch.empty(cond_width))

        def stage(inp: int, out: int) -> nn.ModuleList:
            return nn.ModuleList(
                Block(inp if i == 0 else out, out, cond_width, heads, kernel, dropout) for i in range(blocks)
            )

        self.inp = Conv(features, width, kernel, padding=kernel // 2)
        self.down = nn.ModuleList(map(stage, [width, *widths], widths))
        self.shrink = nn.ModuleList(Conv(w, w, 3, stride=2, padding=1) for w in widths)
        self.middle = stage(widths[-1], widths[-1])
        self.grow = nn.ModuleList(map(Grow, [widths[-1], *widths[::-1]], widths[::-1]))
        self.up = nn.ModuleList(stage(2 * w, w) for w in widths[::-1])
        self.norm = FrameNorm(GROUPS, widths[0])
        self.out = nn.Linear(widths[0], features)
        self.initialise()

    def initialise(self) -> None:
        """At the start a block adds nothing from its convolutions, and the output is zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d | nn.ConvTranspose1d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for block in self.blocks():
            nn.init.zeros_(block.conv2.weight)
            nn.init.zeros_(block.modulation[-1].weight)
        nn.init.zeros_(self.out.weight)
        nn.init.normal_(self.null_token)  # the scale of tokens after their norm
        nn.init.normal_(self.null_pooled, std=0.02)

    def blocks(self) -> list[Block]:
        """In the order of their use."""
        return [block for stage in (*self.down, self.middle, *self.up) for block in stage]

    def encode(self, cond, mask: Tensor, drop: Tensor) -> Context:
        """Text embeddings → context.

        Args:
            cond: tokens (B, L, E), mask (B, L) and pooled (B, E), or a named tuple with such a one as ``text``.
            mask: (B, T), not used.
            drop: (B,) bool, True where the learned null takes the place of the text.
        """
        text = getattr(cond, "text", cond)
        words = self.words_norm(self.words(text.tokens))  # (B, L, C)
        first = torch.arange(words.shape[1], device=drop.device) == 0
        text_mask = torch.where(drop[:, None], first, text.mask)  # the null is one token
        words = torch.where(drop[:, None, None], self.null_token, words) + places(text_mask, self.cond_width)
        return Context(
            torch.where(drop[:, None], self.null_pooled, self.pooled(text.pooled)),
            text_mask,
            tuple(block.kv(words) for block in self.blocks()),
        )

    def forward(self, x: Tensor, t: Tensor, ctx: Context, mask: Tensor) -> Tensor:
        """Noisy frames → the network's raw output of the same shape.

        Args:
            x: (B, T, D).
            t: (B,) noise level.
            ctx: from :meth:`encode`.
            mask: (B, T), True where a frame is valid.
        """
        frames = x.shape[1]
        more = -frames % 2**self.levels
        masks = [F.pad(mask, (0, more))]
        for _ in range(self.levels):
            masks.append(masks[-1][:, ::2])
        c, kv = self.time(t) + ctx.pooled, iter(ctx.kv)

        def run(stage: nn.ModuleList, h: Tensor, mask: Tensor) -> Tensor:
            for block in stage:
                h = block(h, c, next(kv), ctx.mask, mask)
            return h

        h = self.inp(F.pad(x, (0, 0, 0, more)), masks[0]) + places(masks[0], self.width)  # (B, T, W)
        skips = []
        for stage, shrink, valid in zip(self.down, self.shrink, masks, strict=False):
            skips.append(run(stage, h, valid))
            h = shrink(skips[-1], valid)  # (B, T/2, C)
        h = run(self.middle, h, masks[-1])
        for grow, stage, coarse, valid in zip(self.grow, self.up, masks[:0:-1], masks[-2::-1], strict=True):
            h = run(stage, torch.cat([grow(h, coarse), skips.pop()], dim=-1), valid)  # (B, 2T, 2C) → (B, 2T, C)
        return self.out(F.silu(self.norm(h)))[:, :frames]

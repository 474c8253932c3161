"""UNet of pictures (Ho et al. 2020, app. B) that reads text by cross-attention (Rombach et al. 2022, sec. 3.3)."""

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import CrossAttention, SelfAttention, TimeEmbedding

GROUPS = 8  # of channels that are normalised together


class Context(NamedTuple):
    """What depends on the text alone; made once per sampling run."""

    pooled: Tensor  # (B, E) the whole text
    words: tuple[Tensor, ...]  # (B, L, 2 W) keys and values for each block that reads
    mask: Tensor  # (B, L)


class Residual(nn.Module):
    """Two convolutions; a condition (B, cond), where there is one, scales and shifts between them."""

    def __init__(self, inp: int, out: int, cond: int | None = None, dropout: float = 0.0):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, inp), nn.GroupNorm(GROUPS, out)
        self.conv1, self.conv2 = nn.Conv2d(inp, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.modulation = nn.Linear(cond, 2 * out) if cond else None
        self.dropout, self.act = nn.Dropout(dropout), nn.SiLU()
        self.skip = nn.Identity() if inp == out else nn.Conv2d(inp, out, 1)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        h = self.norm2(self.conv1(self.act(self.norm1(x))))  # (B, out, H, W)
        if self.modulation is not None:
            scale, shift = self.modulation(c)[..., None, None].chunk(2, dim=1)  # (B, out, 1, 1)
            h = h * (1 + scale) + shift
        return self.skip(x) + self.conv2(self.dropout(self.act(h)))


class Attention(nn.Module):
    """Pixels attend to each other, then to words: Q = φ(z) from the picture, K and V from the text."""

    def __init__(self, width: int, heads: int, text: int | None):
        super().__init__()
        self.norm1, self.pixels = nn.GroupNorm(GROUPS, width), SelfAttention(width, heads)
        if text:
            self.norm2, self.words = nn.GroupNorm(GROUPS, width), CrossAttention(width, heads)
            self.kv = nn.Linear(text, 2 * width)

    def forward(self, x: Tensor, kv: Tensor | None, mask: Tensor) -> Tensor:
        h = tokens(self.norm1(x))  # (B, H W, width)
        x = x + picture(self.pixels(h, mask.new_ones(h.shape[:2])), x)
        return x if kv is None else x + picture(self.words(tokens(self.norm2(x)), kv, mask), x)


def tokens(x: Tensor) -> Tensor:
    return rearrange(x, "b c h w -> b (h w) c")


def picture(h: Tensor, like: Tensor) -> Tensor:
    return rearrange(h, "b (h w) c -> b c h w", h=like.shape[2])


class Block(nn.Module):
    """A residual block and, where pixels are few, attention. ``reader`` is its number among the blocks that read."""

    def __init__(self, inp: int, out: int, cond: int, dropout: float, attention: Attention | None, reader: int | None):
        super().__init__()
        self.residual, self.attention, self.reader = Residual(inp, out, cond, dropout), attention, reader

    def forward(self, x: Tensor, c: Tensor, ctx: Context) -> Tensor:
        x = self.residual(x, c)
        if self.attention is None:
            return x
        return self.attention(x, None if self.reader is None else ctx.words[self.reader], ctx.mask)


class UNet2d(nn.Module):
    """Denoiser of pictures.

    Args:
        channels, size: of a picture: C, and its sides H = W.
        text_dim: width of the text embeddings.
        width: of the first level; level i is ``multipliers[i]`` times as wide, with 2^-i of the sides.
        blocks: residual blocks a level on the way down, and as many on the way up.
        attend_to: levels of at most so many pixels a side attend to themselves and to the text.
        heads: of the attention.
        reads: false makes an unconditional model, in which the null condition stands for every text.
        dropout: in the residual blocks.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        text_dim: int,
        width: int = 64,
        multipliers: list[int] | tuple[int, ...] = (1, 2),
        blocks: int = 1,
        attend_to: int = 8,
        heads: int = 4,
        reads: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        depth = len(multipliers)
        if size % 2 ** (depth - 1):
            halved = f"pictures of {size} pixels cannot be halved {depth - 1} times"
            raise UserError(f"{halved}: give model.multipliers fewer numbers, or another data.size")
        if width % GROUPS or width % heads:
            raise UserError(f"model.width={width} is no multiple of {GROUPS} and of model.heads={heads}: change one")
        widths, cond = [width * m for m in multipliers], 4 * width
        self.reads, readers = reads, 0

        def block(level: int, inp: int) -> Block:
            nonlocal readers
            if size // 2**level > attend_to:
                return Block(inp, widths[level], cond, dropout, None, None)
            reader, readers = (readers, readers + 1) if reads else (None, 0)
            return Block(inp, widths[level], cond, dropout, Attention(widths[level], heads, reads and cond), reader)

        self.time = TimeEmbedding(cond)
        self.null = nn.Parameter(torch.empty(cond))
        if reads:
            self.pooled = nn.Linear(text_dim, cond)
            self.text, self.text_norm = nn.Linear(text_dim, cond), nn.LayerNorm(cond)
            self.null_token = nn.Parameter(torch.empty(cond))
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        for i, w in enumerate(widths):
            below = widths[max(i - 1, 0)]
            self.down.append(nn.ModuleList(block(i, w if b else below) for b in range(blocks)))
            self.shrink.append(nn.Conv2d(w, w, 3, stride=2, padding=1) if i < depth - 1 else nn.Identity())
        self.middle = nn.ModuleList(block(depth - 1, widths[-1]) for _ in range(2))
        for i in reversed(range(depth)):
            w, above = widths[i], widths[min(i + 1, depth - 1)]
            self.up.append(nn.ModuleList(block(i, w + (w if b else above)) for b in range(blocks)))
            up = nn.Upsample(scale_factor=2), nn.Conv2d(w, w, 3, padding=1)
            self.grow.append(nn.Sequential(*up) if i else nn.Identity())
        self.last = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1))
        self.initialise()

    def initialise(self) -> None:
        """At the start residual blocks and attention add nothing, and the output is zero."""
        for module in self.modules():
            if isinstance(module, Residual):
                nn.init.zeros_(module.conv2.weight)
            if isinstance(module, SelfAttention | CrossAttention):
                nn.init.zeros_(module.out.weight)
        nn.init.zeros_(self.last[-1].weight)
        nn.init.zeros_(self.last[-1].bias)
        nn.init.normal_(self.null, std=0.02)
        if self.reads:
            nn.init.normal_(self.null_token)  # the scale of tokens after their norm

    def encode(self, cond, mask: Tensor, drop: Tensor) -> Context:
        """Text embeddings → context.

        Args:
            cond: tokens (B, L, E), mask (B, L) and pooled (B, E), or what has them as its ``text``.
            mask: (B, 1), True.
            drop: (B,) bool, True where the learned null takes the place of the text.
        """
        text = getattr(cond, "text", cond)
        if not self.reads:
            return Context(self.null.expand(len(drop), -1), (), text.mask)
        drop = drop[:, None]
        words = torch.where(drop[..., None], self.null_token, self.text_norm(self.text(text.tokens)))  # (B, L, E)
        first = torch.arange(words.shape[1], device=drop.device) == 0  # the null is one token
        readers = [m for m in self.modules() if isinstance(m, Block) and m.reader is not None]
        readers.sort(key=lambda m: m.reader)
        return Context(
            torch.where(drop, self.null, self.pooled(text.pooled)),
            tuple(reader.attention.kv(words) for reader in readers),
            torch.where(drop, first, text.mask),
        )

    def forward(self, x: Tensor, t: Tensor, ctx: Context, mask: Tensor) -> Tensor:
        """Noisy pictures x (B, 1, C, H, W) → the network's raw output of the same shape.

        Args:
            t: (B,) noise level.
            ctx: from :meth:`encode`.
            mask: (B, 1), True.
        """
        if x.shape[1] != 1:
            raise UserError(f"model=unet2d denoises single pictures, and clips have {x.shape[1]} frames: take another")
        c = nn.functional.silu(self.time(t) + ctx.pooled)  # (B, E)
        h, skips = self.stem(x[:, 0]), []
        for level, shrink in zip(self.down, self.shrink, strict=True):
            for block in level:
                h = block(h, c, ctx)
                skips.append(h)
            h = shrink(h)
        for block in self.middle:
            h = block(h, c, ctx)
        for level, grow in zip(self.up, self.grow, strict=True):
            for block in level:
                h = block(torch.cat([h, skips.pop()], dim=1), c, ctx)
            h = grow(h)
        return self.last(h)[:, None]

"""DiT for motion: a diffusion transformer (Peebles & Xie 2023) over frames, along a plan read from the text."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import Patches, SelfAttention, TimeEmbedding, modulate, places
from motion_lightning.models.reader import Plan, Words

EPS = {False: 1e-5, True: 1e-6}  # of norms, by whether the published model's are wanted


class Context(NamedTuple):
    """What depends on the text and the length alone; made once per sampling run."""

    pooled: Tensor  # (B, W) the whole text
    plan: Tensor  # (B, N, W) what is to happen, a vector a token of motion
    outline: Tensor  # (B, T, D) the motion that the text alone leads to expect


class Block(nn.Module):
    """Self-attention and perceptron with adaLN-Zero."""

    def __init__(self, width: int, heads: int, dropout: float, original: bool = False):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, EPS[original], elementwise_affine=False) for _ in range(2))
        self.attention = SelfAttention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU("tanh") if original else nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        )
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, h: Tensor, c: Tensor, mask: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(c).chunk(6, dim=-1)  # (B, W) each
        h = h + gate1[:, None] * self.attention(modulate(self.norm1(h), shift1, scale1), mask)
        return h + gate2[:, None] * self.mlp(modulate(self.norm2(h), shift2, scale2))


class DiT(nn.Module):
    """Denoiser of frame sequences.

    The text is read once, by tokens that know nothing but their place in the motion: they make a plan. It is added to
    the tokens of the noisy motion, and read out alone it is an outline of x0, E[x0 | text]. So the text is learned from
    every sample of a batch, not only from the noisiest ones.

    Args:
        features: D, numbers a frame.
        text_dim: E, width of the text embeddings.
        width, depth, heads: size of the transformer.
        readers: layers that read the text.
        patch: frames a token.
        overlap: let neighbouring tokens overlap by half (see ``layers.Patches``).
        dropout: in the blocks' perceptrons; random numbers cost a third of a training step on a CPU.
        original: blocks of the published model to the last constant (GELU, eps 1e-6), for its weights to start from.
    """

    def __init__(
        self,
        features: int,
        text_dim: int,
        width: int = 256,
        depth: int = 6,
        heads: int = 4,
        readers: int = 3,
        patch: int = 4,
        overlap: bool = True,
        dropout: float = 0.0,
        original: bool = False,
    ):
        super().__init__()
        if width % heads or width % 4:
            raise UserError(f"model.width={width} is no multiple of 4 and of model.heads={heads}: change one of them")
        self.width = width
        self.patches = Patches(features, width, patch, overlap)
        self.time = TimeEmbedding(width)
        self.words = Words(text_dim, width)
        self.pooled = nn.Linear(text_dim, width)
        self.null_pooled = nn.Parameter(torch.empty(width))
        self.plan = Plan(width, heads, readers)
        self.plan_gate = nn.Linear(width, width)
        self.outline = nn.Linear(width, self.patches.span * features)
        self.blocks = nn.ModuleList(Block(width, heads, dropout, original) for _ in range(depth))
        self.norm = nn.LayerNorm(width, EPS[original], elementwise_affine=False)
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
        for layer in (self.modulation[-1], self.patches.out, self.plan_gate, self.outline):
            nn.init.zeros_(layer.weight)
        nn.init.normal_(self.null_pooled, std=0.02)

    def encode(self, cond, mask: Tensor, drop: Tensor) -> Context:
        """Text embeddings → context.

        Args:
            cond: tokens (B, L, E), mask (B, L) and pooled (B, E), or a named tuple with these as ``text``.
            mask: (B, T), True where a frame is valid.
            drop: (B,) bool, True where the learned null takes the place of the text.
        """
        text, valid = getattr(cond, "text", cond), self.tokens(mask)  # (B, N)
        plan = self.plan(places(valid, self.width), *self.words(text.tokens, text.mask, drop))
        outline = self.patches.fold(self.outline(plan), valid)[:, : mask.shape[1]]
        pooled = torch.where(drop[:, None], self.null_pooled, self.pooled(text.pooled))
        return Context(pooled, plan, outline.float() * mask[..., None])

    def forward(self, x: Tensor, t: Tensor, ctx: Context, mask: Tensor) -> Tensor:
        """Noisy frames → the network's raw output of the same shape.

        Args:
            x: (B, T, D).
            t: (B,) noise level.
            ctx: from :meth:`encode`.
            mask: (B, T), True where a frame is valid.
        """
        frames = x.shape[1]
        x = F.pad(x * mask[..., None], (0, 0, 0, -frames % self.patches.patch))
        valid = self.tokens(mask)  # (B, N)
        c = self.time(t) + ctx.pooled  # (B, W)
        h = self.patches.embed(x) + ctx.plan * (1 + self.plan_gate(c)[:, None])  # (B, N, W)
        for block in self.blocks:
            h = block(h, c, valid)
        shift, scale = self.modulation(c).chunk(2, dim=-1)
        return self.patches.unembed(modulate(self.norm(h), shift, scale), valid)[:, :frames]

    def tokens(self, mask: Tensor) -> Tensor:
        """Frames (B, T) → tokens (B, N) that hold a valid one."""
        patch = self.patches.patch
        return F.pad(mask, (0, -mask.shape[1] % patch)).unflatten(1, (-1, patch)).any(-1)

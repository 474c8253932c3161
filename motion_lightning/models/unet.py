"""UNet for poses: one body, a token a joint or one vector, under the words of a sentence."""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import CrossAttention, SelfAttention, TimeEmbedding
from motion_lightning.models.reader import Plan, Words

QUERIES = 4  # tokens that read the outline


class Context(NamedTuple):
    """What depends on the text alone; made once per sampling run."""

    kv: tuple[Tensor, ...]  # a block each, (B, L, 2 W): keys and values of its cross-attention
    mask: Tensor  # (B, L)
    null: Tensor  # (B,) True where the learned null stands for the text
    outline: Tensor | None  # (B, 1, D) the pose that the text alone leads to expect


class ConditionedResBlock(nn.Module):
    """Features → time → text → features, each after a norm of its own; with a skip around all of it.

    Norms are over the W features of a token.
    """

    def __init__(self, inputs: int, width: int, cond: int, heads: int, dropout: float):
        super().__init__()
        self.norm1, self.project1 = nn.LayerNorm(inputs), nn.Linear(inputs, width)
        self.time = nn.Linear(cond, width)
        self.kv = nn.Linear(cond, 2 * width)  # called by PoseUNet.encode, once
        self.text_norm, self.text = nn.LayerNorm(width), CrossAttention(width, heads)
        self.norm2, self.project2 = nn.LayerNorm(width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Identity() if inputs == width else nn.Linear(inputs, width)

    def forward(self, h: Tensor, time: Tensor, kv: Tensor, mask: Tensor) -> Tensor:
        y = self.project1(F.silu(self.norm1(h)))  # (B, N, W)
        y = y + self.time(time)[:, None]
        y = y + self.text(self.text_norm(y), kv, mask)
        y = self.project2(self.dropout(F.silu(self.norm2(y))))
        return self.skip(h) + y


class JointAttention(nn.Module):
    """Joints look at each other; a block alone would treat each by itself."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), SelfAttention(width, heads)

    def forward(self, h: Tensor) -> Tensor:
        everyone = torch.ones(h.shape[:2], dtype=torch.bool, device=h.device)
        return h + self.attention(self.norm(h), everyone)


class PoseUNet(nn.Module):
    """Denoiser of poses, x (B, 1, D).

    "Down" and "up" change the width of the tokens, not their number: width, 2 width, 4 width, … and back, with the
    outputs of the way down concatenated on the way up. Joints attend to words; but these they learn from the noisiest
    poses only. So the text is also read once to an outline, E[x0 | text], which each joint sees beside its numbers.

    Args:
        features: D, numbers of a pose: as many of every joint but the root.
        joints: J, the root counts: it is a token, though it has no numbers.
        text_dim: E, width of the text embeddings.
        width: of the outermost level.
        levels: how often it doubles.
        heads: of all attention.
        cond_width: of time and of text tokens.
        readers: layers that read the outline from the text; 0: there is none.
        tokens: "joints", a token each; "vector", all numbers in one.
        text: "tokens", a key for each token of the caption; "pooled", one for all of it. A softmax over one key is 1
            whatever the query: then queries and keys learn nothing, and an attention map is constant.
        bound: k of a soft bound k tanh(y / k) on the output; None leaves it free.
        dropout: in the blocks.
    """

    def __init__(
        self,
        features: int,
        joints: int,
        text_dim: int,
        width: int = 96,
        levels: int = 2,
        heads: int = 4,
        cond_width: int = 256,
        readers: int = 3,
        tokens: str = "joints",
        text: str = "tokens",
        bound: float | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        if tokens not in ("joints", "vector") or text not in ("tokens", "pooled"):
            raise UserError(
                f"model.tokens={tokens}, model.text={text}: poses are joints or a vector, texts are tokens or pooled"
            )
        if tokens == "joints" and features % (joints - 1):
            raise UserError(
                f"model.tokens=joints: {features} numbers are not as many for each of {joints - 1} joints; take vector"
            )
        for name, number in {"width": width, "cond_width": cond_width}.items():
            if number % heads:
                raise UserError(f"model.{name}={number} is no multiple of model.heads={heads}: change one of them")
        if levels < 1 or (bound is not None and bound <= 0):
            raise UserError(f"model.levels={levels}, model.bound={bound}: take one level or more and a positive bound")
        self.count = joints - 1 if tokens == "joints" else 1  # tokens that hold numbers
        self.root, self.level, self.bound = int(tokens == "joints"), text, bound  # root: tokens without numbers
        each = features // self.count
        # Every joint is normalised along axes of its own, so each has its own way in and out.
        self.inp = nn.Parameter(torch.empty(self.count, 2 * each if readers else each, width))
        self.place = nn.Parameter(torch.empty(self.count + self.root, width))
        self.out = nn.Parameter(torch.empty(self.count, width, each))
        self.out_bias = nn.Parameter(torch.empty(self.count, each))
        self.time = TimeEmbedding(cond_width, frequencies=128)
        self.words = Words(text_dim, cond_width)
        if readers:
            self.plan = Plan(cond_width, heads, readers)
            self.queries = nn.Parameter(torch.empty(QUERIES, cond_width))
            self.outline = nn.Linear(QUERIES * cond_width, features)

        widths = [width * 2**level for level in range(levels + 1)]
        down = list(pairwise(widths))
        shapes = [*down, (widths[-1], widths[-1]), *((2 * b, a) for a, b in reversed(down))]
        self.blocks = nn.ModuleList(ConditionedResBlock(a, b, cond_width, heads, dropout) for a, b in shapes)
        self.mixers = nn.ModuleList(
            JointAttention(b, heads) if self.root else nn.Identity() for _, b in shapes
        )  # one token has nobody to look at
        self.levels = levels
        self.norm = nn.LayerNorm(width)
        self.initialise()

    def initialise(self) -> None:
        """At the start every block is its skip and the output is zero; the rest is Xavier."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for block, mixer in zip(self.blocks, self.mixers, strict=True):
            nn.init.zeros_(block.project2.weight)
            if self.root:
                nn.init.zeros_(mixer.attention.out.weight)
        nn.init.normal_(self.inp, std=self.inp.shape[1] ** -0.5)
        nn.init.normal_(self.place)
        nn.init.zeros_(self.out)
        nn.init.zeros_(self.out_bias)
        if hasattr(self, "plan"):
            nn.init.normal_(self.queries)
            nn.init.zeros_(self.outline.weight)

    def encode(self, cond, mask: Tensor, drop: Tensor) -> Context:
        """Text embeddings → context.

        Args:
            cond: tokens (B, L, E), mask (B, L) and pooled (B, E), or a condition with such a field ``text``.
            mask: (B, 1).
            drop: (B,) bool, True where the learned null takes the place of the text.
        """
        text = getattr(cond, "text", cond)
        whole = text.pooled[:, None], torch.ones_like(drop)[:, None]
        words, valid = self.words(*((text.tokens, text.mask) if self.level == "tokens" else whole), drop)
        outline = None
        if hasattr(self, "plan"):
            plan = self.plan(self.queries.expand(len(drop), -1, -1), words, valid)  # (B, Q, C)
            outline = self.outline(plan.flatten(1)).float()[:, None]
        return Context(tuple(block.kv(words) for block in self.blocks), valid, drop, outline)

    def forward(self, x: Tensor, t: Tensor, ctx: Context, mask: Tensor) -> Tensor:
        """Noisy poses → the network's raw output of the same shape.

        Args:
            x: (B, 1, D).
            t: (B,) noise level.
            ctx: from :meth:`encode`.
            mask: (B, 1), True: there is no pose without a body.
        """
        time = F.silu(self.time(t))  # (B, C)
        numbers = x.reshape(len(x), self.count, -1)  # (B, J - 1, D / (J - 1)), or (B, 1, D)
        if ctx.outline is not None:
            numbers = torch.cat([numbers, ctx.outline.reshape(numbers.shape)], dim=-1)
        h = torch.einsum("bjc,jcw->bjw", numbers, self.inp)
        h = F.pad(h, (0, 0, self.root, 0)) + self.place  # (B, N, W)
        skips = []
        for i, (block, mixer, kv) in enumerate(zip(self.blocks, self.mixers, ctx.kv, strict=True)):
            if i > self.levels:  # the way up
                h = torch.cat([h, skips.pop()], dim=-1)
            h = mixer(block(h, time, kv, ctx.mask))
            if i < self.levels:
                skips.append(h)
        h = self.norm(h)[:, self.root :]
        y = (torch.einsum("bjw,jwc->bjc", h, self.out) + self.out_bias).reshape(x.shape)
        return y if self.bound is None else self.bound * torch.tanh(y / self.bound)

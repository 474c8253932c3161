"""ViViT: a diffusion transformer over video, attending along space and along time by turns (Arnab et al. 2021)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import TimeEmbedding, places, sinusoid
from motion_lightning.models.reader import Plan, Words
from motion_lightning.models.vivit_parts import Pair, Tubelets, cut, space_places

SKIPS = ("none", "raw", "preconditioned")
SCALES = ("none", "scalar", "per_t")


class Context(NamedTuple):
    """What depends on the text and the length alone; made once per sampling run."""

    pooled: Tensor  # (B, W) the whole text
    plan: Tensor  # (B, F, S, W) what is to be seen, a vector a token
    outline: Tensor  # (B, T, C, H, W) the video that the text alone leads to expect


class ViViT(nn.Module):
    """Denoiser of videos.

    The text is read once, by a few tokens that know nothing but their place in time. Read out alone, each by a linear
    layer to whole pictures, they are an outline of x0, E[x0 | text]; cut up as the video is, it is the plan that is
    added to the tokens of the noisy video. An outline token by token, from the sum of a place and a time, learned far
    slower: after 600 steps of the reading alone it left .94 of the variance of drawn signs, this one .80, of .68 to .71
    that no text tells.

    Args:
        channels, size, frames: C, H = W and T of the videos.
        text_dim: E, width of the text embeddings.
        width, heads, mlp: size of the transformer; ``mlp`` is the perceptrons' width in widths.
        pairs: of a spatial and a temporal block.
        readers: layers that read the text.
        features: makes the way from pictures to tokens and back: ``Tubelets`` or ``Frames``.
        skip: "raw" adds the input to the output; "none" and "preconditioned" do not: the latter says that the
            skip, scaled to the noise, is the precondition's.
        output_scale: a learned factor on the output, 0.5 at the start: "none", "scalar", or "per_t", a function of t.
        temporal_weight: factor on what attention along time adds.
        gate: of all blocks at the start. 0 is adaLN-Zero. Behind a linear skip the target is uncorrelated with all
            that is linear in x: where blocks and output both start at zero, neither gets a gradient.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        frames: int,
        text_dim: int,
        width: int = 192,
        pairs: int = 3,
        heads: int = 4,
        mlp: float = 4.0,
        readers: int = 3,
        features: Callable[..., nn.Module] = Tubelets,
        skip: str = "preconditioned",
        output_scale: str = "none",
        temporal_weight: float = 1.0,
        gate: float = 0.0,
    ):
        super().__init__()
        if width % heads or width % 4:
            raise UserError(f"model.width={width} is no multiple of 4 and of model.heads={heads}: change one of them")
        if skip not in SKIPS or output_scale not in SCALES:
            raise UserError(
                f"model.skip={skip} or model.output_scale={output_scale} is unknown; "
                f"choose of {', '.join(SKIPS)} and of {', '.join(SCALES)}"
            )
        made = features(channels=channels, size=size, frames=frames, width=width)
        self.width, self.skip, self.scaling = width, skip, output_scale
        self.shape = made.tubelet, channels, size, size  # of what a step of the token grid shows
        self.time = TimeEmbedding(width)
        self.words = Words(text_dim, width)
        self.pooled = nn.Linear(text_dim, width)
        self.null_pooled = nn.Parameter(torch.empty(width))
        self.plan = Plan(width, heads, readers)
        self.queries = nn.Parameter(torch.empty(-(-frames // made.tubelet), width))
        self.plan_gate = nn.Linear(width, width)
        self.expected = nn.Linear(made.tubelet * made.patch**2 * channels, width)
        self.pairs = nn.ModuleList(Pair(width, heads, mlp, temporal_weight) for _ in range(pairs))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        if output_scale == "scalar":
            self.output_scale = nn.Parameter(torch.empty(()))
        elif output_scale == "per_t":
            self.output_scale = nn.Linear(width, 1)
        self.outline = nn.Linear(width, made.tubelet * channels * size**2)
        self.initialise(gate)
        self.features = made  # it may hold a trained backbone, and has seen to its own beginning

    def initialise(self, gate: float) -> None:
        """At the start every block is the identity, unless its gate is open, and the output is zero; else Xavier."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for pair in self.pairs:
            for block in (pair.spatial, pair.temporal):
                nn.init.zeros_(block.modulation[-1].weight)
                for part in block.modulation[-1].bias.chunk(6)[2::3]:
                    nn.init.constant_(part, gate)
        for layer in (self.modulation[-1], self.plan_gate, self.outline):
            nn.init.zeros_(layer.weight)
        nn.init.normal_(self.queries)
        nn.init.normal_(self.null_pooled, std=0.02)
        if self.scaling == "scalar":
            nn.init.constant_(self.output_scale, 0.5)
        elif self.scaling == "per_t":
            nn.init.zeros_(self.output_scale.weight)
            nn.init.constant_(self.output_scale.bias, 0.5)

    def encode(self, cond, mask: Tensor, drop: Tensor) -> Context:
        """Text embeddings → context.

        Args:
            cond: tokens (B, L, E), mask (B, L) and pooled (B, E), or a named tuple with these as ``text``.
            mask: (B, T), True where a frame is valid.
            drop: (B,) bool, True where the learned null takes the place of the text.
        """
        text, valid = getattr(cond, "text", cond), self.steps(mask)  # (B, F)
        words, heard = self.words(text.tokens, text.mask, drop)
        step = torch.arange(valid.shape[1], device=drop.device).clamp(max=len(self.queries) - 1)  # beyond is padding
        plan = self.plan(self.queries[step] + places(valid, self.width), words, heard)
        outline = self.outline(plan).unflatten(-1, self.shape).flatten(1, 2)  # (B, T, C, H, W)
        outline = outline.float() * F.pad(mask, (0, -mask.shape[1] % self.shape[0]))[..., None, None, None]
        squares = cut(outline.detach(), self.features.tubelet, self.features.patch)
        plan = plan[:, :, None] + self.expected(squares)  # (B, F, S, W)
        pooled = torch.where(drop[:, None], self.null_pooled, self.pooled(text.pooled))
        return Context(pooled, plan, outline[:, : mask.shape[1]])

    def forward(self, x: Tensor, t: Tensor, ctx: Context, mask: Tensor) -> Tensor:
        """Noisy videos → the network's raw output of the same shape.

        Args:
            x: (B, T, C, H, W).
            t: (B,) noise level.
            ctx: from :meth:`encode`.
            mask: (B, T), True where a frame is valid.
        """
        frames, step = x.shape[1], self.features.tubelet
        x = x * mask[..., None, None, None]
        valid = self.steps(mask)  # (B, F)
        c = self.time(t) + ctx.pooled  # (B, W)
        h = self.features.embed(F.pad(x, (0, 0) * 3 + (0, -frames % step)))  # (B, F, S, W)
        h = h + space_places(self.features.rows, self.width, x.device)
        h = h + sinusoid(torch.arange(h.shape[1], device=x.device), self.width)[:, None]
        h = h + ctx.plan * (1 + self.plan_gate(c)[:, None, None])
        for pair in self.pairs:
            h = pair(h, c, valid)
        shift, scale = self.modulation(c)[:, None, None].chunk(2, dim=-1)
        out = self.features.unembed(self.norm(h) * (1 + scale) + shift)[:, :frames] * self.factor(c)
        return out + x if self.skip == "raw" else out

    def factor(self, c: Tensor) -> Tensor | float:
        """The factor on the output, broadcast over (B, T, C, H, W)."""
        if self.scaling == "per_t":
            return self.output_scale(c)[..., None, None, None]
        return self.output_scale if self.scaling == "scalar" else 1.0

    def steps(self, mask: Tensor) -> Tensor:
        """Frames (B, T) → steps of the token grid (B, F) that hold a valid one."""
        step = self.features.tubelet
        return F.pad(mask, (0, -mask.shape[1] % step)).unflatten(1, (-1, step)).any(-1)

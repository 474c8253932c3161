"""Track DiT: where points of a scene go, and the hands that move them, as a sentence says."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import CrossAttention, SelfAttention, TimeEmbedding, modulate, sinusoid

BANDS = 7  # of positions: waves from twice the picture's side down to a 32nd of it
GLIMPSE, REACH = 7, 0.05  # samples a side of the picture around a point, and how far they reach, in shares of it


class Context(NamedTuple):
    """What depends on scene, points and text alone; made once per sampling run."""

    pooled: Tensor  # (B, W) the whole text
    points: Tensor  # (B, P, W) what is known of each point at time 0; the hands are the last of them
    present: Tensor  # (B, H) bool, which hands there are
    scene: tuple[Tensor, ...]  # (B, S, 2 W) keys and values of pictures and words, for each block
    seen: Tensor  # (B, S) bool, False for padding of the text


class Block(nn.Module):
    """Cross-attention to the scene, attention over points at one time, attention over time for one point.

    Each is followed by a perceptron, and all are gated by adaLN-Zero (Peebles & Xie 2023).
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.look = CrossAttention(width, heads)
        self.among_points, self.along_time = SelfAttention(width, heads), SelfAttention(width, heads)
        self.perceptrons = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)) for _ in range(3)
        )
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 18 * width))

    def forward(self, h: Tensor, c: Tensor, scene: Tensor, seen: Tensor, slots: Tensor) -> Tensor:
        """h (B, T P, W), c (B, W), scene (B, S, 2 W), seen (B, S), slots (B, T)."""
        steps = slots.shape[1]
        points = h.shape[1] // steps
        valid = slots.repeat_interleave(points, 0)  # (B P, T)
        every = torch.ones(len(h) * steps, points, dtype=torch.bool, device=h.device)

        def over_points(y: Tensor) -> Tensor:
            y = self.among_points(rearrange(y, "b (t p) w -> (b t) p w", t=steps), every)
            return rearrange(y, "(b t) p w -> b (t p) w", t=steps)

        def over_time(y: Tensor) -> Tensor:
            y = self.along_time(rearrange(y, "b (t p) w -> (b p) t w", t=steps), valid)
            return rearrange(y, "(b p) t w -> b (t p) w", p=points)

        mixers: tuple[Callable, ...] = (lambda y: self.look(y, scene, seen), over_points, over_time)
        parts = self.modulation(c).chunk(3, -1)
        for mix, perceptron, part in zip(mixers, self.perceptrons, parts, strict=True):
            shift1, scale1, gate1, shift2, scale2, gate2 = part.chunk(6, -1)  # (B, W) each
            h = h + gate1[:, None] * mix(modulate(self.norm(h), shift1, scale1))
            h = h + gate2[:, None] * perceptron(modulate(self.norm(h), shift2, scale2))
        return h


class TrackDiT(nn.Module):
    """Denoiser of tracks: x (B, T, F) holds, slot by slot, N points' displacements and then the hands'.

    Slot 0, where nothing has moved yet, is known, so it is not in x: it is put before the noisy slots as clean tokens
    and is left out of the output. Nothing numbers the points: permuted points are predicted alike.

    Args:
        points, dims: N and D; F = N D + H (3 + 6), displacements of positions and then of rotations.
        steps: T, slots of x.
        hands: H, 2 or 0.
        text_dim: E, width of the text embeddings.
        backbone: pictures (B, C, H, W) → maps (B, ``width``, h, w); with four ``channels`` it is given the depth.
        frames: pictures of a scene, the last one at time 0.
        width, depth, heads: size of the transformer.
        glimpse: whether each point is told what the pictures show around it, in their own pixels.
        text_mask: False lets padding be read as words, as a source of this design did.
    """

    def __init__(
        self,
        dims: int,
        hands: int,
        text_dim: int,
        backbone: nn.Module,
        frames: int = 2,
        width: int = 96,
        depth: int = 3,
        heads: int = 4,
        glimpse: bool = True,
        text_mask: bool = True,
    ):
        super().__init__()
        if width % heads or width % 2:
            raise UserError(f"model.width={width} is no even multiple of model.heads={heads}: change one of them")
        self.dims, self.hands, self.width = dims, hands, width
        self.backbone, self.text_mask = backbone, text_mask

        self.picture = nn.Linear(backbone.width, width)
        self.picture_place = nn.Linear(4 * BANDS, width)
        self.picture_norm = nn.LayerNorm(width)
        self.text = nn.Linear(text_dim, width)
        self.text_norm = nn.LayerNorm(width)
        self.pooled = nn.Linear(text_dim, width)
        self.null_token = nn.Parameter(torch.empty(width))
        self.null_pooled = nn.Parameter(torch.empty(width))
        self.keys = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(depth))

        # A layer on [position, displacement, slot] is a sum of three layers, and only one of them sees x.
        self.place = nn.Linear(2 * BANDS * dims, width)
        self.glimpse = nn.Linear(frames * backbone.channels * GLIMPSE**2, width) if glimpse else None
        self.moved = nn.Linear(dims, width)
        self.slot = nn.Linear(width, width)
        self.start = nn.Parameter(torch.zeros(width))  # of slot 0, in the place of a displacement
        if hands:
            self.hand_place, self.hand_turn = nn.Linear(6 * BANDS, width), nn.Linear(6, width)
            self.hand_kind = nn.Embedding(2 * hands, width)  # which hand, there or not
            self.hand_moved, self.hand_out = nn.Linear(9, width), nn.Linear(width, 9)
        self.token = nn.Sequential(nn.SiLU(), nn.Linear(width, width))

        self.time = TimeEmbedding(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.out = nn.Linear(width, dims)
        self.initialise()

    def initialise(self) -> None:
        """At the start every block is the identity and the output is zero; the rest is Xavier."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and not name.startswith("backbone."):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            nn.init.zeros_(block.modulation[-1].weight)  # gates: nothing is added yet
        for layer in [self.modulation[-1], self.out, *([self.hand_out] if self.hands else [])]:
            nn.init.zeros_(layer.weight)
        nn.init.normal_(self.null_token)  # the scale of tokens after their norm
        nn.init.normal_(self.null_pooled, std=0.02)

    def encode(self, cond, mask: Tensor, drop: Tensor) -> Context:
        """Pictures, points, hands and text → context.

        Args:
            cond: text, frames (B, F, 3, H, W), query (B, N, D), depth (B, F, H, W) or None, and hands: position
                (B, H, 3), rotation (B, H, 6), present (B, H). Where they go, ``cond.moves``, is not looked at.
            mask: (B, T), True where a slot of x is valid.
            drop: (B,) bool, True where the learned null takes the place of the text. The scene stays.
        """
        frames = cond.frames
        if self.backbone.channels == 4:
            if cond.depth is None:
                raise UserError("model.backbone.channels=4 needs depth: set data.corpus.depth=true, or 3 channels")
            frames = torch.cat([frames, cond.depth[:, :, None]], 2)  # (B, F, C, H, W)
        pictures = self._pictures(frames)
        words, heard = self._words(cond.text, drop)
        scene = torch.cat([pictures, words], 1)  # (B, S, W)
        return Context(
            pooled=torch.where(drop[:, None], self.null_pooled, self.pooled(cond.text.pooled)),
            points=self._points(cond, frames),
            present=cond.hands.present,
            scene=tuple(layer(scene) for layer in self.keys),
            seen=torch.cat([heard.new_ones(pictures.shape[:2]), heard], 1),
        )

    def forward(self, x: Tensor, t: Tensor, ctx: Context, mask: Tensor) -> Tensor:
        """Noisy displacements → the network's raw output of the same shape.

        Args:
            x: (B, T, F), slots 1 ... T.
            t: (B,) noise level.
            ctx: from :meth:`encode`.
            mask: (B, T), True where a slot is valid.

        Returns:
            (B, T, F), zero for hands that are not there and beyond the last point.
        """
        hands, count = 9 * self.hands, ctx.points.shape[1] - self.hands
        track = x[..., hands : hands + count * self.dims]
        moved = self.moved(track.unflatten(-1, (count, self.dims)))  # (B, T, N, W)
        there = ctx.present[:, None, :, None]  # (B, 1, H, 1)
        if self.hands:
            parts = x[..., :hands].split([3 * self.hands, 6 * self.hands], -1)
            hand = torch.cat([part.unflatten(-1, (self.hands, -1)) for part in parts], -1)  # (B, T, H, 9)
            moved = torch.cat([moved, self.hand_moved(hand * there)], 2)
        start = self.start.expand_as(moved[:, :1])
        slots = self.slot(sinusoid(torch.arange(x.shape[1] + 1, device=x.device), self.width))  # (T + 1, W)
        h = self.token(ctx.points[:, None] + torch.cat([start, moved], 1) + slots[:, None])  # (B, T + 1, P, W)
        h = h.flatten(1, 2)

        c = self.time(t) + ctx.pooled  # (B, W)
        valid = F.pad(mask, (1, 0), value=True)
        for block, scene in zip(self.blocks, ctx.scene, strict=True):
            h = block(h, c, scene, ctx.seen, valid)
        shift, scale = self.modulation(c).chunk(2, dim=-1)
        h = modulate(self.norm(h), shift, scale).unflatten(1, (*valid.shape[1:], -1))[:, 1:]  # (B, T, P, W)
        out = self.out(h[:, :, :count]).flatten(2)  # (B, T, N D)
        if self.hands:
            hand = self.hand_out(h[:, :, count:]) * there  # (B, T, H, 9)
            out = torch.cat([hand[..., :3].flatten(2), hand[..., 3:].flatten(2), out], -1)
        return F.pad(out, (0, x.shape[-1] - out.shape[-1]))

    def _pictures(self, frames: Tensor) -> Tensor:
        """(B, F, C, H, W) → tokens (B, F h w, W) that know where and when they are."""
        count = frames.shape[1]
        maps = self.backbone(frames.flatten(0, 1))  # (B F, C, h, w)
        v, u = ((torch.arange(n, device=maps.device) + 0.5) / n for n in maps.shape[-2:])
        centres = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1).flatten(0, 1)  # (h w, 2)
        ago = torch.arange(count - 1, -1, -1, device=maps.device)
        tokens = self.picture(rearrange(maps, "(b f) c h w -> b f (h w) c", f=count))
        tokens = tokens + self.picture_place(waves(centres)) + sinusoid(ago, self.width)[:, None]
        return self.picture_norm(tokens).flatten(1, 2)

    def _words(self, text, drop: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, L, W) and which of them count (B, L); the null is one token."""
        tokens = torch.where(drop[:, None, None], self.null_token, self.text_norm(self.text(text.tokens)))
        number = torch.arange(tokens.shape[1], device=drop.device)
        heard = text.mask if self.text_mask else torch.ones_like(text.mask)
        return tokens + sinusoid(number, self.width), torch.where(drop[:, None], number == 0, heard)

    def _points(self, cond, frames: Tensor) -> Tensor:
        """(B, P, W) what is known of points and hands before anything moves."""
        known = self.place(waves(cond.query))
        if self.glimpse is not None:
            known = known + self.glimpse(glimpses(frames, cond.query[..., :2]))
        if not self.hands:
            return known
        hands = cond.hands
        kind = 2 * torch.arange(self.hands, device=known.device) + hands.present  # (B, H)
        hand = self.hand_place(waves(hands.position)) + self.hand_turn(hands.rotation) + self.hand_kind(kind)
        if self.glimpse is not None:
            hand = hand + self.glimpse(glimpses(frames, hands.position[..., :2]))
        return torch.cat([known, hand], 1)


def waves(position: Tensor) -> Tensor:
    """Cosines and sines of positions (..., D) in [0, 1] at doubling frequencies, (..., 2 D BANDS)."""
    frequency = math.pi * 2.0 ** torch.arange(BANDS, device=position.device)
    angle = (position[..., None] * frequency).flatten(-2)
    return torch.cat([angle.cos(), angle.sin()], -1)


def glimpses(frames: Tensor, places: Tensor) -> Tensor:
    """What pictures (B, F, C, H, W) show around places (B, K, 2): (B, K, F C GLIMPSE²)."""
    reach = torch.linspace(-REACH, REACH, GLIMPSE, device=frames.device)
    around = torch.stack(torch.meshgrid(reach, reach, indexing="xy"), -1).flatten(0, 1)  # (G², 2)
    grid = 2 * (places[:, :, None] + around) - 1
    seen = F.grid_sample(frames.flatten(1, 2), grid, padding_mode="border", align_corners=False)
    return rearrange(seen, "b c k g -> b k (c g)")

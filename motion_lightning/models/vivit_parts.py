"""Parts of the ViViT: pictures ↔ tokens in two ways, and attention along space and along time.

B clips, T frames, C channels; F steps of the token grid in time, S places of it in a frame, W width.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import SelfAttention, sinusoid
from motion_lightning.models.video_features import FrameViT

SPACE, TIME = "(b f) s d", "(b s) f d"


def cut(x: Tensor, tubelet: int, patch: int) -> Tensor:
    """Pictures (B, T, C, H, W) → tubelets (B, F, S, tubelet · patch² · C), places row by row."""
    return rearrange(x, "b (f t) c (h p) (w q) -> b f (h w) (t p q c)", t=tubelet, p=patch, q=patch)


def join(tubelets: Tensor, tubelet: int, patch: int, rows: int) -> Tensor:
    """The inverse of :func:`cut`."""
    return rearrange(tubelets, "b f (h w) (t p q c) -> b (f t) c (h p) (w q)", t=tubelet, p=patch, q=patch, h=rows)


class Tubelets(nn.Module):
    """Tokens of a few frames × a square of pixels (tubelet embedding: Arnab et al. 2021, sec. 3.2).

    Raises UserError where the frames or the picture cannot be cut so.
    """

    def __init__(self, channels: int, size: int, frames: int, width: int, tubelet: int = 2, patch: int = 8):
        super().__init__()
        if frames % tubelet:
            raise UserError(
                f"data.corpus.frames={frames} is no multiple of model.features.tubelet={tubelet}: change one of them"
            )
        check_patch(size, patch, "model.features.patch")
        self.tubelet, self.patch, self.rows = tubelet, patch, size // patch
        self.inp = nn.Conv3d(channels, width, (tubelet, patch, patch), (tubelet, patch, patch))
        self.out = nn.Linear(width, tubelet * patch**2 * channels)
        nn.init.xavier_uniform_(self.inp.weight.flatten(1))  # a linear layer of patches
        for zero in (self.inp.bias, self.out.weight, self.out.bias):
            nn.init.zeros_(zero)

    def embed(self, x: Tensor) -> Tensor:
        """(B, T, C, H, W) → (B, F, S, W)."""
        return rearrange(self.inp(rearrange(x, "b t c h w -> b c t h w")), "b d f h w -> b f (h w) d")

    def unembed(self, h: Tensor) -> Tensor:
        """(B, F, S, W) → (B, T, C, H, W)."""
        return join(self.out(h), self.tubelet, self.patch, self.rows)


class Frames(nn.Module):
    """Features of a vision transformer, frame by frame, and a projection back to pixels by three convolutions.

    Args:
        backbone: turns pictures (N, C, H, W) into a map of features (N, D, h, h), and says D as ``width`` and h as
            ``grid``; default a small ``FrameViT``, trained along.
        dropout: of whole channels, after the first convolution.
    """

    tubelet = 1

    def __init__(
        self,
        channels: int,
        size: int,
        frames: int,
        width: int,
        backbone: nn.Module | None = None,
        dropout: float = 0.05,
    ):
        super().__init__()
        self.backbone = backbone or FrameViT(channels, size)
        self.rows, self.size = self.backbone.grid, size
        check_patch(size, self.rows, "the grid of model.features.backbone")
        self.patch = size // self.rows
        self.inp = nn.Linear(self.backbone.width, width)
        half, quarter = width // 2, width // 4
        self.projection = nn.Sequential(
            nn.Conv2d(width, half, 3, padding=1),
            nn.GroupNorm(groups(half), half),
            nn.GELU(),
            nn.Dropout2d(dropout),
            nn.Conv2d(half, quarter, 3, padding=1),
            nn.GroupNorm(groups(quarter), quarter),
            nn.GELU(),
            nn.Conv2d(quarter, channels, 1),
        )

    def embed(self, x: Tensor) -> Tensor:
        """(B, T, C, H, W) → (B, T, S, W)."""
        grid = self.backbone(rearrange(x, "b t c h w -> (b t) c h w"))  # (B T, D, h, w)
        return self.inp(rearrange(grid, "(b t) d h w -> b t (h w) d", b=len(x)))

    def unembed(self, h: Tensor) -> Tensor:
        """(B, T, S, W) → (B, T, C, H, W)."""
        grid = rearrange(h, "b t (h w) d -> (b t) d h w", h=self.rows)
        pixels = self.projection(F.interpolate(grid, size=(self.size, self.size), mode="bilinear"))
        return rearrange(pixels, "(b t) c h w -> b t c h w", b=len(h))


def groups(channels: int, most: int = 8) -> int:
    """The largest number of equal groups, up to ``most``."""
    return next(n for n in range(min(most, channels), 0, -1) if channels % n == 0)


def check_patch(size: int, patch: int, name: str) -> None:
    """UserError where pictures of ``size`` pixels cannot be cut into squares."""
    if size % patch:
        raise UserError(f"data.corpus.size={size} is no multiple of {name}={patch}: change one of them")


class Block(nn.Module):
    """Attention along one axis of the token grid, and a perceptron, with adaLN-Zero (Peebles & Xie 2023, sec. 3.2).

    Args:
        axis: SPACE (within a frame) or TIME (within a place).
        weight: factor on what attention adds.
    """

    def __init__(self, width: int, heads: int, mlp: float, axis: str, weight: float = 1.0):
        super().__init__()
        self.axis, self.weight = axis, weight
        self.norm1, self.norm2 = (nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.attention = SelfAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, int(mlp * width)), nn.SiLU(), nn.Linear(int(mlp * width), width))
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, h: Tensor, c: Tensor, valid: Tensor) -> Tensor:
        """Tokens (B, F, S, W), condition (B, W) and valid steps (B, F) → tokens."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(c)[:, None, None].chunk(6, dim=-1)
        h = h + self.weight * gate1 * self.attend(self.norm1(h) * (1 + scale1) + shift1, valid)
        return h + gate2 * self.mlp(self.norm2(h) * (1 + scale2) + shift2)

    def attend(self, h: Tensor, valid: Tensor) -> Tensor:
        shape = {"b": len(h), "f": h.shape[1], "s": h.shape[2]}
        if self.axis == SPACE:
            mask = h.new_ones(shape["b"] * shape["f"], shape["s"], dtype=torch.bool)
        else:
            mask = valid.repeat_interleave(shape["s"], 0)
        out = self.attention(rearrange(h, f"b f s d -> {self.axis}"), mask)
        return rearrange(out, f"{self.axis} -> b f s d", **{k: shape[k] for k in "bfs" if k in self.axis})


class Pair(nn.Module):
    """A block along space, then one along time."""

    def __init__(self, width: int, heads: int, mlp: float, temporal_weight: float):
        super().__init__()
        self.spatial = Block(width, heads, mlp, SPACE)
        self.temporal = Block(width, heads, mlp, TIME, temporal_weight)

    def forward(self, h: Tensor, c: Tensor, valid: Tensor) -> Tensor:
        return self.temporal(self.spatial(h, c, valid), c, valid)


def space_places(rows: int, width: int, device=None) -> Tensor:
    """(S, W): half of the numbers say the row, half the column."""
    at = sinusoid(torch.arange(rows, device=device), width // 2)  # (rows, W/2)
    return torch.cat([at.repeat_interleave(rows, 0), at.repeat(rows, 1)], dim=-1)

"""Networks that see one frame at a time: pictures (N, C, H, W) → a grid of features (N, width, grid, grid)."""

import torch
from einops import rearrange
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import SelfAttention, sinusoid


class FrameViT(nn.Module):
    """A small vision transformer (Dosovitskiy et al. 2021) that is trained along.

    Raises UserError where the picture cannot be cut into patches.
    """

    def __init__(self, channels: int, size: int, patch: int = 8, width: int = 96, depth: int = 2, heads: int = 4):
        super().__init__()
        if size % patch:
            raise UserError(
                f"data.corpus.size={size} is no multiple of model.features.backbone.patch={patch}: change one of them"
            )
        self.width, self.grid = width, size // patch
        self.inp = nn.Conv2d(channels, width, patch, patch)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) → (N, width, grid, grid)."""
        h = rearrange(self.inp(pictures), "n d h w -> n (h w) d")
        h = h + sinusoid(torch.arange(h.shape[1], device=h.device), self.width)
        for layer in self.layers:
            h = layer(h)
        return rearrange(self.norm(h), "n (h w) d -> n d h w", h=self.grid)


class Layer(nn.Module):
    """Self-attention and perceptron, norms first."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attention(self.norm1(h), h.new_ones(h.shape[:2], dtype=torch.bool))
        return h + self.mlp(self.norm2(h))

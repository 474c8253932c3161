"""Layers shared by the denoisers. Masks are True where valid."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


def sinusoid(position: Tensor, width: int, period: float = 10_000.0) -> Tensor:
    """Sinusoidal embedding (Vaswani et al. 2017, sec. 3.5) of positions or timesteps of any shape.

    Returns:
        ``(*position.shape, width)`` float32, cosines first.
    """
    half = width // 2
    frequency = torch.exp(torch.arange(half, device=position.device) * (-math.log(period) / half))
    angle = position.float()[..., None] * frequency  # (..., W/2)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


def waves(position: Tensor, width: int) -> Tensor:
    """``sinusoid`` in the order of Vaswani et al. 2017: sines in even columns, cosines in odd ones."""
    cosine, sine = sinusoid(position, width).chunk(2, dim=-1)
    return torch.stack([sine, cosine], dim=-1).flatten(-2)


def places(valid: Tensor, width: int) -> Tensor:
    """(B, N) → (B, N, W): each token's distance from the start and from the end; motions and sentences have both."""
    start = torch.arange(valid.shape[1], device=valid.device)
    end = valid.sum(1, keepdim=True) - 1 - start  # (B, N)
    return torch.cat([sinusoid(start.expand_as(end), width // 2), sinusoid(end, width // 2)], dim=-1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """``x (B, N, W)`` scaled and shifted per sample, ``shift`` and ``scale`` (B, W)."""
    return x * (1 + scale[:, None]) + shift[:, None]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Scaled dot-product attention.

    Args:
        q: (B, H, N, d).
        k, v: (B, H, M, d).
        mask: (B, M), True where a key may be attended to; each row needs one.

    Returns:
        (B, H, N, d).
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        # The fused kernel's backward is slow there: at N <= 100 the whole step took 1.8 times as long. In float32,
        # with N = 18 on AVX2, it is the fused kernel that is 3.5 times as fast, forward and backward.
        score = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, H, N, M)
        return score.masked_fill(~mask[:, None, None], float("-inf")).softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])


def heads(x: Tensor, count: int) -> Tensor:
    """(B, N, H·d) → (B, H, N, d)."""
    return rearrange(x, "b n (h d) -> b h n d", h=count)


class SelfAttention(nn.Module):
    """Multi-head self-attention over (B, N, W) with a key mask (B, N)."""

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (heads(part, self.num_heads) for part in self.qkv(x).chunk(3, dim=-1))  # (B, H, N, d)
        return self.out(rearrange(attend(q, k, v, mask), "b h n d -> b n (h d)"))


class CrossAttention(nn.Module):
    """Attention of (B, N, W) to keys and values side by side (B, L, 2W), made once from the condition."""

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, kv: Tensor, mask: Tensor) -> Tensor:
        k, v = (heads(part, self.num_heads) for part in kv.chunk(2, dim=-1))  # (B, H, L, d)
        attended = attend(heads(self.q(x), self.num_heads), k, v, mask)
        return self.out(rearrange(attended, "b h n d -> b n (h d)"))


class TimeEmbedding(nn.Module):
    """Timestep (B,) → (B, W): sinusoid, then a two-layer perceptron."""

    def __init__(self, width: int, frequencies: int = 256):
        super().__init__()
        self.frequencies = frequencies
        self.mlp = nn.Sequential(nn.Linear(frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        return self.mlp(sinusoid(t, self.frequencies))


class Patches(nn.Module):
    """Frames ↔ tokens, ``patch`` frames a token.

    With ``overlap`` a token sees, and writes to, twice as many frames, and neighbours are added up (a lapped
    transform), so that no seam falls between two tokens.
    """

    def __init__(self, features: int, width: int, patch: int, overlap: bool):
        super().__init__()
        self.patch, self.features = patch, features
        self.span = 2 * patch if overlap else patch
        self.margin = (self.span - patch) // 2, (self.span - patch + 1) // 2
        self.inp = nn.Linear(self.span * features, width)
        self.out = nn.Linear(width, self.span * features)

    def embed(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, N, W), T a multiple of the patch."""
        x = F.pad(x, (0, 0, *self.margin)).unfold(1, self.span, self.patch)  # (B, N, D, span)
        return self.inp(rearrange(x, "b n d s -> b n (s d)"))

    def unembed(self, h: Tensor, valid: Tensor) -> Tensor:
        """(B, N, W) → (B, T, D); tokens outside ``valid`` (B, N) write nothing, not even the bias."""
        return self.fold(self.out(h), valid)

    def fold(self, y: Tensor, valid: Tensor) -> Tensor:
        """What tokens write, (B, N, span · D), added up over frames: (B, T, D)."""
        y = rearrange(y * valid[..., None], "b n (s p d) -> s b (n p) d", p=self.patch, d=self.features)
        if len(y) == 1:
            return y[0]
        left, right = y  # what a token writes to its first and its second half
        total = F.pad(left, (0, 0, 0, self.patch)) + F.pad(right, (0, 0, self.patch, 0))  # (B, T + patch, D)
        return total[:, self.margin[0] : total.shape[1] - self.margin[1]]

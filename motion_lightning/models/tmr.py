"""TMR: motions and texts in one space (Petrovich et al., ICCV 2023), with the encoders and decoder of TEMOS (2022)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import waves


class Latent(NamedTuple):
    """A normal distribution over the shared space."""

    mean: Tensor  # (B, W)
    log_variance: Tensor  # (B, W)

    def sample(self, noise: Tensor) -> Tensor:
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self, other: "Latent | None" = None) -> Tensor:
        """KL(self ‖ other) (B,) in nats, mean over the dimensions; other None is N(0, I)."""
        mean, log_variance = other or (torch.zeros_like(self.mean), torch.zeros_like(self.mean))
        apart = (self.mean - mean).square() / log_variance.exp()
        ratio = self.log_variance - log_variance
        return 0.5 * (ratio.exp() - ratio - 1 + apart).mean(1)


class SequenceEncoder(nn.Module):
    """A sequence (B, N, D) → its distribution in the space, read by two learned tokens in front of it."""

    def __init__(self, features: int, width: int, depth: int, heads: int, ff: int, dropout: float):
        super().__init__()
        self.inp = nn.Linear(features, width)
        self.tokens = nn.Parameter(torch.randn(2, width))  # one reads the mean, one the log variance
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(width, heads, ff, dropout, "gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)

    def forward(self, x: Tensor, mask: Tensor) -> Latent:
        h = torch.cat([self.tokens.expand(len(x), -1, -1), self.inp(x)], dim=1)  # (B, 2 + N, W)
        h = self.dropout(h + waves(torch.arange(h.shape[1], device=h.device), h.shape[2]))
        h = self.layers(h, src_key_padding_mask=~F.pad(mask, (2, 0), value=True))
        return Latent(h[:, 0].float(), h[:, 1].float())


class SequenceDecoder(nn.Module):
    """A point of the space (B, W) → a sequence (B, N, D), from queries that know nothing but their place."""

    def __init__(self, features: int, width: int, depth: int, heads: int, ff: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerDecoderLayer(width, heads, ff, dropout, "gelu", batch_first=True)
        self.layers = nn.TransformerDecoder(layer, depth)
        self.out = nn.Linear(width, features)

    def forward(self, z: Tensor, mask: Tensor) -> Tensor:
        queries = waves(torch.arange(mask.shape[1], device=z.device), z.shape[-1]).to(z).expand(len(z), -1, -1)
        h = self.layers(self.dropout(queries), z[:, None], tgt_key_padding_mask=~mask)
        return self.out(h) * mask[..., None]


class TMR(nn.Module):
    """Encoders of motion and of text into one space, and where asked for a decoder of motion out of it.

    Args:
        features: D, numbers a frame.
        text_dim: E, width of a text's tokens.
        width: of the space, and of the layers.
        depth, heads, ff: of each transformer.
        patch: frames that make one token; published with 1.
        decoder: whether there is one: only training asks for it.
    """

    def __init__(
        self,
        features: int,
        text_dim: int,
        width: int = 256,
        depth: int = 6,
        heads: int = 4,
        ff: int = 1024,
        dropout: float = 0.1,
        patch: int = 1,
        decoder: bool = True,
    ):
        super().__init__()
        if width % heads or width % 2:
            raise UserError(f"model.width={width} is no even multiple of model.heads={heads}: change one of them")
        size = {"width": width, "depth": depth, "heads": heads, "ff": ff, "dropout": dropout}
        self.patch, self.width = patch, width
        self.motion_encoder = SequenceEncoder(patch * features, **size)
        self.text_encoder = SequenceEncoder(text_dim, **size)
        self.motion_decoder = SequenceDecoder(patch * features, **size) if decoder else None

    def encode_motion(self, x: Tensor, mask: Tensor) -> Latent:
        """Frames (B, T, D), mask (B, T) → their distribution; the last token may hold padding."""
        x = x * mask[..., None]
        pad = -x.shape[1] % self.patch
        x, mask = F.pad(x, (0, 0, 0, pad)), F.pad(mask, (0, pad))
        return self.motion_encoder(x.unflatten(1, (-1, self.patch)).flatten(2), mask[:, :: self.patch])

    def encode_text(self, tokens: Tensor, mask: Tensor) -> Latent:
        """Tokens of a sentence encoder (B, L, E), mask (B, L) → the text's distribution."""
        return self.text_encoder(tokens, mask)

    def decode(self, z: Tensor, mask: Tensor) -> Tensor:
        """(B, W), mask (B, T) → frames (B, T, D), zero where the mask is False."""
        pad = -mask.shape[1] % self.patch
        x = self.motion_decoder(z, F.pad(mask, (0, pad))[:, :: self.patch])
        return x.unflatten(2, (self.patch, -1)).flatten(1, 2)[:, : mask.shape[1]] * mask[..., None]

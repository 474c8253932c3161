"""How a text is read before there is anything to see: its words, and a plan made of them by tokens that know no x."""

import torch
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.layers import CrossAttention, places


class Words(nn.Module):
    """Text embeddings → tokens that know their place in the sentence, or a learned null.

    Args:
        text_dim: E, width of the text embeddings.
        width: W of the tokens.
    """

    def __init__(self, text_dim: int, width: int):
        super().__init__()
        self.width = width
        self.inp, self.norm = nn.Linear(text_dim, width), nn.LayerNorm(width)
        self.null_token = nn.Parameter(torch.randn(width))  # the scale of tokens after their norm

    def forward(self, tokens: Tensor, mask: Tensor, drop: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, E), True where there is a word (B, L), True where the null takes its place (B,) → (B, L, W), (B, L).

        The null is one token, so that it knows nothing of the text's length.
        """
        tokens = torch.where(drop[:, None, None], self.null_token, self.norm(self.inp(tokens)))
        first = torch.arange(tokens.shape[1], device=drop.device) == 0
        mask = torch.where(drop[:, None], first, mask)
        return tokens + places(mask, self.width), mask


class Reader(nn.Module):
    """Cross-attention of tokens to the text, and a perceptron."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.cross = CrossAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, h: Tensor, kv: Tensor, text_mask: Tensor) -> Tensor:
        h = h + self.cross(self.norm1(h), kv, text_mask)
        return h + self.mlp(self.norm2(h))


class Plan(nn.Module):
    """Tokens ask, words answer: what is to happen, a vector each.

    The plan is made once per sampling run, and learned from all samples of a training batch alike, however noisy they
    are; a denoiser that only attends to the text learns it from the noisiest ones. Read out alone it is an outline of
    x0, E[x0 | text], which the denoiser adds.

    Args:
        width, heads, layers: W and size.
    """

    def __init__(self, width: int, heads: int, layers: int):
        super().__init__()
        if layers < 1:
            raise UserError(f"model.readers={layers}: without one layer that reads it the text is not heard")
        self.kv = nn.Linear(width, 2 * width)  # one for all layers, which read the same words
        self.layers = nn.ModuleList(Reader(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)

    def forward(self, h: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Tokens that ask (B, N, W), words (B, L, W) and their mask (B, L) → (B, N, W), normalised."""
        kv = self.kv(words)
        for layer in self.layers:
            h = layer(h, kv, mask)
        return self.norm(h)

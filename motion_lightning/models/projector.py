"""LEAD's projector: latents of motions ↔ points of a text encoder's space (Andreou et al., arXiv 2410.14508)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.mdm import Block


class Reader(nn.Module):
    """Tokens (B, N, a) → tokens (B, M, b): M learned queries in front of them, through a transformer."""

    def __init__(
        self,
        source: tuple[int, int],
        target: tuple[int, int],
        width: int,
        depth: int,
        heads: int,
        ff: int,
        dropout: float,
    ):
        super().__init__()
        self.asked = target[0]
        self.inp, self.out = nn.Linear(source[1], width), nn.Linear(width, target[1])
        self.places = nn.Parameter(torch.randn(target[0] + source[0], width) * width**-0.5)
        self.blocks = nn.ModuleList(Block(width, heads, ff, dropout) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        h = F.pad(self.inp(x), (0, 0, self.asked, 0)) + self.places  # (B, M + N, W)
        mask = torch.ones(h.shape[:2], dtype=torch.bool, device=h.device)
        for block in self.blocks:
            h = block(h, mask)
        return self.out(h[:, : self.asked])


class Perceptron(nn.Module):
    """Tokens (B, N, a) → tokens (B, M, b): all numbers at once, through residual layers."""

    def __init__(
        self,
        source: tuple[int, int],
        target: tuple[int, int],
        width: int,
        depth: int,
        heads: int,
        ff: int,
        dropout: float,
    ):
        super().__init__()
        self.target = target
        self.inp, self.out = nn.Linear(source[0] * source[1], width), nn.Linear(width, target[0] * target[1])
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, ff), nn.GELU(), nn.Dropout(dropout), nn.Linear(ff, width)
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.inp(x.flatten(1))
        for layer in self.layers:
            h = h + layer(h)
        return self.out(h).unflatten(1, self.target)


KINDS = {"transformer": Reader, "mlp": Perceptron}


class Projector(nn.Module):
    """Standardised latents z (B, L, C) ↔ p (B, E), unit vectors of the space of pooled texts.

    The paper compares p with texts by the cosine, and what is published of it is silent on lengths: here they say
    nothing, so that a text itself can stand where p does.

    Args:
        tokens, features: L and C.
        text_dim: E, width of the pooled text.
        kind: "transformer" as in the paper, or "mlp"; of both directions.
        width, depth, ff: of each direction; ff is the width inside a layer.
        heads: of the transformer.
        direct: a matrix stands beside both directions, which add to it. It starts as a turn of z, which its transpose
            undoes where E is no less than L C. As far as is known the paper has none.
    """

    def __init__(
        self,
        tokens: int,
        features: int,
        text_dim: int,
        kind: str = "transformer",
        width: int = 256,
        depth: int = 3,
        heads: int = 4,
        ff: int = 512,
        dropout: float = 0.0,
        direct: bool = False,
    ):
        super().__init__()
        if kind not in KINDS:
            raise UserError(f"model.kind={kind} is unknown; choose one of {', '.join(KINDS)}")
        if width % heads:
            raise UserError(f"model.width={width} is no multiple of model.heads={heads}: change one of them")
        latents, text = (tokens, features), (1, text_dim)
        size = {"width": width, "depth": depth, "heads": heads, "ff": ff, "dropout": dropout}
        self.width, self.latents = text_dim, latents
        self.encoder, self.decoder = KINDS[kind](latents, text, **size), KINDS[kind](text, latents, **size)
        self.turn = nn.Parameter(nn.init.orthogonal_(torch.empty(text_dim, tokens * features))) if direct else None
        if direct:
            for part in (self.encoder, self.decoder):
                nn.init.zeros_(part.out.weight)
                nn.init.zeros_(part.out.bias)

    def encode(self, z: Tensor) -> Tensor:
        """E_proj: z (B, L, C) → p (B, E), of length 1."""
        p = self.encoder(z)[:, 0].float()
        if self.turn is not None:
            p = p + z.flatten(1).float() @ self.turn.T
        return F.normalize(p, dim=-1)

    def decode(self, p: Tensor) -> Tensor:
        """D_proj: p (B, E) of any length, which does not count → z (B, L, C)."""
        p = F.normalize(p, dim=-1)
        z = self.decoder(p[:, None] * self.width**0.5).float()  # of numbers of unit size
        if self.turn is not None:
            size = (self.latents[0] * self.latents[1]) ** 0.5  # of standardised latents
            z = z + size * (p.float() @ self.turn).view_as(z)
        return z

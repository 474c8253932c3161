"""MLD: a VAE that makes few latent tokens of a whole motion, and a denoiser of these (Chen et al., CVPR 2023)."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.image_vae import Gaussian
from motion_lightning.models.skip import skip_decoder, skip_encoder


class MotionVAE(nn.Module):
    """Motions of any length (B, T, D) ↔ latents (B, L, C), the same number for all.

    Learned tokens in front of the frames read mean and log variance; a decoder makes frames of queries that know
    nothing but their place. Of the published dropout the one on attention weights is left out.

    Args:
        features: D, numbers a frame.
        tokens: L.
        latent: C, numbers a token of latents; None: as many as the transformers are wide, without a projection.
        width, depth, heads, ff: size of each transformer.
        places: tokens that there are learned positions for.
        patch: frames that make one token of a transformer; published with 1.
        norm_first: norms stand before attention and perceptrons; published behind them.
        log_variance: where that of q starts: added to what the tokens say. Published with 0, as loud as the latents.
        linear: frames that a linear map takes to the latents and back beside the transformers, which add to it; for
            :meth:`start`. Published without: 0.
    """

    def __init__(
        self,
        features: int,
        tokens: int = 1,
        latent: int | None = None,
        width: int = 256,
        depth: int = 9,
        heads: int = 4,
        ff: int = 1024,
        dropout: float = 0.1,
        places: int = 500,
        patch: int = 1,
        norm_first: bool = False,
        log_variance: float = 0.0,
        linear: int = 0,
    ):
        super().__init__()
        if width % heads:
            raise UserError(f"model.width={width} is no multiple of model.heads={heads}: change one of them")
        size = {"width": width, "depth": depth, "heads": heads, "ff": ff, "dropout": dropout, "norm_first": norm_first}
        self.tokens, self.places, self.patch = tokens, places, patch
        self.log_variance = log_variance
        self.shape = (latent or width,)
        self.sizes = {"features": latent or width, "tokens": tokens}
        self.inp, self.out = nn.Linear(patch * features, width), nn.Linear(width, patch * features)
        self.summary = nn.Parameter(torch.randn(2 * tokens, width))
        self.encoder_positions, self.decoder_positions = (nn.Parameter(torch.rand(places, width)) for _ in range(2))
        self.encoder, self.decoder = skip_encoder(**size), skip_decoder(**size)
        self.to_latent = nn.Linear(width, latent) if latent else nn.Identity()
        self.of_latent = nn.Linear(latent, width) if latent else nn.Identity()
        for module in (self.encoder, self.decoder):
            xavier(module)
        self.linear = linear
        if linear:
            numbers = tokens * self.shape[0]
            self.register_buffer("centre", torch.zeros(linear, features))
            for name in ("reading", "writing"):  # fixed: what moves every weight by the learning rate would spoil them
                self.register_buffer(name, torch.zeros(linear, features, numbers))
            for layer in (self.out, self.to_latent):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Let the linear map be principal components, and what it reads their standardised scores.

        Args:
            x: motions (N, ``linear``, D), zero behind their ends.
        """
        flat = x.flatten(1)
        mean, numbers = flat.mean(0), self.reading.shape[2]
        _, size, basis = torch.svd_lowrank(flat - mean, q=min(numbers, *flat.shape), niter=6)
        std = (size / len(flat) ** 0.5).clamp(min=1e-3)  # of the scores
        self.centre.copy_(mean.view_as(self.centre))
        self.reading[..., : len(std)] = (basis / std).view(*self.centre.shape, -1)
        self.writing[..., : len(std)] = (basis * std).view(*self.centre.shape, -1)

    def length(self, frames: int) -> int:
        """Tokens of latents of a motion, however long."""
        return self.tokens

    def encode(self, x: Tensor, mask: Tensor) -> tuple[Gaussian, Tensor]:
        """x (B, T, D), mask (B, T) → q(z | x) with mean (B, L, C), and the latents' mask (B, L), all True.

        Raises:
            UserError: more frames than there are positions for.
        """
        first, whole = len(self.summary), x * mask[..., None]
        frames = F.pad(whole, (0, 0, 0, -x.shape[1] % self.patch))
        x, mask = frames.unflatten(1, (-1, self.patch)).flatten(2), self.patched(mask)  # (B, N, P D), (B, N)
        self.check(x.shape[1] + first)
        h = torch.cat([self.summary.expand(len(x), -1, -1), self.inp(x)], dim=1)  # (B, 2 L + N, W)
        h = self.encoder(h + self.encoder_positions[: h.shape[1]], F.pad(mask, (first, 0), value=True))
        mean, log_variance = self.to_latent(h[:, :first]).chunk(2, dim=1)  # (B, L, C) each
        if self.linear:
            mean = mean + self.scores(whole).view_as(mean)
        return Gaussian(mean, (log_variance + self.log_variance).clamp(-20, 10)), mask.new_ones(len(x), self.tokens)

    def decode(self, z: Tensor, mask: Tensor) -> Tensor:
        """Latents (B, L, C), mask (B, T) of the frames to make → x (B, T, D), zero where the mask is False."""
        valid = self.patched(mask)  # (B, N)
        self.check(valid.shape[1])
        memory = self.of_latent(z)
        queries = self.decoder_positions[: valid.shape[1]].expand(len(z), -1, -1)
        h = self.decoder(queries, valid, memory, mask.new_ones(memory.shape[:2]))
        x = self.out(h).unflatten(2, (self.patch, -1)).flatten(1, 2)[:, : mask.shape[1]]
        if self.linear:
            n = min(self.linear, x.shape[1])
            direct = torch.einsum("bk,tdk->btd", z.flatten(1), self.writing[:n]) + self.centre[:n]
            x = x + F.pad(direct, (0, 0, 0, x.shape[1] - n))
        return x * mask[..., None]

    def scores(self, x: Tensor) -> Tensor:
        """Motions (B, T, D), zero behind their ends → what the linear map reads in them (B, L C)."""
        x = F.pad(x[:, : self.linear], (0, 0, 0, max(0, self.linear - x.shape[1]))) - self.centre
        return torch.einsum("btd,tdk->bk", x, self.reading)

    def patched(self, mask: Tensor) -> Tensor:
        """Frames (B, T) → tokens (B, N) whose first frame is valid."""
        return mask[:, :: self.patch]

    def check(self, tokens: int) -> None:
        if tokens > self.places:
            raise UserError(
                f"a motion of {tokens} tokens is too long for this VAE, which has positions for {self.places}: cut it, "
                "or train with a larger model.places"
            )


class Context(NamedTuple):
    """What depends on the text alone; made once per sampling run."""

    text: Tensor  # (B, W)


class MLD(nn.Module):
    """Denoiser of a few latent tokens: a transformer with long skips over them, the timestep and the whole text.

    Args:
        features: C, numbers a token of latents; where they are not as many as the width, linear layers stand between.
        text_dim: E, width of the pooled text.
        width, depth, heads, ff: size of the transformer.
        places: tokens that there are learned positions for.

    ``null`` (E,) takes the place of a text that is dropped. It is learned; in published weights it is what the text
    encoder says of an empty text.
    """

    def __init__(
        self,
        features: int,
        text_dim: int,
        width: int = 256,
        depth: int = 9,
        heads: int = 4,
        ff: int = 1024,
        dropout: float = 0.1,
        places: int = 500,
    ):
        super().__init__()
        if width % heads:
            raise UserError(f"model.width={width} is no multiple of model.heads={heads}: change one of them")
        half = text_dim // 2
        # in the published order of operations, which shows in float32 at timesteps near 1000
        frequencies = torch.exp(-math.log(10_000) * torch.arange(half) / half)
        self.register_buffer("frequencies", frequencies, persistent=False)
        same = features == width
        self.inp = nn.Identity() if same else nn.Linear(features, width)
        self.out = nn.Identity() if same else nn.Linear(width, features)
        self.time = nn.Sequential(nn.Linear(text_dim, width), nn.SiLU(), nn.Linear(width, width))
        self.text = nn.Sequential(nn.ReLU(), nn.Linear(text_dim, width)) if text_dim != width else nn.Identity()
        self.null = nn.Parameter(0.02 * torch.rand(text_dim))  # above 0, or it gets no gradient through the ReLU
        self.positions = nn.Parameter(torch.rand(places, width))
        self.encoder = skip_encoder(width, depth, heads, ff, dropout)
        xavier(self.encoder)

    def encode(self, cond, mask: Tensor, drop: Tensor) -> Context:
        """Text embeddings → context.

        Args:
            cond: a condition with pooled (B, E), or a named tuple with such a one as ``text``.
            mask: (B, L), not used.
            drop: (B,) bool, True where the null takes the place of the text.
        """
        pooled = getattr(cond, "text", cond).pooled
        return Context(self.text(torch.where(drop[:, None], self.null, pooled)))

    def forward(self, x: Tensor, t: Tensor, ctx: Context, mask: Tensor) -> Tensor:
        """Noisy latents → the network's raw output of the same shape.

        Args:
            x: (B, L, C).
            t: (B,) noise level.
            ctx: from :meth:`encode`.
            mask: (B, L), True where a token is valid.
        """
        angle = t.float()[:, None] * self.frequencies
        time = self.time(torch.cat([angle.cos(), angle.sin()], dim=-1))  # (B, W)
        h = torch.cat([self.inp(x), time[:, None], ctx.text[:, None]], dim=1)  # (B, L + 2, W)
        h = self.encoder(h + self.positions[: h.shape[1]], F.pad(mask, (0, 2), value=True))
        return self.out(h[:, : x.shape[1]])


def xavier(module: nn.Module) -> None:
    """Xavier for every matrix, zero for every bias."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)

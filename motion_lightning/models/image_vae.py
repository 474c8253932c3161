"""A convolutional KL-VAE of pictures (Kingma & Welling 2014; in the shape of Rombach et al. 2022, app. G, in small)."""

from typing import NamedTuple

from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.models.unet2d import GROUPS, Residual


class Gaussian(NamedTuple):
    """q(z | x), independent in every number of z."""

    mean: Tensor  # (B, T', *latent)
    log_variance: Tensor  # as the mean

    def sample(self, noise: Tensor) -> Tensor:
        """A draw from it with unit noise shaped like the mean."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self) -> Tensor:
        """KL(q ‖ N(0, I)) of each number in nats, shaped like the mean."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance)


class ImageVAE(nn.Module):
    """Pictures (B, T, C, H, W) ↔ latents (B, T, c, h, w), each frame by itself.

    Args:
        channels, size: of a picture: C, and its sides H = W.
        latent_channels, latent_size: of its latent: c, and its sides h = w, which are H, H / 2, H / 4, …
        width: channels at full size, doubled at every halving.
    """

    def __init__(self, channels: int, size: int, latent_channels: int = 2, latent_size: int = 4, width: int = 32):
        super().__init__()
        halvings = max(0, (size // max(1, latent_size)).bit_length() - 1)
        if latent_size << halvings != size:
            raise UserError(f"model.latent_size={latent_size} is not reached by halving pictures of {size} pixels")
        if width % GROUPS:
            raise UserError(f"model.width={width} is no multiple of {GROUPS}: take one")
        self.shape = (latent_channels, latent_size, latent_size)
        self.sizes = {"channels": latent_channels, "size": latent_size}
        widths = [width << i for i in range(halvings + 1)]
        down, up = [], []
        for w in widths[:-1]:
            down += [Residual(w, w), nn.Conv2d(w, 2 * w, 3, stride=2, padding=1)]
            up = [nn.Upsample(scale_factor=2), nn.Conv2d(2 * w, w, 3, padding=1), Residual(w, w), *up]
        last = widths[-1]
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            *down,
            Residual(last, last),
            nn.GroupNorm(GROUPS, last),
            nn.SiLU(),
            nn.Conv2d(last, 2 * latent_channels, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_channels, last, 3, padding=1),
            Residual(last, last),
            *up,
            nn.GroupNorm(GROUPS, width),
            nn.SiLU(),
            nn.Conv2d(width, channels, 3, padding=1),
        )

    def length(self, frames: int) -> int:
        """Frames of latents."""
        return frames

    def encode(self, x: Tensor, mask: Tensor) -> tuple[Gaussian, Tensor]:
        """x (B, T, C, H, W), mask (B, T) → q(z | x) and the latents' mask (B, T)."""
        moments = self.encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2])  # (B, T, 2 c, h, w)
        mean, log_variance = moments.chunk(2, dim=2)
        return Gaussian(mean, log_variance.clamp(-20, 10)), mask

    def decode(self, z: Tensor, mask: Tensor | None = None) -> Tensor:
        """Latents (B, T, c, h, w) → pictures (B, T, C, H, W)."""
        return self.decoder(z.flatten(0, 1)).unflatten(0, z.shape[:2])

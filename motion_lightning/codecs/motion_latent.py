"""Latents of whole motions: a few tokens, however long the motion is."""

import torch
from torch import Tensor

from motion_lightning.codecs.latent import LatentCodec
from motion_lightning.codecs.motion import FeatureCodec


class MotionLatents(LatentCodec):
    """x is the mean of q(z | motion), (L, C). Each of its numbers has mean 0 and variance 1 over the training clips.

    A token stands for no place in time: it has statistics of its own.

    x does not say how long its motion is. So a finished sample is one of the codec within: :meth:`finish` decodes it
    at the length that was asked for, and what is done with motions is done by ``codec``.
    """

    codec: FeatureCodec

    @property
    def channel(self) -> tuple[int, int]:
        return (self.vae.tokens, *self.shape)

    def by_channel(self, latents: list[Tensor]) -> Tensor:
        """Valid latents, each (N_i L, C), whole motions one after the other → (L C, N)."""
        return torch.cat(latents).double().view(-1, self.vae.tokens * self.shape[0]).T

    @property
    def skeleton(self):
        return self.codec.skeleton

    def finish(self, x: Tensor, frames: int) -> Tensor:
        """x (L, C) → x of the motion codec (frames, D)."""
        mask = torch.ones(1, frames, dtype=torch.bool, device=x.device)
        with torch.autocast(x.device.type, enabled=False):
            return self.vae.decode((x.float() * self.std + self.mean)[None], mask)[0]

    def joints(self, x: Tensor) -> Tensor:
        """x of the motion codec (..., T, D) → joints (..., T, J, 3) in metres."""
        return self.codec.joints(x)

    def reconciled(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """As ``FeatureCodec.reconciled``."""
        return self.codec.reconciled(x, keep)

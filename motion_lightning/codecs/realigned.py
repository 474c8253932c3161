"""Latents of motions behind LEAD's projector: what trains it, and what samples with it."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.codecs.motion_latent import MotionLatents
from motion_lightning.models.projector import Projector
from motion_lightning.text.condition import text_of


class Realignment(nn.Module):
    """Projector with the latents that it is of, whose VAE stays as it is: all that a checkpoint of it holds."""

    def __init__(self, net: Projector, codec: MotionLatents):
        super().__init__()
        self.net, self.codec = net, codec

    @property
    def sample_codec(self) -> nn.Module:
        """That of the motions themselves."""
        return self.codec.codec

    def motions(self, z: Tensor, mask: Tensor | None = None) -> Tensor:
        """Latents (B, L, C) → unit vectors (B, E); all of their mask is True."""
        return self.net.encode(z)

    def texts(self, cond: Any) -> Tensor:
        """Conditions → unit vectors (B, E) of their texts."""
        return F.normalize(text_of(cond).pooled, dim=-1)


class Realigned(MotionLatents):
    """Latents of which a finished sample goes through the projector, there and back, and then through the VAE."""

    def __init__(self, *args, projector: Projector, **options):
        super().__init__(*args, **options)
        self.projector = projector.requires_grad_(False)
        self.eval()

    def finish(self, x: Tensor, frames: int) -> Tensor:
        """x (L, C) → x of the motion codec (frames, D)."""
        return super().finish(self.projector.decode(self.projector.encode(x[None]))[0], frames)

"""The one path from text to motion. Training, callbacks and commands call it; it knows no trainer and no config."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from motion_lightning.codec import FeatureCodec
from motion_lightning.data.batch import TextCond
from motion_lightning.diffusion.guidance import classifier_free
from motion_lightning.diffusion.samplers import spaced
from motion_lightning.diffusion.timesteps import SampleNoise


class Sampling(NamedTuple):
    """How to sample: a sampler of ``diffusion.samplers`` with its options bound, and three numbers."""

    sampler: Callable
    steps: int
    guidance: float
    spacing: str = "trailing"


class Diffusion(nn.Module):
    """Denoiser, precondition (which holds the process) and codec: all that a checkpoint needs to sample."""

    def __init__(self, denoiser: nn.Module, precondition: nn.Module, codec: FeatureCodec):
        super().__init__()
        self.denoiser, self.precondition, self.codec = denoiser, precondition, codec

    @property
    def process(self):
        return self.precondition.process

    def encode(self, cond, mask: Tensor, drop: Tensor | bool = False):
        """Condition and frame mask (B, T) → context; ``drop`` (B,) or one bool puts the null condition in."""
        if isinstance(drop, bool):
            drop = torch.full((len(cond.pooled),), drop, device=cond.pooled.device)
        return self.denoiser.encode(cond, mask, drop)

    def view(self, x_t: Tensor, t: Tensor, ctx, mask: Tensor):
        """The denoiser's side of x_t, around what the text alone leads to expect where the denoiser says so."""
        return self.precondition(x_t, t, mask, getattr(ctx, "outline", None))

    def predict(self, x_t: Tensor, t: Tensor, ctx, mask: Tensor) -> Tensor:
        """x0_hat (B, T, D)."""
        view = self.view(x_t, t, ctx, mask)
        return view.x0(self.denoiser(view.inputs, t, ctx, mask).float())

    @torch.no_grad()
    def sample(
        self,
        cond: TextCond,
        lengths: Sequence[int],
        sampling: Sampling,
        seed: int = 0,
        progress: Callable = iter,
    ) -> list[Tensor]:
        """Guided samples, one batched forward pass a step.

        Args:
            cond: B conditions.
            lengths: B numbers of frames.
            seed: of the noise; sample i depends on (seed, i) and its length alone, not on its neighbours.
            progress: wraps the sequence of timesteps, for a progress bar.

        Returns:
            B tensors (T_i, D) in the space of x.
        """
        device = cond.pooled.device
        mask = torch.arange(max(lengths), device=device) < torch.tensor(lengths, device=device)[:, None]  # (B, T)
        noise = SampleNoise([seed * 1_000_003 + i for i in range(len(lengths))])
        x_T = noise(torch.empty(*mask.shape, self.codec.features, device=device))

        def predict(x_t: Tensor, t: Tensor, ctx) -> Tensor:
            return self.predict(x_t, t, *ctx)

        cond_ctx = (self.encode(cond, mask, drop=False), mask)
        null_ctx = (self.encode(cond, mask, drop=True), mask) if sampling.guidance != 1 else None
        denoise = classifier_free(predict, cond_ctx, null_ctx, sampling.guidance)
        timesteps = spaced(self.process.steps, sampling.steps, sampling.spacing).to(device)
        x = sampling.sampler(denoise, x_T, self.process, timesteps, noise=noise, progress=progress)
        return [clip[:length] for clip, length in zip(x, lengths, strict=True)]

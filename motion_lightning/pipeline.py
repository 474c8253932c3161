"""The one path from a condition to a sample. Training, callbacks and commands call it; no trainer, no config here."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from motion_lightning.diffusion.guidance import autoguided, classifier_free, concat, halves, within
from motion_lightning.diffusion.samplers import spaced
from motion_lightning.diffusion.timesteps import SampleNoise
from motion_lightning.errors import UserError
from motion_lightning.text.condition import text_of


class Sampling(NamedTuple):
    """How to sample: a sampler of ``diffusion.samplers`` with its options bound, and what guides it."""

    sampler: Callable
    steps: int
    guidance: float
    spacing: str = "trailing"
    interval: tuple[float, float] | None = None  # of sigma = s / a, outside which nothing guides
    rescale: float = 0.0  # of the guided prediction's deviation towards the conditional one's
    window: int = 0  # frames that shorter clips are sampled at, and cut: for models that learned to see padding

    def but(self, settings: Mapping) -> "Sampling":
        """The same with such steps, guidance, interval and rescale as ``settings`` have and are not None."""
        names = ("steps", "guidance", "interval", "rescale")
        return self._replace(**{name: settings[name] for name in names if settings.get(name) is not None})

    @property
    def described(self) -> dict:
        """What a number that was sampled so says of it."""
        return {
            "sampler": getattr(getattr(self.sampler, "func", self.sampler), "__name__", "sampler"),
            "steps": self.steps,
            "guidance": self.guidance,
            "interval": self.interval and [*self.interval],
            "rescale": self.rescale,
        }


class Diffusion(nn.Module):
    """Denoiser, precondition (which holds the process) and codec: all that a checkpoint needs to sample."""

    def __init__(self, denoiser: nn.Module, precondition: nn.Module, codec: nn.Module):
        super().__init__()
        self.denoiser, self.precondition, self.codec = denoiser, precondition, codec

    @property
    def process(self):
        return self.precondition.process

    @property
    def sample_codec(self) -> nn.Module:
        """The codec that samples are of: its own, or the one within latents of whole clips, which are decoded."""
        return self.codec.codec if hasattr(self.codec, "finish") else self.codec

    def encode(self, cond, mask: Tensor, drop: Tensor | bool = False):
        """Condition and frame mask (B, T) → context; ``drop`` (B,) or one bool puts the null condition in."""
        if isinstance(drop, bool):
            drop = torch.full((len(mask),), drop, device=mask.device)
        return self.denoiser.encode(cond, mask, drop)

    def view(self, x_t: Tensor, t: Tensor, ctx, mask: Tensor):
        """The denoiser's side of x_t, around what the text alone leads to expect where the denoiser says so."""
        return self.precondition(x_t, t, mask, getattr(ctx, "outline", None))

    def predict(self, x_t: Tensor, t: Tensor, ctx, mask: Tensor) -> Tensor:
        """x0_hat, shaped like x_t (B, T, ...)."""
        view = self.view(x_t, t, ctx, mask)
        return view.x0(self.denoiser(view.inputs, view.time, ctx, mask).float())

    @torch.no_grad()
    def sample(
        self,
        cond,
        lengths: Sequence[int],
        sampling: Sampling,
        seed: int = 0,
        progress: Callable = iter,
        edit: Callable | None = None,
        weak: "Diffusion | None" = None,
    ) -> list[Tensor]:
        """Guided samples, one batched forward pass a step.

        Args:
            cond: B conditions.
            lengths: B numbers of frames of the clips.
            seed: of the noise; sample i depends on (seed, i) and its length alone, not on its neighbours.
            progress: wraps the sequence of timesteps, for a progress bar.
            edit: wraps ``denoise(x_t, t) -> x0_hat``, for what is known of x0 beforehand.
            weak: a lesser model of the same x and process to be guided away from, instead of the null condition.

        Returns:
            B tensors (T_i, ...) in the space of ``sample_codec``: of x, unless x does not say how long a clip is.
        """
        sizes = [self.codec.length(n if edit else max(n, sampling.window)) for n in lengths]
        device = text_of(cond).pooled.device
        mask = torch.arange(max(sizes), device=device) < torch.tensor(sizes, device=device)[:, None]  # (B, T)
        noise = SampleNoise([seed * 1_000_003 + i for i in range(len(sizes))])
        x_T = noise(torch.empty(*mask.shape, *self.codec.shape, device=device))

        def predict(x_t: Tensor, t: Tensor, ctx) -> Tensor:
            return self.predict(x_t, t, *ctx)

        if weak is not None:
            self.check_like(weak)
            cond_ctx, weak_ctx = ((model.encode(cond, mask), mask) for model in (self, weak))
            denoise = autoguided(
                predict, lambda x, t, ctx: weak.predict(x, t, *ctx), cond_ctx, weak_ctx, sampling.guidance
            )
        elif sampling.guidance in (0, 1):
            cond_ctx = (self.encode(cond, mask, drop=sampling.guidance == 0), mask)
            denoise = classifier_free(predict, cond_ctx, cond_ctx, sampling.guidance)
        else:
            drop = torch.arange(2 * len(mask), device=device) >= len(mask)
            twice = concat(mask, mask)
            both = self.encode(concat(cond, cond), twice, drop)  # once: encoders of pictures take their time
            cond_ctx, null_ctx = halves((both, twice))
            denoise = classifier_free(predict, cond_ctx, null_ctx, sampling.guidance, sampling.rescale, mask)
        if sampling.interval is not None:
            denoise = within(sampling.interval, self.process, denoise, lambda x, t: predict(x, t, cond_ctx))
        denoise = edit(denoise) if edit else denoise
        timesteps = spaced(self.process, sampling.steps, sampling.spacing).to(device)
        x = sampling.sampler(denoise, x_T, self.process, timesteps, noise=noise, progress=progress)
        clips = [clip[: self.codec.length(n)] for clip, n in zip(x, lengths, strict=True)]
        if hasattr(self.codec, "finish"):
            return [self.codec.finish(clip, n) for clip, n in zip(clips, lengths, strict=True)]
        return clips

    def check_like(self, weak: "Diffusion") -> None:
        """UserError unless x and t mean the same to both."""
        ours, theirs = (
            (m.process.schedule, m.process.steps, m.codec.shape, [b.shape for b in m.codec.buffers()])
            for m in (self, weak)
        )
        same = ours == theirs and all(
            torch.equal(a, b) for a, b in zip(self.codec.buffers(), weak.codec.buffers(), strict=True)
        )
        if not same:
            raise UserError(
                "the weaker model has another schedule, or was trained on other data; give one like the other"
            )


def by_frame(mask: Tensor, x: Tensor) -> Tensor:
    """A mask (B, T) that broadcasts over x (B, T, ...)."""
    return mask.view(*mask.shape, *[1] * (x.ndim - 2))

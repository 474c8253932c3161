"""A skip connection that is the best linear estimate of a frame, or of a clip: the network says what is beyond it."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from motion_lightning.diffusion.precondition import View, rotate
from motion_lightning.diffusion.process import Process, over
from motion_lightning.errors import UserError

WIDE = 1024  # numbers a frame


class LinearSkip(nn.Module):
    """EDM's preconditioning (Karras et al. 2022, sec. 5), its one variance replaced by the covariance of a frame.

    The best linear estimate of x0 from a noisy frame is m + a C (a² C + s² I)⁻¹ (x_t - a m) (Wiener 1949), with mean m
    and covariance C of training frames, of pictures as of flat ones. It is also one of eps. The network sees x_t
    and predicts what eps has beyond that, divided by its deviation: a target of unit variance at every t. Where
    noise is all there is, plain eps is x_t to four digits, more than a network of convolutions copies; here an output
    of zero is the linear estimate already.

    With ``frames`` it is the estimate from a whole clip: each component of a frame is a signal over time, whose cosine
    transform (Ahmed et al. 1974) is close to uncorrelated. What stands still is then averaged over all frames, and the
    network is left with what moves. With a centre it is the estimate of what x0 has beside that.

    Args:
        rank: components that are told apart; all others share their mean variance. A frame of 3072 numbers has 3072
            components, which take 38 MB and as long as the network; None keeps them all the same.
        frames: T of every clip; None: frame by frame, for clips of any length.
        sees: "noisy": the network sees x_t. "whitened": components in units of their deviation, each as far as noise
            leaves something of it, at unit variance altogether. A hand of four pixels is then as large as a coat.
    """

    kind = "residual"

    def __init__(
        self,
        process: Process,
        features: int,
        rank: int | None = None,
        frames: int | None = None,
        sees: str = "noisy",
    ):
        super().__init__()
        if sees not in ("noisy", "whitened"):
            raise UserError(f"diffusion.precondition.sees={sees} is unknown; choose noisy or whitened")
        self.process, self.frames, self.sees, rank = process, frames, sees, min(rank or features, features)
        self.register_buffer("mean", torch.zeros(features))  # (D,)
        self.register_buffer("basis", torch.eye(features)[:, :rank].clone())  # (D, R), columns are components
        self.register_buffer("variance", torch.ones(frames or 1, rank))  # (F, R), F = T or 1
        self.register_buffer("rest", torch.ones(frames or 1, 1))  # mean variance of the other D - R
        self.register_buffer("cosines", cosines(frames) if frames else torch.eye(1), persistent=False)  # (F, F)

    def fit(self, clips: Sequence[Tensor]) -> None:
        """Take mean and covariance of training clips, each (T, ...)."""
        self.check(*{len(clip) for clip in clips})
        frames = torch.cat([clip.flatten(1) for clip in clips])
        # In float64 the eigenvectors of a large frame take a minute.
        frames = frames if len(self.mean) > WIDE else frames.double()
        self.mean.copy_(frames.mean(0))
        _, basis = torch.linalg.eigh(frames.T.cov())
        self.basis.copy_(basis.flip(-1)[:, : self.basis.shape[1]])  # largest first
        power, along, count = torch.zeros_like(self.rest).double(), torch.zeros_like(self.variance).double(), 0
        for clip in clips:
            z = self.over_time(clip.flatten(1)[None] - self.mean)[0]  # (T, D)
            z = z.unflatten(0, (-1, len(self.rest)))  # (T / F, F, D)
            power += z.square().sum((0, -1))[:, None]
            along += (z @ self.basis).square().sum(0)
            count += len(z)
        left = len(self.mean) - self.basis.shape[1]
        self.variance.copy_(along / (count - 1))
        self.rest.copy_((power - along.sum(1, keepdim=True)).clamp(min=0) / (count - 1) / max(1, left))

    def forward(self, x_t: Tensor, t: Tensor, mask: Tensor, centre: Tensor | None = None) -> View:
        self.check(x_t.shape[1])
        a, s = (f(t).float()[:, None, None] for f in (self.process.a, self.process.s))  # (B, 1, 1)
        variance = torch.cat([self.variance, self.rest], dim=1)  # (F, R + 1)
        noisy = a**2 * variance + s**2  # (B, F, R + 1) variances of x_t
        count = torch.ones_like(variance[0])
        count[-1] = len(self.mean) - self.basis.shape[1]  # components that the last one stands for
        share = a**2 * variance / noisy  # of each that x_t tells
        left = (variance * (1 - share) * count).sum(-1).mean(1) / len(self.mean)
        scale = over(left.clamp(min=1e-12).sqrt(), x_t)  # (B, 1, ...) deviation of x0 from the estimate
        # A centre has a loss of its own; to go back to it through the filter would cost as much as the network.
        middle = self.mean if centre is None else self.mean + centre.detach().flatten(2)
        z = self.over_time(x_t.flatten(2) - a * middle)  # (B, T, D)
        components = rotate(z, self.basis)  # (B, T, R)

        def filtered(gain: Tensor) -> Tensor:  # (B, F, R + 1)
            known, other = gain[..., :-1], gain[..., -1:]
            filtered = rotate((known - other) * components, self.basis.T) + other * z
            return self.over_time(filtered, back=True)

        estimate = (filtered(a * variance / noisy) + middle).view(x_t.shape)
        inputs = x_t
        if self.sees == "whitened":
            told = (share * count).sum(-1).mean(1)[:, None, None] / len(self.mean)
            inputs = filtered(a * variance.sqrt() / noisy / told.clamp(min=1e-12).sqrt()).view(x_t.shape)
        # eps - its estimate is -a / s times x0 - its own: the same number in units of its deviation, but for the sign.
        return View(inputs, t, lambda output: estimate - scale * output, lambda x0: (estimate - x0) / scale)

    def over_time(self, x: Tensor, back: bool = False) -> Tensor:
        """The cosine transform of (B, T, D) along time, or its inverse."""
        if not self.frames:
            return x
        return rotate(x.mT, self.cosines if back else self.cosines.T).mT

    def check(self, *lengths: int) -> None:
        """UserError for clips of another length."""
        if self.frames and {*lengths} != {self.frames}:
            raise UserError(
                f"diffusion.precondition.frames={self.frames}, and clips have {sorted(lengths)} frames: the two must "
                "be the same, or frames=null"
            )


def cosines(frames: int) -> Tensor:
    """The orthonormal cosine transform, (frequency, time)."""
    frequency, time = torch.arange(frames)[:, None], torch.arange(frames) + 0.5
    table = (math.pi / frames * frequency * time).cos() * math.sqrt(2 / frames)
    table[0] /= math.sqrt(2)
    return table

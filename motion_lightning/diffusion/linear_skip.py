"""A skip connection that is the best linear estimate of a frame: the network predicts the noise beyond it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from motion_lightning.diffusion.precondition import View, rotate
from motion_lightning.diffusion.process import Process, over

WIDE = 1024  # numbers a frame


class LinearSkip(nn.Module):
    """EDM's preconditioning (Karras et al. 2022, sec. 5), its one variance replaced by the covariance of a frame.

    The best linear estimate of x0 from a noisy frame is m + a C (a² C + s² I)⁻¹ (x_t - a m) (Wiener 1949), with mean m
    and covariance C of training frames, of pictures as of flat ones. It is also one of eps. The network sees x_t as it
    is, and predicts what eps has beyond that, divided by its deviation: a target of unit variance at every t. Where
    noise is all there is, plain eps is x_t to four digits, more than a network of convolutions copies; here an output
    of zero is the linear estimate already.

    Args:
        rank: components that are told apart; all others share their mean variance. A frame of 3072 numbers has 3072
            components, which take 38 MB and as long as the network; None keeps them all the same.
    """

    kind = "residual"

    def __init__(self, process: Process, features: int, rank: int | None = None):
        super().__init__()
        self.process, rank = process, min(rank or features, features)
        self.register_buffer("mean", torch.zeros(features))  # (D,)
        self.register_buffer("basis", torch.eye(features)[:, :rank].clone())  # (D, R), columns are components
        self.register_buffer("variance", torch.ones(rank))  # (R,) of the components
        self.register_buffer("rest", torch.ones(()))  # mean variance of the other D - R

    def fit(self, clips: Sequence[Tensor]) -> None:
        """Take mean and covariance of the frames of training clips, each (T, ...)."""
        frames = torch.cat([clip.flatten(1) for clip in clips])
        rank = len(self.variance)
        # In float64 the eigenvectors of a large frame take a minute.
        frames = frames if len(self.mean) > WIDE else frames.double()
        variance, basis = (part.flip(-1) for part in torch.linalg.eigh(frames.T.cov()))  # largest first
        self.mean.copy_(frames.mean(0))
        self.basis.copy_(basis[:, :rank])
        self.variance.copy_(variance[:rank].clamp(min=0))
        self.rest.copy_(variance[rank:].clamp(min=0).mean() if rank < len(variance) else 0)

    def forward(self, x_t: Tensor, t: Tensor, mask: Tensor, centre: Tensor | None = None) -> View:
        a, s = (f(t).float()[:, None] for f in (self.process.a, self.process.s))  # (B, 1)
        variance = torch.cat([self.variance, self.rest[None]])  # (R + 1,)
        noisy = a**2 * variance + s**2  # (B, R + 1) variances of x_t
        count = torch.ones_like(variance)
        count[-1] = len(self.mean) - len(self.variance)  # components that the last one stands for
        posterior = (variance * s**2 / noisy * count).sum(1) / len(self.mean)
        left = posterior.clamp(min=1e-12).sqrt()  # (B,) deviation of x0 from the estimate
        gain = a * variance / noisy
        known, other = gain[:, None, :-1], gain[:, None, -1:]  # (B, 1, R), (B, 1, 1)
        z = x_t.flatten(2) - a[..., None] * self.mean  # (B, T, D)
        along = rotate((known - other) * rotate(z, self.basis), self.basis.T)
        estimate = (along + other * z + self.mean).view(x_t.shape)
        scale = over(left, x_t)
        # eps - its estimate is -a / s times x0 - its own: the same number in units of its deviation, but for the sign.
        return View(x_t, t, lambda output: estimate - scale * output, lambda x0: (estimate - x0) / scale)

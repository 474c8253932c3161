"""A skip connection that is the best linear estimate of a frame: the network predicts the noise beyond it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from motion_lightning.diffusion.precondition import View, rotate
from motion_lightning.diffusion.process import Process, over


class LinearSkip(nn.Module):
    """EDM's preconditioning (Karras et al. 2022, sec. 5), its one variance replaced by the covariance of a frame.

    The best linear estimate of x0 from a noisy frame is m + a C (a² C + s² I)⁻¹ (x_t - a m) (Wiener 1949), with mean m
    and covariance C of training frames, of pictures as of flat ones. It is also one of eps. The network sees x_t as it
    is, and predicts what eps has beyond that, divided by its deviation: a target of unit variance at every t. Where
    noise is all there is, plain eps is x_t to four digits, more than a network of convolutions copies; here an output
    of zero is the linear estimate already.
    """

    kind = "residual"

    def __init__(self, process: Process, features: int):
        super().__init__()
        self.process = process
        self.register_buffer("mean", torch.zeros(features))  # (D,)
        self.register_buffer("basis", torch.eye(features))  # (D, D), columns are principal components
        self.register_buffer("variance", torch.ones(features))  # (D,) of the components

    def fit(self, clips: Sequence[Tensor]) -> None:
        """Take mean and covariance of the frames of training clips, each (T, ...)."""
        frames = torch.cat([clip.flatten(1) for clip in clips]).double()
        variance, basis = torch.linalg.eigh(frames.T.cov())
        self.mean.copy_(frames.mean(0))
        self.basis.copy_(basis)
        self.variance.copy_(variance.clamp(min=0))

    def forward(self, x_t: Tensor, t: Tensor, mask: Tensor, centre: Tensor | None = None) -> View:
        a, s = (f(t).float()[:, None] for f in (self.process.a, self.process.s))  # (B, 1)
        noisy = a**2 * self.variance + s**2  # (B, D) variances of x_t
        left = (self.variance * s**2 / noisy).mean(1).clamp(min=1e-12).sqrt()  # (B,) deviation of x0 from the estimate
        gain = (a * self.variance / noisy)[:, None]  # (B, 1, D)
        z = rotate(x_t.flatten(2) - a[..., None] * self.mean, self.basis)  # (B, T, D)
        estimate = (rotate(gain * z, self.basis.T) + self.mean).view(x_t.shape)
        scale = over(left, x_t)
        # eps - its estimate is -a / s times x0 - its own: the same number in units of its deviation, but for the sign.
        return View(x_t, t, lambda output: estimate - scale * output, lambda x0: (estimate - x0) / scale)

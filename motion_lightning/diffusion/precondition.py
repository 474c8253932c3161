"""What stands between the network's raw output and x0_hat.

Both classes answer the same three questions: what the network sees (``inputs``), what its output means
(``x0``), and what it should have said (``target``). Shapes are (B, T, D), timesteps (B,), masks (B, T).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from motion_lightning.diffusion.process import Process
from motion_lightning.errors import UserError


class Plain(nn.Module):
    """The network sees x_t and predicts ``target``: "eps", "x0" or "v". It needs no statistics."""

    def __init__(self, process: Process, features: int, target: str = "x0"):
        super().__init__()
        self.process, self.features, self.kind = process, features, target

    def fit(self, clips: Sequence[Tensor]) -> None:
        """Nothing to take from the data."""

    def inputs(self, x_t: Tensor, t: Tensor) -> Tensor:
        return x_t

    def x0(self, output: Tensor, x_t: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        return self.process.convert(output, self.kind, "x0", x_t, t)

    def target(self, x0: Tensor, x_t: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        return self.process.convert(x0, "x0", self.kind, x_t, t)


class Wiener(nn.Module):
    """EDM's preconditioning (Karras et al. 2022, sec. 5), its one variance replaced by what motion looks like.

    In the basis of a frame's principal components each component is a stationary signal over time with an
    autocovariance of its own. The best linear estimate of x0 from ``taps`` neighbouring noisy values is a short
    filter (Wiener 1949), known in closed form for every timestep, and so is the variance of its error. The network
    sees x_t, and predicts what the filter leaves unexplained, both at unit variance for every component and
    timestep. A network whose output is zero *is* the filter: training starts at a linear baseline that is smooth in
    time. With ``taps=1`` it is the Wiener filter of a single frame.

    Args:
        taps: odd, frames that the filter spans.
        floor: least variance of a component.
    """

    kind = "residual"

    def __init__(self, process: Process, features: int, taps: int = 9, floor: float = 1e-4):
        super().__init__()
        if taps % 2 == 0:
            raise UserError(f"diffusion.precondition.taps={taps} is even: a filter needs a middle, take an odd number")
        self.process, self.taps, self.floor = process, taps, floor
        steps = process.steps
        self.register_buffer("basis", torch.eye(features))  # (D, D), columns are components
        self.register_buffer("scale", torch.ones(steps, features))  # of the network's input
        self.register_buffer("filter", torch.zeros(steps, taps, features))
        self.register_buffer("error", torch.ones(steps, features))  # standard deviation of what is left

    def fit(self, clips: Sequence[Tensor]) -> None:
        """Take the covariance over features and time of training clips, each (T, D) and of mean 0."""
        frames = torch.cat([*clips]).double()
        variance, basis = torch.linalg.eigh(frames.T @ frames / len(frames))
        lags = torch.zeros(self.taps, len(variance), dtype=torch.float64)
        for clip in clips:
            z = clip.double() @ basis  # (T, D)
            for lag in range(min(self.taps, len(z))):
                lags[lag] += (z[lag:] * z[: len(z) - lag]).sum(0)
        lags = lags / len(frames)  # divided by all frames at every lag, so that it stays a covariance
        lags[0] += (self.floor - variance).clamp(min=0)

        number = torch.arange(self.taps)
        covariance = lags.T[:, (number[:, None] - number).abs()]  # (D, taps, taps)
        cross = lags.T[:, (number - self.taps // 2).abs()]  # (D, taps)
        self.basis.copy_(basis)
        for t in range(self.process.steps):
            a, s = self.process.a(t), self.process.s(t)
            noisy = a**2 * covariance + s**2 * torch.eye(self.taps, dtype=torch.float64)
            kernel = torch.linalg.solve(noisy, a * cross[..., None])[..., 0]  # (D, taps)
            self.filter[t] = kernel.T
            self.error[t] = (lags[0] - a * (kernel * cross).sum(-1)).clamp(min=1e-12).sqrt()
            self.scale[t] = (a**2 * lags[0] + s**2).rsqrt()

    def inputs(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self.scale[t][:, None] * rotate(x_t, self.basis)

    def x0(self, output: Tensor, x_t: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        return rotate(self.estimate(x_t, t, mask) + self.error[t][:, None] * output, self.basis.T)

    def target(self, x0: Tensor, x_t: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        return (rotate(x0, self.basis) - self.estimate(x_t, t, mask)) / self.error[t][:, None]

    def estimate(self, x_t: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        """The filter's x0 (B, T, D) in components; beyond its ends a clip goes on as its first or last frame."""
        z, kernel = rotate(x_t, self.basis), self.filter[t]  # (B, taps, D)
        row, frame = torch.arange(len(z), device=z.device)[:, None], torch.arange(z.shape[1], device=z.device)
        last = mask.sum(1, keepdim=True) - 1  # (B, 1)
        total = torch.zeros_like(z)
        for i in range(self.taps):
            near = (frame + i - self.taps // 2).clamp(min=0).minimum(last)  # (B, T)
            total += kernel[:, i, None] * z[row, near]
        return total


def rotate(x: Tensor, basis: Tensor) -> Tensor:
    """``x @ basis``, never in bfloat16: at low noise x_t and x0 differ by less than it can tell."""
    with torch.autocast(x.device.type, enabled=False):
        return x @ basis

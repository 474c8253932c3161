"""What stands between the network's raw output and x0_hat.

Both classes answer the same three questions: what the network sees (``inputs``), what its output means
(``x0``), and what it should have said (``target``). Shapes are (B, T, D), timesteps (B,).
"""

import torch
from torch import Tensor, nn

from motion_lightning.diffusion.process import Process


class Plain(nn.Module):
    """The network sees x_t and predicts ``target``: "eps", "x0" or "v". It needs no statistics."""

    def __init__(self, process: Process, features: int, target: str = "x0"):
        super().__init__()
        self.process, self.features, self.kind = process, features, target

    def fit(self, covariance: Tensor) -> None:
        """Nothing to take from the data."""

    def inputs(self, x_t: Tensor, t: Tensor) -> Tensor:
        return x_t

    def x0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return self.process.convert(output, self.kind, "x0", x_t, t)

    def target(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return self.process.convert(x0, "x0", self.kind, x_t, t)


class Wiener(nn.Module):
    """EDM's preconditioning (Karras et al. 2022, sec. 5) with a frame's covariance in place of one variance.

    In the basis of the frame's principal components, with variances λ, the best linear estimate of x0 from
    x_t is ``a λ / (a² λ + s²) · x_t`` (the Wiener filter), and its error has variance ``s² λ / (a² λ + s²)``.
    The network sees x_t, and predicts what the filter leaves unexplained, both at unit variance for every
    component and timestep. A network whose output is zero *is* the filter: training starts at the linear
    baseline.
    """

    kind = "residual"

    def __init__(self, process: Process, features: int, floor: float = 1e-4):
        super().__init__()
        self.process, self.floor = process, floor
        self.register_buffer("basis", torch.eye(features))  # (D, D), columns are components
        self.register_buffer("variance", torch.ones(features))  # (D,)

    def fit(self, covariance: Tensor) -> None:
        """Take the covariance (D, D) of training frames; variances below ``floor`` are lifted to it."""
        variance, basis = torch.linalg.eigh(covariance.double())
        self.basis.copy_(basis)
        self.variance.copy_(variance.clamp(min=self.floor))

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """c_in, c_skip, c_out, each (B, 1, D)."""
        a, s = self.process.a(t).view(-1, 1, 1), self.process.s(t).view(-1, 1, 1)
        variance = self.variance.double()
        total = a**2 * variance + s**2
        c_in, c_skip, c_out = total.rsqrt(), a * variance / total, s * (variance / total).sqrt()
        return c_in.to(self.variance), c_skip.to(self.variance), c_out.to(self.variance)

    def inputs(self, x_t: Tensor, t: Tensor) -> Tensor:
        c_in, _, _ = self.coefficients(t)
        return c_in * rotate(x_t, self.basis)

    def x0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        _, c_skip, c_out = self.coefficients(t)
        return rotate(c_skip * rotate(x_t, self.basis) + c_out * output, self.basis.T)

    def target(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        _, c_skip, c_out = self.coefficients(t)
        return (rotate(x0, self.basis) - c_skip * rotate(x_t, self.basis)) / c_out


def rotate(x: Tensor, basis: Tensor) -> Tensor:
    """``x @ basis``, never in bfloat16: at low noise x_t and x0 differ by less than it can tell."""
    with torch.autocast(x.device.type, enabled=False):
        return x @ basis

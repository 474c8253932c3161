"""What stands between the network's raw output and x0_hat.

Every class answers one question at a noisy x_t (B, T, ...) with timesteps t (B,) and mask (B, T): what does the network
see, what does its output mean, and what should it have said? The answer is a :class:`View`. If the condition alone
leads to expect a motion, that is the ``centre`` (B, T, ...).

``features`` is how many numbers a frame of x has; only the Wiener filter has to know.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from motion_lightning.diffusion.process import TARGETS, Process, over
from motion_lightning.errors import UserError


class View(NamedTuple):
    """The network's side of a noisy x_t."""

    inputs: Tensor  # (B, T, ...) what it sees
    time: Tensor  # (B,) what it is told of the noise
    x0: Callable[[Tensor], Tensor]  # its output → x0_hat
    target: Callable[[Tensor], Tensor]  # x0 → what its output should have been


class Plain(nn.Module):
    """The network sees x_t and t and predicts ``target``: "eps", "x0", "v" or "velocity". It needs no statistics."""

    def __init__(self, process: Process, features: int = 0, target: str = "x0"):
        super().__init__()
        if target not in TARGETS:
            raise UserError(f"diffusion.precondition.target={target} is unknown; choose one of {', '.join(TARGETS)}")
        if target == "eps" and process.schedule == "flow":
            raise UserError(
                "diffusion.precondition.target=eps does not go with diffusion.process.schedule=flow, which starts at "
                "pure noise, where eps says nothing of x0; take velocity, v or x0"
            )
        self.process, self.features, self.kind = process, features, target

    def fit(self, clips: Sequence[Tensor]) -> None:
        """Nothing to take from the data."""

    def forward(self, x_t: Tensor, t: Tensor, mask: Tensor, centre: Tensor | None = None) -> View:
        convert = self.process.convert
        return View(
            x_t,
            t,
            lambda output: convert(output.to(x_t), self.kind, "x0", x_t, t),
            lambda x0: convert(x0, "x0", self.kind, x_t, t),
        )


class Karras(nn.Module):
    """EDM's preconditioning (Karras et al. 2022, eq. 7 and table 1): input and target have unit variance at every t.

    Their x is data of scale 1 with noise sigma = s / a beside it, here x_t / a, for any path; what they call c_skip,
    c_out and c_in is written so that it stays finite where a flow has no data left. The network is told c_noise =
    ln(sigma) / 4 in thousandths, the unit of sinusoids made for 1000 timesteps. An output of zero is the best estimate
    c_skip x that knows but one number of the data: sigma_data, the root of the mean square of x over training clips.
    Around a centre it estimates what x0 has beside it.
    """

    kind = "residual"
    sigma_data: Tensor

    def __init__(self, process: Process, features: int = 0):
        super().__init__()
        self.process = process
        self.register_buffer("sigma_data", torch.ones(()))

    def fit(self, clips: Sequence[Tensor]) -> None:
        """Take sigma_data of training clips, each (T, ...)."""
        total, count = 0.0, 0
        for clip in clips:
            total, count = total + clip.double().square().sum(), count + clip.numel()
        self.sigma_data.copy_((total / count).sqrt().clamp(min=1e-4))

    def forward(self, x_t: Tensor, t: Tensor, mask: Tensor, centre: Tensor | None = None) -> View:
        a, s, sigma_data = self.process.a(t), self.process.s(t), self.sigma_data.to(self.process.power)
        scale = (s.square() + (a * sigma_data).square()).sqrt()  # deviation of x_t, a sqrt(sigma² + sigma_data²)
        c_in, c_skip, c_out = 1 / scale, a * sigma_data.square() / scale.square(), s * sigma_data / scale
        if centre is None:
            estimate = over(c_skip, x_t) * x_t
        else:
            estimate = centre + over(c_skip, x_t) * (x_t - over(a, x_t) * centre)
        c_out = over(c_out, x_t)
        return View(
            over(c_in, x_t) * x_t,
            self.time(t),
            lambda output: estimate + c_out * output,
            lambda x0: (x0 - estimate) / c_out,
        )

    def time(self, t: Tensor) -> Tensor:
        """1000 c_noise, float32; pure noise, half a step beyond the last sigma of a flow."""
        return 250 * self.process.sigma(t).clamp(max=2 * self.process.steps).log().float()


class Wiener(nn.Module):
    """EDM's preconditioning (Karras et al. 2022, sec. 5), its one variance replaced by what motion looks like.

    In the basis of a frame's principal components each component is a stationary signal over time with an
    autocovariance of its own. The best linear estimate of x0 from ``taps`` neighbouring noisy values is a short
    filter (Wiener 1949), known in closed form for every timestep, and so is the variance of its error. The network
    sees the estimate, from which noise without information is gone, and predicts what is left, at unit variance for
    every component and timestep. A network whose output is zero *is* the filter: training starts at a linear baseline
    that is smooth in time. With a centre the filter works on what is left of x0 beside it: a condition's mean and a
    linear correction from x_t, the posterior mean of a Gaussian.

    Args:
        taps: odd, frames that the filter spans.
        floor: least variance of a component.
        axes: "components": the network sees and says principal components; "features": the same, turned back to the
            axes of x, for a network whose tokens are joints or other groups of features.
    """

    kind = "residual"

    def __init__(self, process: Process, features: int, taps: int = 9, floor: float = 1e-4, axes: str = "components"):
        super().__init__()
        if axes not in ("components", "features"):
            raise UserError(f"diffusion.precondition.axes={axes} is unknown; choose components or features")
        if taps % 2 == 0:
            raise UserError(f"diffusion.precondition.taps={taps} is even: a filter needs a middle, take an odd number")
        self.process, self.taps, self.floor, self.axes = process, taps, floor, axes
        steps = process.steps
        self.register_buffer("basis", torch.eye(features))  # (D, D), columns are components
        self.register_buffer("filter", torch.zeros(steps, taps, features))
        self.register_buffer("error", torch.ones(steps, features))  # standard deviation of what is left

    def fit(self, clips: Sequence[Tensor]) -> None:
        """Take the covariance over features and time of training clips, each (T, D) and of mean 0."""
        frames = torch.cat([*clips]).double()
        if frames.ndim != 2:
            shape = "x".join(map(str, frames.shape[1:]))
            raise UserError(
                f"diffusion=wiener filters rows of numbers, and a frame is {shape} here; take diffusion=edm"
            )
        _, basis = torch.linalg.eigh(frames.T @ frames / len(frames))
        middle, count = self.taps // 2, 0
        covariance = torch.zeros(len(basis), self.taps, self.taps, dtype=torch.float64)  # (D, taps, taps)
        for clip in clips:
            if len(clip) >= self.taps:
                windows = (clip.double() @ basis).unfold(0, self.taps, 1)  # (N, D, taps)
                covariance += torch.einsum("ndi,ndj->dij", windows, windows)
                count += len(windows)
        if not count:
            raise UserError(f"no training clip has {self.taps} frames: lower diffusion.precondition.taps")
        covariance /= count
        variance = covariance[:, middle, middle]
        covariance += (self.floor - variance).clamp(min=0)[:, None, None] * torch.eye(self.taps, dtype=torch.float64)
        cross = covariance[:, middle].clone()  # (D, taps)
        self.basis.copy_(basis)
        for t in range(self.process.steps):
            a, s = self.process.a(t), self.process.s(t)
            noisy = a**2 * covariance + s**2 * torch.eye(self.taps, dtype=torch.float64)
            kernel = torch.linalg.solve(noisy, a * cross[..., None])[..., 0]  # (D, taps)
            self.filter[t] = kernel.T
            self.error[t] = (cross[:, middle] - a * (kernel * cross).sum(-1)).clamp(min=1e-12).sqrt()

    def forward(self, x_t: Tensor, t: Tensor, mask: Tensor, centre: Tensor | None = None) -> View:
        error = self.error[t][:, None]  # (B, 1, D)
        if centre is None:
            estimate = self.estimate(x_t, t, mask)
        else:  # x_t - a centre is the noisy version of x0 - centre
            left = x_t - over(self.process.a(t), x_t) * centre
            estimate = rotate(centre, self.basis) + self.estimate(left, t, mask)
        return View(
            self.told(estimate),
            t,
            lambda output: rotate(estimate + error * self.said(output), self.basis.T),
            lambda x0: self.told((rotate(x0, self.basis) - estimate) / error),
        )

    def told(self, components: Tensor) -> Tensor:
        """Components (B, T, D) along the network's axes."""
        return components if self.axes == "components" else rotate(components, self.basis.T)

    def said(self, output: Tensor) -> Tensor:
        """The network's output (B, T, D) in components."""
        return output if self.axes == "components" else rotate(output, self.basis)

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

"""The noising process: schedules, noising, posterior, and what a prediction means.

Notation: x_t = a_t x0 + s_t eps with a² = alpha_bar and s² = 1 - alpha_bar (variance preserving);
v = a eps - s x0. A larger t is noisier; t = -1 stands for clean data (alpha_bar = 1).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from motion_lightning.errors import UserError

SCHEDULES = ("cosine", "linear", "scaled_linear")
TARGETS = ("eps", "x0", "v")


class Gaussian(NamedTuple):
    mean: Tensor  # (B, ...)
    variance: Tensor  # (B, 1, ...)


class Process(nn.Module):
    """A variance-preserving process of ``steps`` discrete timesteps.

    Schedules: ``linear`` (Ho et al. 2020, sec. 4), ``scaled_linear`` (linear in sqrt(beta), Rombach et
    al. 2022), ``cosine`` (Nichol & Dhariwal 2021, eq. 17, beta at most 0.999). The two linear ones are
    stated for 1000 steps and have their betas scaled by 1000 / steps, so that x_T is noise for any count.

    The table ``alpha_bar`` (T,) is float64, follows the module from device to device, and is neither
    saved nor rounded by ``.half()`` or ``.float()``.
    """

    alpha_bar: Tensor

    def __init__(self, schedule: str = "cosine", steps: int = 1000):
        super().__init__()
        self.schedule, self.steps = schedule, steps
        self.register_buffer("alpha_bar", torch.cumprod(1 - _betas(schedule, steps), 0), persistent=False)

    def _apply(self, fn, recurse=True):
        table = self.alpha_bar
        super()._apply(fn, recurse)
        self.alpha_bar = table.to(self.alpha_bar.device)  # moved, never cast
        return self

    def extra_repr(self) -> str:
        return f"schedule={self.schedule!r}, steps={self.steps}"

    def alpha_bar_at(self, t: Tensor | int) -> Tensor:
        """alpha_bar of each t in -1 ... T - 1, float64, shaped like t."""
        t = torch.as_tensor(t, device=self.alpha_bar.device)
        return torch.where(t < 0, 1.0, self.alpha_bar[t.clamp(min=0)])

    def a(self, t: Tensor | int) -> Tensor:
        """Scale of the data at t, float64."""
        return self.alpha_bar_at(t).sqrt()

    def s(self, t: Tensor | int) -> Tensor:
        """Standard deviation of the noise at t, float64."""
        return (1 - self.alpha_bar_at(t)).sqrt()

    def snr(self, t: Tensor | int) -> Tensor:
        """Signal-to-noise ratio a² / s² at t, float64."""
        alpha_bar = self.alpha_bar_at(t)
        return alpha_bar / (1 - alpha_bar)

    def noise(self, x0: Tensor, t: Tensor | int, eps: Tensor) -> Tensor:
        """x_t of x0 (B, ...), t (B,) and unit noise eps (B, ...), in the dtype of x0."""
        return over(self.a(t), x0) * x0 + over(self.s(t), x0) * eps

    def convert(self, value: Tensor, source: str, target: str, x_t: Tensor, t: Tensor | int) -> Tensor:
        """Read a prediction of ``source`` (B, ...) as one of ``target``; each is eps, x0 or v.

        x0 from eps divides by a_t and eps from x0 by s_t, so errors grow at high and at low noise.
        """
        for name in (source, target):
            if name not in TARGETS:
                raise UserError(f"unknown target {name!r}; choose one of {', '.join(TARGETS)}")
        if source == target:
            return value
        a, s = over(self.a(t), x_t), over(self.s(t), x_t)
        if source == "eps":
            eps, x0 = value, (x_t - s * value) / a
        elif source == "x0":
            eps, x0 = (x_t - a * value) / s, value
        else:  # rotate (x_t, v) back: a² + s² = 1
            eps, x0 = s * x_t + a * value, a * x_t - s * value
        return {"eps": eps, "x0": x0}[target] if target != "v" else a * eps - s * x0

    def q_posterior(self, x0: Tensor, x_t: Tensor, t: Tensor | int, t_prev: Tensor | int) -> Gaussian:
        """q(x_{t_prev} | x_t, x0), Ho et al. 2020, eq. 6-7, for any t_prev < t.

        The beta of a jump over several steps is 1 - alpha_bar_t / alpha_bar_{t_prev} (Nichol & Dhariwal
        2021, eq. 19). At t_prev = -1 the mean is x0 and the variance 0.
        """
        now, before = self.alpha_bar_at(t), self.alpha_bar_at(t_prev)
        alpha = now / before
        of_x0 = before.sqrt() * (1 - alpha) / (1 - now)
        of_x_t = alpha.sqrt() * (1 - before) / (1 - now)
        variance = (1 - alpha) * (1 - before) / (1 - now)
        return Gaussian(over(of_x0, x0) * x0 + over(of_x_t, x0) * x_t, over(variance, x0))


def over(coefficient: Tensor, x: Tensor) -> Tensor:
    """A coefficient per sample, (B,) or a scalar, that broadcasts over x (B, ...) in its dtype."""
    return coefficient.to(x).reshape(-1, *[1] * (x.ndim - 1))


def _betas(schedule: str, steps: int) -> Tensor:
    if schedule not in SCHEDULES:
        raise UserError(f"unknown schedule {schedule!r}; choose one of {', '.join(SCHEDULES)}")
    if steps < 1 or (schedule != "cosine" and steps <= 20):  # 0.02 * 1000 / 20 is a beta of 1
        raise UserError(f"a {schedule} schedule of {steps} steps has no signal to start from; use more steps")
    if schedule == "cosine":
        angle = (torch.arange(steps + 1, dtype=torch.float64) / steps + 0.008) / 1.008 * math.pi / 2
        signal = angle.cos().square()
        return (1 - signal[1:] / signal[:-1]).clamp(max=0.999)
    if schedule == "linear":
        return torch.linspace(1e-4, 0.02, steps, dtype=torch.float64) * (1000 / steps)
    return torch.linspace(0.00085**0.5, 0.012**0.5, steps, dtype=torch.float64).square() * (1000 / steps)

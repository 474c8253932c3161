"""The noising process: schedules, noising, posterior, and what a prediction means.

Notation: x_t = a_t x0 + s_t eps. Variance preserving: a² = alpha_bar, s² = 1 - alpha_bar. Flow: a + s = 1.
v = a eps - s x0, velocity = eps - x0. A larger t is noisier; t = -1 stands for clean data (a = 1, s = 0).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from motion_lightning.errors import UserError

SCHEDULES = ("cosine", "linear", "scaled_linear", "flow")
TARGETS = ("eps", "x0", "v", "velocity")


class Gaussian(NamedTuple):
    mean: Tensor  # (B, ...)
    variance: Tensor  # (B, 1, ...)


class Process(nn.Module):
    """A Gaussian path from data to noise in ``steps`` discrete timesteps.

    Schedules that preserve variance: ``linear`` (Ho et al. 2020, sec. 4), ``scaled_linear`` (linear in
    sqrt(beta), Rombach et al. 2022), ``cosine`` (Nichol & Dhariwal 2021, eq. 17, beta at most 0.999). The two
    linear ones are stated for 1000 steps and have their betas scaled by 1000 / steps, so that x_T is noise for
    any count. ``flow`` is the straight line (Lipman et al. 2023; Liu et al. 2023): s_t = (t + 1) / steps and
    a_t = 1 - s_t, whose last timestep is pure noise. ``cumulative=False`` puts 1 - beta_t where their product
    belongs, a slip of the pen that leaves no timestep noisy.

    The tables ``power`` (a²) and ``variance`` (s²), both (T,), are float64 (float32 where a device has no such
    thing), follow the module from device to device, and are neither saved nor rounded by ``.half()``.
    """

    power: Tensor
    variance: Tensor

    def __init__(self, schedule: str = "cosine", steps: int = 1000, cumulative: bool = True):
        super().__init__()
        self.schedule, self.steps = schedule, steps
        power, variance = _tables(schedule, steps, cumulative)
        self.register_buffer("power", power, persistent=False)
        self.register_buffer("variance", variance, persistent=False)

    def _apply(self, fn, recurse=True):
        device = fn(torch.zeros(())).device
        wide = torch.float32 if device.type == "mps" else torch.float64
        self.power, self.variance = (table.to(device, wide) for table in (self.power, self.variance))
        return self

    def extra_repr(self) -> str:
        return f"schedule={self.schedule!r}, steps={self.steps}"

    @property
    def alpha_bar(self) -> Tensor:
        """Share of the data in the variance of x_t, a² / (a² + s²), (T,)."""
        return self.power / (self.power + self.variance)

    def alpha_bar_at(self, t: Tensor | int) -> Tensor:
        """alpha_bar of each t in -1 ... T - 1, float64, shaped like t."""
        return self._at(self.alpha_bar, t, 1.0)

    def a(self, t: Tensor | int) -> Tensor:
        """Scale of the data at t, float64."""
        return self._at(self.power, t, 1.0).sqrt()

    def s(self, t: Tensor | int) -> Tensor:
        """Standard deviation of the noise at t, float64."""
        return self._at(self.variance, t, 0.0).sqrt()

    def sigma(self, t: Tensor | int) -> Tensor:
        """Noise beside data of scale 1, s / a at t, float64; infinite where nothing is left of the data."""
        return self.s(t) / self.a(t)

    def snr(self, t: Tensor | int) -> Tensor:
        """Signal-to-noise ratio a² / s² at t, float64."""
        return self._at(self.power, t, 1.0) / self._at(self.variance, t, 0.0)

    def noise(self, x0: Tensor, t: Tensor | int, eps: Tensor) -> Tensor:
        """x_t of x0 (B, ...), t (B,) and unit noise eps (B, ...), in the dtype of x0."""
        return over(self.a(t), x0) * x0 + over(self.s(t), x0) * eps

    def convert(self, value: Tensor, source: str, target: str, x_t: Tensor, t: Tensor | int) -> Tensor:
        """Read a prediction of ``source`` (B, ...) as one of ``target``; each is eps, x0, v or velocity.

        x0 from eps divides by a_t and eps from x0 by s_t, so errors grow at high and at low noise. Pure noise
        (the last timestep of a flow) says nothing of x0 through eps, which is refused.
        """
        for name in (source, target):
            if name not in TARGETS:
                raise UserError(f"unknown target {name!r}; choose one of {', '.join(TARGETS)}")
        if source == target:
            return value
        if source == "eps" and self.schedule == "flow" and (torch.as_tensor(t) == self.steps - 1).any():
            raise UserError("eps at the last timestep of a flow, pure noise, leaves x0 open; predict velocity, v or x0")
        a, s = over(self.a(t), x_t), over(self.s(t), x_t)
        total = over(self._at(self.power + self.variance, t, 1.0), x_t)  # a² + s², 1 if variance is preserved
        if source == "eps":
            eps, x0 = value, (x_t - s * value) / a
        elif source == "x0":
            eps, x0 = (x_t - a * value) / s, value
        elif source == "v":  # rotate (x_t, v) back
            eps, x0 = (s * x_t + a * value) / total, (a * x_t - s * value) / total
        else:
            eps, x0 = (x_t + a * value) / (a + s), (x_t - s * value) / (a + s)
        if target in ("eps", "x0"):
            return eps if target == "eps" else x0
        return a * eps - s * x0 if target == "v" else eps - x0

    def gain(self, target: str, t: Tensor | int) -> Tensor:
        """Squared error of ``target`` that one of 1 in x0 amounts to, at a given x_t, float64."""
        power, variance = self._at(self.power, t, 1.0), self._at(self.variance, t, 0.0)
        return {
            "eps": power / variance,
            "x0": torch.ones_like(power),
            "v": (power + variance) * (power / variance + 1),
            "velocity": ((power / variance).sqrt() + 1).square(),
        }[target]

    def q_posterior(self, x0: Tensor, x_t: Tensor, t: Tensor | int, t_prev: Tensor | int) -> Gaussian:
        """q(x_{t_prev} | x_t, x0) of the Gaussian path, for any t_prev < t.

        x_t is x_{t_prev} times r = a_t / a_{t_prev}, and noise that makes up the variance. Ho et al. 2020,
        eq. 6-7, is the case of one step that preserves variance. At t_prev = -1 the mean is x0, the variance 0.
        """
        r, before = self.a(t) / self.a(t_prev), self._at(self.variance, t_prev, 0.0)
        now, fresh = self._at(self.variance, t, 0.0), self.fresh(t, t_prev)
        mean = over(self.a(t_prev) * fresh, x0) * x0 + over(r * before / now, x0) * x_t
        return Gaussian(mean, over(before * fresh, x0))

    def fresh(self, t: Tensor | int, t_prev: Tensor | int) -> Tensor:
        """Share of the noise variance in x_t that came after t_prev, float64."""
        now, before = self._at(self.variance, t, 0.0), self._at(self.variance, t_prev, 0.0)
        return (now - (self.a(t) / self.a(t_prev)).square() * before) / now

    def _at(self, table: Tensor, t: Tensor | int, clean: float) -> Tensor:
        t = torch.as_tensor(t, device=table.device)
        return torch.where(t < 0, clean, table[t.clamp(min=0)])


def over(coefficient: Tensor, x: Tensor) -> Tensor:
    """A coefficient per sample, (B,) or a scalar, that broadcasts over x (B, ...) in its dtype."""
    return coefficient.to(x).reshape(-1, *[1] * (x.ndim - 1))


def _tables(schedule: str, steps: int, cumulative: bool = True) -> tuple[Tensor, Tensor]:
    """a² and s² of every timestep, (T,) float64 each."""
    if schedule not in SCHEDULES:
        raise UserError(f"unknown schedule {schedule!r}; choose one of {', '.join(SCHEDULES)}")
    linear = schedule in ("linear", "scaled_linear")
    if steps < (2 if schedule == "flow" else 1) or (linear and steps <= 20):  # 0.02 * 1000 / 20 is a beta of 1
        raise UserError(f"a {schedule} schedule of {steps} steps has no signal to start from; use more steps")
    if schedule == "flow":
        s = torch.arange(1, steps + 1, dtype=torch.float64) / steps
        return (1 - s).square(), s.square()
    alpha = 1 - _betas(schedule, steps)
    alpha_bar = torch.cumprod(alpha, 0) if cumulative else alpha
    return alpha_bar, 1 - alpha_bar


def _betas(schedule: str, steps: int) -> Tensor:
    if schedule == "cosine":
        angle = (torch.arange(steps + 1, dtype=torch.float64) / steps + 0.008) / 1.008 * math.pi / 2
        signal = angle.cos().square()
        return (1 - signal[1:] / signal[:-1]).clamp(max=0.999)
    if schedule == "linear":
        return torch.linspace(1e-4, 0.02, steps, dtype=torch.float64) * (1000 / steps)
    return torch.linspace(0.00085**0.5, 0.012**0.5, steps, dtype=torch.float64).square() * (1000 / steps)

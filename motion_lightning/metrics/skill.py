"""Is the model better than a formula, and does it listen? Skill and conditioning audit."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from motion_lightning.diffusion.process import Process

BINS = 10
JUDGED_SNR = 10.0  # above it eps_hat divides the error of x0_hat by a small number
WIDE = 1024  # numbers a frame


def masked_mean(squared: Tensor, mask: Tensor) -> Tensor:
    """Mean (B,) of (B, T, ...) over the frames where mask (B, T) is True."""
    error = squared.flatten(2).mean(-1) * mask
    return error.sum(1) / mask.sum(1)


def squared_error(x0_hat: Tensor, x0: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over valid frames, per sample: (B, T, ...), (B, T, ...), (B, T) → (B,)."""
    return masked_mean((x0_hat - x0).square(), mask)


class FrameWiener(nn.Module):
    """Best linear estimate of x0 from x_t by frames: ``m + a C (a² C + s² I)⁻¹ (x_t - a m)``.

    Mean m (D,) and covariance C (D, D) are those of training frames, D being all numbers of one. Nothing of it goes
    into a checkpoint.
    """

    def __init__(self, covariance: Tensor, process: Process, mean: Tensor | None = None):
        super().__init__()
        variance, basis = torch.linalg.eigh(covariance)
        mean = torch.zeros(len(variance)) if mean is None else mean
        self.process = process
        self.register_buffer("mean", mean.double(), persistent=False)
        self.register_buffer("variance", variance.double().clamp(min=0), persistent=False)
        self.register_buffer("basis", basis.double(), persistent=False)

    @classmethod
    def of(cls, clips: Sequence[Tensor], process: Process) -> "FrameWiener":
        """From training x (T_i, ...)."""
        frames = torch.cat([clip.flatten(1) for clip in clips])
        # The covariance of pictures is as wide as they have pixels: in float64 its eigenvectors would take a minute.
        frames = frames.double() if frames.shape[1] <= WIDE else frames
        return cls(frames.T.cov(), process, frames.mean(0))

    def forward(self, x_t: Tensor, t: Tensor, mask: Tensor | None = None) -> Tensor:
        """x_t (B, T, ...), t (B,) → x0_hat of its shape, float64."""
        a, s = self.process.a(t).view(-1, 1, 1), self.process.s(t).view(-1, 1, 1)
        gain = a * self.variance / (a**2 * self.variance + s**2)  # (B, 1, D)
        z = (x_t.flatten(2).double() - a * self.mean) @ self.basis
        return ((z * gain) @ self.basis.T + self.mean).view(x_t.shape)


class SequenceWiener:
    """The same over a whole sequence: every principal component of a frame has an autocovariance over time.

    Components are stationary, and uncorrelated with each other at all lags (at lag 0 they are so by construction).
    """

    def __init__(self, frame: FrameWiener, clips: Sequence[Tensor], frames: int):
        """clips: training x (T_i, ...); frames: longest clip to be estimated."""
        self.frame = frame
        lags = torch.zeros(len(frame.variance), frames, dtype=torch.float64)  # (D, frames)
        count = torch.zeros(frames, dtype=torch.float64)
        for clip in clips:
            z = (clip.flatten(1).double() - frame.mean) @ frame.basis  # (T, D)
            n = min(len(z), frames)
            spectrum = torch.fft.rfft(z, 2 * len(z), dim=0).abs().square()
            lags[:, :n] += torch.fft.irfft(spectrum, 2 * len(z), dim=0)[:n].T
            count[:n] += len(z) - torch.arange(n)
        lags = lags / count.clamp(min=1)
        index = torch.arange(frames)
        values, vectors = torch.linalg.eigh(lags[:, (index[:, None] - index).abs()])
        # Estimates at long lags come from few frames and need not fit together: the nearest covariance does.
        self.covariance = (vectors * values.clamp(min=0)[:, None]) @ vectors.mT  # (D, T, T)
        self.of_length: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(self, x_t: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        """x_t (B, T, ...), t (B,), mask (B, T) → x0_hat of its shape, float64."""
        out = torch.zeros(x_t.shape, dtype=torch.float64)
        for i, n in enumerate(mask.sum(1).tolist()):
            if n not in self.of_length:
                self.of_length[n] = torch.linalg.eigh(self.covariance[:, :n, :n])
            variance, basis = self.of_length[n]  # (D, n), (D, n, n)
            a, s = self.frame.process.a(t[i]), self.frame.process.s(t[i])
            z = (x_t[i, :n].flatten(1).double() - a * self.frame.mean) @ self.frame.basis  # (n, D)
            gain = a * variance / (a**2 * variance + s**2)
            z = basis @ (gain[..., None] * (basis.mT @ z.T[..., None]))  # (D, n, 1)
            out[i, :n] = (z[..., 0].T @ self.frame.basis.T + self.frame.mean).view(out[i, :n].shape)
        return out


def judged(process: Process) -> Tensor:
    """Timesteps (T,) bool at which eps from x0_hat is judged: SNR at most 10."""
    return process.snr(torch.arange(process.steps)) <= JUDGED_SNR


def bin_timesteps(process: Process, number: int, clips: Tensor) -> Tensor:
    """A fixed t (B,) of bin ``number`` for every clip index (B,), of its judged part where it has one."""
    edges = torch.arange(process.steps).chunk(BINS)[number]
    part = edges[judged(process).to(edges.device)[edges]]
    part = part if len(part) else edges
    return part[(clips * 7919 + number) % len(part)]


class BinnedError(Metric):
    """Mean errors in equal bins of t, for several estimators side by side.

    Every sample weighs the same on any number of processes; Lightning's mean does not see to that where they
    hold unequal numbers of them.
    """

    full_state_update = False

    def __init__(self, names: list[str], bins: int = BINS):
        super().__init__()
        self.names, self.bins = names, bins
        self.add_state("total", torch.zeros(len(names), bins, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(bins, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, t: Tensor, steps: int, errors: list[Tensor]) -> None:
        """t (B,), number of timesteps, and per estimator the error (B,) of each sample."""
        where = (t * self.bins // steps).long()
        # Not in place: what validation made in inference mode cannot be written to in a later fit.
        self.total = self.total.index_add(1, where, torch.stack(errors).to(self.total))
        self.count = self.count.index_add(0, where, torch.ones_like(where, dtype=self.count.dtype))

    def compute(self) -> dict[str, Tensor]:
        """Name → (bins,), NaN for a bin that saw nothing."""
        return dict(zip(self.names, self.total / self.count, strict=True))


def skill(bins: dict[str, Tensor], process: Process) -> dict:
    """Table of the bins: which are judged (any t with SNR ≤ 10); does the model beat the frame filter?

    A process whose data never drown in noise has no bin to be judged by, and does not pass.
    """
    is_judged = [bool(part.any()) for part in judged(process).chunk(BINS)]
    below = [bool(m < f) for m, f in zip(bins["model"], bins["frame"], strict=True)]
    return {
        "bins": list(range(BINS)),
        **{name: [float(v) for v in values] for name, values in bins.items()},
        "judged": is_judged,
        "passed": any(is_judged) and all(b for b, j in zip(below, is_judged, strict=True) if j),
    }


def audit(right: np.ndarray, null: np.ndarray, wrong: np.ndarray, draws: int = 2000, seed: int = 0) -> dict:
    """Conditioning audit from the losses (N,) of the same clips, timesteps and noise under three conditions.

    Passes when right < null and null ≤ wrong; each difference is judged by the 95 % bootstrap interval of its
    mean (null ≤ wrong unless it lies wholly above 0, which raises the alarm: an undertrained null).
    """
    index = np.random.default_rng(seed).integers(len(right), size=(draws, len(right)))

    def interval(values: np.ndarray) -> list[float]:
        means = values[index].mean(1)
        return [float(values.mean()), *(float(q) for q in np.quantile(means, [0.025, 0.975]))]

    listens, null_above = interval(null - right), interval(null - wrong)
    alarm = "the null condition does worse than a wrong caption: it is undertrained" if null_above[1] > 0 else None
    return {
        "right": interval(right),
        "null": interval(null),
        "wrong": interval(wrong),
        "null_minus_right": listens,
        "null_minus_wrong": null_above,
        "passed": listens[1] > 0 and alarm is None,
        "alarm": alarm,
    }


def eps_error(predict: Callable, x0: Tensor, eps: Tensor, t: Tensor, mask: Tensor, process: Process) -> Tensor:
    """eps-MSE (B,) of ``predict(x_t, t) -> x0_hat``: SNR times the error of x0_hat."""
    x_t = process.noise(x0, t, eps) * mask[..., None]
    return squared_error(predict(x_t, t), x0, mask).double() * process.snr(t)

"""Gaussian data: the ideal denoiser is affine, every sampler is a linear recursion, and nothing is random.

x0 ~ N(mu, C) gives E[x0 | x_t] = mu + a C (a² C + s² I)^-1 (x_t - a mu). The mean and the covariance of
what a sampler makes of x_T ~ N(0, I) follow from its answers to basis vectors, as x_T and as noise.
"""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch

from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim, ddpm, dpmpp, euler, heun, spaced

EYE = torch.eye(3, dtype=torch.float64)
MEAN = torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64)
FACTOR = torch.tensor([[1.0, 0, 0], [0.8, 0.6, 0], [-0.3, 0.5, 0.2]], dtype=torch.float64)
COVARIANCE = FACTOR @ FACTOR.T

SAMPLERS = {
    "ddpm": ddpm,
    "ddim, eta 0": ddim,
    "ddim, eta 0.5": partial(ddim, eta=0.5),
    "ddim, eta 1": partial(ddim, eta=1.0),
    "euler": euler,
    "heun": heun,
    "heun in sigma": partial(heun, along="eps"),
    "dpmpp": dpmpp,
}
RANDOM = ("ddpm", "ddim, eta 0.5", "ddim, eta 1")


def oracle(process, mean, covariance):
    def denoise(x, t):
        a, s = process.a(t[0]), process.s(t[0])
        gain = a * covariance @ torch.linalg.inv(a**2 * covariance + s**2 * torch.eye(len(mean)).double())
        return mean + (x - a * mean) @ gain.T

    return denoise


def moments(name, process, timesteps, mean, covariance):
    """Mean (D,) and covariance (D, D) of the sampler's output, by superposition in one batch."""
    size, pulses = len(mean), len(timesteps) - 1 if name in RANDOM else 0
    eye = torch.eye(size, dtype=torch.float64)
    x = torch.zeros(1 + size + pulses * size, size, dtype=torch.float64)  # offset, x_T, noises
    x[1 : 1 + size] = eye
    starts = iter(range(1 + size, len(x), size))

    def noise(x):
        pulse, start = torch.zeros_like(x), next(starts)
        pulse[start : start + size] = eye
        return pulse

    out = SAMPLERS[name](oracle(process, mean, covariance), x, process, timesteps, noise=noise)
    response = out[1:] - out[0]
    assert next(starts, None) is None, "noise is asked for in every step but the last, or in none"
    return out[0], response.T @ response


def recursion(name, process, timesteps, mean, covariance):
    """The same moments from the papers' formulas, on numbers."""
    return (random_walk if name in RANDOM else flow)(name, process, timesteps, mean, covariance)


def scales(process, t):
    """a and s by definition."""
    if t < 0:
        return 1.0, 0.0
    if process.schedule == "flow":
        return 1 - (t + 1) / process.steps, (t + 1) / process.steps
    alpha_bar = process.alpha_bar[t].item()
    return alpha_bar**0.5, (1 - alpha_bar) ** 0.5


def random_walk(name, process, timesteps, mean, covariance):
    """x' = c0 x0_hat + c1 x + deviation z."""
    centre, spread = torch.zeros_like(mean), EYE.clone()
    for t, t_prev in pairwise([*timesteps.tolist(), -1]):
        (a, s), (a_prev, s_prev) = scales(process, t), scales(process, t_prev)
        gain = a * covariance @ torch.linalg.inv(a**2 * covariance + s**2 * EYE)
        r = a / a_prev
        between = s**2 - r**2 * s_prev**2  # noise that came after t_prev
        variance = s_prev**2 * between / s**2
        if name == "ddpm":
            c0, c1 = a_prev * between / s**2, r * s_prev**2 / s**2
        else:
            variance *= float(name.split()[-1]) ** 2
            c1 = max(s_prev**2 - variance, 0) ** 0.5 / s
            c0 = a_prev - c1 * a
        step = c0 * gain + c1 * EYE
        centre = step @ centre + c0 * (mean - a * gain @ mean)
        spread = step @ spread @ step.T + variance * EYE
    return centre, spread


def flow(name, process, timesteps, mean, covariance):
    """Each solver in coordinates of its own, on an affine map of x_T: columns and offset, (D, D + 1)."""
    x = torch.cat([EYE, torch.zeros(3, 1).double()], 1)

    def denoised(x, t):
        a, s = scales(process, t)
        gain = a * covariance @ torch.linalg.inv(a**2 * covariance + s**2 * EYE)
        out = gain @ x
        out[:, -1] += mean - a * gain @ mean
        return out

    def own(t):
        a, s = scales(process, t)
        scale = a if name in ("heun in sigma", "dpmpp") else a + s
        return scale, s / scale  # and the time, in which d(x / scale) = (x / scale - x0_hat) / time

    before = None
    for t, t_prev in pairwise([*timesteps.tolist(), -1]):
        (a, s), (a_prev, s_prev), x0 = scales(process, t), scales(process, t_prev), denoised(x, t)
        if name == "dpmpp":
            now = math.log(a / s) if a else -math.inf
            if before is not None and t_prev >= 0:  # (x0, its log(a / s))
                ahead = math.log(a_prev / s_prev)
                ratio = (ahead - now) / (now - before[1])
                line = (1 + ratio / 2) * x0 - ratio / 2 * before[0]
            else:
                line = x0
            before = x0, now
            x = s_prev / s * x - (a * s_prev / s - a_prev) * line
            continue
        (scale, now), (scale_prev, then) = own(t), own(t_prev)
        y = x / scale
        slope = (y - x0) / now
        ahead = y + (then - now) * slope
        if name.startswith("heun") and t_prev >= 0:
            there = (ahead - denoised(ahead * scale_prev, t_prev)) / then
            ahead = y + (then - now) * (slope + there) / 2
        x = ahead * scale_prev
    return x[:, -1], x[:, :-1] @ x[:, :-1].T


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", ["linear", "cosine", "flow"])
@pytest.mark.parametrize("spacing", ["trailing", "leading", "karras"])
def test_each_sampler_is_its_own_recursion(name, schedule, spacing):
    process = Process(schedule)
    timesteps = spaced(process, 25, spacing)
    if name == "heun in sigma":  # from where sigma is moderate
        timesteps = timesteps[process.sigma(timesteps) < 80]
    got = moments(name, process, timesteps, MEAN, COVARIANCE)
    want = recursion(name, process, timesteps, MEAN, COVARIANCE)
    torch.testing.assert_close(got[0], want[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(got[1], want[1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", SAMPLERS)
def test_full_chain_gives_the_data_back(name):
    mean, covariance = recursion(name, Process("cosine"), spaced(1000, 1000), MEAN, COVARIANCE)
    torch.testing.assert_close(mean, MEAN, rtol=0, atol=5e-3)
    torch.testing.assert_close(covariance, COVARIANCE, rtol=0, atol=2e-2)


def orders(name, process, spacing, lengths):
    """log2 of what is left of the bias of three variances when there are twice the steps."""
    variance = torch.tensor([0.25, 1.0, 4.0], dtype=torch.float64)
    bias = []
    for n in lengths:
        _, got = moments(name, process, spaced(process, n, spacing), 0 * variance, variance.diag())
        bias.append((got.diag() - variance).abs())
    return torch.stack(bias).log2().diff(dim=0).neg(), bias[-1] / variance.clamp(min=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddpm", "ddim, eta 0", "euler"])
@pytest.mark.parametrize("schedule", ["linear", "flow"])
def test_bias_of_the_variance_is_of_first_order(name, schedule):
    """Twice the steps, half the bias, on a chain so fine that its own steps do not show."""
    order, bias = orders(name, Process(schedule, 32_000), "trailing", (120, 240, 480))
    assert ((order > 0.84) & (order < 1.1)).all(), (bias, order)
    assert (bias < 0.025).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "schedule", "spacing"),
    [
        ("heun", "flow", "trailing"),
        ("heun", "flow", "karras"),
        ("heun in sigma", "linear", "karras"),
        ("dpmpp", "linear", "karras"),
        ("dpmpp", "flow", "trailing"),
        ("dpmpp", "cosine", "karras"),
    ],
)
def test_bias_of_the_variance_is_of_second_order(name, schedule, spacing):
    """A quarter. Where the last step starts at noise that falls like 1 / n, as on a trailing linear chain, it hides."""
    order, bias = orders(name, Process(schedule, 32_768), spacing, (64, 128, 256))
    assert ((order > 1.7) & (order < 2.6)).all(), (bias, order)
    assert (bias < 5e-3).all()


@pytest.mark.parametrize(("n", "variance"), [(10, 0.69), (50, 0.93), (1000, 0.996)])
def test_few_steps_of_ddim_lose_variance(n, variance):
    """N(0, 1), linear schedule, eta = 0: known figures of the method."""
    _, got = moments("ddim, eta 0", Process("linear"), spaced(1000, n), torch.zeros(1).double(), EYE[:1, :1])
    assert got.item() == pytest.approx(variance, abs=5e-3 if n < 1000 else 5e-4)

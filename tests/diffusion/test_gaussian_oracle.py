"""Gaussian data: the ideal denoiser is affine, every sampler is a linear recursion, and nothing is random.

x0 ~ N(mu, C) gives E[x0 | x_t] = mu + a C (a² C + s² I)^-1 (x_t - a mu). The mean and the covariance of
what a sampler makes of x_T ~ N(0, I) follow from its answers to basis vectors, as x_T and as noise.
"""

from itertools import pairwise

import pytest
import torch

from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim, ddpm, spaced

EYE = torch.eye(3, dtype=torch.float64)
MEAN = torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64)
FACTOR = torch.tensor([[1.0, 0, 0], [0.8, 0.6, 0], [-0.3, 0.5, 0.2]], dtype=torch.float64)
COVARIANCE = FACTOR @ FACTOR.T

SAMPLERS = {
    "ddpm": ddpm,
    "ddim, eta 0": ddim,
    "ddim, eta 0.5": lambda *args, noise: ddim(*args, eta=0.5, noise=noise),
    "ddim, eta 1": lambda *args, noise: ddim(*args, eta=1.0, noise=noise),
}


def oracle(process, mean, covariance):
    def denoise(x, t):
        a, s = process.a(t[0]), process.s(t[0])
        gain = a * covariance @ torch.linalg.inv(a**2 * covariance + s**2 * torch.eye(len(mean)).double())
        return mean + (x - a * mean) @ gain.T

    return denoise


def moments(sampler, process, timesteps, mean, covariance):
    """Mean (D,) and covariance (D, D) of the sampler's output, by superposition in one batch."""
    size, pulses = len(mean), len(timesteps) - 1
    eye = torch.eye(size, dtype=torch.float64)
    x = torch.zeros(1 + size + pulses * size, size, dtype=torch.float64)  # offset, x_T, noises
    x[1 : 1 + size] = eye
    starts = iter(range(1 + size, len(x), size))

    def noise(x):
        pulse, start = torch.zeros_like(x), next(starts)
        pulse[start : start + size] = eye
        return pulse

    out = sampler(oracle(process, mean, covariance), x, process, timesteps, noise=noise)
    response = out[1:] - out[0]
    if sampler is ddim:  # no noise was asked for
        response = response[:size]
    return out[0], response.T @ response


def recursion(name, process, timesteps, mean, covariance):
    """The same moments from the papers' formulas: x' = c0 x0_hat + c1 x + sigma z."""
    centre, spread = torch.zeros_like(mean), EYE.clone()
    chain = [*timesteps.tolist(), -1]
    for t, t_prev in pairwise(chain):
        now = process.alpha_bar[t]
        before = process.alpha_bar[t_prev] if t_prev >= 0 else torch.ones(()).double()
        gain = now.sqrt() * covariance @ torch.linalg.inv(now * covariance + (1 - now) * EYE)
        beta = 1 - now / before
        sigma2 = (1 - before) / (1 - now) * beta
        if name == "ddpm":
            c0 = before.sqrt() * beta / (1 - now)
            c1 = (now / before).sqrt() * (1 - before) / (1 - now)
        else:
            sigma2 = float(name.split()[-1]) ** 2 * sigma2
            c1 = ((1 - before - sigma2).clamp(min=0) / (1 - now)).sqrt()
            c0 = before.sqrt() - c1 * now.sqrt()
        step = c0 * gain + c1 * EYE
        centre = step @ centre + c0 * (mean - now.sqrt() * gain @ mean)
        spread = step @ spread @ step.T + sigma2 * EYE
    return centre, spread


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("spacing", ["trailing", "leading"])
def test_each_sampler_is_its_own_recursion(name, schedule, spacing):
    process, timesteps = Process(schedule), spaced(1000, 25, spacing)
    got = moments(SAMPLERS[name], process, timesteps, MEAN, COVARIANCE)
    want = recursion(name, process, timesteps, MEAN, COVARIANCE)
    torch.testing.assert_close(got[0], want[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(got[1], want[1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", SAMPLERS)
def test_full_chain_gives_the_data_back(name):
    mean, covariance = recursion(name, Process("cosine"), spaced(1000, 1000), MEAN, COVARIANCE)
    torch.testing.assert_close(mean, MEAN, rtol=0, atol=5e-3)
    torch.testing.assert_close(covariance, COVARIANCE, rtol=0, atol=2e-2)


@pytest.mark.parametrize("name", ["ddpm", "ddim, eta 0"])
def test_bias_of_the_variance_is_of_first_order(name):
    """Twice the steps, half the bias, on a chain so fine that its own steps do not show."""
    process, variance = Process("linear", 32_000), torch.tensor([0.25, 1.0, 4.0], dtype=torch.float64)
    bias = []
    for n in (160, 320, 640):
        _, got = moments(SAMPLERS[name], process, spaced(32_000, n), 0 * variance, variance.diag())
        bias.append(variance - got.diag())
    order = torch.stack(bias).log2().diff(dim=0).neg()
    assert ((order > 0.85) & (order < 1.1)).all(), (bias, order)
    assert (bias[-1] < 0.02 * variance.clamp(min=1)).all()


@pytest.mark.parametrize(("n", "variance"), [(10, 0.69), (50, 0.93), (1000, 0.996)])
def test_few_steps_of_ddim_lose_variance(n, variance):
    """N(0, 1), linear schedule, eta = 0: known figures of the method."""
    _, got = moments(ddim, Process("linear"), spaced(1000, n), torch.zeros(1).double(), EYE[:1, :1])
    assert got.item() == pytest.approx(variance, abs=5e-3 if n < 1000 else 5e-4)

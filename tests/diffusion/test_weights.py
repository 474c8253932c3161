"""Loss weights against the formulas of their papers, and one loss seen through three targets."""

import pytest
import torch

from motion_lightning.diffusion.process import TARGETS, Process
from motion_lightning.diffusion.weights import WEIGHTS, loss_weights
from motion_lightning.errors import UserError

PROCESS = Process("cosine")
SNR = PROCESS.alpha_bar / (1 - PROCESS.alpha_bar)
CAPPED = torch.minimum(SNR, torch.full_like(SNR, 5))
PUBLISHED = {
    ("min_snr", "eps"): CAPPED / SNR,
    ("min_snr", "x0"): CAPPED,
    ("min_snr", "v"): CAPPED / (SNR + 1),
    ("capped_v", "v"): (torch.minimum(SNR, torch.full_like(SNR, 20)) + 1) / (SNR + 1),
    ("p2", "eps"): 1 / (1 + SNR),
    **{("uniform", target): torch.ones_like(SNR) for target in TARGETS},
}


@pytest.mark.parametrize(("name", "target"), PUBLISHED)
def test_weights_are_the_published_formulas(name, target):
    weight = loss_weights(PROCESS, target, name)
    assert weight.dtype == torch.float64
    torch.testing.assert_close(weight, PUBLISHED[name, target], rtol=1e-10, atol=0)


def test_parameters_reach_the_formula():
    torch.testing.assert_close(loss_weights(PROCESS, "x0", "min_snr", gamma=2.0).max().item(), 2.0)
    torch.testing.assert_close(loss_weights(PROCESS, "eps", "p2", gamma=0.5, k=3.0), (3 + SNR) ** -0.5)


@pytest.mark.parametrize("name", ["min_snr", "capped_v", "p2"])
def test_the_loss_is_one_whatever_the_target(name):
    """The weighted squared error of one x0_hat, read as eps, x0 or v, is one number for every t."""
    t = torch.arange(1000)
    x0, eps, x0_hat = torch.randn(3, 1000, 4, dtype=torch.float64)
    x_t, losses = PROCESS.noise(x0, t, eps), []
    for target in TARGETS:
        truth, guess = (PROCESS.convert(value, "x0", target, x_t, t) for value in (x0, x0_hat))
        losses.append(loss_weights(PROCESS, target, name) * (truth - guess).square().sum(1))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=0)
    torch.testing.assert_close(losses[1], losses[2], rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("target", TARGETS)
def test_normalised_weights_have_mean_one(name, target):
    weight = loss_weights(PROCESS, target, name, normalise=True)
    assert weight.mean().item() == pytest.approx(1, abs=1e-12)
    plain = loss_weights(PROCESS, target, name)
    torch.testing.assert_close(weight / weight[500], plain / plain[500])


def test_bad_input_is_explained():
    with pytest.raises(UserError, match="min_snr"):
        loss_weights(PROCESS, "x0", "edm")
    with pytest.raises(UserError, match="eps, x0, v"):
        loss_weights(PROCESS, "noise")

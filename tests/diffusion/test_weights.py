"""Loss weights against the formulas of their papers, and one loss seen through all targets."""

import pytest
import torch

from motion_lightning.diffusion.precondition import Karras
from motion_lightning.diffusion.process import TARGETS, Process
from motion_lightning.diffusion.weights import OF_X0, WEIGHTS, loss_weights
from motion_lightning.errors import UserError

PROCESS, FLOW = Process("cosine"), Process("flow")
SNR = PROCESS.alpha_bar / (1 - PROCESS.alpha_bar)
CAPPED = torch.minimum(SNR, torch.full_like(SNR, 5))
PUBLISHED = {
    ("min_snr", "eps"): CAPPED / SNR,
    ("min_snr", "x0"): CAPPED,
    ("min_snr", "v"): CAPPED / (SNR + 1),
    ("min_snr", "velocity"): CAPPED / (SNR.sqrt() + 1) ** 2,
    ("capped_v", "v"): (torch.minimum(SNR, torch.full_like(SNR, 20)) + 1) / (SNR + 1),
    ("p2", "eps"): 1 / (1 + SNR),
    ("edm", "x0"): SNR + 1,
    ("edm", "v"): torch.ones_like(SNR),  # sigma_data = 1: v is EDM's target
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
    torch.testing.assert_close(loss_weights(PROCESS, "x0", "edm", sigma_data=0.5), SNR + 4)


@pytest.mark.parametrize("name", OF_X0)
@pytest.mark.parametrize("process", [PROCESS, FLOW], ids=["cosine", "flow"])
def test_the_loss_is_one_whatever_the_target(process, name):
    """The weighted squared error of one x0_hat, read as any target, is one number for every t."""
    t = torch.arange(999)
    x0, eps, x0_hat = torch.randn(3, 999, 4, dtype=torch.float64)
    x_t, losses = process.noise(x0, t, eps), []
    for target in TARGETS if process is PROCESS else ("x0", "v", "velocity"):
        truth, guess = (process.convert(value, "x0", target, x_t, t) for value in (x0, x0_hat))
        losses.append(loss_weights(process, target, name)[:-1] * (truth - guess).square().sum(1))
    for loss in losses[1:]:
        torch.testing.assert_close(loss, losses[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("sigma_data", "process"), [(1.0, PROCESS), (0.5, FLOW)])
def test_edm_is_the_unit_weight_on_the_preconditioned_target(sigma_data, process):
    karras = Karras(process)
    karras.sigma_data.fill_(sigma_data)
    t = torch.arange(900)
    x_t, x0, x0_hat = torch.randn(3, 900, 1, 4, dtype=torch.float64)
    view = karras(x_t, t, torch.ones(900, 1, dtype=torch.bool))
    on_target = (view.target(x0) - view.target(x0_hat)).square().sum((1, 2))
    on_x0 = loss_weights(process, "x0", "edm", sigma_data=sigma_data)[:900] * (x0 - x0_hat).square().sum((1, 2))
    torch.testing.assert_close(on_x0, on_target, rtol=1e-6, atol=0)
    assert torch.equal(loss_weights(process, "residual", "edm"), torch.ones(1000).double())


def test_clamped_weights_at_both_ends_of_a_cosine_chain_of_50():
    """1 / SNR weighs the noisiest timestep 100 times more than the cleanest; SNR, the other way round."""
    process = Process("cosine", 50)
    for target in (*TARGETS, "residual"):
        inverse, direct = (loss_weights(process, target, name) for name in ("inverse_snr_clamped", "snr_clamped"))
        assert inverse[[0, -1]].tolist() == [0.1, 10.0]
        assert direct[[0, -1]].tolist() == [10.0, 0.1]
        torch.testing.assert_close(inverse, 1 / torch.clamp(process.snr(torch.arange(50)), 0.1, 10.0))
        assert (inverse.diff() >= 0).all()


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("target", TARGETS)
def test_normalised_weights_have_mean_one(name, target):
    weight = loss_weights(PROCESS, target, name, normalise=True)
    assert weight.mean().item() == pytest.approx(1, abs=1e-12)
    plain = loss_weights(PROCESS, target, name)
    torch.testing.assert_close(weight / weight[500], plain / plain[500])


def test_bad_input_is_explained():
    with pytest.raises(UserError, match="min_snr"):
        loss_weights(PROCESS, "x0", "snr")
    with pytest.raises(UserError, match="eps, x0, v"):
        loss_weights(PROCESS, "noise")
    with pytest.raises(UserError, match="unit variance"):
        loss_weights(PROCESS, "residual", "min_snr")
    with pytest.raises(UserError, match="infinite"):
        loss_weights(FLOW, "eps", "edm")

"""Preconditions: what the network sees, what its output means, what it should have said."""

import pytest
import torch

from motion_lightning.diffusion.precondition import Plain, Wiener
from motion_lightning.diffusion.process import Process
from motion_lightning.metrics.skill import FrameWiener

B, T, D, STEPS = 4, 5, 6, 1000


@pytest.fixture(scope="module")
def covariance() -> torch.Tensor:
    """Correlated, with variances from 2e-3 to 9."""
    torch.manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64))
    return basis @ torch.diag(torch.tensor([9, 3, 1, 0.3, 0.05, 0.002], dtype=torch.float64)) @ basis.T


@pytest.fixture
def wiener(covariance) -> Wiener:
    wiener = Wiener(Process("cosine", STEPS), D)
    wiener.fit(covariance)
    return wiener


def draw(covariance: torch.Tensor, *shape: int) -> torch.Tensor:
    noise = torch.randn(*shape, D, dtype=torch.float64)
    return noise @ torch.linalg.cholesky(covariance).T


def test_zero_output_is_the_linear_filter(wiener, covariance):
    torch.manual_seed(1)
    t = torch.tensor([0, 17, 500, STEPS - 1])
    x_t = torch.randn(B, T, D)
    got = wiener.x0(torch.zeros(B, T, D), x_t, t)
    torch.testing.assert_close(got.double(), FrameWiener(covariance, wiener.process)(x_t, t), atol=2e-6, rtol=1e-5)
    a, s = (c(t).view(-1, 1, 1) for c in (wiener.process.a, wiener.process.s))
    closed = x_t.double() @ torch.linalg.inv(a**2 * covariance + s**2 * torch.eye(D)) @ (covariance * a)
    torch.testing.assert_close(got.double(), closed, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("t", [0, 60, 500, 940, STEPS - 1])
def test_input_and_target_have_unit_variance(wiener, covariance, t):
    """On data of that covariance, for every component, uncorrelated with each other."""
    torch.manual_seed(2)
    wiener = wiener.double()
    x0, t = draw(covariance, 20_000, 1), torch.full((20_000,), t)
    x_t = wiener.process.noise(x0, t, torch.randn_like(x0))
    for value in (wiener.inputs(x_t, t), wiener.target(x0, x_t, t)):
        torch.testing.assert_close(value[:, 0].T.cov(), torch.eye(D, dtype=torch.float64), atol=0.06, rtol=0)


def test_target_round_trip(wiener, covariance):
    torch.manual_seed(3)
    x0, t = draw(covariance, B, T).float(), torch.tensor([0, 5, 500, STEPS - 1])
    x_t = wiener.process.noise(x0, t, torch.randn_like(x0))
    torch.testing.assert_close(wiener.x0(wiener.target(x0, x_t, t), x_t, t), x0, atol=1e-5, rtol=1e-5)


def test_constant_features_stay_finite():
    """A component without variance is lifted to the floor; neither end of the chain divides by zero."""
    wiener = Wiener(Process("cosine", STEPS), D)
    wiener.fit(torch.zeros(D, D))
    x, t = torch.randn(B, T, D), torch.tensor([0, 1, STEPS - 2, STEPS - 1])
    for value in (wiener.inputs(x, t), wiener.x0(x, x, t), wiener.target(0 * x, x, t)):
        assert value.isfinite().all()


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_extreme_timesteps_are_finite(covariance, schedule):
    wiener = Wiener(Process(schedule, STEPS), D)
    wiener.fit(covariance)
    x0, t = draw(covariance, B, T).float(), torch.tensor([0, 0, STEPS - 1, STEPS - 1])
    x_t = wiener.process.noise(x0, t, torch.randn_like(x0))
    target = wiener.target(x0, x_t, t)
    assert wiener.inputs(x_t, t).isfinite().all() and target.isfinite().all() and target.abs().max() < 8


def test_statistics_travel_in_the_state(wiener):
    other = Wiener(Process("cosine", STEPS), D)
    other.load_state_dict(wiener.state_dict())
    x, t = torch.randn(B, T, D), torch.tensor([0, 5, 500, 999])
    assert torch.equal(other.x0(x, x, t), wiener.x0(x, x, t))


def test_autocast_does_not_round(wiener):
    """At t = 0 the noise is 0.006 of the data's scale; bfloat16 would round x0_hat to 0.004 of it."""
    x, t = torch.randn(B, T, D), torch.tensor([0, 5, 500, 999])
    want = wiener.inputs(x, t), wiener.x0(x, x, t), wiener.target(x, 2 * x, t)
    with torch.autocast("cpu", torch.bfloat16):
        got = wiener.inputs(x, t), wiener.x0(x, x, t), wiener.target(x, 2 * x, t)
    for a, b in zip(got, want, strict=True):
        assert a.dtype == torch.float32 and torch.equal(a, b)


@pytest.mark.parametrize("target", ["eps", "x0", "v"])
def test_plain_round_trips(target):
    torch.manual_seed(4)
    process = Process("cosine", STEPS)
    plain = Plain(process, D, target)
    x0, t = torch.randn(B, T, D, dtype=torch.float64), torch.tensor([0, 5, 500, STEPS - 1])
    eps = torch.randn_like(x0)
    x_t = process.noise(x0, t, eps)
    said = plain.target(x0, x_t, t)
    a, s = (c(t).view(-1, 1, 1) for c in (process.a, process.s))
    torch.testing.assert_close(said, {"eps": eps, "x0": x0, "v": a * eps - s * x0}[target], atol=1e-9, rtol=0)
    torch.testing.assert_close(plain.x0(said, x_t, t), x0, atol=1e-7, rtol=0)
    assert plain.inputs(x_t, t) is x_t and plain.x0(torch.zeros_like(x0), x_t, t).isfinite().all()

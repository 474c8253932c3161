"""The skip that is the best linear estimate."""

import pytest
import torch

from motion_lightning.diffusion.linear_skip import LinearSkip
from motion_lightning.diffusion.process import Process
from motion_lightning.metrics.skill import FrameWiener

STEPS = 1000


@pytest.fixture(scope="module")
def clips() -> list[torch.Tensor]:
    """1200 pictures (1, 1, 3, 3), Gaussian, their pixels correlated, with a mean."""
    torch.manual_seed(0)
    mix = torch.randn(9, 9) * 0.5
    return [*(torch.randn(1200, 9) @ mix + torch.linspace(-1, 1, 9)).view(-1, 1, 1, 3, 3)]


@pytest.fixture(scope="module")
def skip(clips) -> LinearSkip:
    skip = LinearSkip(Process("linear", STEPS), 9)
    skip.fit(clips)
    return skip


@pytest.mark.parametrize("t", [0, 10, 300, 700, 999])
def test_an_output_of_zero_is_the_linear_estimate(clips, skip, t):
    torch.manual_seed(1)
    x0 = torch.stack(clips[:8])  # (B, 1, 1, 3, 3)
    t, mask = torch.full((8,), t), torch.ones(8, 1, dtype=torch.bool)
    x_t = skip.process.noise(x0, t, torch.randn_like(x0))
    view = skip(x_t, t, mask)
    want = FrameWiener.of(clips, skip.process)(x_t, t, mask)
    torch.testing.assert_close(view.x0(torch.zeros_like(x_t)), want.float(), rtol=1e-4, atol=1e-4)
    assert view.inputs is x_t


@pytest.mark.parametrize("t", [0, 10, 300, 700, 999])
def test_the_target_has_unit_variance_and_gives_x0_back(clips, skip, t):
    torch.manual_seed(2)
    x0 = torch.stack(clips)
    t, mask = torch.full((len(x0),), t), torch.ones(len(x0), 1, dtype=torch.bool)
    view = skip(skip.process.noise(x0, t, torch.randn_like(x0)), t, mask)
    assert view.target(x0).square().mean().item() == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(view.x0(view.target(x0)), x0, rtol=1e-4, atol=1e-4)


def test_the_target_is_what_eps_has_beyond_its_estimate(clips, skip):
    torch.manual_seed(3)
    x0, t = torch.stack(clips[:64]), torch.full((64,), 400)
    eps = torch.randn_like(x0)
    x_t = skip.process.noise(x0, t, eps)
    view = skip(x_t, t, torch.ones(64, 1, dtype=torch.bool))
    beyond = eps - skip.process.convert(view.x0(torch.zeros_like(x_t)), "x0", "eps", x_t, t)
    target = view.target(x0)
    factor = (beyond * target).sum() / target.square().sum()
    assert factor > 0
    torch.testing.assert_close(factor * target, beyond, rtol=1e-3, atol=1e-3)


def test_its_statistics_travel_with_it(clips, skip):
    other = LinearSkip(Process("linear", STEPS), 9)
    other.load_state_dict(skip.state_dict())
    x, t, mask = torch.randn(2, 1, 1, 3, 3), torch.tensor([5, 900]), torch.ones(2, 1, dtype=torch.bool)
    assert torch.equal(other(x, t, mask).x0(x), skip(x, t, mask).x0(x))

"""The linear skip of few components, and over whole clips."""

import pytest
import torch

from motion_lightning.diffusion.linear_skip import LinearSkip, cosines
from motion_lightning.diffusion.process import Process
from motion_lightning.errors import UserError

D, MASK = 12, torch.ones(3, 5, dtype=torch.bool)


@pytest.fixture(scope="module")
def clips() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(D, D, generator=generator) * torch.logspace(0, -2, D)  # a few strong components
    return [torch.randn(40, D, generator=generator) @ mix.T + 0.5 for _ in range(50)]


def fitted(clips, rank=None, frames=None, sees="noisy") -> LinearSkip:
    skip = LinearSkip(Process("linear", 100), D, rank, frames, sees)
    skip.fit([clip.unflatten(1, (3, 2, 2)) for clip in clips])
    return skip


def noised(x0, t, process, seed=1) -> torch.Tensor:
    return process.noise(x0, t, torch.randn(x0.shape, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("rank", [None, 1, 4, D, 99])
def test_target_and_output_are_inverse_and_the_target_has_unit_variance(clips, rank):
    skip, x0 = fitted(clips, rank), torch.stack(clips).unflatten(2, (3, 2, 2))
    for step in (2, 40, 90):
        t = torch.full((50,), step)
        view = skip(noised(x0, t, skip.process), t, torch.ones(50, 40, dtype=torch.bool))
        target = view.target(x0)
        assert target.square().mean() == pytest.approx(1, rel=0.05)
        torch.testing.assert_close(view.x0(target), x0, atol=1e-4, rtol=1e-4)


def test_few_components_come_close_to_all_and_their_number_is_kept(clips):
    errors, x0, t = [], torch.stack([clip[:5] for clip in clips[:3]]).unflatten(2, (3, 2, 2)), torch.tensor([5, 40, 90])
    for rank in (1, 4, 8, None):
        skip = fitted(clips, rank)
        x_t = noised(x0, t, skip.process)
        errors.append((skip(x_t, t, MASK).x0(torch.zeros_like(x_t)) - x0).square().mean().item())
        assert skip.basis.shape == (D, rank or D)
        LinearSkip(Process("linear", 100), D, rank).load_state_dict(skip.state_dict())
    assert errors[0] > 1.2 * errors[2] and errors[2] == pytest.approx(errors[3], rel=0.05)


@pytest.fixture(scope="module")
def slow() -> list[torch.Tensor]:
    """Clips of 8 frames: strong components that stand still, and weak ones that do not."""
    generator = torch.Generator().manual_seed(0)
    still = torch.randn(300, 1, D, generator=generator) * torch.logspace(0.5, -1, D)
    return list(still + 0.2 * torch.randn(300, 8, D, generator=generator) + 0.5)


def test_over_a_clip_what_stands_still_is_averaged(slow):
    """The estimate of a clip is that of the covariance over all its numbers, where time is stationary."""
    skip = fitted(slow, frames=8)
    x0 = torch.stack(slow[:3]).view(3, 8, 3, 2, 2)
    t = torch.tensor([5, 40, 90])
    x_t = skip.process.noise(x0, t, torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)))
    mask = torch.ones(3, 8, dtype=torch.bool)
    found = skip(x_t, t, mask).x0(torch.zeros_like(x_t)).flatten(1)
    still, moving = torch.logspace(0.5, -1, D).double().square().diag(), 0.04 * torch.eye(D).double()
    covariance = torch.kron(torch.ones(8, 8).double(), still) + torch.kron(torch.eye(8).double(), moving)
    for i, step in enumerate(t):
        a, s = skip.process.a(step), skip.process.s(step)
        gain = a * covariance @ torch.linalg.inv(a**2 * covariance + s**2 * torch.eye(8 * D))
        expected = 0.5 + (x_t[i].flatten().double() - a * 0.5) @ gain.T
        assert (found[i].double() - expected).square().mean() < 0.02 * (expected - x0[i].flatten()).square().mean()


def test_over_a_clip_target_and_output_are_inverse_and_of_unit_variance(slow):
    for rank in (None, 4):
        skip = fitted(slow, rank, frames=8)
        x0, mask = torch.stack(slow).view(300, 8, 3, 2, 2), torch.ones(300, 8, dtype=torch.bool)
        for step in (2, 40, 90):
            t = torch.full((300,), step)
            x_t = skip.process.noise(x0, t, torch.randn(x0.shape, generator=torch.Generator().manual_seed(2)))
            view = skip(x_t, t, mask)
            assert view.target(x0).square().mean() == pytest.approx(1, rel=0.05)
            torch.testing.assert_close(view.x0(view.target(x0)), x0, atol=1e-4, rtol=1e-4)


def test_clips_of_another_length_are_refused(slow):
    with pytest.raises(UserError, match=r"frames=9, and clips have \[8\] frames"):
        fitted(slow, frames=9)
    assert torch.allclose(cosines(7) @ cosines(7).T, torch.eye(7), atol=1e-6)


def test_whitened_inputs_have_unit_variance_and_components_of_one_size(slow):
    skip, plain = fitted(slow, frames=8, sees="whitened"), fitted(slow, frames=8)
    x0, mask = torch.stack(slow).unflatten(2, (3, 2, 2)), torch.ones(300, 8, dtype=torch.bool)
    for step in (2, 40, 90):
        t = torch.full((300,), step)
        x_t = noised(x0, t, skip.process)
        view = skip(x_t, t, mask)
        assert view.inputs.square().mean() == pytest.approx(1, rel=0.1)
        assert torch.equal(view.x0(x0), plain(x_t, t, mask).x0(x0)), "what the output means is the same"
    t = torch.zeros(300, dtype=torch.long)  # where there is hardly any noise
    inputs = skip(noised(x0, t, skip.process), t, mask).inputs.flatten(2)
    sizes = (skip.over_time(inputs) @ skip.basis).square().mean(0)
    assert sizes.max() < 1.5 * sizes.min()
    sizes = (skip.over_time(x0.flatten(2) - skip.mean) @ skip.basis).square().mean(0)
    assert sizes.max() > 100 * sizes.min()
    with pytest.raises(UserError, match="sees=all is unknown; choose noisy or whitened"):
        LinearSkip(Process("linear", 100), D, sees="all")


@pytest.mark.parametrize("frames", [None, 8])
def test_a_centre_is_what_the_estimate_is_taken_around(slow, frames):
    """What is moved by a centre that is known is estimated as if it had never been moved."""
    skip, x0, t = fitted(slow, 4, frames), torch.stack(slow[:3]).unflatten(2, (3, 2, 2)), torch.tensor([5, 40, 90])
    mask, x_t = torch.ones(3, 8, dtype=torch.bool), noised(x0, t, skip.process)
    centre = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2)).requires_grad_()
    moved = x_t + skip.process.a(t).float().view(3, 1, 1, 1, 1) * centre.detach()
    output = torch.randn(x0.shape, generator=torch.Generator().manual_seed(3))
    alone, around = skip(x_t, t, mask), skip(moved, t, mask, centre)
    torch.testing.assert_close(around.x0(output), alone.x0(output) + centre, atol=1e-4, rtol=1e-4)
    assert not around.x0(output).requires_grad  # a centre has a loss of its own

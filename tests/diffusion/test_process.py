"""The process against closed forms, its own iterated chain, and round trips of its conversions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.diffusion.process import SCHEDULES, TARGETS, Process
from motion_lightning.errors import UserError

PROCESSES = {schedule: Process(schedule, 1000) for schedule in SCHEDULES}


def betas(process):
    before = torch.cat([torch.ones(1), process.alpha_bar[:-1]])
    return 1 - process.alpha_bar / before


@pytest.mark.parametrize(("schedule", "first", "last"), [("linear", 1e-4, 0.02), ("scaled_linear", 0.00085, 0.012)])
def test_linear_schedules_have_the_published_betas(schedule, first, last):
    beta = betas(PROCESSES[schedule])
    steps = beta if schedule == "linear" else beta.sqrt()
    torch.testing.assert_close(beta[[0, -1]], torch.tensor([first, last], dtype=torch.float64))
    torch.testing.assert_close(steps.diff(), steps.diff().mean().expand(999), rtol=1e-8, atol=0)


def test_cosine_schedule_follows_its_curve_until_the_cap():
    process = PROCESSES["cosine"]
    end = (torch.arange(1000, dtype=torch.float64) + 1) / 1000
    curve = torch.cos((end + 0.008) / 1.008 * torch.pi / 2) ** 2
    curve = curve / torch.cos(torch.tensor(0.008 / 1.008, dtype=torch.float64) * torch.pi / 2) ** 2
    torch.testing.assert_close(process.alpha_bar[:-1], curve[:-1], rtol=1e-10, atol=0)
    torch.testing.assert_close(betas(process)[-1].item(), 0.999)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [50, 1000, 4000])
def test_every_length_of_schedule_goes_from_data_to_noise(schedule, steps):
    process = Process(schedule, steps)
    assert (process.alpha_bar.diff() < 0).all()
    assert process.alpha_bar[0] > 0.95
    assert process.alpha_bar[-1] < 0.01


def test_alpha_bar_is_the_iterated_chain():
    """Mean and variance of x_t built step by step, x_t = sqrt(1 - beta) x_{t-1} + sqrt(beta) eps."""
    process = PROCESSES["linear"]
    mean, variance = 1.0, 0.0
    for t, beta in enumerate(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64).tolist()):
        mean, variance = (1 - beta) ** 0.5 * mean, (1 - beta) * variance + beta
        assert process.a(t).item() == pytest.approx(mean, abs=1e-12)
        assert process.s(t).item() ** 2 == pytest.approx(variance, abs=1e-12)


def test_noise_has_the_closed_form_mean_and_variance():
    """N points of eps whose mean is exactly 0 and variance exactly 1 leave nothing to chance."""
    process, eps = PROCESSES["cosine"], torch.tensor([-1.0, 1.0]).repeat(500).double().reshape(1, -1)
    for t in (0, 1, 300, 998, 999):
        x_t = process.noise(torch.full_like(eps, 3.0), torch.tensor([t]), eps)
        alpha_bar = process.alpha_bar[t]
        torch.testing.assert_close(x_t.mean(), 3 * alpha_bar.sqrt(), rtol=0, atol=1e-10)
        torch.testing.assert_close(x_t.var(correction=0), 1 - alpha_bar, rtol=0, atol=1e-10)


def test_t_is_read_per_sample_and_precision_is_that_of_x():
    process, t = PROCESSES["cosine"], torch.tensor([0, 999, 500])
    x0, eps = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    x_t = process.noise(x0, t, eps)
    for i in range(3):
        expected = process.alpha_bar[t[i]].sqrt() * x0[i] + (1 - process.alpha_bar[t[i]]).sqrt() * eps[i]
        torch.testing.assert_close(x_t[i], expected, rtol=0, atol=1e-14)
    assert process.noise(x0.float(), t, eps.float()).dtype == torch.float32
    torch.testing.assert_close(process.noise(x0.float(), t, eps.float()).double(), x_t, rtol=0, atol=1e-6)


def test_clean_data_is_one_step_before_the_first():
    process = PROCESSES["linear"]
    torch.testing.assert_close(process.a(torch.tensor([-1, 0])), torch.tensor([1, (1 - 1e-4) ** 0.5]).double())
    assert process.s(-1) == 0


@settings(deadline=None, max_examples=60)
@given(
    schedule=st.sampled_from(SCHEDULES),
    source=st.sampled_from(TARGETS),
    target=st.sampled_from(TARGETS),
    t=st.lists(st.integers(0, 999), min_size=1, max_size=4),
    seed=st.integers(0, 2**31),
)
def test_conversions_round_trip_and_agree_with_the_definitions(schedule, source, target, t, seed):
    process, t = PROCESSES[schedule], torch.tensor(t)
    generator = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, len(t), 6, generator=generator, dtype=torch.float64)
    a, s = process.a(t)[:, None], process.s(t)[:, None]
    truth = {"x0": x0, "eps": eps, "v": a * eps - s * x0}
    x_t = process.noise(x0, t, eps)
    there = process.convert(truth[source], source, target, x_t, t)
    torch.testing.assert_close(there, truth[target], rtol=0, atol=1e-10)
    torch.testing.assert_close(process.convert(there, target, source, x_t, t), truth[source], rtol=0, atol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_posterior_mean_from_eps_is_that_from_x0(schedule):
    """Ho et al. 2020: eq. 7 (from x0) against eq. 11 (from eps)."""
    process, t = PROCESSES[schedule], torch.arange(1000)
    x0, eps = torch.randn(2, 1000, 3, dtype=torch.float64)
    x_t, beta = process.noise(x0, t, eps), betas(process)[:, None]
    mean, variance = process.q_posterior(x0, x_t, t, t - 1)
    from_eps = (x_t - beta / process.s(t)[:, None] * eps) / (1 - beta).sqrt()
    torch.testing.assert_close(mean, from_eps, rtol=0, atol=1e-10)
    torch.testing.assert_close(mean[0], x0[0], rtol=0, atol=1e-12)
    assert variance[0] == 0
    assert (variance[1:] > 0).all()
    assert (variance <= beta).all()


def test_posterior_of_a_jump_is_bayes_rule():
    """For one scalar: q(x_p | x_t, x0) is proportional to q(x_t | x_p) q(x_p | x0), Gaussians both."""
    process, t, t_prev = PROCESSES["cosine"], 700, 200
    now, before = process.alpha_bar[t], process.alpha_bar[t_prev]
    x0, x_t = torch.tensor([0.7, -1.3], dtype=torch.float64)
    step = (now / before).sqrt()
    likelihood, prior = step**2 / (1 - step**2), 1 / (1 - before)  # precisions of x_p
    expected = (likelihood * x_t / step + prior * before.sqrt() * x0) / (likelihood + prior)
    mean, variance = process.q_posterior(x0[None], x_t[None], t, t_prev)
    torch.testing.assert_close(mean.squeeze(), expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(variance.squeeze(), 1 / (likelihood + prior), rtol=1e-10, atol=0)


def test_the_table_moves_but_is_neither_cast_nor_saved():
    process = Process("cosine", 100)
    table = process.alpha_bar.clone()
    assert process.half().float().alpha_bar.dtype == torch.float64
    assert torch.equal(process.alpha_bar, table)
    assert process.to("meta").alpha_bar.device.type == "meta"
    assert not process.state_dict()


def test_bad_input_is_explained():
    with pytest.raises(UserError, match="cosine, linear"):
        Process("sigmoid")
    with pytest.raises(UserError, match="more steps"):
        Process("linear", 10)
    with pytest.raises(UserError, match="eps, x0, v"):
        PROCESSES["linear"].convert(torch.zeros(1, 1), "noise", "x0", torch.zeros(1, 1), 0)

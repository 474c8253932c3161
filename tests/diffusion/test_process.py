"""The process against closed forms, its own iterated chain, and round trips of its conversions."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.diffusion.process import SCHEDULES, TARGETS, Process
from motion_lightning.errors import UserError

PROCESSES = {schedule: Process(schedule, 1000) for schedule in SCHEDULES}
ONE, ZERO = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
UNIT = (ONE, ZERO), (ZERO, ONE)
VARIANCE_PRESERVING = [schedule for schedule in SCHEDULES if schedule != "flow"]


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
    t=st.lists(st.integers(0, 998), min_size=1, max_size=4),  # at 999 a flow has nothing that eps could tell
    seed=st.integers(0, 2**31),
)
def test_conversions_round_trip_and_agree_with_the_definitions(schedule, source, target, t, seed):
    process, t = PROCESSES[schedule], torch.tensor(t)
    generator = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, len(t), 6, generator=generator, dtype=torch.float64)
    a, s = process.a(t)[:, None], process.s(t)[:, None]
    truth = {"x0": x0, "eps": eps, "v": a * eps - s * x0, "velocity": eps - x0}
    x_t = process.noise(x0, t, eps)
    there = process.convert(truth[source], source, target, x_t, t)
    torch.testing.assert_close(there, truth[target], rtol=0, atol=1e-10)
    torch.testing.assert_close(process.convert(there, target, source, x_t, t), truth[source], rtol=0, atol=1e-10)


def test_a_flow_is_the_straight_line_from_data_to_noise():
    process, t = PROCESSES["flow"], torch.arange(-1, 1000)
    time = (t.double() + 1) / 1000
    torch.testing.assert_close(process.s(t), time, rtol=0, atol=1e-15)
    torch.testing.assert_close(process.a(t), 1 - time, rtol=0, atol=1e-15)
    torch.testing.assert_close(process.snr(t[1:]), ((1 - time) / time)[1:] ** 2, rtol=1e-12, atol=0)
    assert process.sigma(999).isinf() and process.a(999) == 0
    x0, eps = torch.randn(2, 1, 4, dtype=torch.float64)
    a, b = (process.noise(x0, t, eps) for t in (300, 700))
    torch.testing.assert_close((b - a) / 0.4, process.convert(x0, "x0", "velocity", a, 300), rtol=0, atol=1e-10)


def test_pure_noise_knows_x0_by_every_target_but_eps():
    process, t = PROCESSES["flow"], torch.tensor([3, 999])
    x0, eps = torch.randn(2, 2, 4, dtype=torch.float64)
    x_t = process.noise(x0, t, eps)
    for target in ("v", "velocity"):
        value = process.convert(x0, "x0", target, x_t, t)
        torch.testing.assert_close(process.convert(value, target, "x0", x_t, t), x0, rtol=0, atol=1e-10)
    torch.testing.assert_close(process.convert(x0, "x0", "eps", x_t, t), eps, rtol=0, atol=1e-10)
    with pytest.raises(UserError, match="velocity, v or x0"):
        process.convert(eps, "eps", "x0", x_t, t)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_gain_is_how_an_error_of_x0_shows_in_a_target(schedule):
    process, t = PROCESSES[schedule], torch.arange(1000)
    x_t, x0, error = torch.randn(3, 1000, 2, dtype=torch.float64)
    for target in TARGETS:
        right, wrong = (process.convert(x, "x0", target, x_t, t) for x in (x0, x0 + error))
        seen = ((wrong - right) / error).square()[:, 0]
        torch.testing.assert_close(process.gain(target, t), seen, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("schedule", VARIANCE_PRESERVING)
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


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("t", "t_prev"), [(700, 200), (700, 699), (1, 0), (998, 5)])
def test_posterior_of_a_jump_is_bayes_rule(schedule, t, t_prev):
    """For one scalar: q(x_p | x_t, x0) is proportional to q(x_t | x_p) q(x_p | x0), Gaussians both."""
    process = PROCESSES[schedule]
    x0, x_t = torch.tensor([0.7, -1.3], dtype=torch.float64)
    step = process.a(t) / process.a(t_prev)
    likelihood = step**2 / (process.s(t) ** 2 - step**2 * process.s(t_prev) ** 2)  # precisions of x_p
    prior = process.s(t_prev) ** -2
    expected = (likelihood * x_t / step + prior * process.a(t_prev) * x0) / (likelihood + prior)
    mean, variance = process.q_posterior(x0[None], x_t[None], t, t_prev)
    torch.testing.assert_close(mean.squeeze(), expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(variance.squeeze(), 1 / (likelihood + prior), rtol=1e-10, atol=0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_posterior_ends_at_the_data_and_starts_at_anything(schedule):
    process, (x0, x_t) = PROCESSES[schedule], torch.randn(2, 1, 3, dtype=torch.float64)
    mean, variance = process.q_posterior(x0, x_t, 40, -1)
    torch.testing.assert_close(mean, x0, rtol=0, atol=1e-12)
    assert variance == 0
    mean, variance = process.q_posterior(x0, x_t, 999, 500)
    if schedule == "flow":  # pure noise says nothing: what is left is q(x_p | x0)
        torch.testing.assert_close(mean, process.a(500) * x0, rtol=0, atol=1e-12)
        torch.testing.assert_close(variance.squeeze(), process.s(500) ** 2)


def test_walking_the_posteriors_keeps_the_marginals():
    """x0 of unit variance: a² + s² at every timestep, whatever the path and the jumps."""
    for process in PROCESSES.values():
        chain = [999, 600, 301, 300, 10, 0, -1]
        joint = torch.tensor([1.0, process.a(999), process.a(999) ** 2 + process.s(999) ** 2]).double()  # x0², x0 x, x²
        for t, t_prev in pairwise(chain):
            c0, c1 = (process.q_posterior(*pair, t, t_prev).mean.squeeze() for pair in UNIT)
            variance = process.q_posterior(*UNIT[0], t, t_prev).variance.squeeze()
            x0_x, x_x = joint[1:]
            joint[1], joint[2] = c0 + c1 * x0_x, c0**2 + 2 * c0 * c1 * x0_x + c1**2 * x_x + variance
            expected = process.a(t_prev) ** 2 + process.s(t_prev) ** 2
            torch.testing.assert_close(joint[1:], torch.stack([process.a(t_prev), expected]), rtol=0, atol=1e-9)


def test_the_table_moves_but_is_neither_cast_nor_saved():
    process = Process("cosine", 100)
    table = process.alpha_bar
    assert process.half().float().alpha_bar.dtype == torch.float64
    assert torch.equal(process.alpha_bar, table)
    assert process.to("meta").alpha_bar.device.type == process.power.device.type == "meta"
    assert not process.state_dict()


def test_bad_input_is_explained():
    with pytest.raises(UserError, match="cosine, linear"):
        Process("sigmoid")
    with pytest.raises(UserError, match="more steps"):
        Process("linear", 10)
    with pytest.raises(UserError, match="more steps"):
        Process("flow", 1)
    with pytest.raises(UserError, match="eps, x0, v, velocity"):
        PROCESSES["linear"].convert(torch.zeros(1, 1), "noise", "x0", torch.zeros(1, 1), 0)

"""What the samplers ask of their caller, and where spacings put the steps."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motion_lightning.diffusion.process import SCHEDULES, Process
from motion_lightning.diffusion.samplers import SPACINGS, ddim, ddpm, dpmpp, euler, heun, spaced
from motion_lightning.errors import UserError

PROCESS = Process("cosine", 100)
FLOW = Process("flow", 100)
PATHS = [PROCESS, FLOW]
CHAIN = spaced(100, 10)


def test_the_denoiser_sees_every_timestep_once_as_a_batch():
    seen = []

    def denoise(x, t):
        assert t.shape == (3,)
        assert t.dtype == torch.long
        seen.append(t[0].item())
        return torch.zeros_like(x)

    ddim(denoise, torch.randn(3, 4, 2), PROCESS, CHAIN)
    assert seen == CHAIN.tolist()


def test_no_noise_is_added_at_the_last_step():
    """Both end exactly on the last x0_hat, and ask for noise at every step but that one."""
    calls = []

    def noise(x):
        calls.append(1)
        return torch.randn_like(x)

    x, x0 = torch.randn(2, 4, 3, dtype=torch.float64), torch.randn(2, 4, 3, dtype=torch.float64)
    for sampler in (ddpm, partial(ddim, eta=1.0)):
        for process in (PROCESS, FLOW):
            out = sampler(lambda x, t: x0, x, process, CHAIN, noise=noise)
            torch.testing.assert_close(out, x0, rtol=0, atol=1e-12)
            assert len(calls) == 9
            calls.clear()


@pytest.mark.parametrize("sampler", [ddim, euler, heun, partial(heun, along="eps"), dpmpp])
def test_solvers_end_on_the_last_x0_hat_and_call_no_noise(sampler):
    x, x0 = torch.randn(2, 4, 3, dtype=torch.float64), torch.randn(2, 4, 3, dtype=torch.float64)
    out = sampler(lambda x, t: x0 + t[0] / 100, x, PROCESS, CHAIN, noise=pytest.fail)
    torch.testing.assert_close(out, x0 + CHAIN[-1] / 100, rtol=0, atol=1e-12)


@pytest.mark.parametrize("process", PATHS, ids=["cosine", "flow"])
def test_euler_is_ddim_without_eta_on_any_path(process):
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    out = [sampler(lambda x, t: torch.tanh(x), x, process, CHAIN) for sampler in (ddim, euler)]
    torch.testing.assert_close(out[0], out[1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("sampler", [euler, heun, dpmpp])
@pytest.mark.parametrize("process", PATHS, ids=["cosine", "flow"])
def test_one_step_from_noise_is_the_first_x0_hat(sampler, process):
    x = torch.randn(2, 4, 3)
    torch.testing.assert_close(sampler(lambda x, t: torch.tanh(x), x, process, spaced(100, 1)), torch.tanh(x))


def test_heun_looks_ahead_once_a_step_and_the_others_not():
    for sampler, calls in [(ddim, 10), (euler, 10), (dpmpp, 10), (heun, 19)]:
        seen = []
        sampler(lambda x, t, seen=seen: seen.append(t[0].item()) or 0 * x, torch.randn(1, 2, 2), PROCESS, CHAIN)
        assert len(seen) == calls
        assert list(dict.fromkeys(seen)) == CHAIN.tolist()


@pytest.mark.parametrize("sampler", [heun, dpmpp])
def test_second_order_solvers_need_fewer_calls(sampler):
    """For a mixture of two points, whose ideal denoiser is a tanh: against the same flow in 500 steps."""
    process = Process("flow", 1000)

    def denoise(x, t):
        a, s = process.a(t[0]), process.s(t[0])
        return torch.tanh(a * x / (s**2 + 0.1 * a**2)) * s**2 / (s**2 + 0.1 * a**2) + 0.1 * a * x / (s**2 + 0.1 * a**2)

    x = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]
    exact = heun(denoise, x, process, spaced(process, 500))
    error = [(f(denoise, x, process, spaced(process, n)) - exact).abs().mean() for f, n in [(euler, 40), (sampler, 20)]]
    assert error[1] < 0.3 * error[0]


def test_ddim_with_eta_one_is_ddpm():
    """The two papers write one step in two ways (Song et al. 2021, sec. 4.1)."""
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    out = []
    for sampler in (ddpm, partial(ddim, eta=1.0)):
        generator = torch.Generator().manual_seed(1)

        def noise(x, generator=generator):
            return torch.randn(x.shape, generator=generator, dtype=x.dtype)

        out.append(sampler(lambda x, t: torch.tanh(x), x, PROCESS, CHAIN, noise=noise))
    torch.testing.assert_close(out[0], out[1], rtol=0, atol=1e-10)


def test_ddim_without_eta_is_deterministic_and_calls_no_noise():
    x = torch.randn(2, 4, 3)
    first = ddim(lambda x, t: torch.tanh(x), x, PROCESS, CHAIN, noise=pytest.fail)
    assert torch.equal(first, ddim(lambda x, t: torch.tanh(x), x, PROCESS, CHAIN))


def test_progress_wraps_the_steps_and_low_precision_of_the_denoiser_does_not_spread():
    counted = []
    out = ddim(
        lambda x, t: x.bfloat16(),
        torch.randn(1, 2, 3),
        PROCESS,
        CHAIN,
        progress=lambda steps: (counted.append(s) or s for s in steps),
    )
    assert len(counted) == len(CHAIN)
    assert out.dtype == torch.float32


@pytest.mark.parametrize("spacing", SPACINGS)
@given(data=st.data())
def test_spacings_descend_within_the_chain(spacing, data):
    total = data.draw(st.integers(2, 1500))
    n = data.draw(st.integers(1, total))
    schedule = data.draw(st.sampled_from(["cosine", "flow"]))
    chain = spaced(Process(schedule, total), n, spacing)
    assert chain.shape == (n,)
    assert chain.dtype == torch.long
    assert (chain.diff() < 0).all()
    assert chain[-1] >= 0
    assert chain[0] < total
    if spacing not in ("leading", "offset"):
        assert chain[0] == total - 1


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear"])
def test_karras_spacing_is_even_in_the_seventh_root_of_sigma(schedule):
    """To the width of a timestep, as long as steps are further apart than timesteps."""
    process = Process(schedule)
    chain = spaced(process, 20, "karras")
    root = process.sigma(torch.arange(1000)) ** (1 / 7)
    width = root.diff()[chain.clamp(1, 998)].maximum(root.diff()[chain.clamp(1, 998) - 1])
    off = root[chain] - torch.linspace(root[-1].item(), root[0].item(), 20)
    assert (off.abs() <= width)[chain > 20].all()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_karras_spacing_has_both_ends_and_no_timestep_twice(schedule):
    process = Process(schedule)
    for n in (2, 20, 500, 1000):
        chain = spaced(process, n, "karras")
        assert chain[0] == 999 and chain[-1] == 0 and (chain.diff() < 0).all()


def test_spacings_are_the_published_ones():
    assert spaced(1000, 5, "trailing").tolist() == [999, 799, 599, 399, 199]
    assert spaced(1000, 7, "trailing").tolist() == [999, 856, 713, 570, 428, 285, 142]
    assert spaced(1000, 5, "leading").tolist() == [800, 600, 400, 200, 0]
    assert spaced(1000, 5, "linspace").tolist() == [999, 749, 500, 250, 0]


def test_bad_input_is_explained():
    x = torch.zeros(1, 1)
    with pytest.raises(UserError, match="1 to 10"):
        spaced(10, 11)
    with pytest.raises(UserError, match="trailing, leading, offset, linspace, karras"):
        spaced(10, 5, "even")
    with pytest.raises(UserError, match="eta = 0"):
        ddim(lambda x, t: x, x, PROCESS, CHAIN, eta=0.5)
    with pytest.raises(UserError, match="velocity or eps"):
        heun(lambda x, t: x, x, PROCESS, CHAIN, along="x0")
    with pytest.raises(UserError, match="pure noise"):
        heun(lambda x, t: x, x, FLOW, CHAIN, along="eps")
    for wrong in ([100, 50], [10, 20], [10, 10], [5, -1], []):
        with pytest.raises(UserError, match="descend"):
            ddim(lambda x, t: x, x, PROCESS, torch.tensor(wrong, dtype=torch.long))

"""Samplers against diffusers, an independent library, on the same model outputs and the same noise.

1e-5 with its own float32 tables, 1e-10 when it is given ours. diffusers' DDIM takes T // n for the length
of every jump, so that only an n which divides T is comparable; its DDPM knows the neighbours in the list.
"""

from functools import partial

import pytest
import torch

from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim, ddpm, dpmpp, euler, heun, spaced

diffusers = pytest.importorskip("diffusers")

SCHEDULES = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}
BETAS = {"linear": (1e-4, 0.02), "scaled_linear": (0.00085, 0.012), "cosine": (1e-4, 0.02)}
SIZE = (2, 6, 4)


def reference(kind, schedule, spacing, tables=None):
    start, end = BETAS[schedule]
    scheduler = getattr(diffusers, kind)(
        beta_schedule=SCHEDULES[schedule],
        beta_start=start,
        beta_end=end,
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing=spacing,
    )
    if tables is not None:
        scheduler.alphas_cumprod = tables
        scheduler.one = scheduler.final_alpha_cumprod = torch.ones((), dtype=torch.float64)
    return scheduler


def model(x, t):
    """Any function that bends and mixes will do, if it does not blow up differences in its input."""
    return torch.tanh(0.6 * x - 0.3 * x.roll(1, -1) + torch.sin(t / 100)[:, None, None])


def draws(n):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, *SIZE, generator=generator, dtype=torch.float64)


def compare(kind, sampler, schedule, spacing, n, ours, monkeypatch, **step):
    process, noises = Process(schedule), draws(n + 1)
    scheduler = reference(kind, schedule, spacing, process.alpha_bar if ours else None)
    scheduler.set_timesteps(n)
    timesteps = spaced(1000, n, spacing)
    assert scheduler.timesteps.tolist() == timesteps.tolist()

    theirs = noises[0]
    for k, t in enumerate(scheduler.timesteps):
        extra = dict(step)
        if step.get("eta"):
            extra["variance_noise"] = noises[k + 1]
        # its last step of DDPM adds noise of variance 1e-20 unless t = 0
        noise = noises[k + 1] if k < n - 1 else torch.zeros(SIZE).double()
        monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *a, z=noise, **kw: z)
        theirs = scheduler.step(model(theirs, t.expand(2)), t, theirs, **extra).prev_sample

    source = iter(noises[1:])
    mine = sampler(model, noises[0], process, timesteps, noise=lambda x: next(source), **step)
    return (mine - theirs).abs().max().item()


@pytest.mark.parametrize(("ours", "tolerance"), [(False, 1e-5), (True, 1e-10)], ids=["its tables", "our tables"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("n", [10, 50])
class TestParity:
    @pytest.mark.parametrize("eta", [0.0, 1.0])
    def test_ddim(self, eta, n, spacing, schedule, ours, tolerance, monkeypatch):
        assert compare("DDIMScheduler", ddim, schedule, spacing, n, ours, monkeypatch, eta=eta) < tolerance

    def test_ddpm(self, n, spacing, schedule, ours, tolerance, monkeypatch):
        assert compare("DDPMScheduler", ddpm, schedule, spacing, n, ours, monkeypatch) < tolerance


@pytest.mark.parametrize(("n", "spacing"), [(7, "trailing"), (7, "linspace"), (30, "leading"), (1000, "trailing")])
def test_ddpm_on_uneven_and_whole_chains(n, spacing, monkeypatch):
    assert compare("DDPMScheduler", ddpm, "cosine", spacing, n, True, monkeypatch) < 1e-10


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_tables_agree(schedule):
    theirs = reference("DDPMScheduler", schedule, "leading").alphas_cumprod
    torch.testing.assert_close(Process(schedule).alpha_bar, theirs.double(), rtol=0, atol=1e-6)


class Wide:
    """torch, without the float32 that diffusers puts samples into on every step."""

    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


SOLVERS = {
    "EulerDiscreteScheduler": (euler, "euler_discrete"),
    "HeunDiscreteScheduler": (partial(heun, along="eps"), "heun_discrete"),
    "DPMSolverMultistepScheduler": (dpmpp, "dpmsolver_multistep"),
    "FlowMatchEulerDiscreteScheduler": (euler, "flow_match_euler_discrete"),
    "FlowMatchHeunDiscreteScheduler": (heun, "flow_match_heun_discrete"),
}


def solve(kind, process, timesteps, ours, monkeypatch):
    """Greatest difference between the library's last sample and ours.

    Its Euler and Heun hold x / a; the model sees x and answers with x0, to those of flows with a velocity.
    """
    sampler, module = SOLVERS[kind]
    a, s = process.a(timesteps), process.s(timesteps)
    if process.schedule == "flow":
        dpm = {"use_flow_sigmas": True, "prediction_type": "sample"} if kind.startswith("DPM") else {}
        scheduler = getattr(diffusers, kind)(**dpm)
        scheduler.set_timesteps(len(timesteps))
        sigmas, scale = s, torch.ones_like(a)
    else:
        start, end = BETAS[process.schedule]
        scheduler = getattr(diffusers, kind)(
            beta_schedule=SCHEDULES[process.schedule],
            beta_start=start,
            beta_end=end,
            prediction_type="original_sample" if kind.startswith("Euler") else "sample",
        )
        scheduler.set_timesteps(timesteps=timesteps.tolist())
        scheduler.is_scale_input_called = True  # by us
        sigmas, scale = s / a, torch.ones_like(a) if kind.startswith("DPM") else a
    if ours:
        monkeypatch.setattr(f"diffusers.schedulers.scheduling_{module}.torch", Wide())
        sigmas = torch.cat([sigmas, sigmas.new_zeros(1)])
        twice = "Heun" in kind  # every inner timestep is a corrector's, and then a predictor's
        scheduler.sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]]) if twice else sigmas
    noise = draws(1)[0]
    theirs = noise / scale[0]
    for k, t in enumerate(scheduler.timesteps):
        index = (k + 1) // 2 if "Heun" in kind else k
        x, now = theirs * scale[index], timesteps[index].expand(2)
        answer = model(x, now)
        if kind.startswith("Flow"):
            answer = process.convert(answer, "x0", "velocity", x, now)
        theirs = scheduler.step(answer, t, theirs, return_dict=False)[0].double()
    return (sampler(model, noise, process, timesteps) - theirs).abs().max().item()


@pytest.mark.parametrize(("ours", "tolerance"), [(False, 1e-5), (True, 1e-10)], ids=["its tables", "our tables"])
@pytest.mark.parametrize("kind", ["EulerDiscreteScheduler", "HeunDiscreteScheduler", "DPMSolverMultistepScheduler"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("spacing", ["trailing", "leading", "karras"])
def test_solvers_of_paths_that_preserve_variance(spacing, schedule, kind, ours, tolerance, monkeypatch):
    process = Process(schedule)
    timesteps = spaced(process, 30, spacing)
    sigma = process.sigma(timesteps)
    timesteps = timesteps[sigma < 20]  # beyond, x / a is coarse in float32
    if not ours:
        timesteps = timesteps[sigma[sigma < 20] > 0.05]  # below, its 1 - alpha_bar has few digits left in float32
    assert solve(kind, process, timesteps, ours, monkeypatch) < tolerance


@pytest.mark.parametrize(("ours", "tolerance"), [(False, 1e-5), (True, 1e-10)], ids=["its tables", "our tables"])
@pytest.mark.parametrize("kind", ["FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"])
@pytest.mark.parametrize("n", [10, 28])
def test_solvers_of_flows(n, kind, ours, tolerance, monkeypatch):
    """Its steps are even between pure noise and the first timestep, which for these n is on timesteps."""
    process = Process("flow")
    assert solve(kind, process, spaced(process, n, "linspace"), ours, monkeypatch) < tolerance


@pytest.mark.parametrize(("ours", "tolerance"), [(False, 1e-5), (True, 1e-10)], ids=["its tables", "our tables"])
@pytest.mark.parametrize("n", [9, 27])
def test_dpm_solver_on_a_flow(n, ours, tolerance, monkeypatch):
    """From one timestep below pure noise, where it starts."""
    timesteps = 998 - torch.arange(n) * (999 // n)
    assert solve("DPMSolverMultistepScheduler", Process("flow"), timesteps, ours, monkeypatch) < tolerance

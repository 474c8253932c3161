"""Samplers against diffusers, an independent library, on the same model outputs and the same noise.

1e-5 with its own float32 tables, 1e-10 when it is given ours. diffusers' DDIM takes T // n for the length
of every jump, so that only an n which divides T is comparable; its DDPM knows the neighbours in the list.
"""

import pytest
import torch

from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim, ddpm, spaced

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

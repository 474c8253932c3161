"""Every choice of diffusion and sampler is put together from its YAML, and walks."""

from pathlib import Path

import pytest
import torch

from motion_lightning.config import compose, conf_dir, instantiate
from motion_lightning.diffusion.samplers import spaced


def names(group):
    return sorted(path.stem for path in Path(conf_dir(), group).glob("*.yaml"))


@pytest.mark.parametrize("diffusion", names("diffusion"))
def test_a_diffusion_is_its_process_and_precondition(diffusion):
    cfg = compose("train", [f"diffusion={diffusion}", "diffusion.process.steps=50"]).diffusion
    process = instantiate(cfg.process)
    precondition = instantiate(cfg.precondition, process=process, features=6)
    assert process.steps == 50 and precondition.kind in ("residual", "eps", "x0", "v", "velocity")
    assert diffusion != "flow" or (process.schedule, precondition.kind) == ("flow", "velocity")
    assert diffusion not in ("eps", "x0", "v") or precondition.kind == diffusion


@pytest.mark.parametrize("sampler", names("sampler"))
@pytest.mark.parametrize("schedule", ["linear", "flow"])
def test_a_sampler_walks_its_own_number_of_steps(sampler, schedule):
    cfg = compose("train", ["diffusion=plain", f"sampler={sampler}", f"diffusion.process.schedule={schedule}"])
    process, sampling = instantiate(cfg.diffusion.process), instantiate(cfg.sampler)
    assert sampling.interval is None and sampling.rescale == 0 and sampling.guidance > 1
    assert sampling.sampler.func.__name__ == sampler
    timesteps = spaced(process, min(sampling.steps, 20), sampling.spacing)
    out = sampling.sampler(lambda x, t: 0 * x, torch.randn(1, 3, 2), process, timesteps, noise=torch.randn_like)
    assert torch.equal(out, torch.zeros(1, 3, 2))

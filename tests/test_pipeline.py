"""From text to motion: what is called how often, and what a sample depends on."""

import functools
import subprocess
import sys

import pytest
import torch

from motion_lightning.diffusion.samplers import ddim, ddpm
from motion_lightning.pipeline import Diffusion, Sampling
from motion_lightning.text.condition import TextCond

STEPS = 6
LENGTHS = [24, 17, 9]
CAPTIONS = ["a slow wave", "someone waves in a very wide way", "a low one"]


@pytest.fixture(scope="module")
def model(make_model, randomise) -> Diffusion:
    model = make_model().eval()
    randomise(model.denoiser, scale=0.1)
    return model


@pytest.fixture(scope="module")
def cond(tiny_encoder) -> TextCond:
    return tiny_encoder.encode(CAPTIONS)


class Counter:
    """Batch sizes of all calls of the denoiser, and of its ``encode``."""

    def __init__(self, denoiser, monkeypatch):
        self.calls, self.encodes = [], []
        self.handle = denoiser.register_forward_pre_hook(lambda _, args: self.calls.append(len(args[0])))
        encode = denoiser.encode

        @functools.wraps(encode)
        def counted(cond, mask, drop):
            self.encodes.append(drop.tolist())
            return encode(cond, mask, drop)

        monkeypatch.setattr(denoiser, "encode", counted)


@pytest.fixture
def counter(model, monkeypatch):
    counter = Counter(model.denoiser, monkeypatch)
    yield counter
    counter.handle.remove()


@pytest.mark.parametrize("sampler", [ddpm, ddim])
def test_guidance_is_one_doubled_call_a_step(model, cond, counter, sampler):
    model.sample(cond, LENGTHS, Sampling(sampler, STEPS, guidance=2.5))
    assert counter.calls == [6] * STEPS
    assert counter.encodes == [[False] * 3 + [True] * 3]  # once a sampling run, not once a step


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_without_guidance_nothing_is_doubled(model, cond, counter, guidance):
    model.sample(cond, LENGTHS, Sampling(ddim, STEPS, guidance))
    assert counter.calls == [3] * STEPS
    assert len(counter.encodes) <= 2


@torch.no_grad()
def test_doubled_call_equals_two_passes(model, cond):
    scale, mask = 2.5, torch.arange(24) < torch.tensor(LENGTHS)[:, None]
    cond_ctx, null_ctx = model.encode(cond, mask), model.encode(cond, mask, drop=True)

    def two_passes(denoise, x, process, timesteps, noise, progress):
        def denoise_twice(x_t, t):
            right, null = (model.predict(x_t, t, ctx, mask) for ctx in (cond_ctx, null_ctx))
            torch.testing.assert_close(denoise(x_t, t), null + scale * (right - null), atol=1e-5, rtol=1e-5)
            return null + scale * (right - null)

        return ddim(denoise_twice, x, process, timesteps, noise=noise, progress=progress)

    guided = model.sample(cond, LENGTHS, Sampling(ddim, STEPS, scale))
    twice = model.sample(cond, LENGTHS, Sampling(two_passes, STEPS, scale))
    for one, other in zip(guided, twice, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_conditions_and_guidance_matter(model, cond):
    by_scale = [model.sample(cond, LENGTHS, Sampling(ddim, STEPS, scale))[0] for scale in (0, 1, 2.5)]
    for i, j in [(0, 1), (1, 2), (0, 2)]:
        assert (by_scale[i] - by_scale[j]).abs().max() > 1e-2
    other = TextCond(*(part.flip(0) for part in cond))
    unheard = model.sample(other, LENGTHS, Sampling(ddim, STEPS, 0.0))[0]
    assert torch.equal(unheard, by_scale[0])  # scale 0 does not look at the text


def test_lengths_are_respected(model, cond):
    samples = model.sample(cond, LENGTHS, Sampling(ddim, STEPS, 2.0))
    assert [tuple(sample.shape) for sample in samples] == [(n, 137) for n in LENGTHS]
    assert all(sample.isfinite().all() for sample in samples)
    joints = [model.codec.joints(sample) for sample in samples]
    assert [tuple(j.shape) for j in joints] == [(n, 22, 3) for n in LENGTHS]


@pytest.mark.parametrize("sampler", [ddim, functools.partial(ddim, eta=1.0), ddpm])
def test_a_sample_does_not_depend_on_its_neighbours(model, cond, sampler):
    """The first of a batch, and alone: other neighbours, text padding and frame padding, the same motion."""
    sampling = Sampling(sampler, STEPS, 2.0)
    together = model.sample(cond, [17, 24, 9], sampling, seed=3)[0]
    first = TextCond(cond.tokens[:1, :3], cond.mask[:1, :3], cond.pooled[:1])
    alone = model.sample(first, [17], sampling, seed=3)[0]
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-4)
    others = TextCond(*(part[[0, 2, 1, 1]] for part in cond))
    among = model.sample(others, [17, 5, 40, 8], sampling, seed=3)[0]
    torch.testing.assert_close(among, together, atol=1e-4, rtol=1e-4)


def test_seeds_repeat_and_differ(model, cond):
    sampling = Sampling(ddpm, STEPS, 2.0)
    one, same, other = (model.sample(cond, LENGTHS, sampling, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert (one[0] - other[0]).abs().max() > 1e-2
    twins = TextCond(*(part[[0, 0]] for part in cond))
    left, right = model.sample(twins, [20, 20], sampling)
    assert (left - right).abs().max() > 1e-2  # of one caption, two motions


def test_progress_sees_every_step(model, cond):
    seen = []
    model.sample(cond, LENGTHS, Sampling(ddim, STEPS, 1.0), progress=lambda steps: seen.append(len(steps)) or steps)
    assert seen == [STEPS]


def test_sampling_needs_no_lightning():
    code = """
import sys
import motion_lightning.diffusion.samplers, motion_lightning.models.dit, motion_lightning.pipeline
print([name for name in ("lightning", "hydra", "omegaconf", "wandb", "transformers") if name in sys.modules])
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_commands_change_only_the_settings_that_they_were_given():
    configured = Sampling(ddim, 10, 2.0, interval=(0.5, 4.0), rescale=0.3)
    assert configured.but({"steps": None, "guidance": 0.0, "rescale": None}) == configured._replace(guidance=0.0)
    assert configured.but({"rescale": 0.0, "interval": [1.0, 2.0], "sampler": "ddpm"}) == configured._replace(
        rescale=0.0, interval=[1.0, 2.0]
    )

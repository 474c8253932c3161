"""Randomness as a function of (seed, step): the same for any number of processes, padding, or resume."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.diffusion.timesteps import SampleNoise, StepRandom, fixed_noise, fixed_timesteps
from motion_lightning.errors import UserError

LIKE = torch.zeros(8, 20, 5)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**70), step=st.integers(0, 10**7), world=st.sampled_from([2, 4, 8]))
def test_ranks_together_draw_what_one_process_draws(seed, step, world):
    one, ranks = StepRandom(seed), [StepRandom(seed, rank, world) for rank in range(world)]
    batch = 8 // world
    t = torch.cat([r.timesteps(step, batch, 1000) for r in ranks])
    assert torch.equal(t, one.timesteps(step, 8, 1000))
    drop = torch.cat([r.drop(step, batch, 0.3) for r in ranks])
    assert torch.equal(drop, one.drop(step, 8, 0.3))
    noise = torch.cat([r.noise(step, LIKE[:batch]) for r in ranks])
    assert torch.equal(noise, one.noise(step, LIKE))


@pytest.mark.parametrize("frames", [1, 7, 20, 33])
def test_noise_does_not_depend_on_padding(frames):
    short, long = torch.zeros(8, frames, 5), torch.zeros(8, 50, 5)
    assert torch.equal(StepRandom(3).noise(9, short), StepRandom(3).noise(9, long)[:, :frames])
    assert torch.equal(SampleNoise([1] * 8)(short), SampleNoise([1] * 8)(long)[:, :frames])


def test_streams_differ_by_seed_step_sample_and_repeat():
    draws = [StepRandom(seed).noise(step, LIKE) for seed in (0, 1) for step in (0, 1)]
    rows = torch.cat(draws).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows)
    assert rows.corrcoef().fill_diagonal_(0).abs().max() < 0.5  # 100 numbers each: 0.5 is 5 deviations
    assert torch.equal(draws[3], StepRandom(1).noise(1, LIKE))


def test_noise_is_standard_normal_in_the_dtype_asked_for():
    noise = StepRandom(0).noise(0, torch.zeros(64, 100, 30))
    assert noise.mean().abs() < 0.01
    assert (noise.std() - 1).abs() < 0.01
    assert (noise**4).mean() == pytest.approx(3, abs=0.1)
    for dtype in (torch.float64, torch.bfloat16):
        assert StepRandom(0).noise(0, LIKE.to(dtype)).dtype == dtype


def test_stratified_timesteps_fill_every_stratum_once_and_stay_uniform():
    random = StepRandom(5)
    t = torch.stack([random.timesteps(step, 20, 1000) for step in range(500)])  # (steps, B)
    assert ((t // 50).sort(dim=1).values == torch.arange(20)).all()
    by_position = t.double().mean(0)  # a fixed order would make position i live in stratum i
    assert (by_position - 499.5).abs().max() < 4.5 * 1000 / 12**0.5 / 500**0.5
    assert torch.bincount(t.flatten(), minlength=1000).max() < 30


def test_independent_timesteps_are_uniform():
    t = torch.cat([StepRandom(5).timesteps(step, 100, 10, stratified=False) for step in range(100)])
    share = torch.bincount(t, minlength=10) / len(t)
    assert len(share) == 10
    assert (share - 0.1).abs().max() < 0.015


def test_condition_drop_has_its_probability():
    drop = torch.cat([StepRandom(5).drop(step, 100, 0.1) for step in range(100)])
    assert drop.double().mean() == pytest.approx(0.1, abs=0.015)
    assert not StepRandom(5).drop(0, 100, 0.0).any()
    assert StepRandom(5).drop(0, 100, 1.0).all()


def test_layer_seeds_differ_by_rank_and_step():
    seeds = {StepRandom(0, rank, 2).layer_seed(step) for rank in (0, 1) for step in range(50)}
    assert len(seeds) == 100
    torch.manual_seed(max(seeds))


def test_validation_depends_on_the_clip_alone():
    clips = torch.tensor([4, 0, 9])
    t = fixed_timesteps(torch.arange(10), 1000)
    assert torch.equal(fixed_timesteps(clips, 1000), t[clips])
    noise = fixed_noise(torch.arange(10), torch.zeros(10, 30, 5))
    assert torch.equal(fixed_noise(clips, LIKE[:3]), noise[clips, :20])


@pytest.mark.parametrize("clips", [20, 100, 400])
def test_validation_timesteps_fill_the_range_evenly(clips):
    per_bin = torch.bincount(fixed_timesteps(torch.arange(clips), 1000) // 100, minlength=10)
    assert (per_bin - clips / 10).abs().max() <= 1.5


def test_samples_depend_on_their_seed_alone_and_calls_differ():
    alone, together = SampleNoise([7]), SampleNoise([3, 7])
    for _ in range(3):
        assert torch.equal(alone(LIKE[:1])[0], together(LIKE[:2])[1])
    fresh = SampleNoise([7])
    assert not torch.equal(fresh(LIKE[:1]), fresh(LIKE[:1]))
    with pytest.raises(ValueError, match="2 streams"):
        together(LIKE[:1])


def test_bad_input_is_explained():
    with pytest.raises(UserError, match="at least 0"):
        StepRandom(-1)
    with pytest.raises(UserError, match="below the number"):
        StepRandom(0, 2, 2)

"""Randomness as a function of (seed, step): the same for any number of processes, padding, or resume."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.diffusion.timesteps import (
    LogitNormal,
    LossAware,
    SampleNoise,
    StepRandom,
    Uniform,
    fixed_noise,
    fixed_timesteps,
)
from motion_lightning.errors import UserError

LIKE = torch.zeros(8, 20, 5)


def taught(steps=20, history=10, **kwargs) -> LossAware:
    """Loss t + 1 at timestep t."""
    sampler = LossAware(steps, history=history, **kwargs)
    for _ in range(history):
        sampler.update(torch.arange(steps), torch.arange(steps) + 1.0)
    return sampler


TAUGHT = taught()
RECORDED = [900, 1, 697, 616, 824, 138, 373, 413]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**70), step=st.integers(0, 10**7), world=st.sampled_from([2, 4, 8]))
def test_ranks_together_draw_what_one_process_draws(seed, step, world):
    one, ranks = StepRandom(seed), [StepRandom(seed, rank, world) for rank in range(world)]
    batch = 8 // world
    for sampler in (Uniform(1000), Uniform(1000, stratified=False), LogitNormal(1000), TAUGHT):
        t, importance = (torch.cat(part) for part in zip(*[sampler.draw(r, step, batch) for r in ranks], strict=True))
        expected = sampler.draw(one, step, 8)
        assert torch.equal(t, expected[0]) and torch.equal(importance, expected[1])
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


def test_draws_of_the_stratified_default_are_the_ones_of_recorded_runs():
    t, importance = Uniform(1000).draw(StepRandom(7), 3, 8)
    assert t.tolist() == RECORDED and t.dtype == torch.long
    assert importance.tolist() == [1.0] * 8 and importance.dtype == torch.float32


def test_stratified_timesteps_fill_every_stratum_once_and_stay_uniform():
    t = torch.stack([Uniform(1000).draw(StepRandom(5), step, 20)[0] for step in range(500)])  # (steps, B)
    assert ((t // 50).sort(dim=1).values == torch.arange(20)).all()
    by_position = t.double().mean(0)  # a fixed order would make position i live in stratum i
    assert (by_position - 499.5).abs().max() < 4.5 * 1000 / 12**0.5 / 500**0.5
    assert torch.bincount(t.flatten(), minlength=1000).max() < 30


def shares(sampler, draws=200, batch=100):
    t = torch.cat([sampler.draw(StepRandom(5), step, batch)[0] for step in range(draws)])
    return torch.bincount(t, minlength=sampler.steps) / len(t)


def test_independent_timesteps_are_uniform():
    share = shares(Uniform(10, stratified=False), draws=100)
    assert len(share) == 10
    assert (share - 0.1).abs().max() < 0.015


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-1.0, 0.5)])
@pytest.mark.parametrize("stratified", [True, False])
def test_logit_normal_timesteps_have_its_density(mean, std, stratified):
    """The logit of a share of the chain is normal: mass of each tenth of the chain from the normal's own integral."""
    share = shares(LogitNormal(1000, mean, std, stratified)).reshape(10, 100).sum(1)
    normal = torch.distributions.Normal(mean, std)
    edge = normal.cdf(torch.logit(torch.linspace(0, 1, 11)))
    assert (share - edge.diff()).abs().max() < (0.002 if stratified else 0.015)


def test_loss_aware_draws_are_uniform_until_every_timestep_has_ten_losses():
    sampler, t = LossAware(20), torch.arange(20)
    for _ in range(9):
        sampler.update(t, 1 + t.float())
    sampler.update(t[:-1], 1 + t[:-1].float())
    uniform = Uniform(20)
    for step in range(3):
        draw = sampler.draw(StepRandom(1), step, 8)
        assert torch.equal(draw[0], uniform.draw(StepRandom(1), step, 8)[0]) and (draw[1] == 1).all()
    sampler.update(t[-1:], torch.tensor([20.0]))
    p = 0.999 * (1 + t.double()) / 210 + 0.001 / 20
    torch.testing.assert_close(torch.from_numpy(sampler.probabilities()), p)
    assert (shares(sampler) - p).abs().max() < 5e-3


def test_loss_aware_probabilities_are_root_mean_squares_of_the_last_ten():
    sampler, losses = LossAware(3, uniform=0.1), torch.rand(25, 3)
    for row in losses:
        sampler.update(torch.arange(3), row)
    rms = losses[-10:].double().square().mean(0).sqrt()
    torch.testing.assert_close(torch.from_numpy(sampler.probabilities()), 0.9 * rms / rms.sum() + 0.1 / 3)
    zero = LossAware(3, history=2)
    for _ in range(2):
        zero.update(torch.arange(3), torch.zeros(3))
    assert zero.probabilities().tolist() == pytest.approx([1 / 3] * 3)


def test_importance_leaves_the_objective_what_it_was():
    """E[importance loss] over p is the plain mean over t, exactly; without the correction it leans to high losses."""
    loss, p = (torch.arange(20) + 1.0) ** 2, torch.from_numpy(TAUGHT.probabilities())
    importance = 1 / (20 * p)
    torch.testing.assert_close((p * importance * loss).sum(), loss.double().mean())
    t, drawn = (torch.cat(part) for part in zip(*[TAUGHT.draw(StepRandom(2), i, 100) for i in range(200)], strict=True))
    torch.testing.assert_close(drawn, importance[t].float())
    assert (drawn * loss[t]).mean() == pytest.approx(loss.mean().item(), rel=0.01)
    biased = taught(bias_correct=False)
    t, drawn = biased.draw(StepRandom(2), 0, 2000)
    assert (drawn == 1).all()
    assert (drawn * loss[t]).mean() == pytest.approx((p * loss).sum().item(), rel=0.01)
    assert (drawn * loss[t]).mean() > 1.4 * loss.mean()


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_batch_is_remembered_as_its_losses_one_by_one_would_be(data):
    """Many losses of one timestep in a batch, more than the history holds, wrap around in their order."""
    whole, single = LossAware(4, history=3), LossAware(4, history=3)
    for _ in range(data.draw(st.integers(1, 4))):
        t = torch.tensor(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=20)))
        losses = torch.rand(len(t))
        whole.update(t, losses)
        for i in range(len(t)):
            single.update(t[i : i + 1], losses[i : i + 1])
    assert torch.equal(whole.losses, single.losses) and torch.equal(whole.counts, single.counts)


def test_ranks_that_hear_all_losses_go_on_alike_and_so_does_a_resumed_run():
    ranks, resumed = [taught(), taught()], LossAware(20)
    for step in range(5):
        drawn = [sampler.draw(StepRandom(3, rank, 2), step, 16)[0] for rank, sampler in enumerate(ranks)]
        t = torch.cat(drawn)  # gathered, in the order of ranks
        losses = torch.rand(len(t), generator=torch.Generator().manual_seed(step))
        for sampler in ranks:
            sampler.update(t, losses)
    assert torch.equal(ranks[0].losses, ranks[1].losses)
    resumed.load_state_dict(ranks[0].state_dict())
    for a, b in zip(resumed.draw(StepRandom(3), 9, 32), ranks[1].draw(StepRandom(3), 9, 32), strict=True):
        assert torch.equal(a, b)


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
    with pytest.raises(UserError, match="deviation above 0"):
        LogitNormal(10, std=0)
    with pytest.raises(UserError, match="above 0"):
        LossAware(10, uniform=0)

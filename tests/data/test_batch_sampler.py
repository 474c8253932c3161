import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.data.sampler import StepBatchSampler
from motion_lightning.errors import UserError


def lengths(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 200, n)


sizes = {
    "n": st.integers(1, 60),
    "size": st.integers(1, 12),
    "bucket": st.integers(1, 5),
    "seed": st.integers(0, 3),
}


@settings(deadline=None)
@given(**sizes)
def test_each_clip_once_in_a_pass(n, size, bucket, seed):
    sampler = StepBatchSampler(lengths(n), size, seed, bucket=bucket)
    counts = np.zeros(n, int)
    for step in range(6 * sampler.bucket * (1 + n // size)):
        batch = [draw.clip for draw in sampler.batch(step)]
        assert len(batch) == size
        assert max(np.bincount(batch)) <= 1 + -(-size // n)
        np.add.at(counts, batch, 1)
        if (step + 1) % sampler.bucket == 0:  # windows hold consecutive clips of the passes
            assert counts.max() - counts.min() <= 1


@settings(deadline=None)
@given(**sizes, world=st.integers(1, 4), start=st.integers(0, 40))
def test_ranks_share_the_batch_of_one_process(n, size, bucket, seed, world, start):
    def sampler(**ranks):
        return StepBatchSampler(lengths(n), size * world, seed, 3, start_step=start, bucket=bucket, **ranks)

    whole = list(sampler())
    shares = [list(sampler(rank=rank, world_size=world)) for rank in range(world)]
    for step, batch in enumerate(whole):
        assert [draw for share in shares for draw in share[step]] == batch
        assert {draw.frames for draw in batch} == {max(lengths(n)[draw.clip] for draw in batch)}


@settings(deadline=None)
@given(**sizes, start=st.integers(0, 40))
def test_a_later_start_goes_on_as_if_it_had_not_stopped(n, size, bucket, seed, start):
    whole = StepBatchSampler(lengths(n), size, seed, start + 5, bucket=bucket)
    later = StepBatchSampler(lengths(n), size, seed, 5, start_step=lambda: start, bucket=bucket)
    assert list(later) == list(whole)[start:]
    assert len(later) == 5


def test_seeds_and_passes_differ():
    first = [d.clip for d in StepBatchSampler(lengths(64), 64, seed=0).batch(0)]
    assert sorted(first) == list(range(64))
    for other in (
        StepBatchSampler(lengths(64), 64, seed=1).batch(0),
        StepBatchSampler(lengths(64), 64, seed=0).batch(1),
    ):
        assert [d.clip for d in other] != first
        assert sorted(d.clip for d in other) == sorted(first)


def test_captions_and_crops_are_drawn_evenly():
    sampler = StepBatchSampler(lengths(50), 50)
    draws = [draw for step in range(100) for draw in sampler.batch(step)]
    for values in (np.array([d.caption for d in draws]), np.array([d.crop for d in draws])):
        assert values.min() >= 0 and values.max() < 1
        assert abs(values.mean() - 0.5) < 0.02  # 5 sigma
    assert abs(np.corrcoef([(d.caption, d.crop) for d in draws], rowvar=False)[0, 1]) < 0.07


def test_sorting_saves_padding():
    data = lengths(2000)

    def padding(bucket):
        sampler = StepBatchSampler(data, 32, bucket=bucket)
        batches = [data[[d.clip for d in sampler.batch(step)]] for step in range(200)]
        return np.mean([1 - batch.mean() / batch.max() for batch in batches])

    assert padding(1) > 0.4
    assert padding(16) < 0.08


def test_a_batch_that_cannot_be_shared():
    with pytest.raises(UserError, match="batch_size=10 cannot be shared by 4 devices"):
        StepBatchSampler(lengths(5), 10, world_size=4)
    with pytest.raises(UserError, match="no clips to train on"):
        StepBatchSampler(np.array([], int), 4)

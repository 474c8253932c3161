"""What quotas promise, for any clusters and on any number of processes."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from motion_lightning.data.quotas import plan_quotas
from motion_lightning.data.sampler import StepBatchSampler
from motion_lightning.errors import UserError

# The sizes of ten clusters of poses. Known of the data behind the table below are the shares 38.77 % (0),
# 6.09 % (7), 4.08 % (1) and 1.77 % (9), and that one cluster holds 299 clips; the rest is filled in.
SIZES = [9066, 954, 3000, 2600, 299, 2300, 1827, 1424, 1500, 414]
# A table that was used on such clusters: it sums to 19,000 and gives 44.74, 0.53, 2.63 and 0 % to the four.
TABLE = {0: 8500, 1: 500, 2: 2800, 3: 2400, 4: 300, 5: 2000, 6: 1300, 7: 100, 8: 1100, 9: 0}

clusters = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def labelled(sizes, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


def keeps_promises(sizes, plan, replacement: bool) -> None:
    assert plan.counts.min() >= 1
    assert replacement or (plan.counts <= sizes).all()
    assert plan.after.sum() == pytest.approx(1)
    if min(sizes) < max(sizes):
        assert plan.after.max() < plan.before.max()
    else:
        assert plan.after.max() == pytest.approx(plan.before.max())


# ---------------------------------------------------------------------------------------------- promises


@given(clusters, st.sampled_from(["uniform", "sqrt"]), st.booleans())
def test_no_cluster_is_overdrawn_or_lost_and_the_largest_share_falls(sizes, quotas, replacement):
    plan = plan_quotas(labelled(sizes), quotas, replacement)
    keeps_promises(np.array(sizes), plan, replacement)
    if quotas == "uniform" and not replacement:
        assert set(plan.counts.tolist()) == {min(sizes)}


@given(clusters, st.data(), st.booleans(), st.booleans())
def test_a_table_keeps_the_promises_or_is_refused(sizes, data, shares, replacement):
    values = st.floats(0, 1) if shares else st.integers(0, 50)
    table = data.draw(st.dictionaries(st.integers(0, len(sizes) - 1), values, min_size=1))
    try:
        plan = plan_quotas(labelled(sizes), table, replacement)
    except UserError as error:
        assert "quotas" in str(error) and "\n" not in str(error)
        return
    keeps_promises(np.array(sizes), plan, replacement)
    if not shares:
        expected = [table.get(c, size) for c, size in enumerate(sizes)]
        assert plan.counts.tolist() == expected


@given(clusters, st.data())
def test_shares_that_can_be_met_are_met(sizes, data):
    weights = data.draw(st.lists(st.integers(1, 9), min_size=len(sizes), max_size=len(sizes)))
    shares = np.array(weights) / sum(weights)
    assume(min(sizes) < max(sizes) and shares.max() + 0.5 / sum(sizes) < max(sizes) / sum(sizes))
    plan = plan_quotas(labelled(sizes), dict(enumerate(shares.tolist())), replacement=True)
    assert np.abs(plan.counts - shares * sum(sizes)).max() <= 1


def test_the_known_clusters_under_each_rule():
    labels = labelled(SIZES)
    uniform, root = (plan_quotas(labels, name) for name in ("uniform", "sqrt"))
    assert uniform.counts.tolist() == [299] * 10
    assert root.counts.tolist() == [round(math.sqrt(299 * size)) for size in SIZES]
    assert 100 * root.before.max() == pytest.approx(38.77, abs=0.01)
    assert 100 * root.after.max() == pytest.approx(21.8, abs=0.01)
    assert str(root) == "7,551 of 23,384 clips a pass, largest cluster 38.8 % -> 21.8 %"
    assert plan_quotas(labels, "none").counts.tolist() == SIZES


def test_the_known_table_is_refused_for_all_three_reasons():
    total = sum(TABLE.values())
    assert total == 19_000
    for cluster, share in {0: 44.74, 7: 0.53, 1: 2.63, 9: 0}.items():
        assert 100 * TABLE[cluster] / total == pytest.approx(share, abs=0.005)
    with pytest.raises(UserError) as refusal:
        plan_quotas(labelled(SIZES), TABLE)
    for reason in (
        "cluster 4 has 299 clips and is asked for 300",
        "none is asked of cluster 9",
        "raise the largest share, 38.8 % -> 44.7 % (cluster 0)",
    ):
        assert reason in str(refusal.value)
    repaired = TABLE | {0: 4000, 4: 299, 9: 100}
    plan = plan_quotas(labelled(SIZES), {str(cluster): count for cluster, count in repaired.items()})
    assert plan.counts.tolist() == list(repaired.values())


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("cubic", "quotas=cubic is unknown; choose none, uniform, sqrt or a table"),
        ({}, "the table is empty"),
        ({10: 5}, "no cluster 10; they are numbered 0 to 9"),
        ({"first": 5}, "no cluster first"),
        ({0: "many"}, "cluster 0 has 'many'"),
        ({0: float("nan")}, "cluster 0 has nan"),
        ({0: True}, "cluster 0 has True"),
        ({0: -3}, "cluster 0 has -3"),
        ({0: 100, 1: 0.2}, "not both"),
        ({0: 1.5}, "not both"),
        ({0: 0.2, 1: 0.9}, "sum to 1.1"),
        (dict.fromkeys(range(10), 0.05), "sum to 0.5, should be 1"),
        ({0: 0.2, 1: 0.8}, "none is asked of cluster 2, 3, 4, 5, 6, 7, 8, 9"),
        ({3: 100}, "raise the largest share, 38.8 % -> 43.4 %"),
    ],
)
def test_what_a_wrong_table_is_told(table, line):
    with pytest.raises(UserError) as error:
        plan_quotas(labelled(SIZES), table)
    assert line in str(error.value)


# ------------------------------------------------------------------------------------------------ passes


@settings(deadline=None)
@given(clusters, st.sampled_from(["uniform", "sqrt"]), st.booleans(), st.integers(0, 3))
def test_clips_of_a_cluster_come_equally_often(sizes, quotas, replacement, seed):
    labels = labelled(sizes)
    plan = plan_quotas(labels, quotas, replacement)
    came = np.zeros(len(labels), int)
    for index in range(12):
        drawn = plan.draw(index, [seed])
        assert np.array_equal(drawn, plan.draw(index, [seed]))
        assert np.array_equal(np.bincount(labels[drawn]), plan.counts)  # the shares reported are those drawn
        assert replacement or len(set(drawn.tolist())) == len(drawn)
        came += np.bincount(drawn, minlength=len(labels))
        for cluster in range(len(sizes)):
            members = came[labels == cluster]
            assert members.max() - members.min() <= 1
    rounds = max(-(-size // count) for size, count in zip(sizes, plan.counts.tolist(), strict=True))
    assert set(np.concatenate([plan.draw(i, [seed]) for i in range(rounds)]).tolist()) == set(range(len(labels)))


@settings(deadline=None, max_examples=50)
@given(
    clusters,
    st.sampled_from(["uniform", "sqrt"]),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(0, 3),
)
def test_ranks_together_draw_each_pass_once(sizes, quotas, world, size, bucket, seed):
    labels = labelled(sizes)
    plan = plan_quotas(labels, quotas)
    lengths = np.random.default_rng(seed).integers(20, 200, len(labels))

    def sampler(**ranks):
        return StepBatchSampler(lengths, size * world, seed, quotas=plan, bucket=bucket, **ranks)

    whole, ranks = sampler(), [sampler(rank=rank, world_size=world) for rank in range(world)]
    windows = -(-3 * len(plan) // (whole.bucket * size * world))  # whole ones hold consecutive clips of the passes
    drawn = []
    for step in range(windows * whole.bucket):
        parts = [draw.clip for rank in ranks for draw in rank.batch(step)]
        assert parts == [draw.clip for draw in whole.batch(step)]
        drawn += parts
    full, rest = divmod(len(drawn), len(plan))
    expected = [clip for index in range(full) for clip in plan.draw(index, [seed, 3])]
    counts = np.bincount(drawn, minlength=len(labels)) - np.bincount(expected, minlength=len(labels))
    assert counts.sum() == rest and counts.min() >= 0  # the rest is part of one more pass,
    assert not np.setdiff1d(np.flatnonzero(counts), plan.draw(full, [seed, 3])).size
    assert counts.max(initial=0) <= 1  # in which no clip comes twice


def test_every_clip_of_a_large_cluster_is_seen_in_time():
    labels = labelled(SIZES)
    plan = plan_quotas(labels, "sqrt")
    sampler = StepBatchSampler(np.full(len(labels), 60), 64, quotas=plan)
    seen = set()
    for step in range(-(-9066 // plan.counts[0]) * len(plan) // 64 + 2 * sampler.bucket):
        seen.update(draw.clip for draw in sampler.batch(step))
    assert len(seen) == len(labels)
    assert sampler.batch(5) == StepBatchSampler(np.full(len(labels), 60), 64, quotas=plan).batch(5)


def test_without_quotas_a_pass_is_what_it_was():
    """Runs that were started before there were quotas go on with the batches that they would have had."""
    sampler = StepBatchSampler(np.full(50, 40), 50, seed=7)
    order = np.random.default_rng([7, 0, 3]).permutation(50)
    assert np.array_equal(sampler._pass(3), order)

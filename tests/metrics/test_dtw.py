"""Mean joint error along a warping path: against all paths, and what it does not see."""

import numpy as np
import pytest

from motion_lightning.metrics.dtw import dtw_mje, frame_errors, mean_dtw_mje, path_cost


def all_paths(n: int, m: int):
    """Every monotone path over an (n, m) grid, as lists of cells."""
    if n == m == 1:
        yield [(0, 0)]
        return
    for di, dj in ((1, 1), (1, 0), (0, 1)):
        if n > di and m > dj:
            for path in all_paths(n - di, m - dj):
                yield [*path, (n - 1, m - 1)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (4, 4), (5, 3), (3, 6)])
def test_the_path_is_the_best_of_all(shape):
    cost = np.random.default_rng(sum(shape)).random(shape)
    best = min(all_paths(*shape), key=lambda path: sum(cost[cell] for cell in path))
    total, pairs = path_cost(cost)
    np.testing.assert_allclose(total, sum(cost[cell] for cell in best))
    assert pairs == len(best)


@pytest.fixture
def clip():
    points = np.random.default_rng(0).normal(size=(12, 5, 3)).cumsum(0)
    return np.concatenate([points, np.ones((12, 5, 1))], -1).astype(np.float32)


def test_pace_costs_nothing_and_the_order_of_the_two_neither(clip):
    slow = clip.repeat(3, 0)
    assert dtw_mje(clip, slow) == pytest.approx(0, abs=1e-6)
    other = np.random.default_rng(1).normal(size=(9, 5, 4)).astype(np.float32) ** 2
    assert dtw_mje(clip, other) == pytest.approx(dtw_mje(other, clip), rel=1e-5)


def test_a_shift_is_the_error_whatever_the_length(clip):
    clip[..., :3] = clip[:1, :, :3]  # a still pose: no warp can help
    moved = clip + np.array((0.3, 0.4, 0, 0), np.float32)
    for frames in (12, 7, 1):
        assert dtw_mje(clip, moved[:frames]) == pytest.approx(0.5, rel=1e-5)


def test_points_that_one_of_the_two_has_not_seen_do_not_count(clip):
    hidden = clip.copy()
    hidden[3:6, 2, -1] = 0
    hidden[3:6, 2, :3] = 77
    assert dtw_mje(clip, hidden) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(
        frame_errors(clip, hidden)[3, 4],
        np.linalg.norm(clip[3, [0, 1, 3, 4], :3] - clip[4, [0, 1, 3, 4], :3], axis=-1).mean(),
        rtol=1e-5,
    )
    hidden[..., -1] = 0
    assert np.isnan(dtw_mje(clip, hidden))


def test_clips_that_are_not_there_are_left_out(clip):
    moved = clip + np.array((0.5, 0, 0, 0), np.float32)
    assert mean_dtw_mje([clip, moved, None], [clip, moved, clip]) == pytest.approx(0, abs=1e-6)
    assert mean_dtw_mje([None], [clip]) is None

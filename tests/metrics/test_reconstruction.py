"""Joint errors against closed forms and plain loops; the mean over clips of any measure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from motion_lightning.metrics.clip_mean import ClipMean
from motion_lightning.metrics.dtw import dtw_mje
from motion_lightning.metrics.physical import jitter
from motion_lightning.metrics.reconstruction import acceleration_error, global_mpjpe, mpjpe, pa_mpjpe
from motion_lightning.metrics.tracks import ade, fde, point_errors


def clip(seed: int, frames: int = 12, joints: int = 22) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(frames, joints, 3))


def test_a_shift_is_global_error_and_no_local_one():
    a = clip(0)
    assert global_mpjpe(a + np.array([0.3, 0, 0.4]), a) == pytest.approx(0.5)
    assert mpjpe(a + np.array([0.3, 0, 0.4]), a) == pytest.approx(0, abs=1e-12)
    b = a.copy()
    b[:, 3] += [0, 0.22, 0]
    assert mpjpe(b, a) == pytest.approx(0.22 / 22)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.2, 5))
def test_procrustes_takes_away_turn_place_and_scale(seed, scale):
    a = clip(seed)
    turned = np.stack([scale * frame @ Rotation.random(rng=seed).as_matrix().T + seed for frame in a])
    assert pa_mpjpe(turned, a) == pytest.approx(0, abs=1e-9)
    assert pa_mpjpe(a * [-1, 1, 1], a) > 0.1  # a mirror image is no turn


def test_procrustes_is_scipys_where_both_find_a_rotation():
    real = clip(1, frames=1)
    a = real + 0.1 * clip(2, frames=1)
    one, two, _ = procrustes(real[0], a[0])  # to unit norm: undo that
    norm = np.linalg.norm(real[0] - real[0].mean(0))
    assert pa_mpjpe(a, real) == pytest.approx(np.linalg.norm(one - two, axis=1).mean() * norm, rel=1e-9)


def test_acceleration_error_is_of_second_differences():
    t = np.arange(10)[:, None, None] / 20
    still, falling = np.zeros((10, 22, 3)), np.zeros((10, 22, 3)) + 0.5 * 9.81 * t**2 * [0, 1, 0]
    assert acceleration_error(falling, still, fps=20) == pytest.approx(9.81)
    assert np.isnan(acceleration_error(still[:2], still[:2]))


def test_clips_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="should both be"):
        mpjpe(clip(0), clip(0, frames=11))


def test_the_mean_over_clips_counts_each_once_and_leaves_out_what_is_too_short():
    metric = ClipMean(lambda joints: jitter(joints, fps=20))
    clips = [clip(i, frames=n) for i, n in enumerate((10, 40, 3))]
    for joints in clips:
        metric.update(joints)
    assert float(metric.compute()) == pytest.approx(np.mean([jitter(c, fps=20) for c in clips[:2]]))
    assert int(metric.unmeasured) == 1


def test_measures_of_pairs_are_averaged_as_well():
    rng = np.random.default_rng(0)
    pairs = [rng.random((2, 8, 5, 3)) + 0.1 for _ in range(3)]  # for DTW the last number is a confidence
    for measure in (dtw_mje, lambda a, b: fde(point_errors(a, b)), lambda a, b: ade(point_errors(a, b))):
        metric = ClipMean(measure)
        for a, b in pairs:
            metric.update(a, b)
        assert float(metric.compute()) == pytest.approx(np.mean([measure(a, b) for a, b in pairs]))

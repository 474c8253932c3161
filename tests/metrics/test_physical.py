"""Physical metrics against motions whose answer is known in closed form."""

import numpy as np
import pytest
import torch

from motion_lightning.metrics.physical import bone_drift, floating, foot_slide, jitter, penetration
from motion_lightning.motion.skeleton import load_skeleton

FEET = [7, 10, 8, 11]


@pytest.fixture
def standing():
    """(30, 22, 3) of a body whose only joints on the floor are those of its feet."""
    joints = np.zeros((30, 22, 3))
    joints[..., 1] = 1.0
    joints[:, FEET, 1] = [0.05, 0.0, 0.05, 0.0]
    return joints


def test_jitter_of_a_cubic_is_its_third_derivative(standing):
    t = np.arange(30) / 20
    assert jitter(standing + (2 * t**2 + t)[:, None, None]) == pytest.approx(0, abs=1e-8)
    standing[..., 0] += (t**3)[:, None]
    assert jitter(standing) == pytest.approx(6.0)
    assert jitter(standing, fps=40) == pytest.approx(48.0)
    assert np.isnan(jitter(standing[:3]))


def test_feet_slide_only_while_they_are_low(standing):
    assert foot_slide(standing) == 0
    t = np.arange(30) / 20
    standing[..., 2] += 0.3 * t[:, None]  # the whole body glides
    assert foot_slide(standing) == pytest.approx(0.3)
    standing[:, [8, 11], 1] += 0.2  # one foot lifted
    standing[:, [8, 11], 2] += t[:, None]
    assert foot_slide(standing) == pytest.approx(0.3)
    standing[:, FEET, 1] += 0.2
    assert foot_slide(standing) == 0


def test_bodies_above_and_below_the_floor(standing):
    assert floating(standing) == penetration(standing) == 0
    up = np.array([0.0, 1.0, 0.0])
    assert floating(standing + 0.004 * up) == 0  # within the tolerance
    assert floating(standing + 0.1 * up) == pytest.approx(0.1)
    assert penetration(standing - 0.1 * up) == pytest.approx(0.1)
    standing[:15, :, 1] += 0.1
    assert floating(standing) == pytest.approx(0.05)


def test_bone_drift_is_zero_on_the_skeleton_and_grows_with_scale():
    skeleton = load_skeleton("humanml22")
    joints = np.zeros((5, 22, 3))
    for child, parent in skeleton.bones:
        joints[:, child] = joints[:, parent] + skeleton.offsets[child]
    assert bone_drift(joints) == pytest.approx(0, abs=1e-9)
    assert bone_drift(1.1 * joints) == pytest.approx(0.1 * skeleton.bone_lengths[1:].mean())


@pytest.mark.parametrize("metric", [jitter, foot_slide, floating, penetration, bone_drift])
def test_batches_and_tensors(metric):
    joints = np.random.default_rng(0).normal(0, 0.1, (3, 12, 22, 3))
    batch = metric(joints)
    assert batch.shape == (3,)
    for clip, value in zip(joints, batch, strict=True):
        assert metric(torch.from_numpy(clip)) == pytest.approx(value)

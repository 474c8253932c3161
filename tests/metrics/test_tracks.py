"""End point errors and rotation errors against values known by hand."""

import numpy as np
import pytest
import torch

from motion_lightning.metrics.tracks import ade, best_of, fde, point_errors, rotation_error
from motion_lightning.motion.rotations import quat_to_matrix


def test_errors_in_pixels_and_in_shares():
    """3 slots, 2 points; slot 0 does not count, depth neither; u is measured by the width, v by the height."""
    real, moved = np.zeros((3, 2, 3)), np.zeros((3, 2, 3))
    moved[0], moved[..., 2] = 9, 5
    moved[1, 0, :2], moved[2, 0, :2], moved[2, 1, :2] = [0.1, 0], [0.3, 0.4], [0, 0.5]
    shares = point_errors(moved, real)
    np.testing.assert_allclose(shares, [[0.1, 0], [0.5, 0.5]])
    assert ade(shares) == pytest.approx(1.1 / 4) and fde(shares) == pytest.approx(0.5)
    pixels = point_errors(moved, real, size=(10, 20))
    np.testing.assert_allclose(pixels, [[2, 0], [np.hypot(6, 4), 5]])


def test_best_of_several_tries():
    errors = np.random.default_rng(0).random((4, 7, 9, 5))  # (K, clips, T, N)
    got = best_of(ade(errors))
    np.testing.assert_allclose(got, errors.mean((2, 3)).min(0))
    assert (best_of(ade(errors[:2])) >= got).all()


def test_rotation_error_is_the_angle():
    for angle in (0.0, 1e-6, 0.3, 2.0, np.pi):
        axis = np.array([0.6, 0, 0.8]) * np.sin(angle / 2)
        turn = quat_to_matrix(torch.tensor([np.cos(angle / 2), *axis])).numpy()
        other = quat_to_matrix(torch.tensor([0.5, 0.5, -0.5, 0.5], dtype=torch.float64)).numpy()
        assert rotation_error(turn @ other, other) == pytest.approx(angle, rel=1e-6, abs=1e-9)

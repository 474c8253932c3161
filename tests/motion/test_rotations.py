"""Rotations against scipy, and round trips."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from motion_lightning.motion import rotations as R


def random(n=500, seed=0):
    return Rotation.random(n, np.random.default_rng(seed))


def quats(r):
    return torch.tensor(r.as_quat(canonical=True, scalar_first=True))


def close(a, b, atol=1e-12):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)


def test_quaternions_agree_with_scipy():
    a, b = random(seed=1), random(seed=2)
    v = torch.randn(500, 3, dtype=torch.float64)
    close(R.quat_to_matrix(R.quat_multiply(quats(a), quats(b))), (a * b).as_matrix())
    close(R.quat_to_matrix(R.quat_conjugate(quats(a))), a.inv().as_matrix())
    close(R.quat_rotate(quats(a), v), a.apply(v))
    close(R.quat_to_matrix(quats(a)), a.as_matrix())


def test_quat_rotate_broadcasts():
    q, v = quats(random(4)), torch.randn(7, 1, 3, dtype=torch.float64)
    assert R.quat_rotate(q, v).shape == (7, 4, 3)
    close(R.quat_rotate(q, v)[3], random(4).apply(v[3].expand(4, 3)))


def test_rotate_y_agrees_with_scipy():
    angle, v = torch.linspace(-7, 7, 50, dtype=torch.float64), torch.randn(50, 3, dtype=torch.float64)
    close(R.rotate_y(angle, v), Rotation.from_euler("y", angle.numpy()[:, None]).apply(v))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1.0, np.pi - 1e-9, np.pi])
def test_matrix_to_quat_is_exact_at_every_angle(angle):
    axes = np.concatenate([np.eye(3), -np.eye(3), Rotation.random(50, rng=np.random.default_rng(3)).apply([1, 0, 0])])
    r = Rotation.from_rotvec(angle * axes)
    q = R.matrix_to_quat(torch.tensor(r.as_matrix()))
    assert (q[:, 0] >= 0).all()
    close(R.quat_to_matrix(q), r.as_matrix())
    close(q.norm(dim=-1), np.ones(len(q)))


def test_sixd_round_trip_and_repair():
    m = torch.tensor(random().as_matrix())
    d = R.matrix_to_sixd(m)
    close(d[0], [m[0, 0, 0], m[0, 1, 0], m[0, 2, 0], m[0, 0, 1], m[0, 1, 1], m[0, 2, 1]])
    close(R.sixd_to_matrix(d), m)
    scaled = torch.cat([3 * d[:, :3], 0.5 * d[:, 3:] + 0.7 * d[:, :3]], dim=-1)  # Gram-Schmidt undoes this
    close(R.sixd_to_matrix(scaled), m)
    any_six = R.sixd_to_matrix(torch.randn(100, 6, dtype=torch.float64))
    close(any_six @ any_six.mT, np.broadcast_to(np.eye(3), (100, 3, 3)))
    close(torch.linalg.det(any_six), np.ones(100))


unit = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1)


@given(unit, unit)
def test_quat_between_turns_one_onto_the_other_the_short_way(u, v):
    u, v = (torch.tensor(x, dtype=torch.float64) / np.linalg.norm(x) for x in (u, v))
    q = R.quat_between(u, v)
    close(R.quat_rotate(q, u), v, atol=1e-7)
    close(2 * torch.atan2(q[1:].norm(), q[0]), torch.atan2(torch.linalg.cross(u, v).norm(), u @ v), atol=1e-7)


def test_quat_between_opposite_and_equal_vectors():
    u = torch.tensor(random(50).apply([0, 0, 1.0]))
    close(R.quat_rotate(R.quat_between(u, -u), u), -u)
    close(R.quat_between(u, u), np.broadcast_to([1, 0, 0, 0], (50, 4)))


def test_gradients_are_right():
    d = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d: R.matrix_to_quat(R.sixd_to_matrix(d)), (d,))
    u, v = (torch.nn.functional.normalize(torch.randn(3, 3, dtype=torch.float64), dim=-1) for _ in "uv")
    assert torch.autograd.gradcheck(R.quat_between, (u.requires_grad_(), v.requires_grad_()))

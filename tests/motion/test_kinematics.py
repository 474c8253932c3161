"""Poses to joints and back."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from motion_lightning.motion.kinematics import (
    chain_kinematics,
    facing,
    forward_kinematics,
    inverse_kinematics,
    smooth_heading,
    yaw,
)
from motion_lightning.motion.rotations import quat_to_matrix
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton()


def random_rotations(*shape, seed=0, size=1.0):
    rotvec = np.random.default_rng(seed).normal(size=(np.prod(shape), 3)) * size
    return torch.tensor(Rotation.from_rotvec(rotvec).as_matrix().reshape(*shape, 3, 3))


def test_rest_pose_sums_offsets():
    joints = forward_kinematics(SKELETON.offsets, SKELETON.parents, np.tile(np.eye(3), (22, 1, 1)), np.zeros(3))
    for child, parent in SKELETON.bones:
        np.testing.assert_allclose(joints[child] - joints[parent], SKELETON.offsets[child], atol=1e-15)


def test_a_joints_rotation_turns_what_hangs_below_it_and_nothing_else():
    turned = torch.eye(3, dtype=torch.float64).repeat(22, 1, 1)
    elbow, wrist = SKELETON.index("left_elbow"), SKELETON.index("left_wrist")
    rest = forward_kinematics(SKELETON.offsets, SKELETON.parents, turned, np.zeros(3))
    turned[elbow] = torch.tensor(Rotation.from_euler("x", -90, degrees=True).as_matrix())
    joints = forward_kinematics(SKELETON.offsets, SKELETON.parents, turned, np.zeros(3))
    forearm = SKELETON.bone_lengths[wrist]  # hung down, now points forward
    np.testing.assert_allclose(joints[wrist] - joints[elbow], [0, 0, forearm], atol=1e-12)
    others = [j for j in range(22) if j != wrist]
    torch.testing.assert_close(joints[others], rest[others])


def test_root_carries_the_body_rigidly():
    rotations, root = random_rotations(5, 22), torch.randn(5, 3, dtype=torch.float64)
    turn = random_rotations(1, seed=9)[0]
    joints = forward_kinematics(SKELETON.offsets, SKELETON.parents, rotations, root)
    rotations[:, 0] = turn @ rotations[:, 0]
    moved = forward_kinematics(SKELETON.offsets, SKELETON.parents, rotations, root @ turn.T)
    torch.testing.assert_close(moved, joints @ turn.T)


def test_gradients_reach_rotations_and_root():
    rotations = random_rotations(2, 22).requires_grad_()
    root = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    forward_kinematics(SKELETON.offsets, SKELETON.parents, rotations, root)[:, 20].sum().backward()
    moved = rotations.grad.abs().sum((0, 2, 3)) > 0
    assert moved.nonzero().flatten().tolist() == [0, 3, 6, 9, 13, 16, 18]  # the wrist's ancestors
    assert (root.grad == 1).all()


def test_inverse_then_chain_kinematics_returns_the_joints():
    rotations, root = random_rotations(40, 22), torch.randn(40, 3, dtype=torch.float64)
    joints = forward_kinematics(SKELETON.offsets, SKELETON.parents, rotations, root)
    heading = torch.linspace(-4, 4, 40, dtype=torch.float64)  # whatever the root's rotation is
    quats = inverse_kinematics(joints, SKELETON, heading)
    torch.testing.assert_close(chain_kinematics(SKELETON, quat_to_matrix(quats), joints[:, 0]), joints)


def test_a_straight_bone_opposite_to_its_rest_direction_has_a_rotation():
    bones = torch.tensor(SKELETON.offsets) * -1
    joints = torch.zeros(22, 3, dtype=torch.float64)
    for child, parent in SKELETON.bones:
        joints[child] = joints[parent] + bones[child]
    quats = inverse_kinematics(joints[None], SKELETON, torch.zeros(1, dtype=torch.float64))
    back = chain_kinematics(SKELETON, quat_to_matrix(quats), joints[None, 0])
    torch.testing.assert_close(back, joints[None], atol=1e-12, rtol=0)


@pytest.mark.parametrize("degrees", [-170, -90, 0, 30, 180])
@pytest.mark.parametrize("hip_order", ["published", "corrected"])
def test_facing_follows_the_body(degrees, hip_order):
    rotations = torch.eye(3, dtype=torch.float64).repeat(22, 1, 1)
    rotations[0] = torch.tensor(Rotation.from_euler("y", degrees, degrees=True).as_matrix())
    joints = forward_kinematics(SKELETON.offsets, SKELETON.parents, rotations, np.zeros(3)).numpy()
    angle = np.degrees(yaw(facing(joints, SKELETON, hip_order)))
    assert (angle - degrees + 180) % 360 - 180 == pytest.approx(0, abs=3)  # the rest pose is not quite symmetric


def test_smoothing_keeps_a_constant_heading_and_starts_at_zero():
    rotations = torch.eye(3, dtype=torch.float64).repeat(30, 22, 1, 1)
    rotations[:, 0] = torch.tensor(Rotation.from_euler("y", 1.0).as_matrix())
    joints = forward_kinematics(SKELETON.offsets, SKELETON.parents, rotations, np.zeros((30, 3))).numpy()
    heading = smooth_heading(joints, SKELETON, "corrected", sigma=20)
    assert heading[0] == 0
    np.testing.assert_allclose(heading[1:], yaw(facing(joints, SKELETON))[1:])

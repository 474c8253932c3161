"""Geometric losses: zero where they should be, closed forms elsewhere, blind to padding."""

import numpy as np
import pytest
import torch

from motion_lightning.motion.features import SLICES, features_to_joints
from motion_lightning.motion.losses import foot_loss, position_loss, velocity_loss
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton()


@pytest.fixture
def motion():
    """joints (2, 12, 22, 3); the second clip has 7 valid frames."""
    mask = torch.arange(12) < torch.tensor([[12], [7]])
    return torch.randn(2, 12, 22, 3, generator=torch.Generator().manual_seed(0)), mask


def test_a_motion_costs_nothing_against_itself(motion):
    joints, mask = motion
    assert (position_loss(joints, joints, mask) == 0).all()
    assert (velocity_loss(joints, joints, mask) == 0).all()


def test_a_shift_costs_its_square_and_has_no_velocity(motion):
    joints, mask = motion
    shifted = joints + torch.tensor([0.3, 0.0, 0.4])
    torch.testing.assert_close(position_loss(shifted, joints, mask), torch.full((2,), 0.25))
    torch.testing.assert_close(velocity_loss(shifted, joints, mask), torch.zeros(2), atol=1e-10, rtol=0)


def test_a_drift_costs_its_squared_speed(motion):
    joints, mask = motion
    drift = torch.arange(12.0)[:, None, None] * torch.tensor([0.1, 0.0, 0.0])
    torch.testing.assert_close(velocity_loss(joints + drift, joints, mask), torch.full((2,), 0.01))


def test_only_standing_feet_must_not_move(motion):
    joints, mask = motion
    joints = joints[:, :1].repeat(1, 12, 1, 1)
    contacts = torch.zeros(2, 12, 4)
    contacts[..., 2] = 1  # right ankle
    assert (foot_loss(joints, contacts, mask, SKELETON) == 0).all()
    frames = torch.arange(12.0)[:, None]
    joints[:, :, SKELETON.index("left_foot")] += frames * torch.tensor([0.5, 0, 0])
    assert (foot_loss(joints, contacts, mask, SKELETON) == 0).all()
    joints[:, :, SKELETON.index("right_ankle")] += frames * torch.tensor([0.0, 0, 0.2])
    torch.testing.assert_close(foot_loss(joints, contacts, mask, SKELETON), torch.full((2,), 0.04))
    assert (foot_loss(joints, 0 * contacts, mask, SKELETON) == 0).all()


def test_what_a_standing_foot_may_move_costs_nothing(motion):
    joints, mask = motion
    joints = joints[:, :1].repeat(1, 12, 1, 1)
    joints[:, :, SKELETON.index("left_ankle")] += torch.arange(12.0)[:, None] * torch.tensor([0.03, 0, 0.04])
    contacts = torch.ones(2, 12, 4)
    for tolerance, cost in [(0.0, 0.05**2 / 4), (0.02, 0.03**2 / 4), (0.0501, 0.0)]:
        got = foot_loss(joints, contacts, mask, SKELETON, tolerance)
        torch.testing.assert_close(got, torch.full((2,), cost), rtol=1e-4, atol=1e-9)


def test_a_foot_that_stands_still_has_a_finite_gradient(motion):
    joints, mask = motion
    joints = joints[:, :1].repeat(1, 12, 1, 1).requires_grad_()
    for tolerance in (0.0, 0.01):
        foot_loss(joints, torch.ones(2, 12, 4), mask, SKELETON, tolerance).sum().backward()
        assert not joints.grad.any() and joints.grad.isfinite().all()


def test_padding_is_not_seen_even_if_it_is_not_a_number(motion):
    joints, mask = motion
    target, contacts = torch.randn_like(joints), torch.ones(2, 12, 4)

    def losses(joints):
        return torch.stack([
            position_loss(joints, target, mask),
            velocity_loss(joints, target, mask),
            foot_loss(joints, contacts, mask, SKELETON),
        ])  # fmt: skip

    spoiled = joints.clone()
    spoiled[1, 7:] = float("nan")
    torch.testing.assert_close(losses(spoiled), losses(joints))
    nothing = torch.zeros_like(mask)
    assert (position_loss(joints, target, nothing) == 0).all()


def test_gradients_stay_finite_and_inside_the_mask(motion):
    joints, mask = motion
    joints.requires_grad_()
    (
        velocity_loss(joints, 0 * joints.detach(), mask) + position_loss(joints, 0 * joints.detach(), mask)
    ).sum().backward()
    assert joints.grad.isfinite().all()
    assert (joints.grad[mask] != 0).any(-1).all() and (joints.grad[~mask] == 0).all()


@pytest.mark.parametrize("clip", ["000000", "012314"])
def test_real_feet_stand_as_still_as_their_contacts_say(shared_data, clip):
    features = np.load(shared_data / f"humanml3d_reference/new_joint_vecs/{clip}.npy")
    features = torch.tensor(features, dtype=torch.float32)[None]
    mask = torch.ones(features.shape[:2], dtype=torch.bool)
    loss = foot_loss(features_to_joints(features), features[..., SLICES["contacts"]], mask, SKELETON)
    assert 0 < loss.item() < 0.002

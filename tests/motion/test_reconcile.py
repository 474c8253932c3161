"""Positions, velocities and contacts of one motion, brought to agree."""

import numpy as np
import pytest
import torch
from torch import Tensor

from motion_lightning.metrics.physical import foot_slide, jitter
from motion_lightning.motion.features import SLICES, features_to_joints, joints_to_features
from motion_lightning.motion.reconcile import _without_flicker, hold, reconcile, velocities_in_world
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton()
FEET = [7, 10, 8, 11]
LEGS = [(1, 4, 7), (2, 5, 8)]  # hip, knee, ankle


def described(joints) -> tuple[Tensor, Tensor, Tensor]:
    """Joints, velocities and contacts that say the same; the last row of the latter two is a repetition."""
    joints = torch.as_tensor(np.asarray(joints), dtype=torch.float64)
    velocities = joints.diff(dim=0)
    velocities = torch.cat([velocities, velocities[-1:]])
    return joints, velocities, (velocities[:, FEET].norm(dim=-1) * 20 < 0.2).double()


def bend(joints: Tensor) -> Tensor:
    """(2, T, 3): of each leg, where the knee lies off the line from hip to ankle."""
    out = []
    for hip, knee, ankle in LEGS:
        line, thigh = joints[:, ankle] - joints[:, hip], joints[:, knee] - joints[:, hip]
        along = (thigh * line).sum(-1, keepdim=True) / line.square().sum(-1, keepdim=True)
        out.append(thigh - along * line)
    return torch.stack(out)


@pytest.fixture(scope="module")
def noisy(walk) -> tuple[Tensor, Tensor, Tensor]:
    """A walk as a model would say it: each version with its own error."""
    torch.manual_seed(0)
    joints, velocities, contacts = described(walk)
    return (
        joints + 0.01 * torch.randn_like(joints),
        velocities + 0.003 * torch.randn_like(velocities),
        contacts + 0.1 * torch.randn_like(contacts),
    )


def test_a_clean_walk_is_left_almost_alone(walk):
    joints, velocities, contacts = described(walk)
    moved = (reconcile(joints, velocities, contacts, SKELETON) - joints).norm(dim=-1)
    assert moved.mean() < 0.01 and moved.max() < 0.04


@pytest.mark.parametrize("name", ["000000", "012314"])
def test_a_real_motion_is_left_almost_alone(shared_data, name):
    real = np.load(shared_data / "humanml3d_reference" / "new_joints" / f"{name}.npy")
    features = torch.from_numpy(joints_to_features(real, SKELETON))
    joints, velocities, contacts = described(features_to_joints(features))
    moved = reconcile(joints, velocities, contacts, SKELETON) - joints
    assert moved.norm(dim=-1).mean() < 0.04
    pose = moved - moved[:, :1]  # what is not the root's path over the standing feet
    assert pose.norm(dim=-1).mean() < 0.01


def test_a_motion_without_contradiction_is_a_fixed_point():
    """Even speed and no contacts: positions, velocities, smoothness and bones all agree."""
    pose = torch.zeros(22, 3, dtype=torch.float64)
    offsets = torch.from_numpy(SKELETON.offsets.copy())
    for child, parent in SKELETON.bones:
        pose[child] = pose[parent] + offsets[child]
    for _, knee, ankle in LEGS:
        pose[knee, 2] += 0.05  # a bent knee has a side; the bones are then put right below
        for joint in (knee, ankle):
            step = pose[joint] - pose[SKELETON.parents[joint]]
            pose[joint] = pose[SKELETON.parents[joint]] + step / step.norm() * SKELETON.bone_lengths[joint]
        pose[ankle + 3] = pose[ankle] + offsets[ankle + 3]
    joints = pose + torch.arange(12)[:, None, None] * torch.tensor([0.02, 0.0, 0.05], dtype=torch.float64)
    _, velocities, _ = described(joints)
    got = reconcile(joints, velocities, torch.zeros(12, 4), SKELETON)
    torch.testing.assert_close(got, joints, atol=1e-9, rtol=0)


def test_bones_get_their_lengths(noisy):
    bones = torch.tensor(SKELETON.bones)
    want = torch.from_numpy(SKELETON.bone_lengths.copy())[bones[:, 0]]
    for scale in (1.0, 1.3, 0.6):  # legs that do not reach and legs that reach too far
        got = reconcile(noisy[0] * scale, noisy[1] * scale, noisy[2], SKELETON)
        lengths = (got[:, bones[:, 0]] - got[:, bones[:, 1]]).norm(dim=-1)
        torch.testing.assert_close(lengths, want.expand_as(lengths), atol=1e-9, rtol=0)


def test_noise_goes_and_standing_feet_stand(noisy, walk):
    got, clean = reconcile(*noisy, SKELETON), torch.from_numpy(walk)
    stands = described(walk)[2][:-1] > 0.5

    def slide(joints: Tensor) -> Tensor:
        return (joints[:, FEET].diff(dim=0).norm(dim=-1) * 20)[stands].mean()  # m/s, where feet truly stand

    assert slide(got) < 0.25 * slide(noisy[0])
    assert foot_slide(got) < 0.5 * foot_slide(noisy[0]) and jitter(got) < 0.2 * jitter(noisy[0])
    rest = [(j - j[:, :1] - clean + clean[:, :1]).norm(dim=-1).mean() for j in (got, noisy[0])]
    assert rest[0] < 0.7 * rest[1]  # poses are nearer to the truth, not only smoother


def test_knees_bend_to_the_same_side(noisy, walk):
    got, clean = bend(reconcile(*noisy, SKELETON)), bend(torch.from_numpy(walk))
    bent = clean.norm(dim=-1) > 0.05  # a leg that is nearly straight has no side
    assert bent.float().mean() > 0.3
    assert ((got * clean).sum(-1)[bent] > 0).all()


def test_short_clips_come_back_as_they_are(noisy):
    for frames in (1, 2, 3):
        parts = [part[:frames] for part in noisy]
        assert torch.equal(reconcile(*parts, SKELETON), parts[0])
    assert reconcile(*(part[:4].float() for part in noisy), SKELETON).dtype == torch.float32


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("101", "111"),
        ("010", "000"),
        ("0110", "0110"),
        ("1001", "1001"),
        ("0010100", "0011100"),  # gaps go before spells
        ("110111010011", "111111110011"),
        ("10000", "10000"),  # what the ends cut short may have been longer
        ("00001", "00001"),
        ("11111", "11111"),
    ],
)
def test_flicker_of_a_single_frame_goes(before, after):
    on = torch.tensor([[c == "1"] for c in before])
    want = torch.tensor([[c == "1"] for c in after])
    assert torch.equal(_without_flicker(on), want)
    assert torch.equal(_without_flicker(torch.cat([on, ~on], 1))[:, :1], want)


def test_velocities_leave_the_heading_frame(walk):
    """The inverse of what the features did: they agree with the steps of the joints themselves."""
    features = torch.from_numpy(joints_to_features(walk, SKELETON)).double()
    local = features[:, SLICES["velocities"]].unflatten(-1, (22, 3))
    yaw = torch.cat([features.new_zeros(1), features[:-1, 0].cumsum(0)])
    assert yaw.abs().max() > 0.3  # the walk does turn
    steps = features_to_joints(features).diff(dim=0)
    torch.testing.assert_close(velocities_in_world(local, yaw)[:-1], steps, atol=2e-5, rtol=0)
    assert (local[:-1] - steps).abs().max() > 1e-2


def test_what_is_held_is_there_and_the_rest_moves_along():
    """Both ends are held: in between the move goes over from one to the other, without a jump."""
    torch.manual_seed(0)
    joints = torch.randn(12, 22, 3).cumsum(0) * 0.01
    known = joints + torch.tensor([1.0, 0, 0]) * (torch.arange(12) > 5)[:, None, None]  # the second half lies 1 m away
    kept = ((torch.arange(12) < 3) | (torch.arange(12) >= 9))[:, None].expand(12, 22)
    held = hold(joints, known, kept)
    torch.testing.assert_close(held[kept], known[kept])
    move = (held - joints)[..., 0]
    torch.testing.assert_close(move[2:10], torch.linspace(0, 1, 8)[:, None].expand(8, 22), rtol=1e-4, atol=1e-5)


def test_joints_that_are_not_held_follow_the_root_of_their_frame():
    torch.manual_seed(0)
    joints, known = torch.randn(2, 5, 22, 3)
    kept = torch.zeros(5, 22, dtype=torch.bool)
    kept[:, [0, 1, 4]] = True
    held = hold(joints, known, kept)
    torch.testing.assert_close(held[kept], known[kept])
    free = [j for j in range(22) if j not in (0, 1, 4)]
    torch.testing.assert_close(held[:, free] - held[:, :1], joints[:, free] - joints[:, :1])


def test_nothing_held_changes_nothing():
    joints = torch.randn(5, 22, 3)
    assert torch.equal(hold(joints, torch.zeros_like(joints), torch.zeros(5, 22, dtype=torch.bool)), joints)

"""HumanML3D's features: parity with the published arrays, and what must hold for any motion."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from motion_lightning.errors import UserError
from motion_lightning.motion.features import (
    SLICES,
    STD_GROUPS,
    canonicalise,
    features_to_joints,
    joints_to_features,
    layout,
    mirror,
    retarget,
    rotations_to_joints,
)
from motion_lightning.motion.kinematics import facing, forward_kinematics, yaw
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton()


def moving_body(frames=50, seed=0, turns=0.0, size=1.0, skeleton=SKELETON):
    """(T, J, 3) joints of a smooth random motion that walks off and turns about itself."""
    rng = np.random.default_rng(seed)
    rotvec = gaussian_filter1d(rng.normal(size=(frames, len(skeleton.joints), 3)), 5, axis=0)
    rotvec[:, 0, [0, 2]] *= 0.3
    rotations = Rotation.from_rotvec(rotvec.reshape(-1, 3)).as_matrix().reshape(*rotvec.shape, 3)
    spin = Rotation.from_euler("y", np.linspace(0, 2 * np.pi * turns, frames)[:, None] + seed).as_matrix()
    rotations[:, 0] = spin @ rotations[:, 0]
    path = np.cumsum(gaussian_filter1d(rng.normal(size=(frames, 3)), 5, axis=0), axis=0) * 0.1
    path /= skeleton.metre_per_unit
    return size * forward_kinematics(skeleton.offsets, skeleton.parents, rotations, path).numpy()


def reference(folder, clip):
    folder = folder / "humanml3d_reference"
    return np.load(folder / f"new_joint_vecs/{clip}.npy"), np.load(folder / f"new_joints/{clip}.npy")


# Published arrays


@pytest.mark.parametrize("clip", ["012314", "000000"])
def test_features_to_joints_repeats_the_published_joints(shared_data, clip):
    features, joints = reference(shared_data, clip)
    for dtype in (torch.float32, torch.float64):
        for dims in (263, 67):
            got = features_to_joints(torch.tensor(features[:, :dims], dtype=dtype))
            assert got.dtype == dtype
            np.testing.assert_allclose(got, joints, rtol=0, atol=1e-6)


# The second clip's heading was smoothed with one more frame than was published.
@pytest.mark.parametrize(("clip", "rotations", "positions"), [("000000", 2e-4, 6e-5), ("012314", 1.33e-2, 6.8e-3)])
def test_joints_to_features_repeats_the_published_features(shared_data, clip, rotations, positions):
    features, joints = reference(shared_data, clip)
    got = joints_to_features(joints, SKELETON)
    assert got.shape == (len(joints) - 1, 263) and got.dtype == np.float32
    error = {name: np.abs(got - features[:-1])[:, part].max() for name, part in SLICES.items()}
    assert error["rotations"] < rotations
    assert error["positions"] < positions
    assert error["contacts"] == 0
    assert error["root_height"] < 2e-6
    assert max(error["root_yaw_velocity"], error["root_velocity"], error["velocities"]) < 5e-4


@pytest.mark.parametrize("clip", ["012314", "000000"])
def test_published_rotations_carry_the_published_motion(shared_data, clip):
    features, joints = reference(shared_data, clip)
    got = rotations_to_joints(torch.tensor(features, dtype=torch.float32), SKELETON)
    np.testing.assert_allclose(got, joints, rtol=0, atol=5e-6)


def test_std_groups_are_the_published_ones(shared_data):
    std = np.load(shared_data / "humanml3d_reference/Std.npy")
    assert [np.ptp(std[part]) < 1e-6 for part in STD_GROUPS] == [True] * 7


@pytest.mark.parametrize("clip", ["012314", "000000"])
def test_corrected_rotations_carry_the_published_motion_too(shared_data, clip):
    _, joints = reference(shared_data, clip)
    features = torch.from_numpy(joints_to_features(joints, SKELETON, "corrected"))
    for back in (features_to_joints(features), rotations_to_joints(features, SKELETON)):
        np.testing.assert_allclose(back, joints[:-1], rtol=0, atol=5e-5)
    again = joints_to_features(rotations_to_joints(features, SKELETON), SKELETON, "corrected")[:, SLICES["rotations"]]
    error = np.abs(again - features[:-1, SLICES["rotations"]].numpy())
    assert error.mean() < 2e-3  # the heading is smoothed over a clip that is a frame shorter


# Any motion


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 70), st.floats(-3, 3), st.sampled_from(["published", "corrected"]))
def test_features_carry_the_canonical_motion(seed, frames, turns, hip_order):
    joints = moving_body(frames, seed, turns, size=1.3)
    uniform = canonicalise(retarget(joints, SKELETON), SKELETON)[:-1]
    features = torch.tensor(joints_to_features(joints, SKELETON, hip_order))
    np.testing.assert_allclose(features_to_joints(features), uniform, rtol=0, atol=1e-5)
    np.testing.assert_allclose(rotations_to_joints(features, SKELETON), uniform, rtol=0, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(-4, 4), st.floats(0.5, 200))
def test_features_do_not_depend_on_where_the_clip_was_recorded(seed, angle, size):
    joints = moving_body(40, seed)
    elsewhere = size * joints @ Rotation.from_euler("y", angle).as_matrix().T + [3.0, -2.0, 5.0]
    np.testing.assert_allclose(
        joints_to_features(elsewhere, SKELETON), joints_to_features(joints, SKELETON), rtol=0, atol=1e-5
    )


def test_velocities_are_differences_in_the_heading_frame():
    joints = canonicalise(retarget(moving_body(turns=1), SKELETON), SKELETON)
    features = joints_to_features(joints, SKELETON)
    angle = -2 * np.concatenate([[0], features[:-1, 0].cumsum()])
    turn = Rotation.from_euler("y", -angle[:, None]).as_matrix()  # (T-1, 3, 3)
    velocity = np.einsum("tik,tjk->tji", turn, np.diff(joints, axis=0))
    np.testing.assert_allclose(features[:, SLICES["velocities"]], velocity.reshape(len(features), -1), atol=1e-6)


def test_a_spin_is_felt_as_yaw_and_passes_the_back_without_a_jump():
    spin = Rotation.from_euler("y", np.linspace(0, 3 * np.pi, 240)[:, None]).as_matrix()  # (T, 3, 3)
    joints = np.einsum("tik,jk->tji", spin, moving_body(2)[0])
    features = joints_to_features(joints, SKELETON, "corrected")
    turned = -2 * features[:, 0].cumsum()
    assert turned[[80, 160]] == pytest.approx(3 * np.pi * np.array([81, 161]) / 239, abs=0.05)
    assert (features[1:, 0] < 0).all()  # never the wrong way round


def test_hip_order_changes_the_heading_only():
    joints = moving_body()
    published, corrected = (joints_to_features(joints, SKELETON, order) for order in ("published", "corrected"))
    same = [SLICES[name] for name in ("root_height", "contacts")]
    assert all((published[:, part] == corrected[:, part]).all() for part in same)
    assert np.abs(published - corrected)[:, SLICES["positions"]].max() > 1e-3


@pytest.mark.parametrize("fps", [20, 30, 60])
def test_contacts_mean_the_same_speed_at_every_frame_rate(fps):
    speed = np.array([0.88, 0.91])  # m/s, either side of sqrt(0.002) m a frame at 20 fps
    body = retarget(moving_body(2), SKELETON)[0]
    path = np.arange(10)[:, None, None] * [0.0, 0.0, 1.0] / fps
    slow, fast = (joints_to_features(body + s * path, SKELETON, fps=fps) for s in speed)
    assert (slow[:, SLICES["contacts"]] == 1).all() and (fast[:, SLICES["contacts"]] == 0).all()


def test_canonical_start_and_uniform_bones():
    joints = canonicalise(retarget(moving_body(size=170.0), SKELETON), SKELETON)
    assert joints[..., 1].min() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(joints[0, 0, [0, 2]], 0, atol=1e-12)
    assert yaw(facing(joints[0], SKELETON)) == pytest.approx(0, abs=1e-12)
    for child, parent in SKELETON.bones:
        length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        np.testing.assert_allclose(length, SKELETON.bone_lengths[child], atol=1e-12)
    np.testing.assert_allclose(canonicalise(joints, SKELETON), joints, atol=1e-12)
    np.testing.assert_allclose(retarget(joints, SKELETON), joints, atol=1e-12)


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_mirror_swaps_sides_and_undoes_itself(kind):
    joints = moving_body()
    mirrored = mirror(kind(joints))
    assert type(mirrored) is type(kind(joints))
    left, right = SKELETON.index("left_wrist"), SKELETON.index("right_wrist")
    np.testing.assert_array_equal(mirrored[:, left], joints[:, right] * [-1, 1, 1])
    np.testing.assert_array_equal(mirrored[:, 0], joints[:, 0] * [-1, 1, 1])
    np.testing.assert_array_equal(mirror(mirrored, SKELETON), joints)
    np.testing.assert_allclose(  # a mirrored body faces the mirrored way
        facing(np.asarray(mirrored), SKELETON), facing(joints, SKELETON) * [-1, 1, 1], atol=1e-12
    )


# The way back, as networks use it


def test_batched_and_padded_features_give_the_same_joints():
    features = torch.tensor(joints_to_features(moving_body(40), SKELETON))
    batch = torch.zeros(3, 60, 263)
    batch[0, :39], batch[1, :20], batch[2, 5:] = features, features[:20], 9.0
    joints = features_to_joints(batch)
    assert joints.shape == (3, 60, 22, 3)
    alone = features_to_joints(features)
    torch.testing.assert_close(joints[0, :39], alone, rtol=0, atol=1e-6)
    torch.testing.assert_close(joints[1, :20], alone[:20], rtol=0, atol=1e-6)


def test_gradients_flow_through_features_to_joints():
    features = torch.tensor(joints_to_features(moving_body(6), SKELETON), dtype=torch.float64)[:, :67]
    assert torch.autograd.gradcheck(features_to_joints, (features.requires_grad_(),))
    features_to_joints(features)[-1].square().sum().backward()
    assert (features.grad[:-1, :3] != 0).all()  # every earlier step moves the last frame
    assert (features.grad[-1, :3] == 0).all()  # a frame's velocity leads to the next one


def test_half_precision_input_is_summed_in_float32():
    features = torch.tensor(joints_to_features(moving_body(60), SKELETON))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        joints = features_to_joints(features)
        assert features_to_joints(features.bfloat16()).dtype == torch.float32
    torch.testing.assert_close(joints, features_to_joints(features))


# Other skeletons and bad input


def test_layouts_of_both_datasets():
    assert SLICES["contacts"] == slice(259, 263) and SLICES["positions"] == slice(4, 67)
    assert SLICES["rotations"] == slice(67, 193) and SLICES["velocities"] == slice(193, 259)
    assert layout(21)["contacts"].stop == 251


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(24, 60), st.sampled_from(["published", "corrected"]))
def test_kit_features_carry_the_canonical_motion(seed, frames, hip_order):
    kit = load_skeleton("kit21")
    joints = moving_body(frames, seed, turns=0.5, skeleton=kit)
    features = torch.tensor(joints_to_features(joints / 640, kit, hip_order))  # metres come out in KIT's unit
    assert features.shape == (frames - 1, 251)
    uniform = canonicalise(retarget(joints, kit), kit)[:-1]
    np.testing.assert_allclose(features_to_joints(features, 21), uniform, rtol=0, atol=0.02)  # of 1,000
    np.testing.assert_allclose(rotations_to_joints(features, kit), uniform, rtol=0, atol=0.02)


def test_kit_feet_stand_below_their_own_threshold():
    kit = load_skeleton("kit21")
    body = retarget(moving_body(2, skeleton=kit), kit)[0]
    path = np.arange(30)[:, None, None] * [0.0, 0.0, 1.0]
    slow, fast = (joints_to_features(body + step * path, kit)[:, layout(21)["contacts"]] for step in (0.22, 0.23))
    assert (slow == 1).all() and (fast == 0).all()


def test_bad_input_is_named():
    joints = moving_body(10)
    with pytest.raises(UserError, match="1 frames"):
        joints_to_features(joints[:1], SKELETON)
    with pytest.raises(UserError, match=r"\(10, 21, 3\), should be \(frames, 22, 3\)"):
        joints_to_features(joints[:, :21], SKELETON)
    with pytest.raises(UserError, match="hip_order is 'right'"):
        joints_to_features(joints, SKELETON, hip_order="right")
    with pytest.raises(UserError, match="66 dimensions; 22 joints need 67"):
        features_to_joints(torch.zeros(5, 66))
    broken = joints.copy()
    broken[3, 20, 1] = np.nan
    with pytest.raises(UserError, match="left_wrist of frame 3 is not a number"):
        joints_to_features(broken, SKELETON)
    broken = joints.copy()
    broken[4, 4] = broken[4, 1]
    with pytest.raises(UserError, match="left_hip and left_knee coincide in frame 4"):
        joints_to_features(broken, SKELETON)

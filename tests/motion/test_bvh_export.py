"""Joints written as BVH files: what other tools read is the motion, to a fraction of a millimetre."""

import json
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from motion_lightning.errors import UserError
from motion_lightning.motion.bvh import read_bvh
from motion_lightning.motion.bvh_export import export_bvh, joints_to_bvh
from motion_lightning.motion.features import canonicalise, features_to_joints, joints_to_features, retarget
from motion_lightning.motion.kinematics import forward_kinematics
from motion_lightning.motion.rig import load_rig
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton()


def exported(path, joints, skeleton=SKELETON) -> tuple[float, np.ndarray]:
    """The error that is told, and the joints that another program would find, in the unit of the given ones."""
    error = export_bvh(path, joints, skeleton)
    bvh = read_bvh(path.read_bytes())
    order = [bvh.names.index(name) for name in skeleton.joints]
    return error, bvh.global_joints()[:, order] / (100 * skeleton.metre_per_unit)


@pytest.mark.parametrize("name", ["humanml22", "kit21"])
def test_any_motion_of_a_body_comes_back(tmp_path, name):
    skeleton = load_skeleton(name)

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 1000), st.floats(0.1, 3))
    def check(seed, wildness):
        rng = np.random.default_rng(seed)
        rotvec = wildness * gaussian_filter1d(rng.normal(size=(20, len(skeleton.joints), 3)), 3, axis=0)
        turns = Rotation.from_rotvec(rotvec.reshape(-1, 3)).as_matrix().reshape(*rotvec.shape, 3)
        offsets = skeleton.t_pose * skeleton.bone_lengths[:, None]
        path = rng.normal(size=(20, 3)).cumsum(0) / skeleton.metre_per_unit
        joints = forward_kinematics(offsets, skeleton.parents, turns, path).numpy()
        error, found = exported(tmp_path / "any.bvh", joints, skeleton)
        assert error < 1e-6
        np.testing.assert_allclose(found * skeleton.metre_per_unit, joints * skeleton.metre_per_unit, atol=1e-5)

    check()


def test_the_rest_pose_is_a_t_pose_and_every_limb_ends_in_a_site(tmp_path, walk):
    export_bvh(tmp_path / "walk.bvh", walk, SKELETON)
    text = (tmp_path / "walk.bvh").read_text()
    assert text.count("End Site") == 5 and text.count("CHANNELS 3 Zrotation Xrotation Yrotation") == 21
    assert text.count("CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation") == 1
    bvh = read_bvh(text)
    assert bvh.frame_time == 0.05 and len(bvh.positions) == len(walk)
    rest = np.zeros((22, 3))
    for joint, parent in list(enumerate(bvh.parents))[1:]:
        rest[joint] = rest[parent] + bvh.offsets[joint] / 100
    place = dict(zip(bvh.names, rest, strict=True))
    assert place["left_wrist"][0] - place["left_shoulder"][0] > 0.5 and place["right_wrist"][0] < -0.5
    assert place["head"][1] > 0.4 and place["left_foot"][1] < -0.7 and place["left_foot"][2] > 0.1
    assert abs(place["left_wrist"][1] - place["left_shoulder"][1]) < 1e-6


def test_angles_do_not_jump(tmp_path):
    spin = Rotation.from_euler("y", np.linspace(0, 720, 80)[:, None], degrees=True).as_matrix()
    body = SKELETON.t_pose * SKELETON.bone_lengths[:, None]
    standing = forward_kinematics(body, SKELETON.parents, np.broadcast_to(np.eye(3), (22, 3, 3)).copy(), np.ones(3))
    export_bvh(tmp_path / "spin.bvh", np.einsum("tij,kj->tki", spin, standing.numpy()), SKELETON)
    rows = (tmp_path / "spin.bvh").read_text().split("Frame Time")[1].split("\n")[1:-1]
    turn = np.array([row.split()[5] for row in rows], float)  # of the root about y
    assert np.ptp(turn) == pytest.approx(720, abs=1e-3) and np.abs(np.diff(turn)).max() < 10


def test_bodies_that_bend_are_told_of(tmp_path, walk):
    bent = walk + np.random.default_rng(0).normal(size=walk.shape) * 0.01
    error, found = exported(tmp_path / "bent.bvh", bent)
    assert error == pytest.approx(np.linalg.norm(found - bent, axis=-1).mean(), rel=1e-6)
    assert 0.01 < error < 0.04
    lying = np.zeros((3, 22, 3))  # all joints in one point: nothing to turn
    assert np.isfinite(exported(tmp_path / "point.bvh", lying)[1]).all()


def test_a_limb_turned_right_back_is_still_a_rotation(tmp_path):
    body = SKELETON.t_pose * SKELETON.bone_lengths[:, None]
    folded = body.copy()
    folded[SKELETON.index("left_knee")] *= -1
    poses = [forward_kinematics(b, SKELETON.parents, np.broadcast_to(np.eye(3), (22, 3, 3)).copy(), np.ones(3))
             for b in (body, body, folded)]  # fmt: skip
    _, found = exported(tmp_path / "fold.bvh", np.stack(poses))
    np.testing.assert_allclose(found, np.stack(poses), atol=1e-7)


def test_bad_joints_are_named(walk):
    with pytest.raises(UserError, match=r"\(61, 21, 3\), should be \(frames, 22, 3\) for humanml22"):
        joints_to_bvh(walk[:, 1:], SKELETON)
    broken = walk.copy()
    broken[7, 3] = np.inf
    with pytest.raises(UserError, match="frame 7 has a joint that is not a number"):
        joints_to_bvh(broken, SKELETON)


# The whole way round on real clips, in millimetres: twice the worst of 20 clips a rig.
BOUND = {"cc_base": 2e-4, "daz": 2e-4, "bandai": 4.3e-3}


@pytest.mark.parametrize("name", list(BOUND))
def test_bvh_to_features_to_joints_to_bvh_and_back(shared_data, tmp_path, name):
    rows = [json.loads(line) for line in (shared_data / "captions.jsonl").open()]
    rows = [row for row in rows if row["skeleton"] == name][::40][:3]
    rig, errors, reshaped = load_rig(name), [], []
    for row in rows:
        bvh = read_bvh(zipfile.ZipFile(shared_data / row["archive"]).read(row["file"]))
        stride = round(row["fps"] / 20)
        raw = rig.map(bvh, SKELETON.joints)[row["skip_frames"] + rig.lead_in :: stride][:100]
        joints = features_to_joints(torch.from_numpy(joints_to_features(raw, SKELETON))).numpy()
        told, found = exported(tmp_path / "clip.bvh", joints.astype(np.float64))
        uniform = canonicalise(retarget(raw, SKELETON), SKELETON)[:-1]
        errors.append(1000 * np.linalg.norm(found - uniform, axis=-1).mean())
        assert 1000 * told < BOUND[name]
        legs = [*SKELETON.legs]
        leg = np.linalg.norm(raw[0, legs] - raw[0, [SKELETON.parents[j] for j in legs]], axis=-1).sum()
        own = canonicalise(raw * (SKELETON.bone_lengths[legs].sum() / leg), SKELETON)[:-1]
        reshaped.append(1000 * np.linalg.norm(found - own, axis=-1).mean())
    assert max(errors) < BOUND[name]  # of the conversions
    assert 10 < np.mean(reshaped) < 250  # of the body: the uniform skeleton has other proportions than the rig

"""AMASS recordings through a body model of the right format, by HumanML3D's index. Numbers are made up."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from motion_lightning.data.amass import Amass, BodyModel
from motion_lightning.data.clip import Clip, Rejected
from motion_lightning.errors import UserError
from motion_lightning.motion.features import joints_to_features, mirror
from motion_lightning.motion.kinematics import forward_kinematics
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton()
HANDS = [
    j
    for side in (20, 21)
    for k in range(5)
    for j in (side, 22 + 15 * (side - 20) + 3 * k, 23 + 15 * (side - 20) + 3 * k)
]
PARENTS = [*SKELETON.parents, *HANDS]  # of SMPL+H
VERTICES = 120
INDEX = "source_path,start_frame,end_frame,new_name\n"
ROWS = [
    "./pose_data/KIT/3/kick_poses.npy,5,65,000001.npy",
    "./pose_data/MPI_HDM05/bk/run_poses.npy,0,50,000002.npy",
    "./pose_data/humanact12/humanact12/P01.npy,0,-1,000003.npy",
    "./pose_data/CMU/01/none_poses.npy,0,50,000004.npy",
    "./pose_data/KIT/3/kick_poses.npy,0,60,000005.npy",
]


def body(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    rest = np.zeros((52, 3))
    for joint, parent in enumerate(PARENTS[1:], start=1):
        rest[joint] = rest[parent] + rng.normal(size=3) * 0.2
    regressor = np.zeros((52, VERTICES))
    regressor[np.arange(52), np.arange(52)] = regressor[np.arange(52), 60 + np.arange(52)] = 0.5
    template = np.zeros((VERTICES, 3))
    template[:52], template[60:112] = rest + 0.01, rest - 0.01
    return {
        "v_template": template,
        "shapedirs": rng.normal(size=(VERTICES, 3, 16)) * 0.01,
        "posedirs": rng.normal(size=(VERTICES, 3, 459)) * 0.01,
        "J_regressor": regressor,
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(52)], np.uint32),
        "weights": np.full((VERTICES, 52), 1 / 52),
        "f": np.zeros((4, 3), np.uint32),
        "hands_meanl": np.zeros(45), "hands_meanr": np.zeros(45),
        "hands_componentsl": np.eye(45), "hands_componentsr": np.eye(45),
        "bs_style": np.array("lbs"),
    }  # fmt: skip


def recording(frames: int, fps: float, gender: str = "male", seed: int = 0) -> dict[str, np.ndarray]:
    rng, time = np.random.default_rng(seed), np.arange(frames)[:, None] / fps
    poses = 0.4 * np.sin(rng.uniform(1, 4, 156) * time + rng.uniform(0, 6, 156))
    trans = np.concatenate([time, 0.1 * np.sin(time), 1 + 0 * time], axis=1)
    betas = rng.normal(size=16)
    return {
        "poses": poses,
        "trans": trans,
        "betas": betas,
        "gender": gender,
        "mocap_framerate": fps,
        "dmpls": np.zeros(1),
    }


@pytest.fixture
def folder(tmp_path) -> Path:
    pytest.importorskip("smplx")
    for number, sex in enumerate(("male", "female")):
        path = tmp_path / "body_models/smplh" / sex / "model.npz"
        path.parent.mkdir(parents=True)
        np.savez(path, **body(number))
    for place in ("KIT/3", "HDM05/bk", "humanact12/humanact12", "HumanML3D/texts"):
        (tmp_path / place).mkdir(parents=True)
    np.savez(tmp_path / "KIT/3/kick_poses.npz", **recording(420, 120.0))
    np.savez(tmp_path / "HDM05/bk/run_poses.npz", **recording(800, 150.0, "female", 1))  # AMASS' newer name
    np.save(tmp_path / "humanact12/humanact12/P01", np.random.default_rng(0).normal(size=(45, 24, 3)).cumsum(0))
    (tmp_path / "index.csv").write_text(INDEX + "\n".join(ROWS) + "\n")
    (tmp_path / "HumanML3D/train.txt").write_text("000001\nM000001\n000002\nM000002\n")
    (tmp_path / "HumanML3D/test.txt").write_text("000003\n000004\n")
    for name in ("000001", "M000001", "000002", "000003", "000004"):
        text = "he kicks with his right leg" if name[0] == "M" else "he kicks with his left leg"
        (tmp_path / f"HumanML3D/texts/{name}.txt").write_text(f"{text}##0.0#0.0\n")
    return tmp_path


def corpus(folder, **settings) -> Amass:
    settings = {"index": folder / "index.csv", "body_models": folder / "body_models", "workers": 0} | settings
    return Amass(folder, **settings)


def joints_of(model: dict, rec: dict, stride: int) -> np.ndarray:
    """Joints by plain forward kinematics, turned as the published scripts turn them."""
    shaped = model["v_template"] + model["shapedirs"][..., :10] @ rec["betas"][:10]
    rest = model["J_regressor"] @ shaped
    offsets = rest - np.where(np.arange(52)[:, None] > 0, rest[PARENTS], 0)
    poses = rec["poses"][::stride]
    rotations = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(len(poses), 52, 3, 3)
    joints = forward_kinematics(offsets, PARENTS, rotations, rest[0] + rec["trans"][::stride]).numpy()
    joints = joints @ np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
    joints[..., 0] *= -1
    return joints[:, :22]


def test_recordings_become_the_clips_that_the_index_names(folder):
    one, mirrored, run, run_mirrored, act, missing, unlisted = corpus(folder).clips()
    kick = joints_of(body(0), recording(420, 120.0), 6)[5:65]
    np.testing.assert_allclose(one.features, joints_to_features(kick, SKELETON), atol=2e-4)
    assert (one.id, one.split, one.captions) == ("000001", "train", ["he kicks with his left leg"])
    np.testing.assert_allclose(mirrored.features, joints_to_features(mirror(kick), SKELETON), atol=2e-4)
    assert (mirrored.id, mirrored.captions) == ("M000001", ["he kicks with his right leg"])
    running = joints_of(body(1), recording(800, 150.0, "female", 1), 7)[60:110]  # without 3 s of a T-pose
    np.testing.assert_allclose(run.features, joints_to_features(running, SKELETON), atol=2e-4)
    assert run_mirrored.captions == ["he kicks with his right leg"]  # has none of its own
    joints = np.load(folder / "humanact12/humanact12/P01.npy")[:, :22]
    np.testing.assert_array_equal(act.features, joints_to_features(joints, SKELETON))
    assert act.split == "test"
    assert (missing.id, missing.where, missing.reason) == ("000004", "CMU/01/none_poses.npy", "no such file")
    assert (unlisted.id, unlisted.reason) == ("000005", "in no list of a split")
    assert len(corpus(folder)) == 7 and len(corpus(folder, mirror=False)) == 5


def test_joints_are_those_of_the_whole_body_model(folder):
    smplx = pytest.importorskip("smplx")
    path, rec = folder / "body_models/smplh/male/model.npz", recording(5, 20.0)
    names = {**smplx.vertex_ids.vertex_ids["smplh"]}
    model = smplx.SMPLH(
        str(path), ext="npz", use_pca=False, flat_hand_mean=True, num_betas=10, batch_size=5,
        vertex_ids=dict.fromkeys(names, 0),
    )  # fmt: skip
    import torch

    poses = torch.tensor(rec["poses"], dtype=torch.float32)
    expected = model(
        betas=torch.tensor(rec["betas"][:10], dtype=torch.float32).expand(5, -1),
        global_orient=poses[:, :3], body_pose=poses[:, 3:66],
        left_hand_pose=poses[:, 66:111], right_hand_pose=poses[:, 111:],
        transl=torch.tensor(rec["trans"], dtype=torch.float32),
    ).joints[:, :52]  # fmt: skip
    joints = BodyModel(path).joints(rec["poses"], rec["betas"][:10], rec["trans"])
    np.testing.assert_allclose(joints, expected.detach(), atol=1e-5)


def test_an_interrupted_preparation_goes_on_where_it_was(folder):
    told = [item.id for item in corpus(folder).clips()]
    assert [[item.id for item in corpus(folder).clips(start)] for start in (1, 2, 6)] == [told[1:], told[2:], told[6:]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"poses": np.zeros((9, 165))}, "poses has shape (9, 165), should be (-1, 156)"),
        ({"poses": np.full((420, 156), np.nan)}, "NaN or infinity in poses"),
        ({"poses": np.array([{}])}, "poses holds pickled objects"),
        ({"mocap_framerate": 15.0}, "20 fps or more"),
        ({"mocap_framerate": np.nan}, "20 fps or more"),
        ({"mocap_framerate": "fast"}, "20 fps or more"),
        ({"trans": np.zeros((3, 3))}, "as many trans as poses"),
        ({"mocap_framerate": None}, "kick_poses.npz has no mocap_framerate, only betas, dmpls, gender, poses, trans"),
        (recording(20, 120.0), "frames 5 to 65 are not in it"),
    ],
)
def test_a_wrong_recording_is_left_out(folder, change, reason):
    arrays = {k: v for k, v in {**recording(420, 120.0), **change}.items() if v is not None}
    np.savez(folder / "KIT/3/kick_poses.npz", **arrays)
    found = list(corpus(folder).clips())
    assert [type(item) for item in found[:3]] == [Rejected, Rejected, Clip]
    assert reason in found[0].reason and found[0].where == "KIT/3/kick_poses.npy"


def test_a_file_that_is_no_archive_is_left_out(folder):
    path = folder / "KIT/3/kick_poses.npz"
    for content in (b"", b"text", path.read_bytes()[:5000], np.random.default_rng(0).bytes(999)):
        path.write_bytes(content)
        assert "kick_poses.npz is no .npz archive" in next(corpus(folder).clips()).reason


def test_what_is_missing_is_named_with_where_to_get_it(folder, tmp_path, monkeypatch):
    model = folder / "body_models/smplh/female/model.npz"
    model.rename(folder / "away.npz")
    with pytest.raises(UserError, match=r"female/model.npz: register at mano.is.tue.mpg.de"):
        corpus(folder)
    (folder / "away.npz").rename(model)
    with pytest.raises(UserError, match=r"has no data set of index\.csv"):
        Amass(folder / "HumanML3D", folder / "index.csv")
    with pytest.raises(UserError, match=r"lacks train\.txt or texts/"):
        corpus(folder, texts=folder / "KIT")
    with pytest.raises(UserError, match=r"nowhere\.csv cannot be read"):
        corpus(folder, index=folder / "nowhere.csv", texts=folder / "HumanML3D")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'motion_lightning\[amass\]'"):
        corpus(folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,b\n", "line 1: expected source_path"),
        (INDEX + "./pose_data/../../etc/x.npy,0,9,1.npy", "line 2: expected ./pose_data/DATASET"),
        (INDEX + "./KIT/3/x.npy,0,9,1.npy", "line 2: expected ./pose_data/DATASET"),
        (INDEX + "./pose_data/KIT/x.npy,0,nine,1.npy", "line 2: expected two numbers"),
        (INDEX + "./pose_data/KIT/x.npy,9,9,1.npy", "line 2: frames 9 to 9 are none"),
        (INDEX + "./pose_data/KIT/x.npy,9", "line 2: expected ./pose_data/DATASET"),
        ("", "line 1: expected"),
    ],
)
def test_a_wrong_index_is_explained(folder, line, message):
    (folder / "index.csv").write_text(line)
    with pytest.raises(UserError, match=message):
        corpus(folder)


def test_a_wrong_body_model_is_explained(folder):
    path = folder / "body_models/smplh/male/model.npz"
    for change, message in (
        ({"J_regressor": np.zeros((24, VERTICES))}, r"J_regressor has shape \(24, 120\), should be \(52, -1\)"),
        ({"J_regressor": np.zeros((52, 7))}, "speak of different vertices"),
        ({"shapedirs": np.zeros((VERTICES, 3, 4))}, "10 or more shape directions"),
        ({"kintree_table": np.full((2, 52), 51, np.uint32)}, "parents before their children"),
    ):
        np.savez(path, **{**body(0), **change})
        with pytest.raises(UserError, match=message):
            BodyModel(path)


def test_the_fingerprint_follows_files_and_settings(folder):
    seen = [corpus(folder).fingerprint(), corpus(folder, mirror=False).fingerprint()]
    np.savez(folder / "KIT/3/kick_poses.npz", **recording(421, 120.0))
    seen.append(corpus(folder).fingerprint())
    (folder / "HumanML3D/texts/000001.txt").write_text("another")
    seen.append(corpus(folder).fingerprint())
    assert len({json.dumps(one, sort_keys=True) for one in seen}) == len(seen)


def test_the_published_index_is_read(folder, shared_data):
    reference = shared_data / "humanml3d_reference"
    (folder / "KIT/3").mkdir(exist_ok=True)
    (folder / "all/texts").mkdir(parents=True)
    for split in ("train", "val", "test"):
        (folder / f"all/{split}.txt").symlink_to(reference / f"splits/{split}.txt")
    found = corpus(folder, index=reference / "index.csv", texts=folder / "all")
    names = {motion.id for _, motions in found.jobs for motion in motions}
    listed = {line for split in ("train", "val", "test") for line in (folder / f"all/{split}.txt").read_text().split()}
    assert names <= listed and len(found.jobs) + len(found.unlisted) == 14616
    assert len(listed - names) < 10

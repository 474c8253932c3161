"""Poses: which frame of a clip, in which place and direction, and what comes along."""

import json

import numpy as np
import pytest
import torch

from motion_lightning.config import compose, instantiate
from motion_lightning.data.clip import Clip, Rejected
from motion_lightning.data.poses import PoseCorpus, choose_frame, poses_of
from motion_lightning.data.programs.corpus import ProgramCorpus
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError
from motion_lightning.motion.features import features_to_joints, joints_to_features
from motion_lightning.motion.kinematics import facing
from motion_lightning.motion.rotations import rotate_y
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton("humanml22")
LEFT_WRIST, RIGHT_WRIST = SKELETON.index("left_wrist"), SKELETON.index("right_wrist")


class Motions:
    """A few clips of the embedded corpus, and whatever a test does to them."""

    name, representation, skeleton, fps, min_frames = "few", "motion", "humanml22", 20.0, 24
    about = {"title": "Few motions", "source": "a test", "licence": "none"}  # noqa: RUF012

    def __init__(self, change=lambda clip: clip, n: int = 6):
        self.change, self.n = change, n

    def fingerprint(self) -> dict:
        return {"n": self.n}

    def __len__(self) -> int:
        return self.n

    def clips(self):
        yield from map(self.change, ProgramCorpus(train=self.n, val=0, test=0, workers=0).clips())


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return list(Motions().clips())


def bone_variation(joints: np.ndarray) -> np.ndarray:
    """(bones,) deviation of each bone's length over poses (T, 22, 3), as a share of its mean."""
    child, parent = np.array(SKELETON.bones).T
    lengths = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
    return lengths.std(0) / lengths.mean(0)


def test_a_pose_is_its_frame_without_place_and_heading(clips):
    for clip in clips:
        joints = features_to_joints(torch.from_numpy(clip.features).double()).numpy()
        poses = poses_of(clip.features, SKELETON)
        assert not poses[:, 0].any()
        forward = facing(poses, SKELETON)
        np.testing.assert_allclose(forward[..., 0], 0, atol=1e-9)
        assert (forward[..., 2] > 0).all()
        # The rest is one turn about the vertical: heights and all distances stay.
        np.testing.assert_allclose(poses[..., 1], (joints - joints[:, :1])[..., 1], atol=1e-9)
        for a, b in ((LEFT_WRIST, RIGHT_WRIST), (0, LEFT_WRIST), (5, 15)):
            was, now = (np.linalg.norm(x[:, a] - x[:, b], axis=-1) for x in (joints, poses))
            np.testing.assert_allclose(now, was, atol=1e-9)


def test_left_is_plus_x(clips):
    left, right = (poses_of(clips[0].features, SKELETON)[:, SKELETON.index(j)] for j in ("left_hip", "right_hip"))
    assert (left[:, 0] > 0.02).all() and (right[:, 0] < -0.02).all()


def test_the_turn_and_path_of_a_motion_do_not_matter(walk):
    """A walk on a circle and the same walk from another place and heading give the same poses."""
    moved = rotate_y(torch.tensor(2.0), torch.from_numpy(np.asarray(walk, np.float64))).numpy() + np.array([3, 0, -5])
    one, other = (poses_of(joints_to_features(joints, SKELETON), SKELETON) for joints in (walk, moved))
    np.testing.assert_allclose(one, other, atol=1e-5)
    standing = np.asarray(walk, np.float64) - walk[:, :1]
    turned = rotate_y(-torch.from_numpy(np.arctan2(*facing(standing, SKELETON)[:, [0, 2]].T))[:, None],
                      torch.from_numpy(standing)).numpy()  # fmt: skip
    np.testing.assert_allclose(one, turned[:-1], atol=1e-5)


def test_bones_are_constant_where_a_slice_of_the_features_varies(clips):
    """The first 66 of the 263 features are no joints: four numbers of the root and a wrist that is cut."""
    features = np.concatenate([clip.features for clip in clips])
    assert bone_variation(poses_of(features, SKELETON)).max() < 1e-5
    assert bone_variation(features[:, :66].reshape(-1, 22, 3)).mean() > 0.2


@pytest.mark.parametrize("clip", ["000000", "012314"])
def test_so_they_are_in_published_features(shared_data, clip):
    file = shared_data / "humanml3d_reference/new_joint_vecs" / f"{clip}.npy"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    features = np.load(file)
    assert bone_variation(poses_of(features, SKELETON)).max() < 1e-4
    assert bone_variation(features[:, :66].reshape(-1, 22, 3)).mean() > 0.1


def test_modes():
    rest = np.zeros((9, 22, 3))
    poses = rest + 0.01 * np.sin(np.arange(9))[:, None, None]
    poses[6, LEFT_WRIST] += [0.3, 0.5, 0]
    assert [choose_frame(poses, mode) for mode in ("first", "middle", "extreme")] == [0, 4, 6]
    assert [choose_frame(rest[:1], mode) for mode in ("first", "middle", "extreme")] == [0, 0, 0]
    assert choose_frame(rest, "extreme") == 0  # of frames that are alike the first


@pytest.mark.parametrize("mode", ["first", "middle", "extreme"])
def test_what_comes_along(tmp_path, tiny_encoder, clips, mode):
    corpus = PoseCorpus(Motions(), mode)
    prepare_store(corpus, tiny_encoder, tmp_path / "poses", progress=False)
    store = Store.open(tmp_path / "poses")
    split = store.split("train")
    assert store.manifest["representation"] == "pose" and store.manifest["skeleton"] == "humanml22"
    assert split.ids == [clip.id for clip in clips]
    for i, clip in enumerate(clips):
        assert split.features(i).shape == (1, 63)
        assert split.captions(i) == clip.captions
        own = split.tags(i)["pose"]
        assert own["of"] == len(clip.features) and own["mode"] == mode
        assert split.tags(i)["program"] == json.loads(json.dumps(clip.tags["program"]))
        pose = poses_of(clip.features, SKELETON)[own["frame"]]
        np.testing.assert_array_equal(split.features(i)[0], pose[1:].reshape(-1).astype(np.float32))
    assert split.collate([0, 1]).x.shape == (2, 4, 63)
    assert corpus.about["title"] == f"Few motions, the {mode} pose of each clip"


def test_extreme_poses_lie_further_out_than_first_ones(clips):
    def spread(mode: str) -> float:
        poses = [poses_of(clip.features, SKELETON) for clip in clips]
        return np.std([p[choose_frame(p, mode)] for p in poses], axis=0).mean()

    assert spread("extreme") > 2 * spread("first")


def test_a_pose_corpus_may_start_in_the_middle():
    whole, rest = list(PoseCorpus(Motions()).clips()), list(PoseCorpus(Motions()).clips(start=4))
    assert [clip.id for clip in rest] == [clip.id for clip in whole[4:]]
    programs = PoseCorpus(ProgramCorpus(train=6, val=0, test=0, workers=0))
    for clip, other in zip(programs.clips(start=4), whole[4:], strict=True):
        np.testing.assert_array_equal(clip.features, other.features)


def test_clips_that_make_no_pose_are_named():
    def spoil(clip: Clip) -> Clip | Rejected:
        if clip.id.endswith("1"):
            clip.features = clip.features[:20]
        if clip.id.endswith("2"):
            clip.features[3, 0] = np.nan
        return Rejected(clip.id, "somewhere", "unreadable") if clip.id.endswith("3") else clip

    reasons = [getattr(item, "reason", None) for item in PoseCorpus(Motions(spoil)).clips()]
    assert reasons == [None, "shorter than 24 frames", "NaN or infinity in the features", "unreadable", None, None]


def test_what_wrong_settings_are_told():
    with pytest.raises(UserError, match="mode=last is unknown; a pose is the first, middle, extreme frame"):
        PoseCorpus(Motions(), "last")
    with pytest.raises(UserError, match="poses are frames of motions, and poses holds pose"):
        PoseCorpus(PoseCorpus(Motions()))
    with pytest.raises(UserError, match=r"features \(9, 67\): poses on humanml22 are frames of \(T, 263\)"):
        poses_of(np.zeros((9, 67), np.float32), SKELETON)


def test_the_fingerprint_knows_motions_and_mode():
    prints = [PoseCorpus(Motions(n=n), mode).fingerprint() for n in (5, 6) for mode in ("first", "extreme")]
    assert len({json.dumps(p, sort_keys=True) for p in prints}) == 4


def test_poses_of_another_corpus_are_one_override(tmp_path):
    cfg = compose("prepare", ["data=poses", "data.corpus.mode=middle", "data.motions.corpus.train=7"])
    corpus = instantiate(cfg.data.corpus)
    assert (corpus.mode, corpus.corpus.name, len(corpus)) == ("middle", "programs", 807)
    assert cfg.data.skeleton == "humanml22"
    folder = tmp_path / "motions"
    folder.mkdir()
    (folder / "captions.jsonl").write_text('{"file": "a.bvh", "skeleton": "cc_base", "captions": ["a person walks"]}\n')
    cfg = compose("prepare", ["data=poses", "data@data.motions=bvh", f"data.motions.source={folder}"])
    assert instantiate(cfg.data.corpus).corpus.name == "bvh"


def test_a_slice_of_the_features_is_another_corpus(clips):
    """Kept to show what reading it as joints leads to; see ``codecs.pose.SliceCodec``."""
    corpus = PoseCorpus(Motions(), "first", sliced=True)
    for pose, clip in zip(corpus.clips(), clips, strict=True):
        np.testing.assert_array_equal(pose.features, clip.features[:1, :66])
    assert corpus.fingerprint() == PoseCorpus(Motions(), "first").fingerprint() | {"sliced": True}
    assert corpus.about["title"].endswith("a slice of its features")

"""Poses: what x is, what comes back, and what is true of every pose that comes back."""

import numpy as np
import pytest
import torch

from motion_lightning.codecs.pose import PoseCodec, RotationCodec, SliceCodec
from motion_lightning.data.batch import Batch, Info
from motion_lightning.data.clip import Clip
from motion_lightning.data.poses import PoseCorpus
from motion_lightning.data.programs.corpus import ProgramCorpus
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError
from motion_lightning.metrics.pose import bone_error, bone_variation
from motion_lightning.motion.kinematics import facing
from motion_lightning.motion.rotations import sixd_to_matrix
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton("humanml22")
CODECS = [PoseCodec, RotationCodec]
MOTIONS = ProgramCorpus(train=24, val=2, test=2, workers=0)


@pytest.fixture(scope="module")
def clips() -> dict[str, list[Clip]]:
    corpora = {"poses": PoseCorpus(MOTIONS), "slices": PoseCorpus(MOTIONS, "first", sliced=True)}
    return {name: list(corpus.clips()) for name, corpus in corpora.items()}


def tensor(clips: list[Clip]) -> torch.Tensor:
    return torch.from_numpy(np.stack([clip.features for clip in clips]))  # (N, 1, D)


def batch(poses: torch.Tensor) -> Batch:
    return Batch(poses, torch.ones(poses.shape[:2], dtype=torch.bool), None, Info(torch.arange(len(poses)), None))


def fitted(kind: type[PoseCodec], poses: torch.Tensor) -> PoseCodec:
    codec = kind()
    codec.take(poses)
    return codec


def noise(codec: PoseCodec, count: int = 200) -> torch.Tensor:
    return 2 * torch.randn(count, 1, *codec.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", CODECS)
def test_real_poses_come_back(clips, kind):
    poses = tensor(clips["poses"])
    codec = fitted(kind, poses)
    x, mask = codec.encode(batch(poses))
    assert x.shape == (28, 1, codec.sizes["features"]) and mask.all() and codec.length(196) == 1
    joints = codec.joints(x)
    assert joints.shape == (28, 1, 22, 3)
    torch.testing.assert_close(joints[..., 1:, :].flatten(-2), poses, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", CODECS)
def test_x_is_normalised(clips, kind):
    poses = tensor(clips["poses"])
    x = fitted(kind, poses).encode(batch(poses))[0][:, 0]
    assert x.mean(0).abs().max() < 1e-2 and x.std(0).max() < 1.01 and x.std(0).median() > 0.99


@pytest.mark.parametrize("kind", [*CODECS, SliceCodec])
def test_the_pelvis_is_at_the_origin_in_every_batch_and_every_sample(clips, kind):
    poses = tensor(clips["slices" if kind is SliceCodec else "poses"])
    codec = fitted(kind, poses)
    for x in (codec.encode(batch(poses))[0], noise(codec)):
        assert not codec.joints(x)[..., 0, :].any()


def test_real_poses_face_plus_z_with_their_left_at_plus_x(clips):
    codec = fitted(PoseCodec, tensor(clips["poses"]))
    joints = codec.joints(codec.encode(batch(tensor(clips["poses"])))[0])
    forward = facing(joints.numpy(), SKELETON)
    assert np.abs(forward[..., 0]).max() < 1e-5 and forward[..., 2].min() > 0
    assert joints[..., SKELETON.index("left_hip"), 0].min() > 0 > joints[..., SKELETON.index("right_hip"), 0].max()


def test_bones_keep_their_length_in_real_poses_and_in_whatever_rotations_say(clips):
    poses = tensor(clips["poses"])
    real, turned = fitted(PoseCodec, poses), fitted(RotationCodec, poses)
    for joints in (real.joints(real.encode(batch(poses))[0]), turned.joints(noise(turned))):
        assert bone_variation(joints[:, 0], SKELETON).max() < 1e-4
        assert bone_error(joints[:, 0], SKELETON).max() < 1e-6
    assert bone_variation(real.joints(noise(real))[:, 0], SKELETON).mean() > 0.05  # free positions keep nothing


def test_bones_of_a_slice_of_the_features_vary(clips):
    poses = tensor(clips["slices"])
    codec = fitted(SliceCodec, poses)
    joints = codec.joints(codec.encode(batch(poses))[0])[:, 0]
    assert bone_variation(joints, SKELETON).mean() > 0.05
    assert bone_error(joints, SKELETON).mean() > 0.05


def test_so_they_do_in_published_features(shared_data):
    """Over the frames of one real motion, where true bones are constant."""
    file = shared_data / "humanml3d_reference/new_joint_vecs/000000.npy"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    slices = torch.from_numpy(np.load(file)[:, None, :66])
    assert bone_variation(SliceCodec().body(slices)[:, 0], SKELETON).mean() > 0.05


def test_a_rotation_turns_its_bone_alone(clips):
    """An error in the spine moves the arms along and does not turn them."""
    poses = tensor(clips["poses"])
    codec = fitted(RotationCodec, poses)
    x = codec.encode(batch(poses))[0]
    wrong = x.clone()
    spine = 6 * (SKELETON.index("spine2") - 1)
    wrong[..., spine : spine + 6] += 1
    shift = codec.joints(wrong) - codec.joints(x)
    above, wrist = SKELETON.index("spine2"), SKELETON.index("left_wrist")
    assert shift[..., above, :].norm(dim=-1).mean() > 0.01
    torch.testing.assert_close(shift[..., above, :], shift[..., wrist, :], atol=1e-5, rtol=0)


def test_rotations_are_rotations(clips):
    poses = tensor(clips["poses"])
    codec = fitted(RotationCodec, poses)
    turns = sixd_to_matrix(codec.numbers(poses).unflatten(-1, (-1, 6)))
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand(turns.shape), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(turns.shape[:-2]))
    torch.testing.assert_close(codec.rest.norm(dim=-1), torch.ones(21))


@pytest.mark.parametrize("kind", CODECS)
def test_joints_are_float32_and_carry_gradients(clips, kind):
    codec = fitted(kind, tensor(clips["poses"]))
    x = noise(codec, 2).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        joints = codec.joints(x)
    assert joints.dtype == torch.float32
    torch.testing.assert_close(joints, codec.joints(x), atol=0, rtol=0)
    joints.square().sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().max() > 0


@pytest.mark.parametrize("kind", CODECS)
def test_statistics_travel_in_the_state(clips, kind):
    codec, other = fitted(kind, tensor(clips["poses"])), kind()
    other.load_state_dict(codec.state_dict())
    x = noise(codec)
    torch.testing.assert_close(other.joints(x), codec.joints(x), atol=0, rtol=0)


def test_it_fits_a_store_of_its_own_numbers(tmp_path, tiny_encoder):
    stores = {}
    for name, sliced in (("poses", False), ("slices", True)):
        corpus = PoseCorpus(ProgramCorpus(train=6, val=0, test=0, workers=0), "first", sliced)
        prepare_store(corpus, tiny_encoder, tmp_path / name, progress=False)
        stores[name] = Store.open(tmp_path / name)
    for kind, right, wrong in ((PoseCodec, "poses", "slices"), (SliceCodec, "slices", "poses")):
        codec = kind()
        codec.fit(stores[right])
        assert codec.std.max() > 1e-3
        with pytest.raises(UserError, match=f"numbers a pose, {kind.__name__} on humanml22 reads"):
            codec.fit(stores[wrong])


def test_padding_is_left_out(clips):
    """A batch may be padded to more frames than the one that there is."""
    poses = tensor(clips["poses"])
    codec = fitted(PoseCodec, poses)
    padded = Batch(torch.cat([poses, torch.full((28, 3, 63), 9.0)], 1), (torch.arange(4) < 1).expand(28, 4), None, None)
    for a, b in zip(codec.encode(padded), codec.encode(batch(poses)), strict=True):
        assert torch.equal(a, b)

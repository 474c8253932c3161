"""The bone length loss: 0 on bodies, in square metres, and why it is weighted by alpha_bar."""

import numpy as np
import pytest
import torch

from motion_lightning.codecs.pose import PoseCodec, RotationCodec
from motion_lightning.data.poses import PoseCorpus
from motion_lightning.data.programs.corpus import ProgramCorpus
from motion_lightning.diffusion.precondition import Plain
from motion_lightning.diffusion.process import Process
from motion_lightning.errors import UserError
from motion_lightning.lit.losses import anatomy
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton("humanml22")


@pytest.fixture(scope="module")
def poses() -> torch.Tensor:
    """(N, 1, 63) metres."""
    corpus = PoseCorpus(ProgramCorpus(train=24, val=0, test=0, workers=0))
    return torch.from_numpy(np.stack([clip.features for clip in corpus.clips()]))


def fitted(kind: type[PoseCodec], poses: torch.Tensor) -> PoseCodec:
    codec = kind()
    codec.take(poses)
    return codec


def encoded(codec: PoseCodec, poses: torch.Tensor) -> torch.Tensor:
    return (codec.numbers(poses) - codec.mean) / codec.std


def noise(codec: PoseCodec, count: int = 200) -> torch.Tensor:
    return 2 * torch.randn(count, 1, *codec.shape, generator=torch.Generator().manual_seed(0))


def loss(codec: PoseCodec, x: torch.Tensor, **settings) -> torch.Tensor:
    return anatomy(codec, x, x, torch.ones(x.shape[:2], dtype=torch.bool), None, **settings)


def test_the_bone_loss_is_zero_on_real_poses(poses):
    for kind in (PoseCodec, RotationCodec):
        codec = fitted(kind, poses)
        assert loss(codec, encoded(codec, poses)).max() < 1e-10
    assert loss(codec, noise(codec)).max() < 1e-10  # rotations: of any x
    free = fitted(PoseCodec, poses)
    assert loss(free, noise(free)).min() > 1e-3


def test_it_is_in_square_metres(poses):
    """A forearm that is 10 cm too long, one of 21 bones: 0.1² / 21."""
    codec = fitted(PoseCodec, poses)
    body = poses[:1].clone().unflatten(-1, (21, 3))
    wrist, elbow = SKELETON.index("left_wrist") - 1, SKELETON.index("left_elbow") - 1
    arm = body[..., wrist, :] - body[..., elbow, :]
    body[..., wrist, :] += 0.1 * arm / arm.norm()
    torch.testing.assert_close(loss(codec, encoded(codec, body.flatten(-2))), torch.tensor([0.01 / 21]))


def test_in_normalised_space_no_pose_has_a_loss_of_zero(poses):
    codec = fitted(PoseCodec, poses)
    assert loss(codec, encoded(codec, poses), space="normalised").min() > 0.1
    with pytest.raises(UserError, match="space=pixels of the anatomy loss is unknown"):
        loss(codec, noise(codec), space="pixels")


def test_without_the_weight_alpha_bar_the_loss_explodes(poses):
    """x0_hat is an error in eps times s / sqrt(alpha_bar): a fixed small error costs 10^5 times as much at the end."""
    codec, process = fitted(PoseCodec, poses), Process(steps=1000, schedule="cosine")
    x0, plain = encoded(codec, poses), Plain(process, 63, target="eps")
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    wrong = eps + 0.1 * torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
    plainly, weighted = [], []
    for step in (500, 900, 990, 999):
        t = torch.full((len(x0),), step)
        view = plain(process.noise(x0, t, eps), t, torch.ones(x0.shape[:2], dtype=torch.bool))
        cost = loss(codec, view.x0(wrong))
        plainly.append(cost.mean())
        weighted.append((process.alpha_bar_at(t) * cost).mean())
    assert plainly[-1] > 1e5 * plainly[0]
    assert max(weighted) < 10 * min(weighted)


def test_it_is_float32_under_autocast(poses):
    codec = fitted(PoseCodec, poses)
    x = noise(codec, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(codec, x)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, loss(codec, x), atol=0, rtol=0)

"""Metrics of poses against poses whose answer is known."""

import pytest
import torch

from motion_lightning.data.poses import PoseCorpus
from motion_lightning.data.programs.corpus import ProgramCorpus
from motion_lightning.metrics.pose import (
    SHOWN,
    anatomy_scores,
    bone_error,
    bone_variation,
    distance,
    diversity,
    mirrored_pairs,
    nearest,
    same_side,
    side_accuracy,
    side_of,
)
from motion_lightning.motion.anatomy import bone_lengths, from_directions, own_lengths, with_own_lengths
from motion_lightning.motion.features import mirror
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton("humanml22")


@pytest.fixture(scope="module")
def corpus() -> list:
    return list(PoseCorpus(ProgramCorpus(train=120, val=0, test=0, workers=0)).clips())


@pytest.fixture(scope="module")
def poses(corpus) -> torch.Tensor:
    """(N, 22, 3) metres."""
    return torch.stack(
        [torch.cat([torch.zeros(1, 3), torch.from_numpy(clip.features.reshape(21, 3))]) for clip in corpus]
    )


@pytest.fixture(scope="module")
def one_sided(poses) -> torch.Tensor:
    """Those that differ from their mirror images by more than 3 cm."""
    return poses[distance(poses, mirror(poses, SKELETON)) > 0.03]


def test_real_bodies_have_the_skeletons_bones(poses):
    torch.testing.assert_close(bone_lengths(poses, SKELETON), own_lengths(SKELETON).expand(len(poses), -1))
    assert bone_error(poses, SKELETON).max() < 1e-6 and bone_variation(poses, SKELETON).max() < 1e-5


def test_bones_of_other_sizes_are_told(poses):
    scale = torch.linspace(0.9, 1.1, len(poses))
    larger = poses * scale[:, None, None]
    mean = own_lengths(SKELETON).mean()
    torch.testing.assert_close(bone_error(larger, SKELETON), (scale - 1).abs() * mean, atol=1e-6, rtol=1e-4)
    expected = scale.double().std() / scale.double().mean()
    torch.testing.assert_close(bone_variation(larger, SKELETON), expected.expand(21), atol=1e-5, rtol=1e-4)


def test_a_clamp_mends_lengths_and_keeps_directions(poses):
    torch.testing.assert_close(with_own_lengths(1.3 * poses, SKELETON), poses, atol=1e-5, rtol=0)
    scores = anatomy_scores(1.3 * poses, SKELETON)
    assert scores["bone error"] == pytest.approx(0.3 * float(own_lengths(SKELETON).mean()), rel=1e-4)
    assert scores["bone error, clamped"] < 1e-6
    torch.testing.assert_close(
        scores["moved by the clamp"], float(distance(1.3 * poses, poses).mean()), rtol=1e-3, atol=0
    )
    away = with_own_lengths(poses + 5, SKELETON)
    assert not away[:, 0].any()


def test_directions_make_a_body_from_the_pelvis_outward():
    up = torch.tensor([0.0, 1, 0]).expand(1, 21, 3)
    column = from_directions(up, SKELETON)[0]
    assert not column[0].any() and not column[:, [0, 2]].any()
    spine = own_lengths(SKELETON)[[SKELETON.index(j) - 1 for j in ("spine1", "spine2", "spine3", "neck", "head")]]
    torch.testing.assert_close(column[SKELETON.index("head"), 1], spine.sum())


def test_the_nearest_pose(poses):
    pool, own = poses[:40], poses[40:60]
    assert nearest(pool[:5], pool).max() < 1e-3
    brute = torch.stack([distance(own, other) for other in pool]).min(0).values
    torch.testing.assert_close(nearest(own, pool), brute, atol=1e-4, rtol=1e-3)
    shifted = pool.clone()
    shifted[:, 1:] += torch.tensor([0.0, 0, 0.001])
    assert nearest(shifted, pool).max() < 0.0011


def test_diversity(poses):
    assert diversity(poses[:1].expand(9, -1, -1)) == 0
    far = torch.zeros(2, 22, 3)
    far[1, :, 2] = 0.25  # two poses, 25 cm apart in every joint: a pair is never a pose with itself
    assert diversity(far) == pytest.approx(0.25)
    assert diversity(poses) == diversity(poses) and diversity(2 * poses) == pytest.approx(
        2 * diversity(poses), rel=1e-5
    )
    assert diversity(poses[:1]) != diversity(poses[:1])  # NaN


def test_laterality_of_the_truth_of_its_mirror_image_and_of_noise(one_sided):
    other = mirror(one_sided, SKELETON)
    assert same_side(one_sided, one_sided, SKELETON).all() and not same_side(other, one_sided, SKELETON).any()
    assert mirrored_pairs(one_sided, other, SKELETON).all()
    assert mirrored_pairs(other, one_sided, SKELETON).all()  # consistent, though all sides are wrong
    assert not mirrored_pairs(one_sided, one_sided, SKELETON).any()
    noise = 0.3 * torch.randn(2, 2000, 22, 3, generator=torch.Generator().manual_seed(0))
    assert abs(mirrored_pairs(*noise, SKELETON).float().mean() - 0.5) < 0.05
    real = one_sided[torch.arange(2000) % len(one_sided)]
    assert abs(same_side(noise[0], real, SKELETON).float().mean() - 0.5) < 0.06


def test_sides_are_read_off_every_real_pose_that_shows_one(corpus, poses):
    programs = [clip.tags["program"] for clip in corpus]
    read = side_accuracy(programs, poses, SKELETON)
    assert set(read) == set(SHOWN) and set(read.values()) == {1.0}
    other = side_accuracy(programs, mirror(poses, SKELETON), SKELETON)
    assert other["kick"] == other["punch"] == other["throw"] == 0


def test_the_side_of_a_raised_arm():
    pose = torch.zeros(22, 3)
    pose[SKELETON.index("left_wrist"), 1] = 0.5
    assert side_of(pose, "raise_arm", SKELETON) == "left"
    assert side_of(mirror(pose, SKELETON), "raise_arm", SKELETON) == "right"
    pose[SKELETON.index("right_wrist"), 1] = 0.4
    assert side_of(pose, "raise_arm", SKELETON) == "both"

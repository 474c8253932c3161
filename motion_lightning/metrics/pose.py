"""Single poses: are they bodies, are they new, do they differ, do they know left from right?

Poses are joints (N, J, 3) in metres with the pelvis at the origin, facing +Z.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from motion_lightning.motion.anatomy import bone_lengths, own_lengths, with_own_lengths
from motion_lightning.motion.features import mirror
from motion_lightning.motion.skeleton import Skeleton

RAISED = 0.25  # metres of a wrist over its shoulder; of both, where both arms are up


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Root of the mean squared distance of joints in metres, (...), between poses (..., J, 3)."""
    return (a - b).square().sum(-1).mean(-1).sqrt()


def nearest(poses: Tensor, pool: Tensor) -> Tensor:
    """:func:`distance` (N,) of each pose to the nearest of the pool (M, J, 3); near zero it is a copy."""
    return torch.cdist(poses.flatten(1), pool.flatten(1)).min(1).values / poses.shape[1] ** 0.5


def diversity(poses: Tensor, pairs: int = 2000, seed: int = 0) -> float:
    """Mean :func:`distance` of random pairs of different poses (Guo et al. 2022); NaN for fewer than two."""
    if len(poses) < 2:
        return float("nan")
    random = torch.Generator().manual_seed(seed)
    one = torch.randint(len(poses), (pairs,), generator=random)
    other = (one + torch.randint(1, len(poses), (pairs,), generator=random)) % len(poses)
    return float(distance(poses[one], poses[other]).mean())


def bone_error(poses: Tensor, skeleton: Skeleton) -> Tensor:
    """Mean difference (N,) of the bones' lengths from the skeleton's, metres."""
    return (bone_lengths(poses, skeleton) - own_lengths(skeleton)).abs().mean(-1)


def bone_variation(poses: Tensor, skeleton: Skeleton) -> Tensor:
    """Coefficient of variation (J - 1,) of each bone's length over the poses; 0 for real bodies of one size."""
    lengths = bone_lengths(poses.double(), skeleton)
    return lengths.std(0) / lengths.mean(0)


def anatomy_scores(poses: Tensor, skeleton: Skeleton) -> dict[str, float]:
    """Bones before and after a clamp that gives each the skeleton's length, and how far that moves a joint; metres."""
    clamped = with_own_lengths(poses, skeleton)
    return {
        "bone error": float(bone_error(poses, skeleton).mean()),
        "bone error, clamped": float(bone_error(clamped, skeleton).mean()),
        "bone variation": float(bone_variation(poses, skeleton).mean()),
        "moved by the clamp": float(distance(poses, clamped).mean()),
    }


def same_side(poses: Tensor, real: Tensor, skeleton: Skeleton) -> Tensor:
    """True (N,) where a pose is nearer to the real one of its caption than to that one's mirror image.

    By chance, for a caption that names a side: half of them.
    """
    return distance(poses, real) < distance(poses, mirror(real, skeleton))


def mirrored_pairs(poses: Tensor, others: Tensor, skeleton: Skeleton) -> Tensor:
    """True (N,) where the pose of a mirrored caption is nearer to the mirror image of its twin's than to the twin's.

    No real pose is needed, and so none says which side is which: a model that takes left for right passes here, and
    fails :func:`same_side`. By chance: half of them.
    """
    return distance(others, mirror(poses, skeleton)) < distance(others, poses)


def side_of(pose: Tensor, action: str, skeleton: Skeleton) -> str:
    """The side that a pose (J, 3) shows, of an action in :data:`SHOWN`: "left", "right" or "both"."""
    joint, axis = SHOWN[action]
    left, right = (float(pose[skeleton.index(f"{side}_{joint}"), axis]) for side in ("left", "right"))
    if action == "raise_arm":
        over = [
            float((pose[skeleton.index(f"{side}_wrist")] - pose[skeleton.index(f"{side}_shoulder")])[1])
            for side in ("left", "right")
        ]
        if min(over) > RAISED:
            return "both"
    return "left" if left > right else "right"


# What tells the side at the frame farthest from the mean pose: which joint is ahead, along up (1) or forward (2). A
# wave is not among them: its mean pose has the arm up, so that the farthest frame is one before or after it. Nor is a
# hop, which is farthest when the feet are down.
SHOWN = {
    "raise_arm": ("wrist", 1),
    "throw": ("wrist", 1),
    "punch": ("wrist", 2),
    "kick": ("ankle", 1),
}


def side_accuracy(programs: Sequence[dict], poses: Tensor, skeleton: Skeleton) -> dict[str, float]:
    """Share of poses that show the side that their program says, by action, over programs of one segment."""
    hits: dict[str, list[bool]] = {action: [] for action in SHOWN}
    for program, pose in zip(programs, poses, strict=True):
        first, *more = program["segments"]
        if first["action"] in SHOWN and not more:
            hits[first["action"]].append(side_of(pose, first["action"], skeleton) == first["side"])
    return {action: sum(found) / len(found) for action, found in hits.items() if found}

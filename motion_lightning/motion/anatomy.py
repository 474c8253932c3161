"""Bones: their lengths in poses (..., J, 3), and poses with the skeleton's own."""

import torch
from torch import Tensor

from motion_lightning.motion.skeleton import Skeleton


def bones(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """Vectors (..., J - 1, 3) from parent to child of joints (..., J, 3), in the order of the children."""
    children, parents = (list(side) for side in zip(*skeleton.bones, strict=True))
    return joints[..., children, :] - joints[..., parents, :]


def bone_lengths(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """(..., J - 1) in the unit of joints (..., J, 3)."""
    return torch.linalg.vector_norm(bones(joints, skeleton), dim=-1)


def own_lengths(skeleton: Skeleton) -> Tensor:
    """(J - 1,) metres, float32: the skeleton's constants."""
    return torch.tensor(skeleton.bone_lengths[1:] * skeleton.metre_per_unit, dtype=torch.float32)


def bone_length_loss(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """Squared difference (...) of bone lengths from the skeleton's in m², averaged over bones; joints (..., J, 3)."""
    return (bone_lengths(joints, skeleton) - own_lengths(skeleton).to(joints)).square().mean(-1)


def from_directions(directions: Tensor, skeleton: Skeleton) -> Tensor:
    """Joints (..., J, 3) in metres from the pelvis outward, with the skeleton's own bone lengths.

    directions (..., J - 1, 3) of the bones, of length 1, in the order of the children; the pelvis is the origin.
    """
    steps = directions * own_lengths(skeleton).to(directions)[:, None]
    joints = [torch.zeros_like(steps[..., 0, :])]
    for (_, parent), step in zip(skeleton.bones, steps.unbind(-2), strict=True):
        joints.append(joints[parent] + step)
    return torch.stack(joints, dim=-2)


def with_own_lengths(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """Poses (..., J, 3) whose bones keep their directions and take the skeleton's lengths; the pelvis moves to 0."""
    return from_directions(torch.nn.functional.normalize(bones(joints, skeleton), dim=-1), skeleton)

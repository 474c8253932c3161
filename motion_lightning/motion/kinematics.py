"""From rotations to joints, and back.

Two conventions meet here. In BVH, SMPL and everywhere else a joint's rotation turns the bones *below* it.
In HumanML3D's features it turns the bone that *ends* in it, and every chain starts from the root's
rotation, the arms too, although they hang on the spine.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from motion_lightning.motion.rotations import quat_between, quat_conjugate, quat_multiply
from motion_lightning.motion.skeleton import Skeleton

Array = Tensor | np.ndarray


def forward_kinematics(offsets: Array, parents: Sequence[int], rotations: Array, root: Array) -> Tensor:
    """Joints of a posed skeleton in the common convention: a joint's rotation turns the bones below it.

    offsets (J, 3) from the parent in the rest pose; parents (J,), -1 for the root, parents first;
    rotations (..., J, 3, 3) relative to the parent joint's; root (..., 3) position of joint 0.
    Returns (..., J, 3) in the units of root and offsets. Differentiable.
    """
    rotations = torch.as_tensor(rotations)
    offsets = torch.as_tensor(np.array(offsets) if isinstance(offsets, np.ndarray) else offsets).to(rotations)
    turns, joints = [], []
    for j, parent in enumerate(parents):
        if parent < 0:
            turns.append(rotations[..., j, :, :])  # (..., 3, 3)
            joints.append(torch.as_tensor(root).to(rotations))  # (..., 3)
        else:
            turns.append(turns[parent] @ rotations[..., j, :, :])
            joints.append(joints[parent] + turns[parent] @ offsets[j])
    return torch.stack(joints, dim=-2)  # (..., J, 3)


def chain_kinematics(skeleton: Skeleton, rotations: Tensor, root: Tensor) -> Tensor:
    """Joints in HumanML3D's convention: rotations (..., J, 3, 3) turn the bones that end in each joint.

    rotations[..., 0] is the root's, the others are relative to the bone before them on their chain;
    root (..., 3). Returns (..., J, 3) in metres, with the skeleton's bone lengths. Differentiable.
    """
    offsets = torch.tensor(skeleton.offsets).to(rotations)
    joints = {0: root}
    for chain in skeleton.chains:
        turn = rotations[..., 0, :, :]
        for parent, child in pairwise(chain):
            turn = turn @ rotations[..., child, :, :]
            joints[child] = joints[parent] + turn @ offsets[child]
    return torch.stack([joints[j] for j in range(len(skeleton.joints))], dim=-2)


def inverse_kinematics(joints: Tensor, skeleton: Skeleton, heading: Tensor) -> Tensor:
    """Quaternions (..., T, J, 4) with which ``chain_kinematics`` repeats joints (..., T, J, 3).

    heading (..., T) is the yaw that the root's rotation takes away. A bone knows its direction, not its
    twist: each gets the shortest rotation from its rest direction (Guo et al. 2022).
    """
    children, parents = (list(side) for side in zip(*skeleton.bones, strict=True))
    rest = torch.tensor(skeleton.offsets[children]).to(joints)
    bones = joints[..., children, :] - joints[..., parents, :]  # (..., T, J-1, 3)
    turns = quat_between(*(b / b.norm(dim=-1, keepdim=True) for b in (rest, bones)))
    zero, half = torch.zeros_like(heading), -heading / 2
    root = torch.stack([half.cos(), zero, half.sin(), zero], dim=-1)  # (..., T, 4)
    turns = torch.cat([root[..., None, :], turns], dim=-2)  # (..., T, J, 4), from the world
    before = {child: parent for chain in skeleton.chains for parent, child in pairwise(chain[1:])}
    local = quat_multiply(quat_conjugate(turns[..., [before.get(c, 0) for c in children], :]), turns[..., 1:, :])
    return torch.cat([root[..., None, :], local], dim=-2)


def facing(joints: np.ndarray, skeleton: Skeleton, hip_order: str = "corrected") -> np.ndarray:
    """Horizontal forward vectors (..., 3) of joints (..., J, 3): at right angles to hips plus shoulders.

    ``hip_order="published"`` takes the hips in swapped order, as HumanML3D's inverse kinematics does, so
    that their width counts against the shoulders'. The vectors are at most of length one: shorter, the
    more the body lies on its side.
    """
    right_hip, left_hip, right_shoulder, left_shoulder = skeleton.facing
    hips = joints[..., right_hip, :] - joints[..., left_hip, :]
    shoulders = joints[..., right_shoulder, :] - joints[..., left_shoulder, :]
    across = shoulders + (hips if hip_order == "corrected" else -hips)
    across = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-12)
    return np.cross([0.0, 1.0, 0.0], across)


def yaw(forward: np.ndarray) -> np.ndarray:
    """Angle (...) about the vertical from +Z to forward (..., 3), towards +X positive."""
    return np.arctan2(forward[..., 0], forward[..., 2])


def smooth_heading(joints: np.ndarray, skeleton: Skeleton, hip_order: str, sigma: float) -> np.ndarray:
    """Yaw (T,) of the body in joints (T, J, 3), its forward vector smoothed by a Gaussian of sigma frames.

    The first frame counts as facing +Z whatever it does (Guo et al. 2022).
    """
    forward = gaussian_filter1d(facing(joints, skeleton, hip_order), sigma, axis=0, mode="nearest")
    heading = yaw(forward)
    heading[0] = 0.0
    return heading

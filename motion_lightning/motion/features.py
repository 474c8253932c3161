"""HumanML3D's features (Guo et al. 2022): joints to features and back.

J joints, T frames of joints and T - 1 of features, 12 J - 1 features: 263 for the 22 joints of HumanML3D.
"""

from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import Tensor

from motion_lightning.errors import UserError
from motion_lightning.motion.kinematics import (
    chain_kinematics,
    facing,
    inverse_kinematics,
    smooth_heading,
    yaw,
)
from motion_lightning.motion.rotations import matrix_to_sixd, quat_to_matrix, rotate_y, sixd_to_matrix
from motion_lightning.motion.skeleton import Skeleton, load_skeleton

SMOOTHING = 20  # frames at the skeleton's rate, sigma of the heading's Gaussian


def layout(num_joints: int) -> dict[str, slice]:
    """Where each kind of feature lies, in order.

    root_yaw_velocity: half the angle per frame; root_velocity: x, z per frame, in the next frame's heading;
    root_height; positions: of all joints but the root, heading and the root's x, z taken away;
    rotations: 6-d, of all joints but the root; velocities: of all joints per frame, in the heading frame;
    contacts: left ankle, left foot, right ankle, right foot. Metres (KIT-ML's unit for its skeleton) and radians.
    """
    widths = {
        "root_yaw_velocity": 1,
        "root_velocity": 2,
        "root_height": 1,
        "positions": 3 * (num_joints - 1),
        "rotations": 6 * (num_joints - 1),
        "velocities": 3 * num_joints,
        "contacts": 4,
    }
    ends = np.cumsum(list(widths.values())).tolist()
    return {name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)}


SLICES: Mapping[str, slice] = layout(22)
STD_GROUPS: tuple[slice, ...] = tuple(SLICES.values())  # HumanML3D averages its Std within each


def columns_of(joints: Collection[int], skeleton: Skeleton) -> Tensor:
    """Which features (F,) speak of these joints: bool. Those of the whole path go with joint 0, contacts with feet."""
    parts, chosen = layout(len(skeleton.joints)), torch.zeros(len(skeleton.joints), dtype=torch.bool)
    chosen[list(joints)] = True
    feet = [*skeleton.feet["left"], *skeleton.feet["right"]]
    columns = torch.zeros(parts["contacts"].stop, dtype=torch.bool)
    for name in ("root_yaw_velocity", "root_velocity", "root_height"):
        columns[parts[name]] = chosen[0]
    columns[parts["positions"]] = chosen[1:].repeat_interleave(3)
    columns[parts["rotations"]] = chosen[1:].repeat_interleave(6)
    columns[parts["velocities"]] = chosen.repeat_interleave(3)
    columns[parts["contacts"]] = chosen[feet]
    return columns


def features_to_joints(features: Tensor, num_joints: int = 22) -> Tensor:
    """Joints (..., T, J, 3) of features (..., T, D), in their unit; only the first 3 J + 1 are read.

    The root's velocities are summed up from a start at x = z = 0, facing +Z; so what follows a frame does
    not touch it. Differentiable; float32 at least, under autocast too.
    """
    parts = layout(num_joints)
    if (have := features.shape[-1]) < (need := parts["positions"].stop):
        raise UserError(f"features have {have} dimensions; {num_joints} joints need {need}")
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    heading, root = _root(features)
    local = features[..., parts["positions"]].unflatten(-1, (num_joints - 1, 3))
    ground = root * root.new_tensor([1.0, 0.0, 1.0])
    joints = rotate_y(heading[..., None], local) + ground[..., None, :]
    return torch.cat([root[..., None, :], joints], dim=-2)


def rotations_to_joints(features: Tensor, skeleton: Skeleton) -> Tensor:
    """Joints (..., T, J, 3) by forward kinematics of the features' rotations, on the skeleton's own bones.

    Any six numbers that are not parallel halves make a rotation, so generated features need no repair.
    """
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    heading, root = _root(features)
    sixd = features[..., layout(len(skeleton.joints))["rotations"]].unflatten(-1, (-1, 6))
    half, zero = -heading / 2, torch.zeros_like(heading)
    turn = quat_to_matrix(torch.stack([half.cos(), zero, half.sin(), zero], dim=-1))
    return chain_kinematics(skeleton, torch.cat([turn[..., None, :, :], sixd_to_matrix(sixd)], dim=-3), root)


def _root(features: Tensor) -> tuple[Tensor, Tensor]:
    """Heading (..., T) as a yaw and position (..., T, 3) of the root."""
    before = torch.cat([torch.zeros_like(features[..., :1, :3]), features[..., :-1, :3]], dim=-2)
    heading = -2 * before[..., 0].cumsum(-1)
    step = torch.stack([before[..., 1], torch.zeros_like(heading), before[..., 2]], dim=-1)
    path = rotate_y(heading, step).cumsum(-2)
    return heading, torch.stack([path[..., 0], features[..., 3], path[..., 2]], dim=-1)


def joints_to_features(
    joints: np.ndarray | Tensor, skeleton: Skeleton, hip_order: str = "published", fps: float | None = None
) -> np.ndarray:
    """Features (T - 1, 12 J - 1), float32, of joints (T, J, 3): retargeted, on the floor, starting at +Z.

    Joints may come in any unit, for the retarget scales them. fps defaults to the skeleton's.

    Computed in float64. ``hip_order="published"`` repeats what HumanML3D's inverse kinematics does with the
    hips, "corrected" what it means to do. Contacts and the heading's smoothing keep their meaning in
    seconds at another fps. One thing is not repeated: where the published heading passes -Z, one frame's
    yaw velocity has the wrong sign. UserError for fewer than 2 frames or a joint that is not a number.
    """
    if hip_order not in ("published", "corrected"):
        raise UserError(f"hip_order is {hip_order!r}, should be published or corrected")
    joints = canonicalise(retarget(joints, skeleton), skeleton)
    rate = (fps or skeleton.fps) / skeleton.fps
    heading = smooth_heading(joints, skeleton, hip_order, sigma=SMOOTHING * rate)
    feet = [*skeleton.feet["left"], *skeleton.feet["right"]]
    contact = (np.diff(joints[:, feet], axis=0) ** 2).sum(-1) < skeleton.contact / rate**2  # (T-1, 4)

    joints, heading = torch.from_numpy(joints), torch.from_numpy(heading)
    velocity = joints.diff(dim=0)  # (T-1, J, 3)
    root_velocity = rotate_y(-heading[1:], velocity[:, 0])
    turn = (heading.diff() + np.pi).remainder(2 * np.pi) - np.pi
    local = joints[:, 1:] - joints[:, :1] * joints.new_tensor([1.0, 0.0, 1.0])
    sixd = matrix_to_sixd(quat_to_matrix(inverse_kinematics(joints, skeleton, heading)[:, 1:]))
    parts = [
        -turn[:, None] / 2,
        root_velocity[:, [0, 2]],
        joints[:-1, 0, 1:2],
        rotate_y(-heading[:-1, None], local[:-1]).flatten(1),
        sixd[:-1].flatten(1),
        rotate_y(-heading[:-1, None], velocity).flatten(1),
        torch.from_numpy(contact),
    ]
    return torch.cat(parts, dim=-1).float().numpy()


def retarget(joints: np.ndarray | Tensor, skeleton: Skeleton) -> np.ndarray:
    """Joints (T, J, 3), float64, with the directions of the given ones and the skeleton's bone lengths.

    The root's path is scaled by the ratio of leg lengths in the first frame.
    """
    joints = _checked(joints, skeleton)
    children, parents = (list(side) for side in zip(*skeleton.bones, strict=True))
    bones = np.zeros_like(joints)
    bones[:, children] = joints[:, children] - joints[:, parents]
    lengths = np.linalg.norm(bones, axis=-1, keepdims=True)
    if (flat := lengths[:, children, 0] < 1e-9).any():
        frame, bone = np.argwhere(flat)[0]
        ends = f"{skeleton.joints[parents[bone]]} and {skeleton.joints[children[bone]]}"
        raise UserError(f"{ends} coincide in frame {frame}: a bone without direction has no rotation; fix the joints")
    scale = skeleton.bone_lengths[list(skeleton.legs)].sum() / lengths[0, list(skeleton.legs)].sum()
    bones[:, children] *= skeleton.bone_lengths[children, None] / lengths[:, children]
    out = np.empty_like(joints)
    out[:, 0] = joints[:, 0] * scale
    for child, parent in skeleton.bones:
        out[:, child] = out[:, parent] + bones[:, child]
    return out


def canonicalise(joints: np.ndarray | Tensor, skeleton: Skeleton) -> np.ndarray:
    """Joints (T, J, 3), float64, moved as one: lowest joint at y = 0, first root at x = z = 0, facing +Z."""
    joints = _checked(joints, skeleton)
    origin = np.array([joints[0, 0, 0], joints[..., 1].min(), joints[0, 0, 2]])
    turn = torch.tensor(-yaw(facing(joints[0], skeleton)))
    return rotate_y(turn, torch.from_numpy(joints - origin)).numpy()


def mirror(joints: np.ndarray | Tensor, skeleton: Skeleton | None = None) -> np.ndarray | Tensor:
    """The motion (..., J, 3) in a mirror: x changes its sign, left and right swap. Default: humanml22."""
    skeleton = skeleton or load_skeleton()
    order = list(range(len(skeleton.joints)))
    for left, right in skeleton.pairs:
        order[left], order[right] = right, left
    flip = [-1.0, 1.0, 1.0]
    return joints[..., order, :] * (
        joints.new_tensor(flip) if isinstance(joints, Tensor) else np.array(flip, joints.dtype)
    )


def _checked(joints: np.ndarray | Tensor, skeleton: Skeleton) -> np.ndarray:
    joints = np.asarray(joints, dtype=np.float64)
    expected = len(skeleton.joints)
    if joints.ndim != 3 or joints.shape[1:] != (expected, 3):
        raise UserError(f"joints have shape {joints.shape}, should be (frames, {expected}, 3) for {skeleton.name}")
    if len(joints) < 2:
        raise UserError(f"a motion of {len(joints)} frames has no velocity: give 2 or more")
    if (bad := ~np.isfinite(joints).all(-1)).any():
        frame, joint = np.argwhere(bad)[0]
        raise UserError(f"joint {skeleton.joints[joint]} of frame {frame} is not a number: repair or drop the clip")
    return joints

"""Joints as a BVH file that other tools read: a rest pose, and a rotation for every joint."""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from motion_lightning.errors import UserError
from motion_lightning.motion.bvh import Bvh, read_bvh, write_bvh
from motion_lightning.motion.skeleton import Skeleton

TIP = 0.08  # m, from the last joint of a limb to its end site


def export_bvh(path: str | Path, joints: np.ndarray, skeleton: Skeleton, fps: float | None = None) -> float:
    """Write joints (T, J, 3) to a BVH file in centimetres; returns the mean joint error in metres of reading it back.

    The error is that of rigid bodies: the pelvis and the chest cannot bend, and a bone has one length.
    """
    write_bvh(path, joints_to_bvh(joints, skeleton, fps))
    again = read_bvh(Path(path).read_bytes(), Path(path).name)
    order = [again.names.index(name) for name in skeleton.joints]
    scale = 100 * skeleton.metre_per_unit
    return float(np.linalg.norm(again.global_joints()[:, order] / scale - joints, axis=-1).mean() * scale / 100)


def joints_to_bvh(joints: np.ndarray, skeleton: Skeleton, fps: float | None = None, unit: float = 0.01) -> Bvh:
    """A motion in units of so many metres, whose joints are the given ones (T, J, 3) as nearly as rigid bodies allow.

    Bones have the median of their lengths, and point in the rest pose where ``skeleton.t_pose`` says. A joint with
    several children turns them as one, in the shape that they have on average (orthogonal Procrustes problem; Kabsch
    1976). A joint with one child turns it the shortest way, since the twist about a bone is not in its ends. fps
    defaults to the skeleton's. UserError for joints of another shape or that are not numbers.
    """
    joints = np.asarray(joints, np.float64)
    if joints.ndim != 3 or joints.shape[1:] != (len(skeleton.joints), 3) or not len(joints):
        expected = f"(frames, {len(skeleton.joints)}, 3)"
        raise UserError(f"joints have shape {joints.shape}, should be {expected} for {skeleton.name}")
    if not np.isfinite(joints).all():
        raise UserError(f"frame {np.argwhere(~np.isfinite(joints))[0][0]} has a joint that is not a number")
    joints = joints * (skeleton.metre_per_unit / unit)
    parents = np.array(skeleton.parents)
    bones = joints - joints[:, np.maximum(parents, 0)]  # (T, J, 3); 0 for the root
    rest = skeleton.t_pose * np.median(np.linalg.norm(bones, axis=-1), axis=0)[:, None]  # (J, 3)

    turns: list[Rotation] = []  # of each joint in the world, (T,)
    for joint, parent in enumerate(parents):
        above = turns[parent] if joint else Rotation.identity(len(joints))
        children = np.flatnonzero(parents == joint)
        if len(children) == 0:
            turns.append(above)
        elif len(children) == 1:
            turns.append(_shortest(above.apply(rest[children[0]]), bones[:, children[0]]) * above)
        else:
            turn, rest[children] = _rigid(rest[children], bones[:, children])
            turns.append(turn)
    local = [turns[j].as_matrix() if p < 0 else (turns[p].inv() * turns[j]).as_matrix() for j, p in enumerate(parents)]
    positions = np.broadcast_to(rest, bones.shape).copy()
    positions[:, 0] = joints[:, 0]
    tips = {j: TIP / unit * skeleton.t_pose[j] for j in range(len(parents)) if j not in parents}
    step = 1 / (fps or skeleton.fps)
    return Bvh(skeleton.joints, skeleton.parents, rest, tips, positions, np.stack(local, axis=1), step, "export")


def _shortest(start: np.ndarray, end: np.ndarray) -> Rotation:
    """The smallest rotations (T,) that turn vectors start (T, 3) into the direction of end (T, 3); none for no bone."""
    axis = np.cross(start, end)
    sine, cosine = np.linalg.norm(axis, axis=-1), (start * end).sum(-1)
    back = (sine < 1e-12 * np.abs(cosine)) & (cosine < 0)  # the other way round: about any axis at right angles
    if back.any():
        smallest = np.eye(3)[np.abs(start).argmin(-1)]
        axis = np.where(back[:, None], np.cross(start, smallest), axis)
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    return Rotation.from_rotvec(axis / np.maximum(length, 1e-30) * np.arctan2(sine, cosine)[:, None])


def _rigid(rest: np.ndarray, bones: np.ndarray, rounds: int = 10) -> tuple[Rotation, np.ndarray]:
    """Rotations (T,) and the one shape (K, 3), near rest (K, 3), whose turned copies are nearest to bones (T, K, 3)."""
    shape = rest
    for _ in range(rounds):
        turn = _kabsch(shape, bones)
        shape = np.einsum("tji,tkj->ki", turn.as_matrix(), bones) / len(bones)
    shape = shape @ _kabsch(shape, rest[None]).as_matrix()[0].T  # in the rest pose's own orientation
    return _kabsch(shape, bones), shape


def _kabsch(shape: np.ndarray, bones: np.ndarray) -> Rotation:
    """Rotations (T,) that turn shape (K, 3) nearest to bones (T, K, 3)."""
    u, _, vt = np.linalg.svd(np.einsum("tki,kj->tij", bones, shape))
    u[..., -1] *= np.sign(np.linalg.det(u @ vt))[:, None]  # a rotation, not a mirror
    return Rotation.from_matrix(u @ vt)

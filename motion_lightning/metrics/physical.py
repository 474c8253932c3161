"""How far a motion is from what bodies do. Lower is better, but only beside the same number for real motions.

Every function takes joints (..., T, J, 3) in metres, Y up, the floor at 0, numpy or torch, and returns (...).
Skating, floating and penetration follow the definitions of PhysDiff (Yuan et al. 2023), jitter that of
TransPose (Yi et al. 2021), with means instead of sums, in metres and seconds.
"""

import numpy as np
from torch import Tensor

from motion_lightning.motion.skeleton import Skeleton, load_skeleton

TOLERANCE = 0.005  # metres that a joint may be off the floor
ANKLE, FOOT = 0.085, 0.03  # metres below which an ankle or the ball of a foot may stand


def jitter(joints: np.ndarray | Tensor, skeleton: Skeleton | None = None, fps: float = 20) -> np.ndarray:
    """Mean norm of the jerk over joints and frames, in m/s³ (third difference × fps³); NaN below 4 frames."""
    jerk = np.diff(_array(joints), n=3, axis=-3) * fps**3
    return np.linalg.norm(jerk, axis=-1).mean(axis=(-2, -1)) if jerk.shape[-3] else np.float64("nan")


def foot_slide(joints: np.ndarray | Tensor, skeleton: Skeleton | None = None, fps: float = 20) -> np.ndarray:
    """Mean horizontal speed in m/s of ankles and balls of the feet while they stand; 0 where none ever does.

    One stands between two frames if it is low in both: below 8.5 cm for an ankle, 3 cm for a ball. Feet that
    roll off and touch down count as well, so real motions do not have 0.
    """
    feet = (skeleton or load_skeleton("humanml22")).feet
    spots = _array(joints)[..., [*feet["left"], *feet["right"]], :]  # (..., T, 4, 3)
    height = np.maximum(spots[..., 1:, :, 1], spots[..., :-1, :, 1])
    stands = height < [ANKLE, FOOT, ANKLE, FOOT]
    speed = np.linalg.norm(np.diff(spots[..., [0, 2]], axis=-3), axis=-1) * fps * stands
    return speed.sum(axis=(-2, -1)) / np.maximum(stands.sum(axis=(-2, -1)), 1)


def floating(joints: np.ndarray | Tensor) -> np.ndarray:
    """Mean distance in metres of the lowest joint above the floor, beyond 5 mm. Real jumps float, too."""
    lowest = _array(joints)[..., 1].min(axis=-1)
    return np.where(lowest > TOLERANCE, lowest, 0.0).mean(axis=-1)


def penetration(joints: np.ndarray | Tensor) -> np.ndarray:
    """Mean distance in metres of the lowest joint below the floor, beyond 5 mm."""
    lowest = _array(joints)[..., 1].min(axis=-1)
    return np.where(lowest < -TOLERANCE, -lowest, 0.0).mean(axis=-1)


def bone_drift(joints: np.ndarray | Tensor, skeleton: Skeleton | None = None) -> np.ndarray:
    """Mean distance in metres between a bone's length in a frame and its length in the skeleton."""
    skeleton = skeleton or load_skeleton("humanml22")
    child, parent = np.array(skeleton.bones).T
    joints = _array(joints)
    lengths = np.linalg.norm(joints[..., child, :] - joints[..., parent, :], axis=-1)  # (..., T, bones)
    return np.abs(lengths - skeleton.bone_lengths[child]).mean(axis=(-2, -1))


def _array(joints: np.ndarray | Tensor) -> np.ndarray:
    if isinstance(joints, Tensor):
        joints = joints.detach().cpu().numpy()
    return np.asarray(joints, dtype=np.float64)

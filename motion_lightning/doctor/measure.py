"""Figures of one motion that tell whether something is wrong with it."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from motion_lightning.metrics.physical import foot_slide
from motion_lightning.metrics.signals import runs
from motion_lightning.motion.skeleton import Skeleton

STILL = 1e-4  # m: no joint of a living body, recorded, moves less than this within a frame for long
GRAVITY = 9.81  # m/s^2
# Segments of the body (from, to, centre of mass between them, share of the mass): Winter, Biomechanics and Motor
# Control of Human Movement, table 4.1. The hand is taken with the forearm.
SEGMENTS = (
    ("pelvis", "neck", 0.5, 0.497), ("neck", "head", 0.5, 0.081),
    ("shoulder", "elbow", 0.436, 0.028), ("elbow", "wrist", 0.682, 0.022),
    ("hip", "knee", 0.433, 0.100), ("knee", "ankle", 0.433, 0.0465), ("ankle", "foot", 0.5, 0.0145),
)  # fmt: skip
WINDOW = 0.8  # s: tempo is measured in windows of this length
QUIET = 0.05  # m/s that count as no movement


def figures(joints: np.ndarray, skeleton: Skeleton, fps: float) -> dict[str, float]:
    """Figures of joints (T, J, 3) in metres, Y up; NaN where the motion or the skeleton does not give them.

    frozen, frozen_at: longest run of frames without any movement, in frames, and where it starts.
    jump, jump_at: m by which the whole body leaves its path between two frames: the step, less the mean of the steps
        before and after it, averaged over joints. Kicks move one leg; a cut moves everything.
    root_jump, root_speed: m and m/s of the root alone.
    t_pose: how far the first frame is a T-pose: smallest cosine of the limbs with sideways and down.
    slide: m/s of standing feet (``metrics.physical.foot_slide``).
    stand, stairs: height above the lowest joint at which feet stand, its median, and the range of its middle 90 %, m.
    tempo: quickness of the limbs, 1/s (see ``tempo``).
    fall: largest downward acceleration of the centre of mass, in g, but for 5 % of the frames.
    speed: mean speed of the root over the ground, m/s; limbs: root mean square speed of the joints about it.
    """
    steps = np.diff(joints, axis=0)  # (T - 1, J, 3)
    moved = np.linalg.norm(steps, axis=-1)
    longest = max(runs(moved.max(1) < STILL), key=lambda run: run[1] - run[0], default=(0, 0))
    jump, jump_at, root_jump = _jump(steps)
    heights = _standing(joints, skeleton, fps)
    low, high = np.percentile(heights, [5, 95]) if len(heights) else (np.nan, np.nan)
    about = np.linalg.norm(np.diff(joints - joints[:, :1], axis=0), axis=-1) * fps
    return {
        "frozen": float(longest[1] - longest[0]),
        "frozen_at": float(longest[0]),
        "jump": jump,
        "jump_at": jump_at,
        "root_jump": root_jump,
        "root_speed": float(moved[:, 0].max(initial=0)) * fps,
        "t_pose": t_pose(joints[0], skeleton),
        "slide": float(foot_slide(joints, skeleton, fps)),
        "stand": float(np.median(heights)) if len(heights) else np.nan,
        "stairs": float(high - low),
        "tempo": tempo(joints, fps),
        "fall": fall(joints, skeleton, fps),
        "speed": float(np.linalg.norm(steps[:, 0, [0, 2]], axis=-1).mean()) * fps if len(steps) else 0.0,
        "limbs": float(np.sqrt((about**2).mean())) if len(steps) else 0.0,
    }


def _jump(steps: np.ndarray) -> tuple[float, float, float]:
    if len(steps) < 3:
        return 0.0, 0.0, 0.0
    inner = np.linalg.norm(steps[1:-1] - (steps[:-2] + steps[2:]) / 2, axis=-1)  # (T - 3, J)
    ends = np.linalg.norm(np.stack([steps[0] - steps[1], steps[-1] - steps[-2]]), axis=-1) / 2
    off = np.concatenate([ends[:1], inner, ends[1:]])  # (T - 1, J)
    at = int(off.mean(1).argmax())
    return float(off.mean(1)[at]), float(at), float(off[:, 0].max())


def _standing(joints: np.ndarray, skeleton: Skeleton, fps: float) -> np.ndarray:
    """Heights of the balls of the feet, above the lowest joint of all, while they rest under an upright body."""
    feet = joints[:, [skeleton.feet["left"][1], skeleton.feet["right"][1]]]  # (T, 2, 3)
    slow = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * fps < 0.25
    rests = slow[1:] & slow[:-1]
    upright = joints[1:-1, 0, 1] - feet[1:-1, :, 1].min(1) > 0.65  # not on knees, not on the ground
    return (feet[1:-1, :, 1] - joints[..., 1].min())[rests & upright[:, None]]


def t_pose(pose: np.ndarray, skeleton: Skeleton) -> float:
    """How far a pose (J, 3) is one with the arms stretched out sideways and straight legs: 1 is exactly."""
    at = _finder(pose, skeleton)
    across = (at("left_hip") - at("right_hip")) * (1, 0, 1)
    cosines = []
    for side, sign in (("left", 1), ("right", -1)):
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist")):
            cosines.append(_cosine(at(f"{side}_{b}") - at(f"{side}_{a}"), sign * across))
        for a, b in (("hip", "knee"), ("knee", "ankle")):
            cosines.append(_cosine(at(f"{side}_{b}") - at(f"{side}_{a}"), np.array([0.0, -1.0, 0.0])))
    return float(min(cosines))


def tempo(joints: np.ndarray, fps: float) -> float:
    """Acceleration over speed, 1/s, of joints about the pelvis: how quickly limbs change what they do.

    Root mean squares over joints and the frames of a window; of the windows with movement, the value that a quarter
    lies below, so that one fast gesture does not count. Amplitude, body size and unit cancel. People move their
    limbs at 8 to 12; a clip that is played s times too fast has s times as much.
    """
    limbs = joints[:, 1:] - joints[:, :1]
    speed = np.diff(limbs, axis=0)[1:] * fps
    change = np.diff(limbs, n=2, axis=0) * fps**2
    size = max(3, round(WINDOW * fps))
    if len(speed) < size:
        return float("nan")
    values = []
    for start in range(0, len(speed) - size + 1, size):
        v, a = ((x[start : start + size] ** 2).sum(-1).mean() for x in (speed, change))
        if v > QUIET**2:
            values.append(np.sqrt(a / v))
    return float(np.percentile(values, 25)) if values else float("nan")


def fall(joints: np.ndarray, skeleton: Skeleton, fps: float) -> float:
    """Downward acceleration of the centre of mass in g, which no body can make larger than 1 by itself."""
    if len(joints) < 8:
        return float("nan")
    height = centre_of_mass(joints, skeleton)[:, 1]
    down = -gaussian_filter1d(np.diff(height, n=2) * fps**2, 0.035 * fps, mode="nearest")
    return float(np.percentile(down, 95)) / GRAVITY


def centre_of_mass(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(..., 3) of joints (..., J, 3)."""
    at, total, mass = _finder(joints, skeleton), 0.0, 0.0
    for start, end, between, share in SEGMENTS:
        sides = ("left_", "right_") if f"left_{end}" in skeleton.joints else ("",)
        for side in sides:
            total = total + share * ((1 - between) * at(side + start) + between * at(side + end))
            mass += share
    return total / mass


def _finder(joints: np.ndarray, skeleton: Skeleton):
    """name → (..., 3); a skeleton without that joint has no such figure: NaN."""
    return lambda name: (
        joints[..., skeleton.joints.index(name), :]
        if name in skeleton.joints
        else np.full((*joints.shape[:-2], 3), np.nan)
    )


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-9))

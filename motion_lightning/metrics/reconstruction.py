"""How far joints are from those that they should be. Functions of one clip (T, J, 3), in the unit of its joints."""

import numpy as np


def mpjpe(joints: np.ndarray, real: np.ndarray) -> float:
    """Mean per joint position error, both with their root at the origin of each frame (Ionescu et al. 2014)."""
    joints, real = _pair(joints, real)
    return float(np.linalg.norm((joints - joints[:, :1]) - (real - real[:, :1]), axis=-1).mean())


def global_mpjpe(joints: np.ndarray, real: np.ndarray) -> float:
    """The same where they are, the path included."""
    joints, real = _pair(joints, real)
    return float(np.linalg.norm(joints - real, axis=-1).mean())


def pa_mpjpe(joints: np.ndarray, real: np.ndarray) -> float:
    """The same after each frame was moved, turned and scaled to fit best: Procrustes (Umeyama 1991, eq. 40-42)."""
    joints, real = _pair(joints, real)
    a, b = joints - joints.mean(1, keepdims=True), real - real.mean(1, keepdims=True)  # (T, J, 3)
    u, s, vt = np.linalg.svd(b.swapaxes(1, 2) @ a)  # (T, 3, 3)
    mirrored = np.linalg.det(u @ vt) < 0  # the best orthogonal matrix would be a reflection
    u[mirrored, :, -1] *= -1
    s[mirrored, -1] *= -1
    scale = s.sum(1) / np.maximum((a**2).sum((1, 2)), 1e-12)
    fitted = scale[:, None, None] * a @ (u @ vt).swapaxes(1, 2)
    return float(np.linalg.norm(fitted - b, axis=-1).mean())


def acceleration_error(joints: np.ndarray, real: np.ndarray, fps: float = 1.0) -> float:
    """Mean distance of accelerations, second differences × fps² (Kanazawa et al. 2019); NaN below 3 frames."""
    joints, real = _pair(joints, real)
    apart = np.diff(joints - real, n=2, axis=0) * fps**2
    return float(np.linalg.norm(apart, axis=-1).mean()) if len(apart) else float("nan")


def _pair(joints: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    joints, real = np.asarray(joints, np.float64), np.asarray(real, np.float64)
    if joints.shape != real.shape or joints.ndim != 3 or joints.shape[-1] != 3:
        raise ValueError(f"joints {joints.shape} and {real.shape} should both be (frames, joints, 3)")
    return joints, real

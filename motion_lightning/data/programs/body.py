"""From channels (angles and foot targets over time) to joints: one body, vectorised over frames."""

from functools import cache

import numpy as np

from motion_lightning.motion.skeleton import load_skeleton

# Directions of the bones of a person who stands upright with hanging arms; lengths come from the skeleton.
STANDING = {
    "left_hip": (0.56, -0.83, 0.0),
    "spine1": (0.0, 0.98, -0.18),
    "spine2": (0.0, 1.0, 0.02),
    "spine3": (0.0, 0.98, 0.14),
    "neck": (0.0, 0.99, -0.14),
    "head": (0.0, 0.86, 0.5),
    "left_collar": (0.56, 0.82, -0.12),
    "left_shoulder": (0.97, -0.1, -0.12),
    "left_foot": (0.0, -0.39, 0.92),
}
REACH = 0.996  # of the leg's length: a knee never locks, which would make its angle jump


@cache
def bones() -> dict[str, np.ndarray]:
    """Bone vectors of the standing body in metres, by the name of the bone's end; right mirrors left."""
    skeleton = load_skeleton("humanml22")
    lengths = dict(zip(skeleton.joints, np.linalg.norm(np.asarray(skeleton.offsets), axis=-1), strict=True))
    vectors = {}
    for name, direction in STANDING.items():
        unit = np.asarray(direction) / np.linalg.norm(direction)
        vectors[name] = lengths[name] * unit
        if name.startswith("left_"):
            right = name.replace("left_", "right_")
            vectors[right] = lengths[right] * unit * (-1, 1, 1)
    for side in ("left", "right"):
        for name in ("knee", "ankle", "elbow", "wrist"):
            vectors[f"{side}_{name}"] = np.array([0.0, -lengths[f"{side}_{name}"], 0.0])
    return vectors


def standing_height() -> float:
    """Height of the pelvis over flat feet when the legs are as straight as they get."""
    b = bones()
    leg = np.linalg.norm(b["left_knee"]) + np.linalg.norm(b["left_ankle"])
    return float(REACH * leg - b["left_foot"][1] - b["left_hip"][1])


def rot_x(angle: np.ndarray) -> np.ndarray:
    """(T,) → (T, 3, 3); positive leans +Y towards +Z (forward)."""
    return _rotation(angle, 1, 2)


def rot_y(angle: np.ndarray) -> np.ndarray:
    """(T,) → (T, 3, 3); positive turns +Z towards +X (to the body's left)."""
    return _rotation(angle, 2, 0)


def rot_z(angle: np.ndarray) -> np.ndarray:
    """(T,) → (T, 3, 3); positive turns +X (left) towards +Y."""
    return _rotation(angle, 0, 1)


def _rotation(angle: np.ndarray, i: int, j: int) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.zeros((*np.shape(angle), 3, 3))
    matrix[..., 3 - i - j, 3 - i - j] = 1.0
    matrix[..., i, i] = matrix[..., j, j] = c
    matrix[..., j, i], matrix[..., i, j] = s, -s
    return matrix


def foot_joints(x, y, z, yaw, pitch, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Ankle and ball (T, 3) of a foot whose flat print has its ankle over (x, z), lifted by y.

    Toes up (pitch > 0) it rolls over the heel, heel up (pitch < 0) over the ball, so a planted foot never
    slides.
    """
    toe = bones()[f"{side}_foot"]
    ankle = np.stack([x, y - toe[1], z], axis=-1)  # (T, 3)
    turn = rot_y(yaw)
    flat, tilted = turn @ toe, turn @ rot_x(-pitch) @ toe
    on_ball = 0.5 - 0.5 * np.tanh(pitch / 0.1)  # smooth, so that a swing foot does not jerk through zero
    ankle = ankle + on_ball[:, None] * (flat - tilted)
    return ankle, ankle + tilted


def solve_leg(hip, ankle, lateral, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Knee and ankle (T, 3) that keep the bone lengths; the knee bends forward, seen along ``lateral``.

    An ankle out of reach is pulled towards the hip.
    """
    thigh = np.linalg.norm(bones()[f"{side}_knee"])
    shin = np.linalg.norm(bones()[f"{side}_ankle"])
    line = ankle - hip
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    line = line / distance
    distance = np.clip(distance, 0.3 * (thigh + shin), REACH * (thigh + shin))
    along = (thigh**2 - shin**2 + distance**2) / (2 * distance)
    out = np.cross(line, lateral)
    out = out / np.linalg.norm(out, axis=-1, keepdims=True)
    knee = hip + along * line + np.sqrt(np.maximum(thigh**2 - along**2, 0.0)) * out
    return knee, hip + distance * line


def highest_pelvis(offset: np.ndarray, ankle: np.ndarray, ground: np.ndarray, side: str) -> np.ndarray:
    """Height (T,) of the pelvis above which the leg would be too short.

    ``offset`` (T, 3) is the hip relative to the pelvis, ``ground`` (T, 2) the pelvis' x and z.
    """
    leg = np.linalg.norm(bones()[f"{side}_knee"]) + np.linalg.norm(bones()[f"{side}_ankle"])
    away = ankle[:, [0, 2]] - ground - offset[:, [0, 2]]
    rise = np.sqrt(np.maximum((REACH * leg) ** 2 - (away**2).sum(-1), 0.01))
    return ankle[:, 1] + rise - offset[:, 1]


def soft_min(a: np.ndarray, b: np.ndarray, width: float = 0.012) -> np.ndarray:
    """Smooth minimum; never above the true one."""
    return -width * np.logaddexp(-a / width, -b / width)


def torso(rotation: np.ndarray, c: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Spine, head and shoulders relative to the pelvis, and the chest's rotation (T, 3, 3)."""
    b, joints = bones(), {}
    point = rotation @ b["spine1"]
    joints["spine1"] = point
    bend = rotation
    for share, name in ((0.35, "spine2"), (0.7, "spine3"), (1.0, "neck")):
        bend = rotation @ rot_y(share * c["twist"]) @ rot_x(share * c["lean"]) @ rot_z(share * c["side_lean"])
        point = point + bend @ b[name]
        joints[name] = point
    chest = bend
    neck = chest @ rot_y(c["head_yaw"]) @ rot_x(c["head_pitch"])
    joints["head"] = joints["neck"] + neck @ b["head"]
    for side in ("left", "right"):
        joints[f"{side}_collar"] = joints["spine3"] + chest @ b[f"{side}_collar"]
        raised = chest @ rot_z(np.clip(c[f"{side}_shrug"], -0.2, 0.7) * (1 if side == "left" else -1))
        joints[f"{side}_shoulder"] = joints[f"{side}_collar"] + raised @ b[f"{side}_shoulder"]
    return joints, chest


def arm(chest: np.ndarray, c: dict[str, np.ndarray], side: str) -> tuple[np.ndarray, np.ndarray]:
    """Elbow and wrist (T, 3) relative to the shoulder.

    ``flex`` swings the arm forward and up, ``abduct`` to its own side, ``rotate`` turns it inwards about its
    length and ``elbow`` bends it.
    """
    sign = 1.0 if side == "left" else -1.0
    upper = chest @ rot_x(-c[f"{side}_flex"]) @ rot_z(sign * c[f"{side}_abduct"])
    fore = upper @ rot_y(-sign * c[f"{side}_rotate"]) @ rot_x(-c[f"{side}_elbow"])
    elbow = upper @ bones()[f"{side}_elbow"]
    return elbow, elbow + fore @ bones()[f"{side}_wrist"]


def pose_body(c: dict[str, np.ndarray], feet: dict[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Channels (T,) and the feet's (ankle, ball) targets to joints (T, 22, 3).

    The pelvis is as high as ``height`` asks and the planted legs allow (``airborne`` lifts that limit).
    """
    b = bones()
    facing = rot_y(c["yaw"])
    rotation = facing @ rot_y(c["hip_yaw"]) @ rot_x(c["pitch"]) @ rot_z(c["roll"])
    shift = np.stack([c["sway"], np.zeros_like(c["yaw"]), c["surge"]], axis=-1)
    ground = np.stack([c["x"], c["z"]], axis=-1) + (facing @ shift[..., None])[:, [0, 2], 0]
    height = c["height"]
    for side in ("left", "right"):
        hip = rotation @ b[f"{side}_hip"]
        limit = highest_pelvis(hip, feet[side][0], ground, side) + c[f"{side}_free"]
        height = soft_min(height, limit)
    pelvis = np.stack([ground[:, 0], height, ground[:, 1]], axis=-1)

    joints, chest = torso(rotation, c)
    joints = {name: pelvis + point for name, point in joints.items()} | {"pelvis": pelvis}
    for side in ("left", "right"):
        sign = 1.0 if side == "left" else -1.0
        hip = pelvis + rotation @ b[f"{side}_hip"]
        ankle, ball = feet[side]
        lateral = rot_y(c["yaw"] + sign * c["knees_out"])[:, :, 0]  # (T, 3), the body's left
        knee, reached = solve_leg(hip, ankle, lateral, side)
        joints |= {f"{side}_hip": hip, f"{side}_knee": knee, f"{side}_ankle": reached}
        joints[f"{side}_foot"] = ball + reached - ankle
        elbow, wrist = arm(chest, c, side)
        shoulder = joints[f"{side}_shoulder"]
        joints |= {f"{side}_elbow": shoulder + elbow, f"{side}_wrist": shoulder + wrist}
    return np.stack([joints[name] for name in load_skeleton("humanml22").joints], axis=1)

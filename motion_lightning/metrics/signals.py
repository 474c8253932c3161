"""What rules look at: interpretable signals of a 22-joint motion, one value per frame."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from motion_lightning.motion.skeleton import load_skeleton

SIDES = ("left", "right")
OTHER = {"left": "right", "right": "left"}
ANKLE_FLAT = 0.056  # metres of the ankle over the floor when the foot is flat


def smooth(x: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian low-pass over frames (axis 0)."""
    return gaussian_filter1d(np.asarray(x, np.float64), sigma, axis=0, mode="nearest")


def runs(mask: np.ndarray, longest_gap: int = 0) -> list[tuple[int, int]]:
    """(start, end) of the stretches of True, end exclusive; gaps up to ``longest_gap`` frames are bridged."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask, np.int8), [0]])))
    out: list[tuple[int, int]] = []
    for start, end in edges.reshape(-1, 2).tolist():
        if out and start - out[-1][1] <= longest_gap:
            start = out.pop()[0]
        out.append((start, end))
    return out


def clusters(items: list, gap: float, frame=lambda item: item) -> list[list]:
    """Items in the order of time, cut where their frames are ``gap`` or more apart."""
    out: list[list] = []
    for item in items:
        if out and frame(item) - frame(out[-1][-1]) < gap:
            out[-1].append(item)
        else:
            out.append([item])
    return out


def span(x: np.ndarray, peak: int, level: float) -> tuple[float, float]:
    """Where x, followed from ``peak`` to both sides, falls below ``level``: frames with a fraction."""
    below = x < level
    before, after = np.flatnonzero(below[:peak]), np.flatnonzero(below[peak:])
    start, end = 0.0, float(len(x) - 1)
    if len(before):
        i = int(before[-1])
        start = i + (level - x[i]) / (x[i + 1] - x[i])
    if len(after):
        i = peak + int(after[0])
        end = i - (level - x[i]) / (x[i - 1] - x[i])
    return start, end


@dataclass(frozen=True)
class Signals:
    """Per frame, in metres, seconds and radians; directions are the body's own: (left, up, forward).

    Dictionaries are by side.
    """

    fps: float
    heading: np.ndarray  # (T,) unwrapped; grows when the body turns left
    chest: np.ndarray  # (T,) heading of hips and shoulders together: less noise, but arms turn it
    velocity: np.ndarray  # (T, 2) of the pelvis: to the left and forward
    speed: np.ndarray  # (T,) of the pelvis over the ground, less smoothed
    height: np.ndarray  # (T,) of the pelvis
    seat: np.ndarray  # (T,) how far the pelvis is behind the ankles
    pitch: np.ndarray  # (T,) of the trunk, forward
    roll: np.ndarray  # (T,) of the trunk, to the left
    lift: dict[str, np.ndarray]  # (T,) of the whole foot over the floor
    ankle: dict[str, np.ndarray]  # (T, 3) in the world
    ahead: dict[str, np.ndarray]  # (T,) of the ankle before the pelvis
    toes: dict[str, np.ndarray]  # (T,) unwrapped direction of the foot
    wrist: dict[str, np.ndarray]  # (T, 3) from the shoulder: left, up, forward
    elbow: dict[str, np.ndarray]  # (T,) bend: 0 is a stretched arm
    hands: np.ndarray  # (T,) distance between the wrists
    ahead_hand: dict[str, np.ndarray]  # (T,) how far a wrist is before the other

    @property
    def frames(self) -> int:
        return len(self.height)


def signals(joints: np.ndarray, fps: float = 20) -> Signals:
    """Signals of joints (T, 22, 3), Y up, the floor at 0; smoothed enough to bear a centimetre of noise."""
    skeleton, k = load_skeleton("humanml22"), fps / 20
    joints = np.asarray(joints, np.float64)
    soft, softer = smooth(joints, 0.9 * k), smooth(joints, 3.0 * k)

    def at(name, source=soft):
        return source[:, skeleton.index(name)]

    across = at("left_hip", softer) - at("right_hip", softer)
    wide = across + at("left_shoulder", softer) - at("right_shoulder", softer)
    heading, chest_heading = (np.unwrap(np.arctan2(-v[:, 2], v[:, 0])) for v in (across, wide))
    s, c = np.sin(heading), np.cos(heading)

    def own(vector):  # the world's (x, y, z) as the body's (left, up, forward)
        x, y, z = np.moveaxis(vector, -1, 0)
        return np.stack([x * c - z * s, y, x * s + z * c], axis=-1)

    pelvis, chest = at("pelvis"), own(at("neck") - at("pelvis"))
    ankle = {side: at(f"{side}_ankle") for side in SIDES}
    foot = {side: at(f"{side}_foot") for side in SIDES}
    middle = 0.5 * (ankle["left"] + ankle["right"])
    pointing = {side: smooth(foot[side] - ankle[side], 2.0 * k) for side in SIDES}
    upper = {side: at(f"{side}_elbow") - at(f"{side}_shoulder") for side in SIDES}
    fore = {side: at(f"{side}_wrist") - at(f"{side}_elbow") for side in SIDES}
    lead = own(at("left_wrist") - at("right_wrist"))[:, 2]
    return Signals(
        fps=fps,
        heading=heading,
        chest=chest_heading,
        velocity=own(np.gradient(at("pelvis", softer), axis=0) * fps)[:, [0, 2]],
        speed=np.linalg.norm(np.gradient(smooth(joints[:, 0], 2.0 * k)[:, [0, 2]], axis=0), axis=-1) * fps,
        height=pelvis[:, 1],
        seat=own(middle - pelvis)[:, 2],
        pitch=np.arctan2(chest[:, 2], chest[:, 1]),
        roll=np.arctan2(chest[:, 0], chest[:, 1]),
        lift={side: np.minimum(foot[side][:, 1], ankle[side][:, 1] - ANKLE_FLAT) for side in SIDES},
        ankle=ankle,
        ahead={side: own(ankle[side] - pelvis)[:, 2] for side in SIDES},
        toes={side: np.unwrap(np.arctan2(p[:, 0], p[:, 2])) for side, p in pointing.items()},
        wrist={side: own(at(f"{side}_wrist") - at(f"{side}_shoulder")) for side in SIDES},
        elbow={side: _angle(upper[side], fore[side]) for side in SIDES},
        hands=np.linalg.norm(at("left_wrist") - at("right_wrist"), axis=-1),
        ahead_hand={"left": lead, "right": -lead},
    )


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    cosine = (a * b).sum(-1) / np.maximum(np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1), 1e-9)
    return np.arccos(np.clip(cosine, -1.0, 1.0))

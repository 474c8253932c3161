"""Keypoints of hands, arms and head: one layout for all sources, in units of the signer's own shoulders.

The layout has 50 points: 8 of the upper body, then 21 of the left and 21 of the right hand, sides being the
signer's own::

    0 nose   1 neck   2 left shoulder   3 left elbow   4 left wrist   5 right shoulder   6 right elbow
    7 right wrist   8 … 28 left hand   29 … 49 right hand
    a hand: wrist, then four points from the palm to the tip of thumb, index, middle, ring and little finger

x goes to the right of the picture, so that the left hand of a signer who faces the viewer has the larger x;
y goes down; z, where there is one, goes away from the viewer. A point with confidence 0 was not seen.
"""

from dataclasses import dataclass, replace

import numpy as np

from motion_lightning.errors import UserError

BODY = ("nose", "neck", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist")
FINGERS = ("thumb", "index", "middle", "ring", "little")
HAND = ("wrist", *(f"{finger}_{k}" for finger in FINGERS for k in (1, 2, 3, 4)))
LAYOUT = (*BODY, *(f"{side}_hand_{point}" for side in ("left", "right") for point in HAND))
NECK, SHOULDERS, WRISTS = 1, (2, 5), (4, 7)
HANDS = {"left": slice(8, 29), "right": slice(29, 50)}
_HAND_LIMBS = [(0 if k % 4 == 1 else k - 1, k) for k in range(1, 21)]
LIMBS = (
    *((1, 0), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (4, 8), (7, 29)),
    *((start + a, start + b) for start in (8, 29) for a, b in _HAND_LIMBS),
)
# Component and names of the body's points in files; hands have the same 21 points in the same order everywhere.
SOURCES = {
    "POSE_LANDMARKS": (  # MediaPipe, which has no neck
        ("NOSE", None, "LEFT_SHOULDER", "LEFT_ELBOW", "LEFT_WRIST", "RIGHT_SHOULDER", "RIGHT_ELBOW", "RIGHT_WRIST"),
        ("LEFT_HAND_LANDMARKS", "RIGHT_HAND_LANDMARKS"),
    ),
    "pose_keypoints_2d": (  # OpenPose
        ("Nose", "Neck", "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"),
        ("hand_left_keypoints_2d", "hand_right_keypoints_2d"),
    ),
}


@dataclass(frozen=True, eq=False)
class Keypoints:
    """A sequence of keypoints.

    Attributes:
        points: (T, K, D) float32, 0 where the confidence is 0.
        confidence: (T, K) float32, 0 or more.
        fps: frames a second.
        names: of the K points, in files "COMPONENT:POINT".
        people: in the file; the points are those of the first one.
    """

    points: np.ndarray
    confidence: np.ndarray
    fps: float
    names: tuple[str, ...] = LAYOUT
    people: int = 1

    def __len__(self) -> int:
        return len(self.points)

    def features(self) -> np.ndarray:
        """(T, K, D + 1) float32: coordinates, then the confidence."""
        return np.concatenate([self.points, self.confidence[..., None]], -1).astype(np.float32)


def to_layout(keypoints: Keypoints, where: str = "keypoints") -> Keypoints:
    """The 50 points of the layout out of those of MediaPipe's or OpenPose's.

    A missing neck is the middle of the shoulders; other points that the file does not have get confidence 0.

    Raises:
        UserError: the names are of neither, or there are no shoulders.
    """
    if keypoints.names == LAYOUT:
        return keypoints
    index = {name: k for k, name in reversed(list(enumerate(keypoints.names)))}  # the first of equal names
    components = {name.split(":")[0] for name in keypoints.names}
    body = next((name for name in SOURCES if name in components), None)
    if body is None:
        raise UserError(
            f"{where}: components {', '.join(sorted(components))}; the upper body is read from {' or '.join(SOURCES)}"
        )
    names, hands = SOURCES[body]
    rows = [index.get(f"{body}:{name}", -1) for name in names]
    for hand in hands:
        own = [k for k, name in enumerate(keypoints.names) if name.split(":")[0] == hand]
        if len(own) not in (0, len(HAND)):
            raise UserError(f"{where}: {hand} has {len(own)} points; a hand has {len(HAND)}")
        rows += own or [-1] * len(HAND)
    if any(rows[k] < 0 for k in SHOULDERS):
        raise UserError(f"{where}: {body} has no {names[SHOULDERS[0]]} and {names[SHOULDERS[1]]} to measure by")
    there = np.array(rows) >= 0
    points = np.where(there[:, None], keypoints.points[:, rows], 0).astype(np.float32)
    confidence = np.where(there, keypoints.confidence[:, rows], 0).astype(np.float32)
    if not there[NECK]:
        points[:, NECK] = points[:, SHOULDERS].mean(1)
        confidence[:, NECK] = confidence[:, SHOULDERS].min(1)
        points[confidence[:, NECK] == 0, NECK] = 0
    return replace(keypoints, points=points, confidence=confidence, names=LAYOUT)


def normalise(keypoints: Keypoints, where: str = "keypoints") -> Keypoints:
    """Keypoints of the layout about the middle of the shoulders, in shoulder widths, both averaged over the clip.

    Widths are measured in the picture's plane, for depths are guesses. UserError where the shoulders are never
    seen or lie on one spot.
    """
    both = keypoints.points[(keypoints.confidence[:, SHOULDERS] > 0).all(1)][:, SHOULDERS]  # (N, 2, D)
    if not len(both):
        raise UserError(f"{where}: the shoulders are never seen together; they give the scale")
    width = np.linalg.norm(both[:, 0, :2] - both[:, 1, :2], axis=-1).mean(dtype=np.float64)
    if not width > 1e-6:
        raise UserError(f"{where}: the shoulders lie on one spot; they give the scale")
    centre = both.mean((0, 1), dtype=np.float64)
    points = (keypoints.points - centre) / width
    points[keypoints.confidence == 0] = 0
    return replace(keypoints, points=points.astype(np.float32))


def fill_gaps(keypoints: Keypoints) -> Keypoints:
    """Points that were not seen, on the straight line between their neighbours in time; the confidence stays 0.

    At both ends a point stays where it was first or last seen. A hand's point that is never seen lies on that
    hand's wrist, any other on the origin.
    """
    points, time = keypoints.points.copy(), np.arange(len(keypoints))
    seen = keypoints.confidence > 0
    for k in np.flatnonzero(seen.any(0) & ~seen.all(0)):
        for d in range(points.shape[2]):
            points[~seen[:, k], k, d] = np.interp(time[~seen[:, k]], time[seen[:, k]], points[seen[:, k], k, d])
    if keypoints.names == LAYOUT:
        for wrist, hand in zip(WRISTS, HANDS.values(), strict=True):
            never = np.arange(hand.start, hand.stop)[~seen[:, hand].any(0)]
            points[:, never] = points[:, wrist : wrist + 1]
    return replace(keypoints, points=points)


def resample(keypoints: Keypoints, fps: float | None = None, frames: int | None = None) -> Keypoints:
    """Keypoints at another rate, or as ``frames`` frames: linear in time, from the first frame to the last.

    Nothing is cut off. A new frame between a seen and an unseen point counts as unseen. Given both, ``frames``
    decides the length and ``fps`` is what the frames are said to have.
    """
    span = len(keypoints) - 1
    if frames is None:
        frames = round(span / keypoints.fps * fps) + 1 if fps else len(keypoints)
    at = np.linspace(0, span, frames)
    if frames == len(keypoints):
        return replace(keypoints, fps=fps or keypoints.fps)
    low = np.minimum(at.astype(int), max(span - 1, 0))
    high, share = np.minimum(low + 1, span), (at - low)[:, None].astype(np.float32)
    points = keypoints.points[low] * (1 - share[..., None]) + keypoints.points[high] * share[..., None]
    a, b = keypoints.confidence[low], keypoints.confidence[high]
    unseen = ((a == 0) & (share < 1)) | ((b == 0) & (share > 0))
    confidence = np.where(unseen, 0, a * (1 - share) + b * share)
    rate = fps or keypoints.fps * max(frames - 1, 1) / max(span, 1)
    return replace(keypoints, points=points.astype(np.float32), confidence=confidence.astype(np.float32), fps=rate)


def conform(
    keypoints: Keypoints,
    where: str = "keypoints",
    dims: int = 3,
    fps: float | None = None,
    frames: int | None = None,
    max_frames: int = 196,
) -> Keypoints:
    """What a clip is made of: the layout, normalised, without gaps, at ``fps`` or as ``frames`` frames.

    Without ``frames``, sequences longer than ``max_frames`` are resampled to that many: a cut one would no longer say
    its text.
    UserError for files without the layout's shoulders, and without depths where ``dims`` is 3.
    """
    if keypoints.points.shape[-1] < dims:
        raise UserError(f"{where}: no depths in it; set dims: 2")
    keypoints = replace(keypoints, points=keypoints.points[..., :dims])
    keypoints = resample(fill_gaps(normalise(to_layout(keypoints, where), where)), fps, frames)
    return keypoints if frames or len(keypoints) <= max_frames else resample(keypoints, frames=max_frames)

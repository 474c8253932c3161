"""Signs of the invented language as keypoints: hands move through places, arms and fingers follow.

Axes as in ``keypoints.py``, in shoulder widths about the middle of the shoulders.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from motion_lightning.data.signs.keypoints import Keypoints
from motion_lightning.data.signs.lexicon import PLACES, SHAPES, SIGNS, TURNS, Sign

FPS = 25.0
PICTURE = 512  # pixels a side
HOLD, PASS, REST = (13, 17), (5, 7), (3, 6)  # frames of a sign, between two, and at both ends
# Of a hand, in its length: where a finger begins (across, along), its length, how it fans out (radians).
THUMB = (0.20, 0.12), 0.46, 0.75
KNUCKLES = (((0.16, 0.48), 0.50, 0.16), ((0.02, 0.50), 0.55, 0.0), ((-0.11, 0.48), 0.50, -0.14),
            ((-0.22, 0.43), 0.40, -0.30))  # fmt: skip
BEND = np.array((1.25, 1.65, 1.1))  # radians at a finger's three joints when it is closed
HAND_LENGTH, UPPER, FORE = 0.50, 0.80, 0.70
NAMES = (
    "POSE_LANDMARKS:NOSE", *(f"POSE_LANDMARKS:{side}_{joint}" for side in ("LEFT", "RIGHT")
                             for joint in ("SHOULDER", "ELBOW", "WRIST")),
    *(f"{side}_HAND_LANDMARKS:{point}" for side in ("LEFT", "RIGHT") for point in (
        "WRIST", *(f"{finger}_{joint}" for finger, joints in (
            ("THUMB", ("CMC", "MCP", "IP", "TIP")), ("INDEX_FINGER", ("MCP", "PIP", "DIP", "TIP")),
            ("MIDDLE_FINGER", ("MCP", "PIP", "DIP", "TIP")), ("RING_FINGER", ("MCP", "PIP", "DIP", "TIP")),
            ("PINKY", ("MCP", "PIP", "DIP", "TIP"))) for joint in joints))),
)  # fmt: skip


@dataclass(frozen=True)
class SigningPerson:
    """Someone who signs: proportions relative to the usual, pace, which hand leads, and where they sit."""

    name: str
    arm: float
    hand: float
    neck: float
    reach: float  # how far out they sign
    pace: float
    leads: str  # "left" or "right"
    shoulders: float  # pixels
    centre: tuple[float, float]  # pixels


def make_person(number: int, seed: int = 0) -> SigningPerson:
    """The person with a number: always the same one, however many there are. One in six leads with the left."""
    rng = np.random.default_rng([seed, 11, number])
    return SigningPerson(
        f"person{number:02d}", rng.uniform(0.94, 1.06), rng.uniform(0.9, 1.1), rng.uniform(0.56, 0.66),
        rng.uniform(0.92, 1.1), rng.uniform(0.88, 1.15), "left" if rng.random() < 1 / 6 else "right",
        rng.uniform(120, 150), (rng.uniform(240, 272), rng.uniform(200, 230)),
    )  # fmt: skip


def perform(
    gloss: list[str], person: SigningPerson, rng: np.random.Generator, missing: float = 0.0
) -> tuple[Keypoints, list[tuple[int, int]]]:
    """Signs a sentence, from rest to rest.

    Args:
        missing: share of the hands' frames in which an estimator would not have found the hand.

    Returns:
        Keypoints (T, 49, 3) in pixels under MediaPipe's names, and the frames (start, end) of each sign.
    """
    keys = {"lead": _Keys(), "other": _Keys()}
    at, spans = rng.integers(*REST, endpoint=True), []
    for word in gloss:
        frames = round(rng.integers(*HOLD, endpoint=True) / person.pace)
        spans.append((int(at), int(at + frames)))
        for role, track in keys.items():
            if role == "lead" or SIGNS[word].hands == 2:
                track.sign(SIGNS[word], at, frames, person, rng)
        at += frames + round(rng.integers(*PASS, endpoint=True) / person.pace)
    total = int(at + rng.integers(*REST, endpoint=True))
    sides = {"lead": person.leads, "other": "left" if person.leads == "right" else "right"}
    arms = {sides[role]: track.play(total, spans, person) for role, track in keys.items()}
    body, hands = [_nose(total, person, rng)], []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        joints, hand = _limb(*arms[side], person)
        mirror = np.array((sign, 1, 1))
        body.append(joints * mirror)
        hands.append(hand * mirror)
    points = np.concatenate([*body, *hands], 1) + _tremor(total, rng)  # (T, 49, 3)
    confidence = np.ones(points.shape[:2], np.float32)
    for hand in (slice(7, 28), slice(28, 49)):
        confidence[_lost(total, missing, rng), hand] = 0
    points = points * person.shoulders + (*person.centre, 0)
    points[confidence == 0] = 0
    return Keypoints(points.astype(np.float32), confidence, FPS, NAMES), spans


class _Keys:
    """What one hand passes through, on the side of the left hand: times, places, turns and shapes."""

    def __init__(self):
        self.times, self.places, self.turns, self.shapes = [], [], [], []

    def sign(self, sign: Sign, start: int, frames: int, person: SigningPerson, rng: np.random.Generator) -> None:
        place = np.array(PLACES[sign.place]) * (person.reach, 1, person.reach) + rng.normal(0, 0.02, 3)
        wave = rng.uniform(0.9, 1.1)
        share = np.linspace(0, 1, frames)
        offset = wave * _path(sign.movement, share, person.leads)  # (frames, 3)
        bend, spread = SHAPES[sign.shape]
        for k in range(frames):
            self.times.append(start + k)
            self.places.append(place + offset[k])
            self.turns.append(TURNS[sign.turn])
            self.shapes.append((*bend, spread))

    def play(self, total: int, spans: list, person: SigningPerson) -> tuple[np.ndarray, Rotation, np.ndarray]:
        """Places (T, 3), orientations and shapes (T, 6) of all frames, at rest where there is nothing to do."""
        rest = (np.array(PLACES["rest"]), TURNS["hang"], (*SHAPES["relaxed"][0], SHAPES["relaxed"][1]))
        times, places, turns, shapes = ([*part] for part in (self.times, self.places, self.turns, self.shapes))
        free = [(a, b) for a, b in spans if a not in times]
        for t in [0, total - 1, *(t for a, b in free for t in (a + 3, b - 4))]:
            if t not in times:
                for part, value in zip((times, places, turns, shapes), (t, *rest), strict=True):
                    part.append(value)
        order = np.argsort(times)
        times = np.array(times)[order]
        # Between two keys the hand speeds up and slows down; the keys of a sign are a frame apart.
        frame = np.arange(total)
        left = np.clip(np.searchsorted(times, frame, "right") - 1, 0, len(times) - 2)
        share = ((frame - times[left]) / (times[left + 1] - times[left])).clip(0, 1)
        eased = times[left] + share**2 * (3 - 2 * share) * (times[left + 1] - times[left])
        values = np.concatenate([np.array(places)[order], np.array(shapes)[order]], 1)  # (N, 9)
        values = np.stack([np.interp(eased, times, column) for column in values.T], -1)
        return values[:, :3], Slerp(times, _frames(np.array(turns)[order]))(eased), values[:, 3:]


def _path(movement: str, share: np.ndarray, leads: str) -> np.ndarray:
    """(n, 3) how a movement leaves its place, outwards, down and away from the viewer."""
    angle, zero = 2 * np.pi * share, np.zeros_like(share)
    outwards = 1.0 if leads == "left" else -1.0  # of a hand that goes to the picture's right
    ease = share**2 * (3 - 2 * share)
    x, y, z = {
        "tap": (zero, 0.10 * np.sin(2 * angle) ** 2, zero),
        "forward": (zero, 0.05 * ease, -0.40 * ease),
        "rise": (zero, -0.55 * ease, zero),
        "fall": (zero, 0.55 * ease, zero),
        "cross": (-0.45 * ease, 0.25 * ease, zero),
        "right": (outwards * 0.55 * ease, zero, zero),
        "left": (-outwards * 0.55 * ease, zero, zero),
        "arc": (0.45 * (share - 0.5), -0.55 * np.sin(np.pi * share), zero),
        "ripple": (0.30 * (share - 0.5), 0.09 * np.sin(2 * angle), zero),
        "drop": (zero, 0.75 * (2 * share % 1.0) * (share < 1) + 0.75 * (share >= 1), zero),
        "float": (0.12 * np.sin(1.5 * angle), 0.75 * share, zero),
        "circle": (0.16 * np.cos(1.5 * angle), 0.16 * np.sin(1.5 * angle), zero),
        "sway": (0.28 * np.sin(1.5 * angle), zero, zero),
        "shake": (0.07 * np.sin(3 * angle), zero, zero),
        "apart": (0.50 * ease, zero, -0.1 * ease),
    }[movement]
    return np.stack([x, y, z], -1)


def _frames(turns: np.ndarray) -> Rotation:
    """Rotations from (N, 2, 3) directions of fingers and palm: columns across, fingers, palm."""
    along = turns[:, 0] / np.linalg.norm(turns[:, 0], axis=-1, keepdims=True)
    palm = turns[:, 1] - (turns[:, 1] * along).sum(-1, keepdims=True) * along
    palm /= np.linalg.norm(palm, axis=-1, keepdims=True)
    return Rotation.from_matrix(np.stack([np.cross(along, palm), along, palm], -1))


def _limb(place: np.ndarray, turn: Rotation, shape: np.ndarray, person: SigningPerson) -> tuple[np.ndarray, ...]:
    """Shoulder, elbow and wrist (T, 3, 3) and hand (T, 21, 3) of the left arm whose wrist should be at a place."""
    shoulder = np.broadcast_to(np.array((0.5, 0, 0)), place.shape)
    upper, fore = UPPER * person.arm, FORE * person.arm
    reach = place - shoulder
    length = np.linalg.norm(reach, axis=-1, keepdims=True)
    reach = reach / length
    length = length.clip(None, 0.999 * (upper + fore))
    wrist = shoulder + reach * length
    along = (upper**2 - fore**2 + length**2) / (2 * length)
    pole = np.array((0.55, 0.8, 0.25))  # elbows point out, down and back
    pole = pole - (reach @ pole)[:, None] * reach
    pole /= np.linalg.norm(pole, axis=-1, keepdims=True)
    elbow = shoulder + along * reach + np.sqrt((upper**2 - along**2).clip(0)) * pole
    hand = _hand(shape) * HAND_LENGTH * person.hand  # (T, 21, 3)
    hand = np.einsum("tij,tkj->tki", turn.as_matrix(), hand) + wrist[:, None]
    return np.stack([shoulder, elbow, wrist], 1), hand


def _hand(shape: np.ndarray) -> np.ndarray:
    """(T, 6) → (T, 21, 3): points of a left hand by its axes across (towards the thumb), fingers and palm."""
    frames = len(shape)
    points = [np.zeros((frames, 3))]
    for k, ((across, along), length, fan) in enumerate((THUMB, *KNUCKLES)):
        bend = shape[:, k, None]
        fan = fan * (0.35 + 0.65 * shape[:, 5]) if k else fan - 0.9 * shape[:, 0]
        point = np.broadcast_to(np.array((across, along, 0.0)), (frames, 3))
        points.append(point)
        angle = np.cumsum(bend * (BEND if k else BEND * 0.45), -1)  # (T, 3)
        for joint, part in enumerate((0.45, 0.31, 0.24)):
            flat, deep = np.cos(angle[:, joint]), np.sin(angle[:, joint])
            step = np.stack([np.sin(fan) * flat, np.cos(fan) * flat, deep], -1)
            point = point + part * length * step
            points.append(point)
    return np.stack(points, 1)


def _nose(frames: int, person: SigningPerson, rng: np.random.Generator) -> np.ndarray:
    """(T, 1, 3): a head that nods and sways a little."""
    time, phase = np.arange(frames) / FPS, rng.uniform(0, 2 * np.pi, 2)
    x, y = 0.04 * np.sin(2.1 * time + phase[0]), 0.025 * np.sin(3.3 * time + phase[1])
    return np.stack([x, y - person.neck, np.full_like(x, -0.22)], -1)[:, None]


def _tremor(frames: int, rng: np.random.Generator) -> np.ndarray:
    """(T, 1, 3): the whole body sways slowly."""
    time, phase = np.arange(frames)[:, None] / FPS, rng.uniform(0, 2 * np.pi, 3)
    return (np.array((0.02, 0.01, 0.01)) * np.sin(1.7 * time + phase))[:, None]


def _lost(frames: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """(T,) bool: short stretches that make up about a share of the frames."""
    lost = np.zeros(frames, bool)
    while share and lost.mean() < share * rng.uniform(0.5, 1.5):
        start = rng.integers(frames)
        lost[start : start + rng.integers(1, 5)] = True
    return lost

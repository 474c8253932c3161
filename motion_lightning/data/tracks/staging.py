"""What stands on a table, what hands do with it, and where everything is meanwhile."""

from dataclasses import dataclass

import numpy as np

from motion_lightning.data.tracks.hand import FOREARMS, HANDS, about, about_z, forearm_pose, hand_pose
from motion_lightning.data.tracks.program import ACTIONS, COLOURS, HEADINGS, KINDS, WAYS, Move
from motion_lightning.data.tracks.render import Pose, Solid

RGB = {
    "red": (0.82, 0.16, 0.14), "blue": (0.16, 0.34, 0.84), "green": (0.17, 0.62, 0.25), "yellow": (0.95, 0.82, 0.16),
    "purple": (0.55, 0.24, 0.70), "orange": (0.95, 0.52, 0.10), "white": (0.93, 0.93, 0.93),
}  # fmt: skip
LOW, HIGH = np.array([-0.19, -0.09]), np.array([0.19, 0.15])  # the part of the table where objects stay
PLACINGS = 1000  # tries to place what is drawn; most need a few
TWO_HANDS = 0.3  # how often both act


@dataclass(frozen=True, eq=False)
class Thing:
    """An object on the table."""

    solid: Solid
    place: np.ndarray  # (2,)
    heading: float  # radians about z

    @property
    def radius(self) -> float:
        width, depth, _ = self.solid.size
        return float(np.hypot(width, depth) if self.solid.kind == "box" else width)


def staged(rng: np.random.Generator) -> tuple[list[Thing], list[Move]]:
    """Things and moves. What is done is drawn first, and then places until there is room for it.

    Two moves may get in each other's way wherever they begin: then others are drawn.
    """
    while True:
        solids, moves = _cast(rng)
        for _ in range(PLACINGS):
            places, turns = rng.uniform(LOW, HIGH, (len(solids), 2)), rng.uniform(-0.6, 0.6, len(solids))
            things = [
                Thing(solid, place, float(turn)) for solid, place, turn in zip(solids, places, turns, strict=True)
            ]
            if has_room(things, moves):
                return things, moves


def _cast(rng: np.random.Generator) -> tuple[list[Solid], list[Move]]:
    """Things without a place, and what is done with them."""
    count = int(rng.integers(2, 5))
    colours = [COLOURS[i] for i in rng.permutation(len(COLOURS))[:count]]  # one of each: no name fits two
    sides = ["left", "right"] if rng.random() < TWO_HANDS else [pick(rng, ("left", "right"))]
    moves, kinds = [], [pick(rng, KINDS) for _ in colours]
    for number, hand in enumerate(sides):
        action = pick(rng, tuple(ACTIONS))
        kinds[number] = pick(rng, ACTIONS[action])
        low, high = {"lift": (0.07, 0.11), "turn": (0.9, 1.5)}.get(action, (0.09, 0.15))
        amount = round(float(rng.uniform(low, high)), 4)
        moves.append(Move(hand, action, pick(rng, WAYS[action]), number, colours[number], kinds[number], amount))
    solids = [_solid(rng, kind, RGB[colour], i) for i, (kind, colour) in enumerate(zip(kinds, colours, strict=True))]
    return solids, moves


def has_room(things: list[Thing], moves: list[Move]) -> bool:
    """Whether nothing stands in the way of a move or of a hand that pushes, and all stays in view."""
    taken: list[tuple[int, np.ndarray, float]] = [(i, thing.place, thing.radius) for i, thing in enumerate(things)]
    for move in moves:
        thing = things[move.object]
        route = [_at(thing, move, share).place[:2] for share in (0.25, 0.5, 0.75, 1)]
        if (route[-1] < LOW).any() or (route[-1] > HIGH).any():
            return False
        if move.action == "lift" and thing.place[1] > 0.05:  # it would leave the picture
            return False
        taken += [(move.object, place, thing.radius) for place in route]
        if move.action in ("push", "roll"):  # the hand needs a place behind
            taken.append((move.object, thing.place - _course(move)[:2] * (thing.radius + 0.03), 0.03))
    if len(moves) == 2 and moves[0].hand == "left" and things[0].place[0] > things[1].place[0] - 0.1:
        return False  # the hands would cross
    return all(
        np.hypot(*(a - b)) > r + s + 0.005 for k, (i, a, r) in enumerate(taken) for j, b, s in taken[:k] if i != j
    )


def _solid(rng: np.random.Generator, kind: str, colour: tuple, body: int) -> Solid:
    size = {
        "block": np.full(3, rng.uniform(0.033, 0.042)),
        "brick": rng.uniform(0.95, 1.1) * np.array([0.055, 0.026, 0.026]),
        "ball": np.full(3, rng.uniform(0.034, 0.042)),
        "can": rng.uniform(0.95, 1.1) * np.array([0.031, 0.031, 0.045]),
    }[kind]
    shape = {"ball": "ellipsoid", "can": "cylinder"}.get(kind, "box")
    second = tuple(0.55 * c for c in colour) if colour[1] > 0.5 else tuple(0.55 * c + 0.45 for c in colour)
    return Solid(shape, size, colour, second, body=body)


def _course(move: Move) -> np.ndarray:
    """The way on the table, (3,); zero where a move stays in its place."""
    if move.action in ("lift", "turn"):
        return np.zeros(3)
    u, v = HEADINGS[move.way]
    return np.array([u, -v, 0.0])


def _at(thing: Thing, move: Move | None, share: float) -> Pose:
    """Where a thing is when ``share`` of its move is done."""
    place, turn = np.array([*thing.place, thing.solid.size[2]]), about_z(thing.heading)
    if move is None:
        return Pose(turn, place)
    course = _course(move)
    place = place + share * move.amount * course
    if move.action == "lift":
        place[2] += share * move.amount
    if move.action == "carry":
        place[2] += 0.07 * np.sin(np.pi * share)
    if move.action == "turn":
        turn = about_z(share * _sense(move) * move.amount) @ turn
    if move.action == "roll":
        turn = about(np.cross([0, 0, 1], course), share * move.amount / thing.solid.size[2]) @ turn
    return Pose(turn, place)


def _sense(move: Move) -> int:
    return -1 if move.way == "clockwise" else 1


# ---- how it moves


def animate(
    things: list[Thing], moves: list[Move], hands: list[str], frames: int, rng: np.random.Generator
) -> list[dict[int, Pose]]:
    """Poses of all bodies in each frame: a hand comes from where it lay, acts, and goes back part of the way."""
    by_object, by_hand = {move.object: move for move in moves}, {move.hand: move for move in moves}
    touch = {hand: rng.uniform(0.18, 0.28) * frames for hand in HANDS}
    leave = {hand: rng.uniform(0.72, 0.82) * frames for hand in HANDS}
    rest = {hand: np.array([x * rng.uniform(0.12, 0.18), -0.19, 0.05]) for hand, x in (("left", -1), ("right", 1))}

    def done(move: Move | None, t: int) -> float:
        return _ease((t - touch[move.hand]) / (leave[move.hand] - touch[move.hand])) if move else 0.0

    def held(hand: str, t: int) -> Pose:
        if (move := by_hand.get(hand)) is None:
            return hand_pose(hand, rest[hand], 0.1, 0.0)
        go = 0.0 if move.action == "lift" else 0.6 * _ease((t - leave[hand]) / (frames - leave[hand]))
        near = _ease(t / touch[hand]) * (1 - go)
        grip, pitch, twist = _grip(things[move.object], move, done(move, t))
        above = np.array([0, 0, 0.05 * np.sin(np.pi * near)])
        place = rest[hand] + near * (grip - rest[hand]) + above
        return hand_pose(hand, place, 0.1 + near * (pitch - 0.1), near * twist)

    poses = []
    for t in range(frames):
        pose = {i: _at(thing, by_object.get(i), done(by_object.get(i), t)) for i, thing in enumerate(things)}
        for hand in hands:
            pose[HANDS[hand]] = held(hand, t)
            pose[FOREARMS[hand]] = forearm_pose(hand, pose[HANDS[hand]])
        poses.append(pose)
    return poses


def _grip(thing: Thing, move: Move, share: float) -> tuple[np.ndarray, float, float]:
    """Place of the palm, its pitch and its turn about z while it holds or pushes a thing."""
    place = _at(thing, move, share).place
    if move.action in ("push", "roll"):
        behind = place - _course(move) * (thing.radius + 0.028)
        return behind + np.array([0, 0, 0.012]), 0.25, 0.0
    twist = share * _sense(move) * move.amount if move.action == "turn" else 0.0
    return place + np.array([0, -0.035, thing.solid.size[2] + 0.028]), 0.55, twist


def _ease(share: float) -> float:
    """From 0 to 1 with the least jerk."""
    s = min(max(share, 0.0), 1.0)
    return s**3 * (10 - 15 * s + 6 * s * s)


def pick(rng: np.random.Generator, options):
    return options[int(rng.integers(len(options)))]

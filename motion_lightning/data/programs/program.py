"""What a clip of the embedded corpus does: a program of one or two segments, and how programs are drawn.

The harder programs, of three segments, of repeated or of simultaneous ones, are drawn in ``harder.py``.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np

FPS = 20
SIDES = {
    "kick": ("left", "right"),
    "punch": ("left", "right"),
    "wave": ("left", "right"),
    "throw": ("left", "right"),
    "hop": ("left", "right"),
    "raise_arm": ("left", "right", "both"),
}
DIRECTIONS = {
    "walk": ("forward", "backward"),
    "run": ("forward",),
    "jump": ("up", "forward", "backward"),
    "hop": ("forward",),
    "sidestep": ("left", "right"),
    "turn": ("left", "right"),
}
PATHS = ("straight", "circle", "turn")
# Tempo relative to normal; the gaps keep "slowly" and "quickly" readable from the motion alone.
TEMPO = {"slow": (0.60, 0.72), "normal": (0.95, 1.08), "fast": (1.45, 1.70)}
SPEEDS = tuple(TEMPO)
DRAWN = ("slow", "normal", "normal", "normal", "fast")  # people say a speed of two actions in five

# Seconds that the action itself takes at normal tempo; the rest of its segment is idle.
CORE = {
    "jump": 1.1,
    "kick": 1.1,
    "punch": 0.85,
    "raise_arm": 1.4,
    "throw": 1.2,
    "stretch": 1.5,
    "bow": 1.45,
    "squat": 1.4,
    "sit_down": 1.2,
    "stand_up": 1.2,
}
FLIGHT = 0.42  # seconds that a jump adds at any tempo: gravity does not wait
# Seconds that a repeated action takes in a compound clip: at least two cycles, or the whole path.
CYCLIC = {
    "walk": (1.8, 2.5),
    "run": (1.6, 2.4),
    "hop": (1.7, 2.5),
    "sidestep": (1.7, 2.5),
    "turn": (1.4, 2.2),
    "march": (1.8, 2.5),
    "wave": (1.7, 2.5),
    "clap": (1.6, 2.4),
}
ACTIONS = (
    *("walk", "run", "jump", "hop", "sidestep", "turn", "march", "kick", "punch"),
    *("wave", "raise_arm", "throw", "clap", "stretch", "bow", "squat", "sit_down", "stand_up"),
)
SEATED = ("stand_up", "wave", "raise_arm", "clap")  # what a seated person goes on with
COMPOUND = 0.45
SHORTEST, LONGEST = 2.0, 5.0


@dataclass(frozen=True)
class Segment:
    """One action with its attributes over the frames ``start`` to ``end`` (exclusive).

    ``side`` names the limb (or "both"), ``direction`` where the body goes, ``path`` the course of a walk or
    run and ``turn`` the way a circle or turn bends; left and right are the body's own. ``count`` is how often
    the action is done where that is said. An attribute that the action does not have is None.
    """

    action: str
    side: str | None = None
    direction: str | None = None
    speed: str = "normal"
    path: str | None = None
    turn: str | None = None
    start: int = 0
    end: int = 0
    count: int | None = None

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / FPS


@dataclass(frozen=True)
class Program:
    """The segments of a clip, in order: one, or two for "…, then …".

    ``form`` names a harder one: "before_after" (two segments that captions may tell in the other order),
    "while" (two that overlap in time), "count" (one is repeated) or "three" (segments).
    """

    segments: tuple[Segment, ...]
    form: str | None = None

    @property
    def compound(self) -> bool:
        return len(self.segments) > 1

    @property
    def together(self) -> bool:
        return self.form == "while"

    @property
    def kind(self) -> str:
        return self.form or ("compound" if self.compound else "single")

    @property
    def frames(self) -> int:
        return max(segment.end for segment in self.segments)

    def to_dict(self) -> dict:
        """Plain JSON; the keys ``turn``, ``count`` and ``form`` are there where they are set."""
        plain = [asdict(segment) for segment in self.segments]
        segments = [{k: v for k, v in s.items() if k not in ("turn", "count") or v} for s in plain]
        return {"segments": segments} | ({"form": self.form} if self.form else {})

    @classmethod
    def from_dict(cls, plain: dict) -> "Program":
        return cls(tuple(Segment(**segment) for segment in plain["segments"]), plain.get("form"))


def followers(action: str) -> tuple[str, ...]:
    """Actions that may come after ``action``: nobody stands up who stands, nobody walks on a chair."""
    if action == "sit_down":
        return SEATED
    return tuple(a for a in ACTIONS if a not in (action, "stand_up"))


def sample_program(rng: np.random.Generator, compound: float = COMPOUND) -> Program:
    """Draws actions and attributes, then durations with room for them: 2 to 5 seconds in all.

    Draws are uniform, but for the speed, which is mostly normal.
    """
    actions = [pick(rng, ACTIONS)]
    if rng.random() < compound:
        actions.append(pick(rng, followers(actions[0])))
    segments = [sample_segment(rng, action, len(actions) == 1) for action in actions]
    seconds = [sample_seconds(rng, segment, alone=len(actions) == 1) for segment in segments]
    return Program(in_turn(segments, seconds))


def in_turn(segments: list[Segment], seconds: list[float]) -> tuple[Segment, ...]:
    """Segments one after the other; all are stretched where they are too short together."""
    total = sum(seconds)
    if total < SHORTEST:
        seconds = [s * SHORTEST / total for s in seconds]
    bounds = np.round(np.cumsum([0.0, *seconds]) * FPS).astype(int).tolist()
    return tuple(replace(s, start=a, end=b) for s, a, b in zip(segments, bounds, bounds[1:], strict=False))


def pick(rng: np.random.Generator, options):
    return options[int(rng.integers(len(options)))]


def sample_segment(rng: np.random.Generator, action: str, alone: bool) -> Segment:
    """Attributes of an action; ``alone`` in its clip it has time for any course."""
    side = pick(rng, SIDES.get(action, (None,)))
    direction = pick(rng, DIRECTIONS.get(action, (None,)))
    speed = pick(rng, DRAWN)
    bends = action == "run" or (action == "walk" and direction == "forward")
    paths = PATHS if alone or speed != "slow" else ("straight", "turn")  # no time to go round slowly
    path = pick(rng, paths) if bends else None
    turn = pick(rng, ("left", "right")) if path in ("circle", "turn") else None
    return Segment(action, side, direction, speed, path, turn)


def sample_seconds(rng: np.random.Generator, segment: Segment, alone: bool) -> float:
    """Between what the action needs at the slowest tempo of its speed and what the clip has room for."""
    if segment.action in CORE:
        need = CORE[segment.action] / TEMPO[segment.speed][0] + FLIGHT * (segment.action == "jump")
        shortest, longest = max(1.0, need), max(1.0, need) + (1.6 if alone else 0.25)
    else:
        shortest, longest = CYCLIC[segment.action]
        if segment.speed == "slow" or segment.path in ("circle", "turn"):
            shortest = longest - 0.3
        longest = LONGEST if alone else longest
    if alone:
        shortest = max(shortest, SHORTEST)
        return float(rng.uniform(shortest, min(max(longest, shortest + 0.6), LONGEST)))
    return float(rng.uniform(shortest, min(longest, 2.5)))

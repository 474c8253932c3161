"""What a clip of the embedded corpus does: a program of one or two segments, and how programs are drawn."""

from dataclasses import asdict, dataclass

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
    run and ``turn`` the way a circle or turn bends; left and right are the body's own. An attribute that the
    action does not have is None.
    """

    action: str
    side: str | None = None
    direction: str | None = None
    speed: str = "normal"
    path: str | None = None
    turn: str | None = None
    start: int = 0
    end: int = 0

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / FPS


@dataclass(frozen=True)
class Program:
    """The segments of a clip, in order: one, or two for "…, then …"."""

    segments: tuple[Segment, ...]

    @property
    def compound(self) -> bool:
        return len(self.segments) > 1

    @property
    def frames(self) -> int:
        return self.segments[-1].end

    def to_dict(self) -> dict:
        """Plain JSON; the key ``turn`` is there for bent paths only."""
        plain = [asdict(segment) for segment in self.segments]
        return {"segments": [{k: v for k, v in s.items() if k != "turn" or v} for s in plain]}

    @classmethod
    def from_dict(cls, plain: dict) -> "Program":
        return cls(tuple(Segment(**segment) for segment in plain["segments"]))


def followers(action: str) -> tuple[str, ...]:
    """Actions that may come after ``action``: nobody stands up who stands, nobody walks on a chair."""
    if action == "sit_down":
        return SEATED
    return tuple(a for a in ACTIONS if a not in (action, "stand_up"))


def sample_program(rng: np.random.Generator, compound: float = COMPOUND) -> Program:
    """Draws actions and attributes, then durations with room for them: 2 to 5 seconds in all.

    Draws are uniform, but for the speed, which is mostly normal.
    """
    actions = [_pick(rng, ACTIONS)]
    if rng.random() < compound:
        actions.append(_pick(rng, followers(actions[0])))
    segments = [_sample_segment(rng, action, len(actions) == 1) for action in actions]
    seconds = [_sample_seconds(rng, segment, alone=len(actions) == 1) for segment in segments]
    total = sum(seconds)
    if total < SHORTEST:
        seconds = [s * SHORTEST / total for s in seconds]
    bounds = np.round(np.cumsum([0.0, *seconds]) * FPS).astype(int).tolist()
    return Program(
        tuple(
            Segment(**{**asdict(s), "start": a, "end": b})
            for s, a, b in zip(segments, bounds, bounds[1:], strict=False)
        )
    )


def _pick(rng: np.random.Generator, options):
    return options[int(rng.integers(len(options)))]


def _sample_segment(rng: np.random.Generator, action: str, alone: bool) -> Segment:
    side = _pick(rng, SIDES.get(action, (None,)))
    direction = _pick(rng, DIRECTIONS.get(action, (None,)))
    speed = _pick(rng, DRAWN)
    bends = action == "run" or (action == "walk" and direction == "forward")
    paths = PATHS if alone or speed != "slow" else ("straight", "turn")  # no time to go round slowly
    path = _pick(rng, paths) if bends else None
    turn = _pick(rng, ("left", "right")) if path in ("circle", "turn") else None
    return Segment(action, side, direction, speed, path, turn)


def _sample_seconds(rng: np.random.Generator, segment: Segment, alone: bool) -> float:
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

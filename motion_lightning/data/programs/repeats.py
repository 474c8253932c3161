"""Actions that are done several times in a row, each time a little differently."""

from collections.abc import Callable

import numpy as np

from motion_lightning.data.programs.program import CORE, FLIGHT, Segment
from motion_lightning.data.programs.timeline import Timeline

APART = 1.06  # of the time that it takes: how far the beginnings of one time and the next are apart
RAISE = 0.71  # seconds that hands take up to a clap, and down again
SETTLE = 0.7  # seconds before the first hop and after the last


def takes(s: Segment, tempo: float) -> float:
    """Seconds that ``s.count`` times of an action take."""
    if s.action == "clap":
        return RAISE / np.sqrt(tempo) + s.count / (2.0 * tempo)
    if s.action == "hop":
        return SETTLE + s.count / (1.85 * tempo)
    return s.count * _once(s, tempo / APART)


def _once(s: Segment, tempo: float) -> float:
    return CORE[s.action] / tempo + FLIGHT * (s.action == "jump")


class Habit:
    """Draws of somebody who does a thing again: every time what was drawn before, and a little else."""

    def __init__(self, rng: np.random.Generator):
        self.rng, self.seed = rng, int(rng.integers(2**32))
        self.again()

    def again(self) -> None:
        self.usual = np.random.default_rng(self.seed)

    def uniform(self, low: float, high: float) -> float:
        usual = self.usual.uniform(low, high) + self.rng.normal(0.0, 0.12) * (high - low)
        return float(np.clip(usual, low, high))

    def random(self) -> float:
        return self.usual.random()


def repeat(act: Callable, tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng) -> None:
    """Lets ``act`` perform an action of ``CORE`` ``s.count`` times between ``start`` and ``end`` seconds."""
    habit, slot = Habit(rng), (end - start) / s.count
    for k in range(s.count):
        own = tempo * rng.uniform(0.96, 1.02)
        once = min(_once(s, own), slot)
        begin = start + k * slot + rng.uniform(0.0, 1.0) * (slot - once)
        act(tl, s, begin, begin + once, own, habit)
        habit.again()

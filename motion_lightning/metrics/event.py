"""Something that happened in a motion, as rules found it."""

from dataclasses import dataclass, replace

import numpy as np

# Between the tempo ranges of "slowly" and "quickly" and that of motions of which no speed is said.
SLOW, FAST = 0.83, 1.25


def tempo_of(normal: float, start: float, end: float, fps: float) -> float:
    """Tempo of what lasts from frame ``start`` to ``end`` and takes ``normal`` seconds at normal tempo."""
    return normal * fps / max(end - start, 1.0)


@dataclass(frozen=True)
class Event:
    """An action between two frames (end exclusive), with attributes named as in programs.

    ``tempo`` is relative to normal; what is normal stands with the rules that measure it. ``count`` is how often
    hands meet in a clap and how many hops there are, and 1 of anything else.
    """

    action: str
    start: int
    end: int
    side: str | None = None
    direction: str | None = None
    path: str | None = None
    turn: str | None = None
    tempo: float = 1.0
    count: int = 1

    @property
    def speed(self) -> str:
        return "slow" if self.tempo < SLOW else "fast" if self.tempo > FAST else "normal"

    @property
    def middle(self) -> float:
        return 0.5 * (self.start + self.end)

    def covers(self, start: int, end: int) -> float:
        """Share of the frames from ``start`` to ``end`` during which this happens."""
        return max(min(self.end, end) - max(self.start, start), 0) / max(end - start, 1)


def repeated(events: list[Event]) -> list[Event]:
    """Events in the order of time, those of one action in a row, with the same limb and way, as one that counts."""
    out: list[list[Event]] = []
    for e in events:
        last = out[-1][-1] if out else None
        if last and (last.action, last.side, last.direction) == (e.action, e.side, e.direction):
            out[-1].append(e)
        else:
            out.append([e])
    return [
        replace(
            row[0],
            end=row[-1].end,
            tempo=float(np.median([e.tempo for e in row])),
            count=sum(e.count for e in row),
        )
        for row in out
    ]

"""Something that happened in a motion, as rules found it."""

from dataclasses import dataclass

# Between the tempo ranges of "slowly" and "quickly" and that of motions of which no speed is said.
SLOW, FAST = 0.83, 1.25


def tempo_of(normal: float, start: float, end: float, fps: float) -> float:
    """Tempo of what lasts from frame ``start`` to ``end`` and takes ``normal`` seconds at normal tempo."""
    return normal * fps / max(end - start, 1.0)


@dataclass(frozen=True)
class Event:
    """An action between two frames (end exclusive), with attributes named as in programs.

    ``tempo`` is relative to normal; what is normal stands with the rules that measure it.
    """

    action: str
    start: int
    end: int
    side: str | None = None
    direction: str | None = None
    path: str | None = None
    turn: str | None = None
    tempo: float = 1.0

    @property
    def speed(self) -> str:
        return "slow" if self.tempo < SLOW else "fast" if self.tempo > FAST else "normal"

    @property
    def middle(self) -> float:
        return 0.5 * (self.start + self.end)

    def covers(self, start: int, end: int) -> float:
        """Share of the frames from ``start`` to ``end`` during which this happens."""
        return max(min(self.end, end) - max(self.start, start), 0) / max(end - start, 1)

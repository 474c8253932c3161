"""Something that happened in a motion, as rules found it."""

from dataclasses import dataclass

# Between the tempo ranges of "slowly" and "quickly" and that of motions of which no speed is said.
SLOW, FAST = 0.83, 1.25


@dataclass(frozen=True)
class Event:
    """An action between two frames (end exclusive), with attributes named as in programs.

    ``tempo`` is relative to normal.
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

    def overlap(self, other: "Event") -> float:
        """Share of the shorter event in which the other happens, too."""
        both = min(self.end, other.end) - max(self.start, other.start)
        return max(both, 0) / max(min(self.end - self.start, other.end - other.start), 1)

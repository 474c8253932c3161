"""What a check found."""

from dataclasses import dataclass, field

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Case:
    """One thing that is wrong: a clip, a caption, a file."""

    what: str  # a line to read
    row: int | None = None  # clip of the store
    frame: int | None = None  # where it shows
    value: float | None = None  # the measured number


@dataclass
class Finding:
    """The result of one check; without cases nothing was found.

    An ``error`` makes numbers that are measured on the corpus wrong, a ``warning`` wants to be looked at, a ``note``
    is good to know.
    """

    check: str
    severity: str
    advice: str  # what to do
    of: int  # things that were looked at
    unit: str = "clips"
    cases: list[Case] = field(default_factory=list)  # worst first
    skipped: str = ""  # why it could not be looked at

    @property
    def state(self) -> str:
        """error, warning, note; fine without cases; skipped."""
        return "skipped" if self.skipped else self.severity if self.cases else "fine"


def worst(cases: list[Case], reverse: bool = True) -> list[Case]:
    """Cases by their value, the largest first."""
    return sorted(cases, key=lambda case: case.value, reverse=reverse)

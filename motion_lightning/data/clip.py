"""What a corpus hands to ``prepare``: clips, and the recordings that it left out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

SPLITS = ("train", "val", "test")


@dataclass
class Clip:
    """One motion with its captions.

    ``features`` (T, D) float32 are metric (not normalised). ``tags`` hold whatever else is known and fits
    into JSON: the motion program, the recording, flags, the duration.
    """

    id: str
    features: np.ndarray
    captions: list[str]
    split: Literal["train", "val", "test"]
    tags: dict[str, Any] = field(default_factory=dict)


@dataclass
class Rejected:
    """A clip that was left out: its name, where it was found and why."""

    id: str
    where: str
    reason: str


class Corpus(Protocol):
    """Source of clips. ``fingerprint`` is JSON that changes whenever the clips would.

    ``clips`` may take ``start=0``, the number of items to pass over: an interrupted preparation then goes on
    without making them again.
    """

    name: str
    skeleton: str
    fps: float

    def fingerprint(self) -> dict[str, Any]: ...

    def __len__(self) -> int: ...

    def clips(self) -> Iterator[Clip | Rejected]:
        """The clips in a fixed order, each id once."""
        ...

"""What a corpus hands to ``prepare``: clips, and the recordings that it left out."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, Protocol

import numpy as np

SPLITS = ("train", "val", "test")


@dataclass
class Clip:
    """One motion, pose, picture or video with its captions.

    Attributes:
        features: (T, ...) float32 in metric units (not normalised), or uint8 pictures. All clips of a corpus have
            the same type and, but for T, the same shape.
        tags: whatever else is known and fits into JSON: the motion program, the recording, flags, the duration.
        pos: empty, or the corpus' own parts of speech of each caption: "a/DET man/NOUN kick/VERB".
        extras: more arrays, of the same names, types and shapes in every clip of a corpus: scene, hands, depth.
    """

    id: str
    features: np.ndarray
    captions: list[str]
    split: Literal["train", "val", "test"]
    tags: dict[str, Any] = field(default_factory=dict)
    pos: list[str] = field(default_factory=list)
    extras: dict[str, np.ndarray] = field(default_factory=dict)


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

    name: str  # that of its file in conf/data
    representation: Literal["motion", "pose", "tracks", "video", "keypoints", "image"]
    skeleton: str | None  # of motions and poses
    fps: float
    min_frames: int  # shorter clips are left out
    about: dict[str, str]  # title, source, licence; also citation, notes

    def fingerprint(self) -> dict[str, Any]: ...

    def __len__(self) -> int: ...

    def clips(self) -> Iterator[Clip | Rejected]:
        """The clips in a fixed order, each id once."""
        ...


def items_after(corpus: Corpus, done: int) -> Iterator[Clip | Rejected]:
    """The rest of the corpus; one that cannot start in the middle is gone through from its beginning."""
    if done and "start" in inspect.signature(corpus.clips).parameters:
        return corpus.clips(start=done)
    return islice(corpus.clips(), done, None)

"""What the training callback, ``sample`` and ``evaluate`` ask of a kind of data."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from motion_lightning.data.store import Split, Store
from motion_lightning.pipeline import Diffusion
from motion_lightning.text.condition import TextCond
from motion_lightning.view.fragment import Fragment


class Shown(NamedTuple):
    """One thing to look at. Things that follow each other with the same caption stand in one row."""

    x: Tensor  # (T, *shape) where the codec is
    caption: str
    title: str = ""  # "sample 1", "real"
    cond: Any = None  # its condition, a batch of one
    real: bool = False  # not from a model
    keep: Tensor | None = None  # (T, *shape) bool, where an edit kept what was there
    codec: Any = None  # of x, where it is another than that of the model that all are shown for


class Scoring(NamedTuple):
    """What ``score`` may use."""

    model: Diffusion
    store: Store
    part: Split  # clips that were sampled
    samples: Sequence[Tensor]  # x (T, *shape) of each clip of the part, from its first caption, where the codec is
    draw: Callable[[Any, Sequence[int], int], list[Tensor]]  # cond, lengths in frames, seed → more such samples
    encode: Callable[[list[str]], TextCond]
    seed: int


class Task(Protocol):
    """One for each representation; ``task`` of conf/representation names it."""

    prompts: list[str]  # drawn in training; empty where the condition is more than text: then clips of val are taken

    def frames(self, model: Diffusion, seconds: float) -> int:
        """Frames of x of so many seconds; the one length that there is, where clips have no other."""
        ...

    def look(self, model: Diffusion, shown: Sequence[Shown]) -> Fragment:
        """What a person looks at, as a piece of a page."""
        ...

    def save(self, model: Diffusion, shown: Sequence[Shown], stem: Path) -> list[Path]:
        """Other files of the same, ``stem`` + .mp4, .npz, …; a video or picture for W&B comes first."""
        ...

    def figures(
        self, model: Diffusion, split: Split, clips: Sequence[int], samples: Sequence[Tensor], real: bool = False
    ) -> dict[str, float]:
        """Figures by name of one sample for each of the clips, for a table of many runs; {} where there are none."""
        ...

    def score(self, scoring: Scoring) -> dict[str, Any]:
        """Figures, JSON-able: ``headline`` {name: number}, ``tables`` {title: {row: {column: number or None}}} and
        whatever else is worth keeping. NaN becomes None."""
        ...

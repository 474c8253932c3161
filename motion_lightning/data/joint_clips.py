"""From joints to clips as HumanML3D has them: whole motions, captioned parts, mirrored copies.

What a motion will become is known before its joints are read, so that an interrupted preparation finds its place.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from motion_lightning.data.clip import SPLITS, Clip, Rejected
from motion_lightning.data.conversion import in_processes
from motion_lightning.data.mirroring import mirror_tags, mirror_text
from motion_lightning.data.tagged_texts import Style, TaggedText, read_tagged_texts
from motion_lightning.errors import UserError
from motion_lightning.motion.features import joints_to_features, mirror
from motion_lightning.motion.skeleton import load_skeleton


@dataclass(frozen=True)
class Settings:
    """How joints become clips; lengths in feature frames at the skeleton's rate."""

    skeleton: str
    hip_order: str = "published"
    min_frames: int = 40
    max_frames: int = 199
    caption_style: Style = "tagged"

    def __post_init__(self):
        if not 1 <= self.min_frames <= self.max_frames:
            raise UserError(f"min_frames {self.min_frames} should lie between 1 and max_frames, {self.max_frames}")
        if self.caption_style not in ("tagged", "plain"):
            raise UserError(f"caption_style is {self.caption_style!r}, should be tagged or plain")
        if self.hip_order not in ("published", "corrected"):
            raise UserError(f"hip_order is {self.hip_order!r}, should be published or corrected")


@dataclass(frozen=True)
class Motion:
    """A motion with its captions: texts are a file in HumanML3D's style, or captions of the whole.

    ``mirrored``: its joints are the mirror image of those that are read, its id is M and the other's. ``swapped``: its
    texts are the other's too, and are to be mirrored as well.
    """

    id: str
    split: str
    texts: Path | tuple[str, ...]
    mirrored: bool = False
    swapped: bool = False
    tags: dict[str, Any] = field(default_factory=dict)

    def mirror(self) -> "Motion":
        """Its mirrored copy, which says the other side."""
        return replace(self, id=f"M{self.id}", mirrored=True, swapped=True, tags=mirror_tags(self.tags))


@dataclass(frozen=True)
class Part:
    """A clip to come: all of a motion, or seconds of it."""

    id: str
    texts: list[TaggedText]
    seconds: tuple[float, float] | None = None


Reader = Callable[[Any], np.ndarray]


def outline(motion: Motion, style: Style) -> list[Part | Rejected]:
    """The clips of a motion before its joints are known: the whole, then each captioned part."""
    if isinstance(motion.texts, tuple):
        texts, wrong, where = [TaggedText(text) for text in motion.texts], [], "captions"
    else:
        where = f"{motion.texts.parent.name}/{motion.texts.name}"
        try:
            texts, wrong = read_tagged_texts(motion.texts, style)
        except UserError as error:
            return [Rejected(motion.id, where, str(error))]
    if motion.swapped:
        texts = [replace(t, caption=mirror_text(t.caption), pos=mirror_text(t.pos)) for t in texts]
    parts: list[Part | Rejected] = []
    if whole := [text for text in texts if text.whole]:
        parts.append(Part(motion.id, whole))
    for number, text in enumerate(text for text in texts if not text.whole):
        parts.append(Part(f"{motion.id}.s{number}", [text], (text.start, text.end)))
    parts += [Rejected(motion.id, f"{where} line {line}", reason) for line, reason in wrong]
    return parts or [Rejected(motion.id, where, "no caption")]


def convert(job: Any, motions: Sequence[Motion], read: Reader, settings: Settings) -> list[Clip | Rejected]:
    """The clips of motions that share one recording, as many as their outlines have.

    ``read(job)`` gives its joints (T, J, 3) at the skeleton's rate; str(job) says where it is.
    """
    joints, reason, items = None, "", []
    try:
        joints = read(job)
    except UserError as error:
        reason = str(error)
    for motion in motions:
        features = None
        if joints is not None:
            try:
                features = _features(joints, motion, settings)
            except UserError as error:
                reason = str(error)
        for part in outline(motion, settings.caption_style):
            if isinstance(part, Rejected):
                items.append(part)
            elif features is None:
                items.append(Rejected(part.id, str(job), reason))
            else:
                items.append(_cut(part, motion, features, settings))
    return items


def convert_all(
    jobs: Iterable[tuple[Any, Sequence[Motion]]],
    read: Reader,
    settings: Settings,
    workers: int,
    start: int = 0,
    rest: Sequence[Rejected] = (),
) -> Iterator[Clip | Rejected]:
    """Clips of all jobs in their order, then the rest; of the first ``start`` items nothing but captions is read."""
    todo = deque(jobs)
    while start and todo:
        items = sum(len(outline(motion, settings.caption_style)) for motion in todo[0][1])
        if items > start:
            break
        todo.popleft()
        start -= items
    made = in_processes(partial(convert, read=read, settings=settings), todo, workers)
    return islice(chain(made, rest), start, None)


def _features(joints: np.ndarray, motion: Motion, settings: Settings) -> np.ndarray:
    skeleton = load_skeleton(settings.skeleton)
    if motion.mirrored:
        joints = mirror(joints, skeleton)
    return joints_to_features(joints, skeleton, settings.hip_order)


def _cut(part: Part, motion: Motion, features: np.ndarray, settings: Settings) -> Clip | Rejected:
    fps, start, end = load_skeleton(settings.skeleton).fps, 0, len(features)
    if part.seconds:  # as EricGuo5513/text-to-motion, data/dataset.py
        start, end = int(part.seconds[0] * fps), min(int(part.seconds[1] * fps), end)
    if not settings.min_frames <= end - start <= settings.max_frames:
        reason = f"a clip of {max(end - start, 0)} frames; {settings.min_frames} to {settings.max_frames} are taken"
        return Rejected(part.id, motion.id, reason)
    tags = {
        "recording": motion.id[motion.mirrored :],
        "mirrored": motion.mirrored,
        "start": round(start / fps, 4),  # seconds of the motion
        "end": round(end / fps, 4),
        "duration": round((end - start) / fps, 4),
        **motion.tags,
    }
    pos = [text.pos for text in part.texts]
    captions = [text.caption for text in part.texts]
    return Clip(part.id, features[start:end], captions, motion.split, tags, pos if any(pos) else [])


def read_splits(folder: Path) -> dict[str, str]:
    """Split of each id that train.txt, val.txt and test.txt name; empty where there is none of them."""
    splits: dict[str, str] = {}
    for split in SPLITS:
        path = folder / f"{split}.txt"
        if not path.is_file():
            continue
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not UTF-8 at byte {error.start}") from None
        for number, line in enumerate(lines, start=1):
            name = line.strip()
            if name and splits.setdefault(name, split) != split:
                raise UserError(f"{path} line {number}: {name} is in {splits[name]}.txt already; it can be in one only")
    return splits


def files_digest(files: Iterable[Path], folder: Path) -> str:
    """SHA-256 over names, sizes and times of files, whose bytes may be gigabytes; a missing one counts as such."""
    digest = hashlib.sha256()
    for file in sorted(files):
        stat = file.stat() if file.exists() else None
        digest.update(f"{file.relative_to(folder)} {stat and (stat.st_size, stat.st_mtime_ns)}\n".encode())
    return digest.hexdigest()

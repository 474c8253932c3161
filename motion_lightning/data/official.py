"""Folders in the layout that HumanML3D and KIT-ML are published in (github.com/EricGuo5513/HumanML3D).

    new_joint_vecs/ID.npy   features (T, 12 J - 1), float32
    texts/ID.txt            captions, see ``tagged_texts``
    train.txt val.txt test.txt   one ID a line; M012314 is the mirrored copy of 012314
    Mean.npy Std.npy        of the published features

Which clips and which part of a motion count follows the published loader (Text2MotionDatasetV2 of
EricGuo5513/text-to-motion, data/dataset.py): a motion has ``min_frames`` rows at least and fewer than 200; a caption
with a start or an end is a clip of its own, ``motion[int(start * fps) : int(end * fps)]``, under the same bounds and
beside that of the captions for the whole; ``nan`` is 0. What that loader leaves out without a word is listed here. It
crops clips to a multiple of 4 frames when it loads them; a store keeps every frame, and its batches are padded.
"""

import hashlib
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from motion_lightning.data.ahead import in_order
from motion_lightning.data.clip import SPLITS, Clip, Rejected
from motion_lightning.data.npy import open_npy
from motion_lightning.data.tagged_texts import Style, TaggedText, read_tagged_texts
from motion_lightning.errors import UserError
from motion_lightning.motion.skeleton import load_skeleton

VERSION = 1  # of the reading: another one makes prepared stores out of date
MOTIONS, TEXTS = "new_joint_vecs", "texts"
ID = re.compile(r"[^\W_][\w. +-]{0,100}")  # cannot leave its folder
MIRRORED = re.compile(r"M\d+")
STATISTICS = ("Mean.npy", "Std.npy")
LAYOUT = f"{MOTIONS}/, {TEXTS}/, " + ", ".join(f"{split}.txt" for split in SPLITS)


class OfficialFolder:
    """Clips of HumanML3D, KIT-ML or anything laid out alike, as a corpus that ``prepare`` reads.

    Args:
        source: the folder.
        name: of the corpus.
        skeleton: name or path of the features' skeleton, which gives their width and rate.
        min_frames, max_frames: bounds of a clip's length, both included; 40 and 199 for HumanML3D, 24 for KIT-ML.
        mirrored: whether the mirrored copies (ids of M and digits) count.
        caption_style: "tagged", or "plain" where a line is a caption whatever it holds.
        about: for the data card: title, source, licence, citation, notes.
        workers: threads that read.

    Raises UserError for a folder that is laid out otherwise, and for statistics of another width.
    """

    representation = "motion"

    def __init__(
        self,
        source: str | Path,
        name: str = "humanml3d",
        skeleton: str = "humanml22",
        min_frames: int = 40,
        max_frames: int = 199,
        mirrored: bool = True,
        caption_style: Style = "tagged",
        about: Mapping[str, str] | None = None,
        workers: int = 4,
    ):
        if not 1 <= min_frames <= max_frames:
            raise UserError(f"min_frames {min_frames} should lie between 1 and max_frames, {max_frames}")
        if caption_style not in ("tagged", "plain"):
            raise UserError(f"caption_style is {caption_style!r}; it should be tagged or plain")
        self.source, self.name, self.skeleton = Path(source).expanduser(), name, skeleton
        self.min_frames, self.max_frames, self.mirrored = min_frames, max_frames, mirrored
        self.caption_style, self.about, self.workers = caption_style, dict(about or {}), max(1, workers)
        body = load_skeleton(skeleton)
        self.fps, self.width = body.fps, 12 * len(body.joints) - 1
        _check_layout(self.source)
        self.listed, self.unread = self._lists()
        self.statistics = {file: self._statistics(file) for file in STATISTICS if (self.source / file).exists()}

    def __len__(self) -> int:
        """Number of motions; those with captions for parts make more than one clip."""
        return len(self.listed) + len(self.unread)

    def fingerprint(self) -> dict[str, Any]:
        """Hashes of the lists; names, sizes and times of the files, whose bytes are gigabytes; published statistics."""
        return {
            "version": VERSION,
            "lists": {f"{split}.txt": _sha256(self.source / f"{split}.txt") for split in SPLITS},
            "files": self._files,
            "published": self.statistics,
            "settings": {
                "min_frames": self.min_frames,
                "max_frames": self.max_frames,
                "mirrored": self.mirrored,
                "caption_style": self.caption_style,
            },
        }

    @cached_property
    def _files(self) -> str:
        ids, digest = {motion for motion, _ in self.listed}, hashlib.sha256()
        for folder in (MOTIONS, TEXTS):
            with os.scandir(self.source / folder) as entries:
                stats = {e.name: e.stat() for e in entries if e.name.rsplit(".", 1)[0] in ids}
            for file, stat in sorted(stats.items()):
                digest.update(f"{folder}/{file} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def clips(self, start: int = 0) -> Iterator[Clip | Rejected]:
        """Clips in the order of the lists, a motion's parts after it; of the first ``start`` no features are read."""
        todo = deque(self.listed)
        while start and todo and (items := len(self._outline(*todo[0]))) <= start:
            todo.popleft()
            start -= items
        return islice(chain(self._read_all(todo), self.unread), start, None)

    def _read_all(self, listed: Iterable[tuple[str, str]]) -> Iterator[Clip | Rejected]:
        read = in_order(ThreadPoolExecutor(self.workers), self._read, listed, ahead=8 * self.workers)
        return chain.from_iterable(read)

    def _read(self, listed: tuple[str, str]) -> list[Clip | Rejected]:
        motion, split = listed
        items = self._outline(motion, split)
        return [_in_memory(item, f"{MOTIONS}/{motion}.npy") if isinstance(item, Clip) else item for item in items]

    def _outline(self, motion: str, split: str) -> list[Clip | Rejected]:
        """What becomes of one motion; its clips' features are still on the disk.

        Which items there are, and how many, depends on the texts and the shape of the motion alone.
        """
        file, text_file = f"{MOTIONS}/{motion}.npy", f"{TEXTS}/{motion}.txt"
        try:
            features = open_npy(self.source / file)
        except UserError as error:
            return [Rejected(motion, file, str(error))]
        if reason := self._unfit(features):
            return [Rejected(motion, file, reason)]
        try:
            texts, wrong = read_tagged_texts(self.source / text_file, self.caption_style)
        except UserError as error:
            return [Rejected(motion, text_file, str(error))]
        items: list[Clip | Rejected] = []
        if whole := [text for text in texts if text.whole]:
            items.append(self._clip(motion, motion, split, features, whole, 0, len(features)))
        for number, text in enumerate(text for text in texts if not text.whole):
            a, b = int(text.start * self.fps), min(int(text.end * self.fps), len(features))
            part = f"{motion}.s{number}"
            if self.min_frames <= b - a <= self.max_frames:
                items.append(self._clip(part, motion, split, features, [text], a, b))
            else:
                reason = f"a part {self._bounds(b - a)}"
                items.append(Rejected(part, f"{text_file}, {text.start} to {text.end} s", reason))
        items += [Rejected(motion, f"{text_file} line {line}", reason) for line, reason in wrong]
        return items or [Rejected(motion, text_file, "no caption")]

    def _unfit(self, features: np.ndarray) -> str | None:
        if features.ndim != 2 or features.shape[1] != self.width or features.dtype.kind != "f":
            shape = f"({', '.join(map(str, features.shape))}) {features.dtype}"
            return f"expected (frames, {self.width}) of floats for {Path(self.skeleton).stem}, got {shape}"
        return None if self.min_frames <= len(features) <= self.max_frames else self._bounds(len(features))

    def _bounds(self, frames: int) -> str:
        short = frames < self.min_frames
        return f"shorter than {self.min_frames} frames" if short else f"longer than {self.max_frames} frames"

    def _clip(
        self, name: str, motion: str, split: str, features: np.ndarray, texts: list[TaggedText], start: int, end: int
    ) -> Clip:
        mirrored = bool(MIRRORED.fullmatch(motion))
        tags = {
            "recording": motion[mirrored:],  # alike for the mirrored copy and the parts
            "mirrored": mirrored,
            "start": round(start / self.fps, 4),  # seconds of the motion
            "end": round(end / self.fps, 4),
            "duration": round((end - start) / self.fps, 4),
        }
        pos = [text.pos for text in texts]
        captions = [text.caption for text in texts]
        return Clip(name, features[start:end], captions, split, tags, pos if any(pos) else [])

    def _lists(self) -> tuple[list[tuple[str, str]], list[Rejected]]:
        """(id, split) of the motions to read, and the lines that name none."""
        listed: dict[str, str] = {}
        wrong = []
        for split in SPLITS:
            try:
                lines = (self.source / f"{split}.txt").read_text(encoding="utf-8-sig").split("\n")
            except UnicodeDecodeError as error:
                raise UserError(f"{self.source / split}.txt: not UTF-8 at byte {error.start}") from None
            for number, line in enumerate(lines, start=1):
                motion, where = line.strip(), f"{split}.txt line {number}"
                if not motion or (not self.mirrored and MIRRORED.fullmatch(motion)):
                    continue
                if motion in listed:
                    wrong.append(Rejected(motion, where, f"is in {listed[motion]}.txt already"))
                elif not ID.fullmatch(motion):
                    wrong.append(Rejected(motion[:100], where, "an id is the name of a file, without its ending"))
                else:
                    listed[motion] = split
        if not listed:
            raise UserError(f"{self.source}: {', '.join(f'{split}.txt' for split in SPLITS)} name no motion")
        return list(listed.items()), wrong

    def _statistics(self, file: str) -> dict[str, Any]:
        """What was published, for comparison; a store computes its own."""
        path = self.source / file
        try:
            values = open_npy(path)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        if values.shape != (self.width,) or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise UserError(
                f"{path}: expected {self.width} finite numbers for skeleton {Path(self.skeleton).stem}, got "
                f"{values.dtype} of shape {values.shape}; humanml3d has 263 and kit 251"
            )
        return {"sha256": _sha256(path), "values": [float(f"{value:.9g}") for value in values]}


def _in_memory(clip: Clip, file: str) -> Clip | Rejected:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        clip.features = np.array(clip.features, np.float32)
    if np.isfinite(clip.features).all():
        return clip
    row = int(np.flatnonzero(~np.isfinite(clip.features).all(1))[0])
    return Rejected(clip.id, f"{file}, {clip.tags['start']} s + row {row}", "NaN or infinity in the features")


def _check_layout(source: Path) -> None:
    if not source.is_dir():
        raise UserError(f"{source} is no folder; one with {LAYOUT} is expected")
    missing = [f"{folder}/" for folder in (MOTIONS, TEXTS) if not (source / folder).is_dir()]
    missing += [f"{split}.txt" for split in SPLITS if not (source / f"{split}.txt").is_file()]
    if not missing:
        return
    hint = ""
    if inner := sorted(path.parent for path in source.glob(f"*/{MOTIONS}")):
        hint = f"; did you mean {inner[0]}?"
    elif missing[0] == f"{MOTIONS}/" and (source / "new_joints").is_dir():
        hint = "; it has new_joints/, positions of joints: data=joints makes the features from them"
    raise UserError(f"{source} lacks {', '.join(missing)}; a folder with {LAYOUT} is expected{hint}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

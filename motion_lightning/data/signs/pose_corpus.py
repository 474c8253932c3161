"""Corpora of keypoints: signs of an invented language, folders of ``.pose`` files, and skeleton text files."""

import hashlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tqdm import tqdm

from motion_lightning.data.clip import SPLITS, Clip, Rejected
from motion_lightning.data.signs.keypoints import Keypoints, conform
from motion_lightning.data.signs.lexicon import sample_gloss, translations
from motion_lightning.data.signs.pairs import find_pairs, fingerprint
from motion_lightning.data.signs.pose_file import pose_bytes, read_pose, write_pose
from motion_lightning.data.signs.signing import FPS, PICTURE, make_person, perform
from motion_lightning.data.signs.skels import read_lines, read_skels
from motion_lightning.errors import UserError

VERSION = 1  # of signs, sentences and conversion
SHORTEST = 8  # frames


class SignPoseCorpus:
    """Sentences of an invented sign language, each written as a ``.pose`` file and read back.

    A clip is a function of (seed, split, number) alone. Features are (T, 50, dims + 1) float32 in the layout
    of ``keypoints.py``: coordinates, then the confidence. ``tags`` hold the gloss, the signer, the hand that leads
    and the frames [start, end) of each sign, counted before any resampling. A signer is in one split only.

    Args:
        train, val, test: clips of each split.
        dims: 2 or 3 coordinates.
        frames: length that every clip is resampled to; None leaves them as they are, 50 to 110 frames.
        signers: of train, val and test.
        missing: share of the hands' frames that an estimator would have missed.
        seed: of all random choices.
        texts: captions of a clip.

    Raises UserError for settings outside these bounds.
    """

    name, representation, skeleton, fps, min_frames = "sign_poses", "keypoints", None, FPS, SHORTEST

    def __init__(
        self,
        train: int = 2000,
        val: int = 200,
        test: int = 200,
        dims: int = 3,
        frames: int | None = None,
        signers: tuple[int, int, int] = (16, 4, 4),
        missing: float = 0.0,
        seed: int = 0,
        texts: int = 3,
    ):
        self.counts = dict(zip(SPLITS, (train, val, test), strict=True))
        if min(self.counts.values()) < 0 or not sum(self.counts.values()):
            raise UserError(f"train={train} val={val} test={test}: a corpus needs clips, and none below zero")
        _check(dims, frames)
        if len(signers) != 3 or min(signers) < 1:
            raise UserError(f"signers={list(signers)} should be three counts of 1 or more: of train, val and test")
        if not 0 <= missing <= 0.5:
            raise UserError(f"missing={missing} is a share of the frames and should lie between 0 and 0.5")
        if not 1 <= texts <= 6:
            raise UserError(f"texts={texts}: a clip has 1 to 6 captions")
        self.dims, self.frames, self.missing, self.seed, self.texts = dims, frames, missing, seed, texts
        ends = np.cumsum([0, *signers]).tolist()
        self.signers = {s: range(a, b) for s, a, b in zip(SPLITS, ends[:-1], ends[1:], strict=True)}
        self.about = {
            "title": "Signs of an invented language about the weather",
            "source": f"made by {__name__} from the seed {seed}",
            "licence": "that of this software",
            "notes": "The signs are made up; none is of any sign language.",
        }

    def __len__(self) -> int:
        return sum(self.counts.values())

    def fingerprint(self) -> dict[str, Any]:
        """All that decides what the clips are."""
        settings = {k: getattr(self, k) for k in ("dims", "frames", "missing", "seed", "texts")}
        signers = {split: len(numbers) for split, numbers in self.signers.items()}
        return {"corpus": self.name, "version": VERSION, **self.counts, "signers": signers, **settings}

    def clips(self, start: int = 0) -> Iterator[Clip]:
        """Clips in the order train, val, test, from number ``start`` on."""
        for split, number in self._jobs()[start:]:
            name, keypoints, captions, tags = self.sentence(split, number)
            read = read_pose(pose_bytes(keypoints, (PICTURE, PICTURE, PICTURE)), name)
            yield _clip(name, conform(read, name, self.dims, frames=self.frames), captions, split, tags, len(read))

    def sentence(self, split: str, number: int) -> tuple[str, Keypoints, list[str], dict[str, Any]]:
        """Name, keypoints as a file has them, captions and tags of a clip."""
        seeds = np.random.SeedSequence([self.seed, SPLITS.index(split), number]).spawn(3)
        gloss_rng, body_rng, text_rng = map(np.random.default_rng, seeds)
        gloss, person = sample_gloss(gloss_rng), make_person(int(body_rng.choice(self.signers[split])), self.seed)
        keypoints, spans = perform(gloss, person, body_rng, self.missing)
        tags = {"gloss": gloss, "spans": spans, "signer": person.name, "leads": person.leads}
        return f"{person.name}_{split}{number:05}", keypoints, translations(gloss, text_rng, self.texts), tags

    def export(self, folder: str | Path, progress: bool = True) -> None:
        """Writes ``NAME.pose`` and ``NAME.txt`` of every clip into a folder, as ``PoseFolderCorpus`` reads them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for split, number in tqdm(self._jobs(), desc="poses", unit="file", disable=not progress):
            name, keypoints, captions, _ = self.sentence(split, number)
            (folder / f"{name}.txt").write_text("\n".join(captions) + "\n", encoding="utf-8")
            write_pose(folder / f"{name}.pose", keypoints, (PICTURE, PICTURE, PICTURE))

    def _jobs(self) -> list[tuple[str, int]]:
        return [(split, i) for split, n in self.counts.items() for i in range(n)]


class PoseFolderCorpus:
    """A folder of ``.pose`` files with their texts (see ``pairs.py``), of MediaPipe's or OpenPose's points.

    Features are (T, 50, dims + 1) float32: coordinates, then the confidence. Files that cannot be read come out
    as rejected.

    Args:
        source: the folder.
        dims: 2 or 3 coordinates; OpenPose's have 2. Estimated depths are rough.
        fps: rate that files are resampled to.
        frames: length that every clip is resampled to; None keeps the time.
        max_frames: longer clips are resampled to that many.

    Raises UserError as ``find_pairs`` does, and for wrong settings.
    """

    name, representation, skeleton, min_frames = "pose_folder", "keypoints", None, SHORTEST

    def __init__(
        self,
        source: str | Path | None,
        dims: int = 2,
        fps: float = 25.0,
        frames: int | None = None,
        max_frames: int = 196,
    ):
        _check(dims, frames, max_frames)
        if not 1 <= fps <= 240:
            raise UserError(f"fps={fps} should lie between 1 and 240")
        self.pairs = find_pairs(source, (".pose",))
        self.dims, self.fps, self.frames, self.max_frames = dims, fps, frames, max_frames
        self.about = {"title": "Folder of .pose files", "source": "files of the user", "licence": "as obtained"}

    def __len__(self) -> int:
        return len(self.pairs)

    def fingerprint(self) -> dict[str, Any]:
        settings = {k: getattr(self, k) for k in ("dims", "fps", "frames", "max_frames")}
        return {"corpus": self.name, "version": VERSION, "files": fingerprint(self.pairs), **settings}

    def clips(self, start: int = 0) -> Iterator[Clip | Rejected]:
        for pair in self.pairs[start:]:
            try:
                read = read_pose(pair.file, pair.file.name)
                keypoints = conform(read, pair.file.name, self.dims, self.fps, self.frames, self.max_frames)
            except UserError as error:
                yield Rejected(pair.id, pair.file.name, str(error).removeprefix(pair.file.name).lstrip(": "))
                continue
            tags = pair.tags | ({"people": read.people} if read.people > 1 else {})
            yield _clip(pair.id, keypoints, list(pair.captions), pair.split, tags, len(read))


class SkelsCorpus:
    """A folder of skeleton text files: ``train``, ``dev`` and ``test`` with ``.skels``, ``.text`` and ``.gloss``.

    Features are (T, 50, dims + 1) float32: coordinates, then the confidence, which is 1. Splits are the files'.

    Args:
        source: the folder.
        dims: 2 or 3 coordinates; the depths are lifted from 2-d.
        frames: length that every clip is resampled to; None keeps the time.
        max_frames: longer clips are resampled to that many.

    Raises UserError for missing files, and for files of unequal numbers of lines.
    """

    name, representation, skeleton, fps, min_frames = "phoenix", "keypoints", None, 25.0, SHORTEST
    files: ClassVar = {"train": "train", "val": "dev", "test": "test"}
    about: ClassVar = {
        "title": "RWTH-PHOENIX-Weather 2014 T, skeletons of the Progressive Transformers",
        "source": "N. C. Camgoz et al., Neural Sign Language Translation, CVPR 2018; files of the user",
        "licence": "CC BY-NC-SA 3.0 (research only)",
        "citation": "B. Saunders et al., Progressive Transformers for End-to-End Sign Language Production, ECCV 2020",
    }

    def __init__(self, source: str | Path | None, dims: int = 3, frames: int | None = None, max_frames: int = 196):
        _check(dims, frames, max_frames)
        if not source or not Path(source).expanduser().is_dir():
            raise UserError(f"data.source: {source} is no folder; give the one of train.skels, train.text, dev.skels …")
        self.folder = Path(source).expanduser()
        self.dims, self.frames, self.max_frames = dims, frames, max_frames
        there = {split: name for split, name in self.files.items() if (self.folder / f"{name}.skels").is_file()}
        if "train" not in there:
            raise UserError(f"{self.folder}: no train.skels")
        self.lines = {split: self._texts(name) for split, name in there.items()}

    def _texts(self, name: str) -> list[tuple[str, str, str]]:
        """(text, gloss, file) of each line; gloss and file may be missing."""
        texts = read_lines(self.folder / f"{name}.text")
        rest = []
        for ending in ("gloss", "files"):
            path = self.folder / f"{name}.{ending}"
            rest.append(read_lines(path) if path.is_file() else [""] * len(texts))
            if len(rest[-1]) != len(texts):
                raise UserError(f"{path}: {len(rest[-1])} lines, but {name}.text has {len(texts)}")
        return list(zip(texts, *rest, strict=True))

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))

    def fingerprint(self) -> dict[str, Any]:
        digest = hashlib.sha256(repr(self.lines).encode())
        for split in self.lines:
            with (self.folder / f"{self.files[split]}.skels").open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        settings = {k: getattr(self, k) for k in ("dims", "frames", "max_frames")}
        return {"corpus": self.name, "version": VERSION, "files": digest.hexdigest(), **settings}

    def clips(self) -> Iterator[Clip | Rejected]:
        for split, lines in self.lines.items():
            path = self.folder / f"{self.files[split]}.skels"
            for number, (read, line) in enumerate(zip_longest(read_skels(path), lines), start=1):
                if read is None or line is None:
                    fewer = "fewer" if read is None else "more"
                    raise UserError(f"{path}: {fewer} lines than the {len(lines)} of {path.stem}.text")
                where, (text, gloss, file) = f"{path.name} line {number}", line
                try:
                    if isinstance(read, UserError):
                        raise read
                    keypoints = conform(read, where, self.dims, None, self.frames, self.max_frames)
                except UserError as error:
                    reason = str(error).removeprefix(where).lstrip(": ")
                    yield Rejected(f"{path.stem}_{number:05}", where, reason)
                    continue
                tags = {"gloss": gloss.split(), "file": file}
                yield _clip(f"{path.stem}_{number:05}", keypoints, [text], split, tags, len(read))


def _check(dims: int, frames: int | None, max_frames: int = SHORTEST) -> None:
    if dims not in (2, 3):
        raise UserError(f"dims={dims}: keypoints have 2 or 3 coordinates")
    if frames is not None and not SHORTEST <= frames <= 2000:
        raise UserError(f"frames={frames} should lie between {SHORTEST} and 2000, or be null")
    if max_frames < SHORTEST:
        raise UserError(f"max_frames={max_frames} should be {SHORTEST} or more")


def _clip(name: str, keypoints: Keypoints, captions: list[str], split: str, tags: dict, frames: int) -> Clip:
    """A clip with what became of its time: ``fps`` of its frames, and ``source_frames`` before resampling."""
    more = {"fps": round(keypoints.fps, 3), "source_frames": frames, "unseen": _unseen(keypoints)}
    return Clip(name, keypoints.features(), captions, split, tags | more)


def _unseen(keypoints: Keypoints) -> float:
    return round(float((keypoints.confidence == 0).mean()), 4)

"""Reading a prepared corpus. Everything is memory-mapped or read when first asked for."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from motion_lightning.data.batch import Batch, Info, TextCond
from motion_lightning.data.clip import SPLITS
from motion_lightning.data.ragged import DATA, ENDS, Ragged
from motion_lightning.data.statistics import Stats
from motion_lightning.data.texts import TextCache
from motion_lightning.errors import UserError

VERSION = 2  # of the files below; a store of another version is prepared anew
CLIP_FILES = ("features", "captions", "tags", "ids", "splits")  # an item a clip, as has the file of each extra
TEXT_FILES = ("texts", "pos", "tokens", "pooled")  # an item for each different caption


def extra_file(name: str) -> str:
    return f"extra-{name}"


class Store:
    """One corpus: clips by split, captions with embeddings, statistics of training frames, a manifest.

    ``texts`` are what a model is given: the captions, ``whole_texts``, or what ``cuts`` leaves of each under the same
    indices. ``captions`` holds the indices of each clip's. ``condition`` makes a batch's condition of a split, clips
    and their texts, where it is more than the texts.
    """

    def __init__(
        self,
        path: Path,
        manifest: dict[str, Any],
        texts: TextCache | None = None,
        condition: Callable[["Split", Sequence[int], TextCond], Any] | None = None,
    ):
        self.path, self.manifest, self.condition = path, manifest, condition
        self.features = Ragged(path, "features", manifest["features"]["dtype"], manifest["features"]["shape"])
        self.captions = Ragged(path, "captions", np.int32)
        self.whole_texts = TextCache(path, manifest["text_width"])
        self.texts = texts or self.whole_texts

    @classmethod
    def open(cls, path: "str | Path | Store") -> "Store":
        """Opens the store at ``path`` (an open one is returned as it is); checks version and file sizes.

        Raises:
            UserError: there is no store, it is of another version, or a file is missing or cut.
        """
        if isinstance(path, Store):
            return path
        path = Path(path)
        if not (path / "manifest.json").is_file():
            state = "was not prepared to its end" if path.with_name(path.name + ".partial").exists() else "is no store"
            raise UserError(f"{path} {state}; run: python -m motion_lightning.prepare")
        manifest = json.loads((path / "manifest.json").read_text())
        again = f"run again: python -m motion_lightning.prepare data={manifest.get('corpus')}"
        if manifest.get("version") != VERSION:
            raise UserError(f"{path} has format {manifest.get('version')}, this version reads {VERSION}; {again}")
        for name, file in manifest["files"].items():
            if not (path / name).is_file() or (path / name).stat().st_size != file["bytes"]:
                raise UserError(f"{path / name} is missing or cut; {again}")
        return cls(path, manifest)

    def with_texts(self, texts: TextCache) -> "Store":
        """The same store that gives a model other texts, as many as there are captions."""
        return Store(self.path, self.manifest, texts, self.condition)

    def with_condition(self, condition: Callable | None) -> "Store":
        """The same store whose batches have another condition."""
        return Store(self.path, self.manifest, self.texts, condition)

    def __reduce__(self):  # another process maps the files itself
        return _opened, (self.path, None if self.texts is self.whole_texts else self.texts, self.condition)

    def __len__(self) -> int:
        return len(self.features)

    def split(self, name: str) -> "Split":
        if name not in SPLITS:
            raise UserError(f"{self.path}: split '{name}' is none of {', '.join(SPLITS)}")
        return Split(self, name)

    @cached_property
    def stats(self) -> Stats:
        if not (self.path / "stats.npz").is_file():
            raise UserError(f"{self.path}: no statistics, for it has no training clips, or pictures; prepare another")
        return Stats.load(self.path / "stats.npz")

    @property
    def digest(self) -> str:
        """SHA-256 over all files: names the data in the provenance of a number."""
        return self.manifest["digest"]

    def verify(self) -> None:
        """Hashes every file again (about a second a gigabyte).

        Raises:
            UserError: a file is not what was prepared.
        """
        for name, file in self.manifest["files"].items():
            if file_sha256(self.path / name) != file["sha256"]:
                raise UserError(f"{self.path / name} was changed since it was prepared; prepare it again")

    @cached_property
    def splits(self) -> np.ndarray:
        """(clips,) uint8, index into ``SPLITS``."""
        return np.fromfile(self.path / f"splits{DATA}", np.uint8)

    @cached_property
    def ids(self) -> Ragged:
        return Ragged(self.path, "ids", np.uint8)

    @cached_property
    def tags(self) -> Ragged:
        return Ragged(self.path, "tags", np.uint8)

    @cached_property
    def extras(self) -> dict[str, np.ndarray]:
        """(clips, *shape) of each extra, memory-mapped."""
        return {
            name: np.asarray(np.memmap(self.path / (extra_file(name) + DATA), e["dtype"], "r")).reshape(-1, *e["shape"])
            for name, e in self.manifest["extras"].items()
        }


def _opened(path: Path, texts: TextCache | None, condition: Callable | None) -> Store:
    store = Store.open(path).with_condition(condition)
    return store.with_texts(texts) if texts else store


class Split:
    """The clips of one split, by index 0 … len - 1 in the order of the corpus."""

    def __init__(self, store: Store, name: str):
        self.store, self.name = store, name
        self.rows = np.flatnonzero(store.splits == SPLITS.index(name))  # index → clip of the store
        self.lengths = store.features.lengths[self.rows]  # (clips,) frames

    def __reduce__(self):
        return Split, (self.store, self.name)

    def __len__(self) -> int:
        return len(self.rows)

    def first(self, clips: int | None) -> "Split":
        """The same split with at most so many clips."""
        part = Split(self.store, self.name)
        part.rows, part.lengths = self.rows[:clips], self.lengths[:clips]
        return part

    def some(self, count: int = 2000) -> list[int]:
        """Indices of at most so many clips, the same at every call: enough for statistics."""
        return np.random.default_rng(0).permutation(len(self))[:count].tolist()

    def features(self, i: int) -> np.ndarray:
        """(T, ...) as the clip had them, a read-only view of the file."""
        return self.store.features[self.rows[i]]

    def extras(self, i: int) -> dict[str, np.ndarray]:
        """More arrays by name, read-only views of their files."""
        return {name: extra[self.rows[i]] for name, extra in self.store.extras.items()}

    def text_ids(self, i: int) -> list[int]:
        return self.store.captions[self.rows[i]].tolist()

    def captions(self, i: int) -> list[str]:
        return [self.store.texts[text] for text in self.text_ids(i)]

    def tags(self, i: int) -> dict[str, Any]:
        return json.loads(self.store.tags.text(self.rows[i]))

    @cached_property
    def ids(self) -> list[str]:
        return [self.store.ids.text(row) for row in self.rows]

    def find(self, wanted: str | int | None) -> int:
        """Index of a clip by its id or number, the first one for None; UserError where there is no such clip."""
        if wanted is None:
            return 0
        if str(wanted) in self.ids:
            return self.ids.index(str(wanted))
        if str(wanted).isdigit() and int(wanted) < len(self):
            return int(wanted)
        split = f"the {self.name} split"
        raise UserError(f"clip={wanted}: {split} has no such clip; give a number below {len(self)} or an id")

    def collate(
        self,
        indices: Sequence[int],
        texts: Sequence[int] | None = None,
        starts: Sequence[int] | None = None,
        max_frames: int | None = None,
        multiple_of: int = 4,
        frames: int = 0,
    ) -> Batch:
        """A batch of the clips ``indices``, read straight into the padded tensor; bytes become [-1, 1].

        Args:
            texts: a text index for each clip; default its first caption.
            starts: first frame of each clip; default 0.
            max_frames: longer clips are cut.
            multiple_of: the padded length is the next multiple.
            frames: padded length at least, where several processes share a batch.
        """
        texts = [self.text_ids(i)[0] for i in indices] if texts is None else texts
        starts = [0] * len(indices) if starts is None else starts
        clips = [
            self.features(i)[a : a + max_frames if max_frames else None] for i, a in zip(indices, starts, strict=True)
        ]
        lengths = torch.tensor([len(clip) for clip in clips])
        frames = -(-max(frames, *map(len, clips)) // multiple_of) * multiple_of
        x = np.zeros((len(clips), frames, *clips[0].shape[1:]), np.float32)
        for row, clip in zip(x, clips, strict=True):
            row[: len(clip)] = clip if clip.dtype != np.uint8 else clip * np.float32(2 / 255) - 1
        cond, condition = self.store.texts.cond(texts), self.store.condition
        return Batch(
            x=torch.from_numpy(x),  # (B, T, ...)
            mask=torch.arange(frames) < lengths[:, None],  # (B, T)
            cond=condition(self, indices, cond) if condition else cond,
            info=Info(torch.as_tensor(indices), torch.as_tensor(texts)),
        )

    def iter_batches(
        self,
        batch_size: int,
        order: Sequence[int] | None = None,
        max_frames: int | None = None,
        multiple_of: int = 4,
    ) -> Iterator[Batch]:
        """All clips with their first captions, in ``order`` or as they lie; the last batch may be short."""
        order = range(len(self)) if order is None else order
        for start in range(0, len(order), batch_size):
            yield self.collate(order[start : start + batch_size], max_frames=max_frames, multiple_of=multiple_of)


def file_sha256(path: Path) -> str:
    return hashlib.sha256(np.memmap(path, np.uint8, "r") if path.stat().st_size else b"").hexdigest()


def data_files(path: Path, extras: Iterable[str]) -> list[Path]:
    """The files that the manifest of the store at ``path`` vouches for."""
    names = [name + end for name in (*CLIP_FILES, *TEXT_FILES, *map(extra_file, extras)) for end in (DATA, ENDS)]
    return [path / name for name in [*names, "stats.npz"] if (path / name).is_file()]

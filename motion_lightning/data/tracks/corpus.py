"""The corpus of tracks: procedural scenes, or a folder of others' episodes."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from motion_lightning.data.ahead import in_order, processes
from motion_lightning.data.clip import SPLITS, Clip, Rejected
from motion_lightning.data.tracks.clips import Cut, episode_clips
from motion_lightning.data.tracks.episodes import Episode, write_episode
from motion_lightning.data.tracks.reader import read_episodes
from motion_lightning.data.tracks.scene import VERSION, scene_episode
from motion_lightning.data.tracks.statistics import track_statistics
from motion_lightning.errors import UserError

FRAMES, STORED_POINTS = 20, 48  # of a procedural episode
TRAIN, VAL = 0.8, 0.1  # of others' episodes; the rest is test


class TrackCorpus:
    """Clips whose features are where points of a picture go, as a corpus that ``prepare`` reads.

    An episode's windows overlap, so a whole episode belongs to one split: of a folder, the one that its
    subfolder names (train, val, test), else one drawn by a hash of its name, about 80/10/10.

    Args:
        source: folder of HDF5 files (``episodes.py`` has their layout); None for procedural scenes.
        train, val, test, seed, size, texts: of the procedural scenes: episodes of each split, random seed,
            pixels a side, captions.
        steps, points, dims, frames, stride, gap, depth: what goes into a clip, see ``Cut``.
        mirror: whether training clips come mirrored too, captions and hands included.
        fps: of the videos; a clip's is that over ``stride``.
        workers: processes that draw or read.
        timeout: seconds that reading a file may take.

    Raises UserError for counts below zero, settings beyond a procedural episode, and folders without files.
    """

    name, representation, skeleton = "tracks", "tracks", None

    def __init__(
        self,
        source: str | Path | None = None,
        train: int = 600,
        val: int = 60,
        test: int = 60,
        seed: int = 0,
        size: int = 64,
        texts: int = 3,
        steps: int = 10,
        points: int = 32,
        dims: int = 3,
        frames: int = 2,
        stride: int = 1,
        gap: int = 1,
        depth: bool = True,
        mirror: bool = False,
        fps: float = 10.0,
        workers: int = 2,
        timeout: float = 60.0,
    ):
        self.counts = dict(zip(SPLITS, (train, val, test), strict=True))
        self.source = Path(source).expanduser().resolve() if source else None
        if steps < 2 or points < 1 or dims not in (2, 3) or min(frames, stride, gap, texts) < 1 or fps <= 0:
            raise UserError("tracks: steps start at 2, dims is 2 or 3, and points, frames, stride, gap and fps above 0")
        self.cut = Cut(steps, points, dims, frames, stride, gap, depth)
        self.seed, self.size, self.texts, self.mirror = seed, size, texts, mirror
        self.workers, self.timeout = workers, timeout
        self.fps, self.video_fps, self.min_frames = fps / stride, fps, steps
        if self.source:
            self.files = self._find_files(self.source)
            self.about = {
                "title": "Point tracks of videos",
                "source": str(self.source),
                "licence": "that of the videos",
            }
            return
        if min(self.counts.values()) < 0 or not sum(self.counts.values()):
            raise UserError(f"train={train} val={val} test={test}: a corpus needs episodes, and none below zero")
        if self._span > FRAMES or points > STORED_POINTS or not 16 <= size <= 512:
            raise UserError(
                f"scenes have {FRAMES} frames, {STORED_POINTS} points and 16 to 512 pixels a side: steps={steps} "
                f"stride={stride} points={points} size={size} is beyond that"
            )
        self.about = {
            "title": "Hands move objects on a table",
            "source": "made by this program from a seed",
            "licence": "MIT, as the program",
            "notes": "Sides are those of the picture. The program of each scene is in the tags.",
        }

    @property
    def _span(self) -> int:
        """Frames of a window."""
        return (self.cut.steps - 1) * self.cut.stride + 1

    @property
    def starts(self) -> tuple[int, ...]:
        """First frames of a procedural episode's windows: the first, the middle and the last one."""
        return tuple(sorted({0, (FRAMES - self._span) // 2, FRAMES - self._span}))

    def __len__(self) -> int:
        """Clips, where that is known before they are made; files otherwise."""
        if self.source:
            return len(self.files)
        return (sum(self.counts.values()) + self.mirror * self.counts["train"]) * len(self.starts)

    def fingerprint(self) -> dict[str, Any]:
        """All that decides what the clips are. Files count by name, size and time of change, not read through."""
        common = {**asdict(self.cut), "mirror": self.mirror, "fps": self.video_fps, "version": VERSION}
        if self.source:
            stats = [
                (name, (file := self.source / name).stat().st_size, file.stat().st_mtime_ns) for name in self.files
            ]
            return {**common, "files": hashlib.sha256(repr(stats).encode()).hexdigest()}
        return {**common, **self.counts, "seed": self.seed, "size": self.size, "texts": self.texts}

    def clips(self) -> Iterator[Clip | Rejected]:
        """Clips, an episode after the other, whatever the number of processes."""
        if not self.source:
            yield from chain.from_iterable(self._map(self.scene_clips, self._scenes()))
            return
        paths = [self.source / name for name in self.files]
        for name, episode in zip(self.files, read_episodes(paths, self.workers, self.timeout), strict=True):
            if isinstance(episode, UserError):
                yield Rejected(Path(name).with_suffix("").as_posix(), name, str(episode).partition(": ")[2])
                continue
            episode.id = Path(name).with_suffix("").as_posix()
            yield from self._cut(episode, self._split(name))

    # ---- procedural scenes

    def scene_clips(self, job: tuple[str, int]) -> list[Clip]:
        """Clips of the scene with a number in a split."""
        shown = {int(frame) for start in self.starts for frame in self.cut.shown(start)}
        return self._cut(self.episode(job, shown), job[0])

    def episode(self, job: tuple[str, int], shown: set[int] | None = None) -> Episode:
        """The scene with a number in a split, a function of (seed, split, number) alone."""
        split, number = job
        rng = np.random.default_rng([self.seed, SPLITS.index(split), number])
        return scene_episode(
            rng,
            f"{split}_{number:05d}",
            size=self.size,
            frames=FRAMES,
            starts=self.starts,
            steps=self._span,
            points=STORED_POINTS,
            texts=self.texts,
            shown=shown,
        )

    def write(self, folder: str | Path, progress: bool = True) -> None:
        """Writes the scenes as HDF5 files, ``folder/<split>/<id>.hdf5``, with ``normalization_stats.yaml``.

        Files that are there are kept: an interrupted call goes on where it was.
        """
        from tqdm import tqdm

        if self.source:
            raise UserError(f"{self.source} is a folder of episodes already")
        folder = Path(folder)
        for split in SPLITS:
            (folder / split).mkdir(parents=True, exist_ok=True)
        there = {job for job in self._scenes() if _file(folder, job).exists()}
        jobs = [job for job in self._scenes() if job not in there]
        bar = tqdm(desc="scenes", total=sum(self.counts.values()), initial=len(there), disable=not progress)
        for job, episode in zip(jobs, self._map(self.episode, jobs), strict=True):
            write_episode(_file(folder, job), episode)
            bar.update()
        bar.close()
        train = read_episodes([_file(folder, job) for job in self._scenes() if job[0] == "train"], self.workers)
        windows = (window for episode in train for window in episode.windows)
        track_statistics((window.displacements, window.hands) for window in windows).save(
            folder / "normalization_stats.yaml"
        )

    def _scenes(self) -> list[tuple[str, int]]:
        return [(split, number) for split, count in self.counts.items() for number in range(count)]

    def _map(self, make, jobs: list[tuple[str, int]]) -> Iterator:
        """``make`` of each job, in order."""
        if self.workers < 1 or len(jobs) < 32:
            yield from map(make, jobs)
            return
        yield from in_order(processes(self.workers), make, jobs, ahead=16 * self.workers)

    # ---- others' episodes

    @staticmethod
    def _find_files(folder: Path) -> list[str]:
        files = [path for end in ("*.hdf5", "*.h5") for path in folder.rglob(end) if path.is_file()]
        if not files:
            raise UserError(f"{folder} holds no .hdf5 files; give the folder of the episodes")
        return sorted(path.relative_to(folder).as_posix() for path in files)

    @staticmethod
    def _split(name: str) -> str:
        top = name.split("/")[0]
        if top in SPLITS:
            return top
        share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
        return "train" if share < TRAIN else "val" if share < TRAIN + VAL else "test"

    def _cut(self, episode: Episode, split: str) -> list[Clip | Rejected]:
        return episode_clips(episode, split, self.cut, self.video_fps, self.mirror and split == "train")


def _file(folder: Path, job: tuple[str, int]) -> Path:
    return folder / job[0] / f"{job[0]}_{job[1]:05d}.hdf5"

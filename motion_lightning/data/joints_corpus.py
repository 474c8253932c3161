"""A folder of joints: one ``.npy`` file (T, J, 3) a motion, with captions in HumanML3D's style or in a captions file.

joints/ID.npy or new_joints/ID.npy or ID.npy   positions, in any unit
texts/ID.txt            captions, see ``tagged_texts``; or instead
captions.jsonl          one line a motion, see ``recordings`` (file, captions, fps, skip_frames, split, labels)
train.txt val.txt test.txt   one ID a line; without them splits are drawn
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from motion_lightning.data.clip import SPLITS, Clip, Rejected
from motion_lightning.data.conversion import resample
from motion_lightning.data.joint_clips import Motion, Settings, convert_all, files_digest, read_splits
from motion_lightning.data.npy import open_npy
from motion_lightning.data.recordings import assign_splits, draw_split, read_recordings
from motion_lightning.data.tagged_texts import Style
from motion_lightning.errors import UserError
from motion_lightning.motion.rig import UP
from motion_lightning.motion.skeleton import load_skeleton

VERSION = 1  # of the conversion: another one makes prepared stores out of date
FOLDERS = ("joints", "new_joints")  # the first that is there holds the motions


@dataclass(frozen=True)
class JointFile:
    """Where joints are, and how they were recorded."""

    folder: Path
    file: str
    skeleton: str
    fps: float
    up: str = "y"
    skip_frames: int = 0

    def __str__(self) -> str:
        return self.file

    def read(self) -> np.ndarray:
        """Joints (T, J, 3) at the skeleton's rate, y up. More joints than J are passed over: hands follow the body."""
        skeleton = load_skeleton(self.skeleton)
        joints, count = open_npy(self.folder / self.file), len(skeleton.joints)
        if joints.ndim != 3 or joints.shape[1] < count or joints.shape[2] != 3 or joints.dtype.kind not in "fiu":
            raise UserError(
                f"expected (frames, {count}, 3) numbers for {skeleton.name}, got {joints.dtype} {joints.shape}"
            )
        joints = np.asarray(joints[self.skip_frames :, :count], np.float64) @ UP[self.up].T
        if len(joints) < 2:
            raise UserError(f"{len(joints)} frames, 2 are needed")
        if not np.isfinite(joints).all():
            frame, joint = np.argwhere(~np.isfinite(joints).all(-1))[0]
            raise UserError(f"{skeleton.joints[joint]} of frame {frame + self.skip_frames} is not a number")
        return joints if self.fps == skeleton.fps else resample(joints, self.fps, skeleton.fps)


class JointsCorpus:
    """Clips of joints, as a corpus that ``prepare`` reads.

    Args:
        source: the folder.
        skeleton: name or path of the skeleton whose joints the files hold, in its order.
        fps: rate of the files; None: the skeleton's. A line of the captions file may say another.
        up: axis of the files that points up, y or z.
        hip_order: of the features, see ``joints_to_features``.
        min_frames, max_frames: bounds of a clip's length, both included.
        mirror: whether each motion is followed by its mirrored copy, where the folder has none.
        caption_style: of texts/: "tagged", or "plain" where a line is a caption whatever it holds.
        about: for the data card: title, source, licence, citation, notes.
        workers: processes that convert; 0 converts in this one.

    Raises UserError for a folder without motions or captions, and for a wrong captions file.
    """

    name = "joints"
    representation = "motion"

    def __init__(
        self,
        source: str | Path,
        skeleton: str = "humanml22",
        fps: float | None = None,
        up: str = "y",
        hip_order: str = "published",
        min_frames: int = 40,
        max_frames: int = 199,
        mirror: bool = False,
        caption_style: Style = "tagged",
        about: Mapping[str, str] | None = None,
        workers: int = 2,
    ):
        self.settings = Settings(skeleton, hip_order, min_frames, max_frames, caption_style)
        self.source, self.skeleton, self.min_frames = Path(source).expanduser(), skeleton, min_frames
        self.fps = load_skeleton(skeleton).fps
        self.source_fps, self.up, self.mirror, self.workers = fps or self.fps, up, mirror, workers
        self.about = {"title": "Joints", "source": self.source.name, "licence": "not said"} | dict(about or {})
        if up not in UP:
            raise UserError(f"up is {up!r}, should be one of {', '.join(UP)}")
        if not 0 < self.source_fps < 1e6:
            raise UserError(f"fps is {fps!r}, should be a positive number")
        if not self.source.is_dir():
            raise UserError(f"{self.source} is no folder; one with joints/ID.npy and texts/ID.txt is expected")
        self.captions = self.source / "captions.jsonl"
        self.unlisted: list[Rejected] = []
        self.jobs = self._recorded() if self.captions.is_file() else self._named()

    def __len__(self) -> int:
        """Number of motions, mirrored copies among them; those with captions for parts make more than one clip."""
        return sum(len(motions) for _, motions in self.jobs) + len(self.unlisted)

    def fingerprint(self) -> dict[str, Any]:
        """Names, sizes and times of all files, and the settings."""
        lists = [self.source / f"{split}.txt" for split in SPLITS]
        return {"version": VERSION, "files": self._files, "lists": files_digest(lists, self.source), **self._asked}

    @property
    def _asked(self) -> dict[str, Any]:
        return {"settings": asdict(self.settings), "fps": self.source_fps, "up": self.up, "mirror": self.mirror}

    @cached_property
    def _files(self) -> str:
        texts = {m.texts for _, motions in self.jobs for m in motions if isinstance(m.texts, Path)}
        return files_digest({job.folder / job.file for job, _ in self.jobs} | texts | {self.captions}, self.source)

    def clips(self, start: int = 0) -> Iterator[Clip | Rejected]:
        """Clips by id or in the order of the captions file, a motion's parts and mirrored copy after it."""
        return convert_all(self.jobs, JointFile.read, self.settings, self.workers, start, self.unlisted)

    def _named(self) -> list[tuple[JointFile, list[Motion]]]:
        """Motions by the names of their files."""
        folder = next((f for name in FOLDERS if (f := self.source / name).is_dir()), self.source)
        ids = {path.stem: path for path in sorted(folder.glob("*.npy"))}
        if not ids:
            raise UserError(f"{folder} holds no .npy files; joints/ID.npy, arrays of (frames, joints, 3), are expected")
        if not (self.source / "texts").is_dir():
            raise UserError(f"{self.source} has neither texts/ with a file for each motion nor captions.jsonl")
        splits, jobs = read_splits(self.source), []
        for name, path in ids.items():
            original = name[1:] if name[0] == "M" and name[1:] in ids else name
            split = splits.get(name) if splits else draw_split(original)
            if split is None:
                reason = "in none of train.txt, val.txt and test.txt"
                self.unlisted.append(Rejected(name, f"{path.parent.name}/{path.name}", reason))
                continue
            tags = {"recording": original, "mirrored": original != name}
            motion = Motion(name, split, self.source / "texts" / f"{name}.txt", tags=tags)
            jobs.append((self._file(path.relative_to(self.source)), self._with_mirror(motion, ids)))
        return jobs

    def _recorded(self) -> list[tuple[JointFile, list[Motion]]]:
        """Motions by the lines of the captions file."""
        recordings = read_recordings(self.captions, rigs=False)
        ids, jobs = {recording.id for recording in recordings}, []
        for r, split in zip(recordings, assign_splits(recordings), strict=True):
            tags = {"labels": r.labels, "caption_kinds": list(r.caption_kinds), **r.tags}
            motion = Motion(r.id, split, r.captions, tags=tags)
            jobs.append((self._file(Path(r.file), r.fps, r.skip_frames), self._with_mirror(motion, ids)))
        return jobs

    def _file(self, path: Path, fps: float | None = None, skip: int = 0) -> JointFile:
        return JointFile(self.source, path.as_posix(), self.skeleton, fps or self.source_fps, self.up, skip)

    def _with_mirror(self, motion: Motion, ids: Any) -> list[Motion]:
        is_copy = motion.tags.get("mirrored") or f"M{motion.id}" in ids
        return [motion, motion.mirror()] if self.mirror and not is_copy else [motion]

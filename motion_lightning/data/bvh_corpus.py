"""A corpus of BVH files: a folder, or zips, with a captions file and a rig for every kind of skeleton."""

import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from motion_lightning.data.clip import Clip, Rejected
from motion_lightning.data.conversion import in_processes, resample, windows
from motion_lightning.data.mirroring import mirrored_clip
from motion_lightning.data.recordings import Recording, assign_splits, read_recordings
from motion_lightning.errors import UserError
from motion_lightning.motion.bvh import read_bvh
from motion_lightning.motion.features import joints_to_features, mirror
from motion_lightning.motion.rig import load_rig, rig_file
from motion_lightning.motion.skeleton import load_skeleton

VERSION = 2  # of the conversion: another one makes prepared stores out of date
BROKEN_ZIP = (zipfile.BadZipFile, NotImplementedError, ValueError)  # an unknown version; names that are no text
BROKEN_MEMBER = (*BROKEN_ZIP, lzma.LZMAError, zlib.error, EOFError, RuntimeError)


@dataclass(frozen=True)
class Settings:
    """How recordings become clips; lengths in feature frames at ``fps``."""

    skeleton: str
    fps: float
    hip_order: str
    min_frames: int
    max_frames: int
    mirror: bool


class BvhCorpus:
    """Clips of BVH recordings, as a corpus that ``prepare`` reads.

    A recording is resampled from its true rate, cut into windows of equal length, none longer than
    ``max_frames``, and each window becomes a clip on the skeleton's own bones, on the floor, facing +Z at its
    start. Windows share the captions and the split of their recording. Recordings that cannot be read or
    are shorter than ``min_frames`` come out as rejected.

    Args:
        source: a folder, a zip or a list of zips.
        captions: a captions file (``recordings.py`` has its keys), looked for beside the motions.
        skeleton: name or path of the skeleton that the rigs map to; its fps is the clips'.
        hip_order: of the features, see ``joints_to_features``.
        min_frames, max_frames: bounds of a clip's length; 196 is HumanML3D's.
        mirror: whether every clip is followed by its mirrored copy.
        workers: processes that convert; 0 converts in this one.

    Raises UserError for a wrong captions file, missing archives and unknown rigs.
    """

    name = "bvh"
    representation = "motion"

    def __init__(
        self,
        source: str | Path | Sequence[str | Path] | None,
        captions: str | Path = "captions.jsonl",
        skeleton: str = "humanml22",
        hip_order: str = "published",
        min_frames: int = 40,
        max_frames: int = 196,
        mirror: bool = False,
        workers: int = 2,
    ):
        if not source:
            raise UserError("no source of BVH files: give a folder, a zip or a list of zips")
        if not 1 <= min_frames <= max_frames:
            raise UserError(f"min_frames {min_frames} should lie between 1 and max_frames, {max_frames}")
        self.skeleton, self.workers, self.min_frames = skeleton, workers, min_frames
        self.fps = load_skeleton(skeleton).fps
        self.settings = Settings(skeleton, self.fps, hip_order, min_frames, max_frames, bool(mirror))
        sources = [source] if isinstance(source, str | Path) else source
        paths = [Path(path).expanduser().resolve() for path in sources]
        if missing := [p for p in paths if not p.exists()]:
            raise UserError(f"no folder or zip {missing[0]}")
        folder = paths[0] if paths[0].is_dir() else paths[0].parent
        self.captions = folder / captions
        self.recordings = read_recordings(self.captions)
        self.splits = assign_splits(self.recordings)
        self.files = [_locate(recording, paths) for recording in self.recordings]
        for recording in self.recordings:
            try:
                load_rig(recording.rig)
            except UserError as error:
                raise UserError(f"{recording.line}: {error}") from None

    def __len__(self) -> int:
        """Number of recordings; those that are cut make more than one clip."""
        return len(self.recordings)

    @property
    def about(self) -> dict[str, str]:
        """Archives or folders, and the licences that the captions file names."""
        licences = sorted({r.tags["license"] for r in self.recordings if r.tags["license"]})
        return {
            "title": "BVH recordings",
            "source": ", ".join(sorted({path.name for path, _ in self.files})),
            "licence": ", ".join(licences) or "not said in the captions file",
        }

    def fingerprint(self) -> dict[str, Any]:
        """Hashes of the captions, motions and rigs, and the settings."""
        archives = sorted({archive for archive, _ in self.files if archive.suffix.lower() == ".zip"})
        loose = hashlib.sha256()
        for folder, member in self.files:
            if folder not in archives:
                file = folder / member
                loose.update(f"{member} {_sha256(file) if file.is_file() else 'missing'}\n".encode())
        return {
            "version": VERSION,
            "captions": _sha256(self.captions),
            "archives": {path.name: _sha256(path) for path in archives},
            "loose_files": loose.hexdigest(),
            "rigs": {Path(rig).stem: _sha256(rig_file(rig)) for rig in {r.rig for r in self.recordings}},
            "settings": asdict(self.settings),
        }

    def clips(self) -> Iterator[Clip | Rejected]:
        """Clips in the order of the captions file, whatever the number of processes."""
        jobs = zip(self.recordings, self.splits, self.files, strict=True)
        return in_processes(partial(convert, settings=self.settings), jobs, self.workers)


def convert(recording: Recording, split: str, file: tuple[Path, str], settings: Settings) -> list[Clip | Rejected]:
    """Clips of one recording, or the reason why there are none."""
    archive, member = file
    where, skeleton = f"{archive.name}/{member}", load_skeleton(settings.skeleton)
    try:
        joints, offset = _joints(recording, archive, member, settings)
        clips: list[Clip | Rejected] = []
        for k, (start, end) in enumerate(windows(len(joints) - 1, settings.max_frames)):
            if end - start < settings.min_frames:
                reason = f"a clip of {end - start} frames, {settings.min_frames} are needed"
                clips.append(Rejected(recording.id, where, reason))
                continue
            part = joints[start : end + 1]
            features = joints_to_features(part, skeleton, settings.hip_order, settings.fps)
            tags = {
                "recording": recording.id,
                "start": round(offset + start / settings.fps, 4),  # seconds of the file
                "end": round(offset + end / settings.fps, 4),
                "duration": round((end - start) / settings.fps, 4),
                "rig": Path(recording.rig).stem,
                "floor": round(float(joints[start : end + 1, :, 1].min()), 4),  # metres of the file's lowest joint
                "labels": recording.labels,
                "caption_kinds": list(recording.caption_kinds),
                **recording.tags,
            }
            clips.append(Clip(f"{recording.id}.{k}", features, list(recording.captions), split, tags))
            if settings.mirror:
                features = joints_to_features(mirror(part, skeleton), skeleton, settings.hip_order, settings.fps)
                clips.append(mirrored_clip(clips[-1], features))
    except UserError as error:
        return [Rejected(recording.id, where, str(error).removeprefix(where).lstrip(": "))]
    return clips


def _joints(recording: Recording, archive: Path, member: str, settings: Settings) -> tuple[np.ndarray, float]:
    """Joints (T, J, 3) in metres at the settings' rate, and the seconds of the file before the first."""
    where = f"{archive.name}/{member}"
    if not recording.captions:
        raise UserError(f"{where}: no caption in {recording.line}")
    bvh, rig = read_bvh(_read(archive, member), where), load_rig(recording.rig)
    fps = recording.fps or 1 / bvh.frame_time
    start = recording.skip_frames + rig.lead_in
    joints = rig.map(bvh, load_skeleton(settings.skeleton).joints)[start:]
    if len(joints) < 2:
        raise UserError(f"{where}: a clip of {len(joints)} frames, {settings.min_frames} are needed")
    if not np.isfinite(joints).all():
        raise UserError(f"{where}: joints beyond the range of numbers; are the offsets right?")
    return resample(joints, fps, settings.fps), start / fps


def _locate(recording: Recording, sources: list[Path]) -> tuple[Path, str]:
    """The folder or zip of a recording, and the file's path in it."""
    if sources[0].is_dir():
        archive = sources[0] / recording.archive if recording.archive else sources[0]
    else:
        named = [p for p in sources if recording.archive in (None, p.name)]
        archive = named[0] if len(named) == 1 else None
    if archive is None or not archive.exists():
        have = ", ".join(p.name for p in sources)
        raise UserError(f"{recording.line}: archive {recording.archive} should be one zip of {have}")
    if archive.is_file():
        _open(archive)
    return archive, recording.file


@lru_cache(maxsize=8)
def _open(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except (*BROKEN_ZIP, OSError) as error:
        raise UserError(f"{archive} is no zip that can be read ({error}); fetch it again") from None


def _read(archive: Path, member: str) -> bytes:
    where = f"{archive.name}/{member}"
    try:
        return _open(archive).read(member) if archive.is_file() else (archive / member).read_bytes()
    except (KeyError, FileNotFoundError):
        raise UserError(f"{where}: no such file") from None
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({error.strerror or error})") from None
    except BROKEN_MEMBER as error:
        raise UserError(f"{where}: broken in its zip ({error})") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

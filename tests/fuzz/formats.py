"""Whole files of the binary and sign formats, and what reads them; like ``readers``."""

import contextlib
import gzip
import io
import struct
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from motion_lightning.data.digits import read_idx
from motion_lightning.data.npz import read_npz
from motion_lightning.data.signs.keypoints import Keypoints
from motion_lightning.data.signs.pose_file import pose_bytes, read_pose
from motion_lightning.data.signs.skels import read_skels
from motion_lightning.data.tracks.episodes import Episode, Hands, Window, write_episode
from motion_lightning.data.tracks.reader import EpisodeReader
from motion_lightning.errors import UserError


def pose_samples() -> list[bytes]:
    rng, out = np.random.default_rng(0), []
    for people in (1, 2):
        names = ("POSE_LANDMARKS:NOSE", "POSE_LANDMARKS:LEFT_SHOULDER", "POSE_LANDMARKS:RIGHT_SHOULDER", "HAND:WRIST")
        points, sure = rng.uniform(1, 400, (5, 4, 3)), rng.uniform(0.5, 1, (5, 4))
        keypoints = Keypoints(points.astype(np.float32), sure.astype(np.float32), 25.0, names, people)
        out.append(pose_bytes(keypoints))
    return out


def read_keypoints(path: Path) -> str | None:
    return _sound(read_pose(path))


def skels_samples() -> list[bytes]:
    rng, out = np.random.default_rng(0), []
    for frames in (2, 6):
        points = rng.uniform(-0.4, 0.4, (frames, 50, 3))
        points[:, [2, 5]] = [[0.1667, 0, 0], [-0.1667, 0, 0]]  # shoulders
        rows = np.concatenate([points.reshape(frames, 150), np.arange(frames)[:, None] / frames], 1)
        out.append(" ".join(f"{v:.5f}" for v in rows.ravel()).encode() + b"\n")
    return [*out, out[0] + out[1]]


def read_skeletons(path: Path) -> str | None:
    for item in read_skels(path):
        if isinstance(item, UserError):
            raise item
        if _sound(item):
            return "NaN"
    return None


def _sound(keypoints: Keypoints) -> str | None:
    numbers = (keypoints.points, keypoints.confidence, keypoints.fps)
    return None if all(np.isfinite(v).all() for v in numbers) and keypoints.fps > 0 else "NaN"


def idx_samples() -> list[bytes]:
    pictures = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    return [bytes([0, 0, 8, 3]) + struct.pack(">3I", *pictures.shape) + pictures.tobytes()]


def read_pictures(path: Path) -> str | None:
    packed = path.with_name(f"{path.name}.gz")
    with contextlib.suppress(UserError):  # the same bytes, packed
        packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        read_idx(packed)
    return None if read_idx(path).dtype == np.uint8 else "NaN"


def npz_samples() -> list[bytes]:
    out = []
    for save in (np.savez, np.savez_compressed):
        save(buffer := io.BytesIO(), poses=np.ones((9, 156)), trans=np.ones((9, 3), np.float32), fps=np.array(60.0))
        out.append(buffer.getvalue())
    return out


def read_arrays(path: Path) -> str | None:
    read_npz(path, {"poses": (-1, 156), "trans": (-1, 3), "fps": ()})
    return None  # what they hold is for the corpus to judge, which makes joints of them first


@cache
def episode_reader() -> EpisodeReader:
    return EpisodeReader(timeout=15).__enter__()  # ends with the process


def hdf5_samples() -> list[bytes]:
    rng, hands = np.random.default_rng(0), Hands.none(2)
    hands.present[:] = True
    moved = np.stack([np.zeros((3, 3)), rng.normal(size=(3, 3)) * 0.01]).astype(np.float32)
    window = Window(0, rng.uniform(0.2, 0.8, (3, 3)).astype(np.float32), moved, hands, np.int16([0, 1, -1]))
    video, depth = rng.integers(0, 255, (3, 4, 4, 3), dtype=np.uint8), np.ones((3, 4, 4), np.float32)
    episode = Episode("tiny", video, depth, ["a hand pushes the red block"], [window], [{"action": "push"}])
    with tempfile.TemporaryDirectory() as folder:
        write_episode(path := Path(folder) / "tiny.hdf5", episode)
        return [path.read_bytes()]


def read_hdf5(path: Path) -> str | None:
    episode = episode_reader().read(path)
    arrays = [a for w in episode.windows for a in (w.query, w.displacements, *vars(w.hands).values())]
    arrays += [] if episode.depth is None else [episode.depth]
    return None if all(np.isfinite(a).all() for a in arrays) else "NaN"

"""An episode, and the HDF5 file that holds one.

The file's layout, at its top or in a group ``root``::

    video                       (F, H, W, 3) or (F, 3, H, W) uint8
    depth                       (F, H, W) float, metres, 0 where unknown; may be missing
    text                        one string or several
    tracks/frame_0007/          a window that starts at frame 7
        query_coords            (M, D) where the points are: u, v in [0, 1], and for D = 3 the depth in metres
        displacements           (T, M, D) by how much they have moved since; slot 0 is zero
        hand_present            (2,) left, right
        hand_position           (2, 3) u, v, depth of the wrist
        hand_rotation           (2, 6) in the camera's frame: first column, then second
        hand_position_displacements  (T, 2, 3)
        hand_rotation_displacements  (T, 2, 6) R_t R_0ᵀ
        objects                 (M,) which object a point is on, -1 the table, -2 and -3 the left and right hand
    attribute program           JSON: what happens, where that is known

Hands may also be called ``left_wrist_query_uvd``, ``left_wrist_uvd_displacements``, ``left_wrist_query_rot_6d``
and ``left_wrist_rot_displacements``, and right alike. All but query_coords and displacements may be missing.
"""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

SIDES = ("left", "right")
STILL = np.array([1, 0, 0, 0, 1, 0], np.float32)  # no rotation, 6-d


@dataclass(eq=False)
class Hands:
    """Both wrists over a window, left then right; zero and unturned where a hand is not there."""

    present: np.ndarray  # (2,) bool
    position: np.ndarray  # (2, 3) float32: u, v, depth
    rotation: np.ndarray  # (2, 6) float32
    position_displacements: np.ndarray  # (T, 2, 3)
    rotation_displacements: np.ndarray  # (T, 2, 6): R_t R_0ᵀ

    @classmethod
    def none(cls, steps: int) -> "Hands":
        return cls(
            np.zeros(2, bool),
            np.zeros((2, 3), np.float32),
            np.tile(STILL, (2, 1)),
            np.zeros((steps, 2, 3), np.float32),
            np.tile(STILL, (steps, 2, 1)),
        )


@dataclass(eq=False)
class Window:
    """Where points of frame ``start`` go."""

    start: int
    query: np.ndarray  # (M, D) float32
    displacements: np.ndarray  # (T, M, D) float32
    hands: Hands
    objects: np.ndarray | None = None  # (M,) int16


@dataclass(eq=False)
class Episode:
    """A film, what is said of it, and the tracks of its windows."""

    id: str
    video: np.ndarray  # (F, H, W, 3) uint8
    depth: np.ndarray | None  # (F, H, W) float32, metres
    captions: list[str]
    windows: list[Window]
    program: Any = field(default_factory=list)


def write_episode(path: str | Path, episode: Episode) -> None:
    """Writes the file to a temporary name and renames it."""
    import h5py

    path = Path(path)
    part = path.with_name(path.name + ".part")
    with h5py.File(part, "w") as file:
        file.attrs["program"] = json.dumps(episode.program)
        file.create_dataset("video", data=episode.video, chunks=(1, *episode.video.shape[1:]), compression="gzip")
        if episode.depth is not None:
            file.create_dataset("depth", data=episode.depth, chunks=(1, *episode.depth.shape[1:]), compression="gzip")
        file.create_dataset("text", data=episode.captions, dtype=h5py.string_dtype())
        for window in episode.windows:
            group = file.create_group(f"tracks/frame_{window.start:04d}")
            group["query_coords"], group["displacements"] = window.query, window.displacements
            if window.objects is not None:
                group["objects"] = window.objects
            for part_of in fields(Hands):
                group[f"hand_{part_of.name}"] = getattr(window.hands, part_of.name)
    part.replace(path)

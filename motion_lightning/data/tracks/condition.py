"""The condition of a batch of tracks: a sentence, pictures of the scene, the points and the hands."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from motion_lightning.data.store import Split
from motion_lightning.text.condition import TextCond


class HandCond(NamedTuple):
    """Wrists at time 0, left then right; zero and unturned where a hand is not there."""

    position: Tensor  # (B, 2, 3) float32: u, v as shares of the image, depth in metres
    rotation: Tensor  # (B, 2, 6) in the camera's frame: first column, then second
    present: Tensor  # (B, 2) bool


class HandMoves(NamedTuple):
    """Where the wrists go. A target, as the tracks in ``Batch.x`` are: no denoiser may look at it."""

    position: Tensor  # (B, T, 2, 3) since time 0
    rotation: Tensor  # (B, T, 2, 6): R_t R_0ᵀ


class TrackCond(NamedTuple):
    """All that is known before the points move, and ``moves``, which is not."""

    text: TextCond
    frames: Tensor  # (B, F, 3, H, W) float32 in [-1, 1], the last one at time 0
    query: Tensor  # (B, N, D) where the points are at time 0: u, v in [0, 1], depth in metres
    depth: Tensor | None  # (B, F, H, W) metres, 0 where unknown
    hands: HandCond
    moves: HandMoves


class TrackCondition:
    """Makes a ``TrackCond`` of the extras of clips; the ``condition`` of conf/data/tracks.yaml."""

    def __call__(self, split: Split, clips: Sequence[int], text: TextCond) -> TrackCond:
        rows = [split.extras(i) for i in clips]
        extras = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
        return TrackCond(
            text=text,
            frames=extras["frames"].float() * (2 / 255) - 1,
            query=extras["query"],
            depth=extras.get("depth"),
            hands=HandCond(extras["hand_position"], extras["hand_rotation"], extras["hand_present"]),
            moves=HandMoves(extras["hand_position_displacements"], extras["hand_rotation_displacements"]),
        )

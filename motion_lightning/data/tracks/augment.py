"""Augmentation of a batch of tracks in pixel space, on metric numbers: the codec normalises what comes out.

Displacements that are divided by a deviation for each axis must not be turned: turn first, then divide. Flips are
not here, for a flip changes the words: ``TrackCorpus(mirror=True)`` makes mirrored clips with captions of their own.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from motion_lightning.data.batch import Batch
from motion_lightning.data.tracks.condition import HandCond, HandMoves, TrackCond
from motion_lightning.errors import UserError
from motion_lightning.motion.rotations import matrix_to_sixd, sixd_to_matrix

STRENGTHS = (1.0, 0.5, 0.25)  # tried in turn until all points stay in the picture; else nothing is done


class Warp:
    """A roll of the camera, a zoom and a shift of the picture, for each row of a batch.

    A point p (shares of the image) goes to c + L (p - c) + shift, c being the middle and L a turn and a zoom of
    pixels, also where these are not square in shares. Depths stay.

    Args:
        angle: (B,) radians, from u to v.
        zoom: (B,) above 1 brings nearer.
        shift: (B, 2) shares of the image.
        size: height and width, pixels.
    """

    def __init__(self, angle: Tensor, zoom: Tensor, shift: Tensor, size: tuple[int, int]):
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        turn = torch.stack([cos, -sin, sin, cos], -1).unflatten(-1, (2, 2))
        pixels = shift.new_tensor([size[1], size[0]])
        self.linear = zoom[:, None, None] * turn * pixels / pixels[:, None]  # (B, 2, 2) on shares
        self.roll = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, zero + 1], -1).unflatten(-1, (3, 3))
        self.shift = shift

    def vectors(self, x: Tensor) -> Tensor:
        """Displacements (B, ..., 2 or 3)."""
        flat = torch.einsum("bij,b...j->b...i", self.linear, x[..., :2])
        return torch.cat([flat, x[..., 2:]], -1)

    def points(self, p: Tensor) -> Tensor:
        """Places (B, K, 2 or 3)."""
        middle = p.new_tensor([0.5, 0.5, 0.0][: p.shape[-1]])
        moved = self.vectors(p - middle) + middle
        return torch.cat([moved[..., :2] + self.shift[:, None], moved[..., 2:]], -1)

    def rotations(self, sixd: Tensor) -> Tensor:
        """Rotations in the camera's frame, (B, ..., 6): A R."""
        return matrix_to_sixd(self._rolls(sixd) @ sixd_to_matrix(sixd))

    def relative_rotations(self, sixd: Tensor) -> Tensor:
        """R_t R_0ᵀ, (B, ..., 6): A R_t R_0ᵀ Aᵀ, which (A R_t) (A R_0)ᵀ is."""
        roll = self._rolls(sixd)
        return matrix_to_sixd(roll @ sixd_to_matrix(sixd) @ roll.mT)

    def pictures(self, x: Tensor, mode: str = "bilinear") -> Tensor:
        """Pictures (B, C, H, W); what comes in from outside repeats the border."""
        back = torch.linalg.inv(self.linear)
        theta = torch.cat([back, -2 * back @ self.shift[..., None]], -1)  # (B, 2, 3) on [-1, 1]
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)

    def _rolls(self, like: Tensor) -> Tensor:
        return self.roll.reshape(-1, *(1,) * (like.ndim - 2), 3, 3)


class TrackAugment:
    """Warps every clip of a batch at random; hands go along with the points.

    Args:
        rotate: degrees to either side.
        zoom: share by which a picture grows or shrinks at most.
        shift: share of the image to any side.
        points: so many of each clip's points, drawn at random, are left; None leaves all.
        hands: False leaves the hands where they were, as a source of this did: they come off the pictures.
    """

    def __init__(
        self,
        rotate: float = 10.0,
        zoom: float = 0.15,
        shift: float = 0.05,
        points: int | None = None,
        hands: bool = True,
    ):
        self.rotate, self.zoom, self.shift, self.points, self.hands = rotate, zoom, shift, points, hands

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> Batch:
        """The batch warped, each row as its seed says. The query points stay in [0, 1]."""
        random = [np.random.default_rng(seed) for seed in seeds]
        draw = torch.from_numpy(np.stack([row.random(4) for row in random])).to(batch.x) * 2 - 1
        size = batch.cond.frames.shape[-2:]
        strength = draw.new_zeros(len(draw), 1)
        for share in reversed(STRENGTHS):  # the strongest that fits is written last
            inside = self._warp(draw * share, size).points(batch.cond.query)[..., :2]
            fits = ((inside >= 0) & (inside <= 1)).flatten(1).all(1, keepdim=True)
            strength = torch.where(fits, share, strength)
        warped = warp_batch(batch, self._warp(draw * strength, size))
        if not self.hands:
            warped = warped._replace(cond=warped.cond._replace(hands=batch.cond.hands, moves=batch.cond.moves))
        if self.points is None:
            return warped
        count = batch.x.shape[2]
        if self.points > count:
            raise UserError(f"loader.augment.points={self.points}: the clips have {count} points; take at most those")
        kept = torch.from_numpy(np.stack([row.permutation(count)[: self.points] for row in random]))
        return take_points(warped, kept.to(batch.x.device))

    def _warp(self, draw: Tensor, size: tuple[int, int]) -> Warp:
        angle, zoom, shift = draw[:, 0], draw[:, 1], draw[:, 2:]
        return Warp(torch.deg2rad(self.rotate * angle), (1 + self.zoom) ** zoom, self.shift * shift, size)


def warp_batch(batch: Batch, warp: Warp) -> Batch:
    """A batch of tracks under a warp: pictures, points, displacements, wrists and their turns."""
    cond: TrackCond = batch.cond
    there = cond.hands.present[..., None]  # (B, 2, 1): absent hands stay as they are
    hands = HandCond(
        position=torch.where(there, warp.points(cond.hands.position), cond.hands.position),
        rotation=torch.where(there, warp.rotations(cond.hands.rotation), cond.hands.rotation),
        present=cond.hands.present,
    )
    moves = HandMoves(
        position=warp.vectors(cond.moves.position),
        rotation=warp.relative_rotations(cond.moves.rotation),
    )
    frames = warp.pictures(cond.frames.flatten(1, 2)).view_as(cond.frames)
    depth = None if cond.depth is None else warp.pictures(cond.depth, mode="nearest")
    cond = cond._replace(frames=frames, query=warp.points(cond.query), depth=depth, hands=hands, moves=moves)
    return batch._replace(x=warp.vectors(batch.x), cond=cond)


def take_points(batch: Batch, kept: Tensor) -> Batch:
    """Of each row the points with the numbers ``kept`` (B, K)."""
    row = torch.arange(len(kept), device=kept.device)[:, None]
    x = batch.x.transpose(1, 2)[row, kept].transpose(1, 2)  # (B, T, K, D)
    return batch._replace(x=x, cond=batch.cond._replace(query=batch.cond.query[row, kept]))

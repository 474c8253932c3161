"""Tracks: displacements of points and of hands ↔ normalised x."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motion_lightning.data.batch import Batch
from motion_lightning.data.store import Store
from motion_lightning.data.tracks.condition import HandCond
from motion_lightning.data.tracks.statistics import store_statistics
from motion_lightning.errors import UserError
from motion_lightning.motion.rotations import sixd_to_matrix


class Moves(NamedTuple):
    """Where everything went since slot 0, which is the first of the T slots."""

    tracks: Tensor  # (..., T, N, D) shares of the picture, and metres of depth
    position: Tensor  # (..., T, H, 3) of the wrists, in the same units
    rotation: Tensor  # (..., T, H, 3, 3) R_t R_0ᵀ

    def wrists(self, hands: HandCond) -> tuple[Tensor, Tensor]:
        """Positions (..., T, H, 3) and rotations R_t (..., T, H, 3, 3) of hands that are known at slot 0."""
        first = sixd_to_matrix(hands.rotation)[..., None, :, :, :]
        return hands.position[..., None, :, :] + self.position, self.rotation @ first


class TrackCodec(nn.Module):
    """Normaliser of tracks. Each axis has one mean and deviation for all points, and one for all hands.

    x (B, T - 1, 2 (3 + 6) + N D) holds slots 1 to T - 1: both hands' positions, their rotations, and then the tracks
    point by point, as ``slices`` names them. Slot 0 is zero by definition and hence not in x. Hands that are not there
    are zero in x and cost nothing.

    Args:
        points, dims, steps: N, D and T of a clip. A batch may have fewer points: x is zero where they would be.
        hands: False leaves the hands out of x.
        fps: of the videos.
        stride: frames of the video a slot.
        position_weight, rotation_weight: of the hands in the loss, that of the tracks being 1.
    """

    representation = "tracks"

    def __init__(
        self,
        points: int = 32,
        dims: int = 3,
        steps: int = 10,
        hands: bool = True,
        fps: float = 10.0,
        stride: int = 1,
        position_weight: float = 1.0,
        rotation_weight: float = 0.5,
    ):
        super().__init__()
        if steps < 2:
            raise UserError(f"codec.steps={steps}: slot 0 never moves, so that tracks need 2 slots at least")
        self.points, self.dims, self.steps, self.hands = points, dims, steps, 2 if hands else 0
        middle, end = 3 * self.hands, 9 * self.hands
        self.slices = {
            "hand_position": slice(0, middle),
            "hand_rotation": slice(middle, end),
            "track": slice(end, None),
        }
        self.weights = {"hand_position": position_weight, "hand_rotation": rotation_weight, "track": 1.0}
        self.shape, self.fps = (end + points * dims,), fps / stride
        self.sizes = {"points": points, "dims": dims, "steps": steps - 1, "hands": self.hands}
        self.register_buffer("mean", torch.zeros(self.shape))
        self.register_buffer("std", torch.ones(self.shape))

    def length(self, frames: int) -> int:
        """Slots of x, of every clip: a batch may be padded, a window is not."""
        return self.steps - 1

    def fit(self, store: Store) -> None:
        """Take mean and deviation of the training clips. UserError where clips are of another size."""
        sizes = (*store.manifest["features"]["shape"], *{int(n) for n in store.split("train").lengths})
        if sizes != (self.points, self.dims, self.steps):
            raise UserError(
                f"{store.path}: points, dims and slots of its clips are {sizes}, of the codec "
                f"{(self.points, self.dims, self.steps)}; set codec.points, codec.dims and codec.steps"
            )
        numbers = store_statistics(store)
        for buffer, kind in ((self.mean, "mean"), (self.std, "std")):
            rows = [getattr(numbers, f"{name}_{kind}") for name in ("hand_uvd_disp", "hand_rot_disp", "displacement")]
            counts = (self.hands, self.hands, self.points)
            buffer.copy_(torch.cat([torch.tensor(row).repeat(n) for row, n in zip(rows, counts, strict=True)]))

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Metric batch → x (B, T - 1, F), zero where nothing is, and the mask (B, T - 1) of its slots."""
        parts = [batch.cond.moves.position, batch.cond.moves.rotation, batch.x] if self.hands else [batch.x]
        metric = torch.cat([part[:, 1 : self.steps].flatten(2) for part in parts], -1)
        metric = F.pad(metric, (0, self.shape[0] - metric.shape[-1]))
        mask = batch.mask[:, 1 : self.steps]
        return torch.where(self._there(mask, batch), (metric - self.mean) / self.std, 0), mask

    def errors(self, squared: Tensor, mask: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Squared errors (B, T - 1, F) → weighted means (B,) over what is there; 0 of hands where there is none."""
        there = self._there(mask, batch)
        names = self.slices if self.hands else ["track"]
        means = {
            name: (squared * there)[..., part].sum((1, 2)) / there[..., part].sum((1, 2)).clamp(min=1)
            for name in names
            for part in [self.slices[name]]
        }
        return {name: self.weights[name] * mean for name, mean in means.items()}

    def decode(self, x: Tensor) -> Moves:
        """x (..., T - 1, F) → displacements in metric units with slot 0 before them, float32."""
        metric = x.float() * self.std + self.mean
        position, rotation, tracks = (metric[..., part] for part in self.slices.values())

        def whole(part: Tensor, still: Tensor, count: int) -> Tensor:
            part = part.unflatten(-1, (count, len(still)))  # (..., T - 1, count, ·)
            return torch.cat([still.expand_as(part[..., :1, :, :]), part], -3)

        unturned = metric.new_tensor([1, 0, 0, 0, 1, 0])
        return Moves(
            whole(tracks, unturned.new_zeros(self.dims), self.points),
            whole(position, unturned.new_zeros(3), self.hands),
            sixd_to_matrix(whole(rotation, unturned, self.hands)),
        )

    def _there(self, mask: Tensor, batch: Batch) -> Tensor:
        """(B, T - 1, F) bool, False for slots that are padding, hands that are not there and points that are none."""
        present = batch.cond.hands.present
        parts = [present.repeat_interleave(n, 1) for n in (3, 6)] if self.hands else []
        parts.append(present.new_ones(len(mask), batch.x.shape[2] * self.dims))
        there = torch.cat(parts, 1)
        return F.pad(there, (0, self.shape[0] - there.shape[1]))[:, None] & mask[..., None]

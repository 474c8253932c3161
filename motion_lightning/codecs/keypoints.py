"""Keypoints of signers ↔ normalised x, a flat frame."""

import torch
from torch import Tensor, nn

from motion_lightning.data.batch import Batch
from motion_lightning.data.store import Store
from motion_lightning.errors import UserError


class KeypointCodec(nn.Module):
    """Coordinates of K points, each normalised by itself. The statistics are buffers and travel in the checkpoint.

    A point that was not seen (confidence 0) stays in x, where the data hold a guess between its neighbours in time; it
    counts neither for the statistics nor for the loss. The confidence itself is not modelled: what is decoded has
    confidence 1.

    Args:
        points: K.
        dims: 2 or 3 coordinates a point.
    """

    representation = "keypoints"

    def __init__(self, points: int = 50, dims: int = 3):
        super().__init__()
        self.points, self.dims = points, dims
        self.shape, self.sizes = (points * dims,), {"features": points * dims}
        self.register_buffer("mean", torch.zeros(points * dims))
        self.register_buffer("std", torch.ones(points * dims))
        self.register_buffer("rate", torch.tensor(25.0))

    @property
    def fps(self) -> float:
        """Frames a second."""
        return float(self.rate)

    def length(self, frames: int) -> int:
        """Frames of x of so many frames of a clip."""
        return frames

    def fit(self, store: Store) -> None:
        """Mean and deviation of the points seen in training frames; UserError where the store's are others."""
        have, needed = store.manifest["features"]["shape"], [self.points, self.dims + 1]
        if have != needed:
            raise UserError(
                f"{store.path}: {have} numbers a frame, the codec reads {needed}; set codec.dims={have[-1] - 1} and "
                f"codec.points={have[0]}"
            )
        train = store.split("train")
        count, total, square = (torch.zeros(self.points * self.dims, dtype=torch.float64) for _ in range(3))
        for i in range(len(train)):
            clip = torch.from_numpy(train.features(i).copy()).double()
            seen, values = self._seen(clip), clip[..., :-1].flatten(-2)  # (T, D) each
            count += seen.sum(0)
            total += (seen * values).sum(0)
            square += (seen * values**2).sum(0)  # of some tenths about 0: nothing cancels
        mean = total / count.clamp(min=1)
        self.mean.copy_(mean)
        self.std.copy_((square / count.clamp(min=1) - mean**2).clamp(min=1e-6).sqrt())  # a thousandth of the shoulders
        self.rate.fill_(store.manifest["fps"])

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A batch of keypoints (B, T, K, dims + 1) → x (B, T, D) and its mask (B, T)."""
        return (batch.x[..., :-1].flatten(-2) - self.mean) / self.std * batch.mask[..., None], batch.mask

    def errors(self, squared: Tensor, mask: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Squared errors (B, T, D) → their mean over what was seen of valid frames, (B,); 0 where nothing was."""
        seen = self._seen(batch.x) & mask[..., None]
        # Not by multiplying: an infinite guess would come through as NaN.
        return {"diffusion": squared.where(seen, 0).sum((1, 2)) / seen.sum((1, 2)).clamp(min=1)}

    def keypoints(self, x: Tensor) -> Tensor:
        """x (..., T, D) → keypoints (..., T, K, dims + 1) in shoulder widths, float32 under autocast too."""
        with torch.autocast(x.device.type, enabled=False):
            points = (x.float() * self.std + self.mean).unflatten(-1, (self.points, self.dims))
            return torch.cat([points, torch.ones_like(points[..., :1])], dim=-1)

    def _seen(self, keypoints: Tensor) -> Tensor:
        """(..., K, dims + 1) → (..., D) bool."""
        return (keypoints[..., -1] > 0).repeat_interleave(self.dims, -1)

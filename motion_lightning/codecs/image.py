"""Pictures: the numbers in [-1, 1] that the data hold are what a process works on."""

import torch
from torch import Tensor, nn

from motion_lightning.data.batch import Batch
from motion_lightning.data.store import Store
from motion_lightning.errors import UserError
from motion_lightning.metrics.skill import masked_mean


class ImageCodec(nn.Module):
    """Clips of one square picture.

    Args:
        channels, size: C, and the sides H = W in pixels.
    """

    representation, fps = "image", 1.0

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.shape = (channels, size, size)
        self.sizes = {"channels": channels, "size": size}

    def fit(self, store: Store) -> None:
        """Nothing to take from the data. UserError where the store's pictures have another shape."""
        if (found := tuple(store.manifest["features"]["shape"])) != self.shape:
            wanted = f"codec.channels={self.shape[0]} codec.size={self.shape[1]}"
            raise UserError(f"{store.path} holds pictures of shape {found}, {wanted} say {self.shape}: change them")

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A batch of pictures (B, 1, C, H, W) in [-1, 1] → themselves, and the mask (B, 1)."""
        return batch.x, batch.mask

    def length(self, frames: int) -> int:
        """One, as clips have."""
        return 1

    def errors(self, squared: Tensor, mask: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Squared errors (B, 1, C, H, W) → their mean (B,)."""
        return {"diffusion": masked_mean(squared, mask)}

    def pictures(self, x: Tensor) -> Tensor:
        """x (..., C, H, W) → bytes of the same shape."""
        return ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)

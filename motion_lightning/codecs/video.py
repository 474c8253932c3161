"""Videos: pictures in [-1, 1] ↔ normalised x ↔ bytes."""

import torch
from torch import Tensor, nn

from motion_lightning.data.batch import Batch
from motion_lightning.data.store import Store
from motion_lightning.errors import UserError
from motion_lightning.metrics.skill import masked_mean


class VideoCodec(nn.Module):
    """Normaliser of videos of one size and length: the mean picture is taken off, and colours are whitened.

    What all clips share (where a signer stands) is not to be learned then, and x has unit variance in three directions
    of colour that are uncorrelated. Light and dark are most of what RGB varies by; what is told apart by its hue, as a
    signer's gloves are, counts three times as much.

    Args:
        channels, size, frames: C, H = W and T of the clips.
        fps: frames a second.
    """

    representation = "video"

    def __init__(self, channels: int = 3, size: int = 32, frames: int = 16, fps: float = 8.0):
        super().__init__()
        self.frames, self.fps = frames, fps
        self.shape = channels, size, size
        self.sizes = {"channels": channels, "size": size, "frames": frames}
        self.register_buffer("mean", torch.zeros(self.shape))
        self.register_buffer("whiten", torch.eye(channels))  # (C, C), symmetric
        self.register_buffer("colour", torch.eye(channels))  # its inverse

    def length(self, frames: int) -> int:
        """As many frames of x as a clip has."""
        return frames

    def fit(self, store: Store) -> None:
        """Statistics of training clips; UserError where they are of another size or length."""
        train = store.split("train")
        shape, lengths = tuple(store.manifest["features"]["shape"]), {int(n) for n in train.lengths}
        if shape != self.shape or lengths != {self.frames}:
            raise UserError(
                f"{store.path}: clips of {sorted(lengths)} frames of {shape}, the codec takes {self.frames} of "
                f"{self.shape}; set codec.frames, codec.size and codec.channels"
            )
        total, square, pixels = 0.0, 0.0, 0
        for i in train.some():
            clip = torch.from_numpy(train.features(i).copy()).double() / 127.5 - 1  # (T, C, H, W)
            total = total + clip.sum(0)
            square = square + torch.einsum("tchw,tdhw->cd", clip, clip)
            pixels += clip[:, 0].numel()
        mean = total * (clip[0, 0].numel() / pixels)
        covariance = square / pixels - torch.einsum("chw,dhw->cd", mean, mean) / mean[0].numel()
        variance, axes = torch.linalg.eigh(covariance)
        deviation = variance.clamp(min=1e-6).sqrt()
        self.mean.copy_(mean)
        self.whiten.copy_(axes / deviation @ axes.T)
        self.colour.copy_(axes * deviation @ axes.T)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A batch of pictures in [-1, 1] → x (B, T, C, H, W), zero in padding, and the mask (B, T).

        Raises UserError for pictures outside that range: bytes, or numbers from another scale.
        """
        low, high = batch.x.aminmax()
        if not (low >= -1.001 and high <= 1.001):  # written so that NaN is refused too
            raise UserError(
                f"a batch of videos goes from {low:.4g} to {high:.4g}; pictures should lie in [-1, 1]: "
                "divide bytes by 127.5 and take 1 off"
            )
        return recolour(batch.x - self.mean, self.whiten) * batch.mask[..., None, None, None], batch.mask

    def errors(self, squared: Tensor, mask: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Squared errors (B, T, C, H, W) → their mean (B,) over valid frames."""
        return {"diffusion": masked_mean(squared, mask)}

    def decode(self, x: Tensor) -> Tensor:
        """x (..., T, C, H, W) → pictures as bytes, uint8."""
        pictures = (recolour(x.float(), self.colour) + self.mean).clamp(-1, 1)
        return ((pictures + 1) * 127.5).round().to(torch.uint8)


def recolour(x: Tensor, matrix: Tensor) -> Tensor:
    """The colour of every pixel of (..., C, H, W) times a symmetric (C, C), in float32."""
    with torch.autocast(x.device.type, enabled=False):
        return torch.einsum("...chw,dc->...dhw", x, matrix).contiguous()

"""Latents of whole splits, made once: a VAE that stays as it is takes longer than what learns from it."""

import torch
from torch import Tensor, nn

from motion_lightning.codecs.latent import LatentCodec
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.data.store import Split
from motion_lightning.text.condition import moved


class LatentTables:
    """x of every clip of the splits of ``data``, made when a split is first asked for.

    Clips that are longer than ``data.max_frames`` give the latents of their first frames.
    """

    def __init__(self, codec: LatentCodec, data: MotionDataModule):
        self.codec, self.data = codec, data
        self.tables: dict[str, Tensor] = {}

    def __call__(self, split: str, clips: Tensor | None = None) -> Tensor:
        """x (B, L, *shape) of clips (B,), on their device, or of all clips of the split."""
        if split not in self.tables:
            self.tables[split] = all_latents(self.codec, self.data.store.split(split), self.data.max_frames)
        table = self.tables[split]
        return table if clips is None else table[clips.to(table.device)].to(clips.device)


def always_the_same(codec: nn.Module, data: MotionDataModule | None) -> bool:
    """Whether every visit to a clip has the same latents, of one size for all: no window, nothing augmented."""
    if not isinstance(codec, LatentCodec) or data is None or data.augment is not None:
        return False
    lengths = {int(n) for name in ("train", "val") for n in data.store.split(name).lengths}
    return max(lengths) <= data.max_frames and len({*map(codec.length, lengths)}) == 1


@torch.no_grad()
def all_latents(codec: LatentCodec, split: Split, max_frames: int | None = None) -> Tensor:
    """x (N, L, *shape) of every clip of a split, all of one size, on the codec's device."""
    device, order = codec.mean.device, split.lengths.argsort(kind="stable").tolist()
    batches = split.iter_batches(64, order, max_frames, multiple_of=1)
    z = torch.cat([codec.encode(moved(batch, device))[0] for batch in batches])
    return z[torch.tensor(order, device=device).argsort()]

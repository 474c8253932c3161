"""The batch. Nested named tuples, which Lightning moves to a device and a DataLoader pins as they are."""

from typing import NamedTuple

from torch import Tensor

from motion_lightning.text.condition import TextCond

__all__ = ["Batch", "Info", "TextCond"]


class Info(NamedTuple):
    """Which clip and which text each row is, for metrics and for pictures."""

    clip: Tensor  # (B,) int64, index into the split
    caption: Tensor  # (B,) int64, index of the text in the store


class Batch(NamedTuple):
    """Padded motions in metric units with their condition."""

    x: Tensor  # (B, T, D) float32, zero where the mask is False
    mask: Tensor  # (B, T) bool
    cond: TextCond
    info: Info

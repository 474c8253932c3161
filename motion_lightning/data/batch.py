"""The batch. Nested named tuples, which Lightning moves to a device as they are."""

from typing import NamedTuple

from torch import Tensor

from motion_lightning.text.condition import TextCond

__all__ = ["Batch", "Info", "TextCond"]


class Info(NamedTuple):
    """Which clip and which text each row is, for metrics and for pictures."""

    clip: Tensor  # (B,) int64, index into the split
    caption: Tensor  # (B,) int64, index of the text in the store


class Batch(NamedTuple):
    """Padded clips in metric units, pictures in [-1, 1], with their condition."""

    x: Tensor  # (B, T, ...) float32, zero where the mask is False
    mask: Tensor  # (B, T) bool
    cond: TextCond  # or another named tuple that has one as its field ``text``
    info: Info

"""Embedded captions, as encoders return them, stores keep them and denoisers take them."""

from typing import NamedTuple

from torch import Tensor


class TextCond(NamedTuple):
    """One vector per token, and one per caption."""

    tokens: Tensor  # (B, L, E) float32, zero where the mask is False
    mask: Tensor  # (B, L) bool
    pooled: Tensor  # (B, E) float32

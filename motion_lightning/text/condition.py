"""Embedded captions, as encoders return them, stores keep them and denoisers take them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor


class TextCond(NamedTuple):
    """One vector per token, and one per caption."""

    tokens: Tensor  # (B, L, E) float32, zero where the mask is False
    mask: Tensor  # (B, L) bool
    pooled: Tensor  # (B, E) float32


def text_of(cond: Any) -> TextCond:
    """The text of a condition, which is one, or has one as its field ``text``."""
    return getattr(cond, "text", cond)


def with_text(cond: Any, text: TextCond) -> Any:
    """The same condition with other words."""
    return cond._replace(text=text) if hasattr(cond, "text") else text


def swapped(cond: Any, other: Any, fields: Sequence[str] = ("text",)) -> Any:
    """The condition with these fields of another one; of a text alone, the other one."""
    return cond._replace(**{name: getattr(other, name) for name in fields}) if hasattr(cond, "text") else other


def rows(cond: Any, index: Sequence[int] | slice) -> Any:
    """Those rows of a condition: tensors, None, and named tuples of such."""
    if cond is None:
        return None
    return cond[index] if isinstance(cond, Tensor) else type(cond)(*(rows(part, index) for part in cond))


def moved(cond: Any, device) -> Any:
    """The condition on another device."""
    if cond is None:
        return None
    return cond.to(device) if isinstance(cond, Tensor) else type(cond)(*(moved(part, device) for part in cond))

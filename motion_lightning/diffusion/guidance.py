"""Classifier-free guidance (Ho & Salimans 2022) as a closure around a conditional prediction."""

from collections.abc import Callable

import torch
from torch import Tensor


def concat(first, second):
    """Two contexts along the batch: tensors (B, ...), None, or (named) tuples of such, alike in both."""
    if first is None:
        return None
    if isinstance(first, Tensor):
        return torch.cat([first, second])
    parts = [concat(a, b) for a, b in zip(first, second, strict=True)]
    return first._make(parts) if hasattr(first, "_make") else type(first)(parts)


def classifier_free(predict: Callable, cond_ctx, null_ctx, scale: float) -> Callable[[Tensor, Tensor], Tensor]:
    """``denoise(x_t, t) -> x0_hat`` that moves the prediction away from the unconditional one.

    predict(x_t (B, ...), t (B,), ctx) -> x0_hat (B, ...) is called once a step, on a batch of 2 B in the
    order (cond, null); with scale 1 on the condition alone, with scale 0 on the null condition alone.
    That doubled call has the operations of two. The contexts are joined here, once, not once a step.
    Whatever else goes by sample (the frame mask) belongs in the context: ``(ctx, mask), (null, mask)``.

    Guidance on x0 is guidance on eps: at a given x_t, eps = (x_t - a x0) / s is affine in x0, and the
    weights ``scale`` and ``1 - scale`` sum to 1, so that x_t drops out of the difference. The same for v.
    """
    if scale == 1:
        return lambda x, t: predict(x, t, cond_ctx)
    if scale == 0:
        return lambda x, t: predict(x, t, null_ctx)
    both = concat(cond_ctx, null_ctx)

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        cond, null = predict(torch.cat([x, x]), torch.cat([t, t]), both).chunk(2)  # (B, ...) each
        return null + scale * (cond - null)

    return denoise

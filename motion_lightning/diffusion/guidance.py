"""Guidance: closures around predictions, by which a sampler sees ``denoise(x_t, t) -> x0_hat`` and no condition.

Guidance on x0 is guidance on eps: at a given x_t, eps = (x_t - a x0) / s is affine in x0, and the weights ``scale`` and
``1 - scale`` sum to 1, so that x_t drops out of the difference. The same for v and velocity.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from motion_lightning.diffusion.process import Process
from motion_lightning.errors import UserError

Denoise = Callable[[Tensor, Tensor], Tensor]


def concat(first, second):
    """Two contexts along the batch: tensors (B, ...), None, or (named) tuples of such, alike in both."""
    if first is None:
        return None
    if isinstance(first, Tensor):
        return torch.cat([first, second])
    parts = [concat(a, b) for a, b in zip(first, second, strict=True)]
    return first._make(parts) if hasattr(first, "_make") else type(first)(parts)


def halves(both):
    """A context along the batch, (2 B, ...), as two (B, ...): what ``concat`` has joined."""
    if both is None or len(both) == 0:
        return both, both
    if isinstance(both, Tensor):
        return both.chunk(2)
    first, second = zip(*map(halves, both), strict=True)
    return (both._make(first), both._make(second)) if hasattr(both, "_make") else (first, second)


def classifier_free(
    predict: Callable, cond_ctx, null_ctx, scale: float, rescale: float = 0.0, mask: Tensor | None = None
) -> Denoise:
    """Moves the prediction away from the unconditional one (Ho & Salimans 2022).

    predict(x_t (B, ...), t (B,), ctx) -> x0_hat (B, ...) is called once a step, on a batch of 2 B in the
    order (cond, null); with scale 1 on the condition alone, with scale 0 on the null condition alone.
    That doubled call has the operations of two. The contexts are joined here, once, not once a step.
    Whatever else goes by sample (the frame mask) belongs in the context: ``(ctx, mask), (null, mask)``.

    rescale: share, 0 ... 1, of the guided x0_hat that gets the deviation of the conditional one (see `rescaled`),
    over frames where the mask (B, T) is True.
    """
    if not 0 <= rescale <= 1:
        raise UserError(f"sampler.rescale={rescale}: it is a share of 0 ... 1, of which 0.7 is usual")
    if scale == 1:
        return lambda x, t: predict(x, t, cond_ctx)
    if scale == 0:
        return lambda x, t: predict(x, t, null_ctx)
    both = concat(cond_ctx, null_ctx)

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        cond, null = predict(torch.cat([x, x]), torch.cat([t, t]), both).chunk(2)  # (B, ...) each
        guided = null + scale * (cond - null)
        return rescaled(guided, cond, rescale, mask) if rescale else guided

    return denoise


def autoguided(predict: Callable, weak: Callable, ctx, weak_ctx, scale: float) -> Denoise:
    """Moves the prediction away from that of a weaker model of the same data (Karras et al. 2024, eq. 3).

    Both are predictions as in `classifier_free`, each with its own network and context; ``weak`` is one that trained
    for less time, or is smaller, under the same process and codec. One call of each a step; with scale 1 the weaker one
    is not called.
    """
    if scale == 1:
        return lambda x, t: predict(x, t, ctx)

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        worse = weak(x, t, weak_ctx)
        return worse + scale * (predict(x, t, ctx) - worse)

    return denoise


def within(interval: tuple[float, float], process: Process, guided: Denoise, unguided: Denoise) -> Denoise:
    """Guides only where sigma = s / a lies in the interval, ends included (Kynkäänniemi et al. 2024).

    At high noise guidance drops modes, at low noise it changes nothing that is worth a doubled call. All samples of a
    batch are at one t, as samplers have it.
    """
    low, high = interval
    if not 0 <= low < high:
        raise UserError(f"sampler.interval={[low, high]}: no sigma lies between; give two rising numbers from 0 on")
    sigma = process.sigma(torch.arange(process.steps))
    inside = ((sigma >= low) & (sigma <= high)).tolist()
    return lambda x, t: (guided if inside[int(t[0])] else unguided)(x, t)


def rescaled(guided: Tensor, cond: Tensor, share: float, mask: Tensor | None = None) -> Tensor:
    """Guided (B, ...), a share of it at the deviation of cond (B, ...) by sample (Lin et al. 2024, eq. 15 and 16).

    A high scale spreads x0_hat beyond the data. Frames where the mask (B, T) is False do not count.
    """
    ratio = _deviation(cond, mask) / _deviation(guided, mask).clamp(min=1e-8)
    return guided * (1 + share * (ratio - 1))


def _deviation(x: Tensor, mask: Tensor | None) -> Tensor:
    """Standard deviation of every sample over valid frames, (B, 1, ...)."""
    over = tuple(range(1, x.ndim))
    if mask is None:
        return x.std(over, correction=0, keepdim=True)
    valid = mask.reshape(*mask.shape, *[1] * (x.ndim - 2)).expand_as(x)
    count = valid.sum(over, keepdim=True)
    centred = (x - (x * valid).sum(over, keepdim=True) / count) * valid
    return (centred.square().sum(over, keepdim=True) / count).sqrt()

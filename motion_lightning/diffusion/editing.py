"""In-painting, in-betweening and edits of body parts: what is known of x0 goes in through ``denoise``.

Replacing x0_hat is enough for the known part: on the way to it a sampler leads x_t through noised versions of what is
known. It does not make the rest a sample of the conditional distribution, since the denoiser sees what is known only as
dimly as everything else: on a Gaussian whose conditional is known (12 frames, correlation 0.95 from one to the next, 4
of them known) the mean of 50 DDPM steps is 0.25 off, of 250 steps 0.24, and the variance is double. Noising what is
known anew in every x_t as well leaves the mean where it is. Steps that are taken again do help: the mean is 0.04 off
with ``ddpm`` of 50 steps and ``repeats=5``, at the price of 250.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from motion_lightning.diffusion.samplers import Denoise
from motion_lightning.errors import UserError


def inpaint(denoise: Denoise, known: Tensor, where: Tensor) -> Denoise:
    """``denoise`` whose x0_hat is ``known`` (B, T, ...) where ``where`` says so: bool, (B, T) or up to x's shape.

    It goes around guidance, so that nothing bends what is known. Frames beyond a clip's end are the caller's affair:
    the masks below leave them out.
    """

    def edited(x: Tensor, t: Tensor) -> Tensor:
        x0 = denoise(x, t)
        return torch.where(where.reshape(*where.shape, *[1] * (x0.ndim - where.ndim)), known.to(x0), x0)

    return edited


def keyframes(mask: Tensor, frames: Sequence[int]) -> Tensor:
    """Known at these frames of every clip, -1 being its own last: mask (B, T) → (B, T) bool."""
    lengths = mask.sum(1, keepdim=True)  # (B, 1)
    wanted = torch.tensor([*frames], dtype=torch.long, device=mask.device)
    wanted = torch.where(wanted < 0, lengths + wanted, wanted)  # (B, K)
    if ((wanted < 0) | (wanted >= lengths)).any():
        raise UserError(f"keyframes {[*frames]} do not all lie in clips of {lengths.min()} to {lengths.max()} frames")
    return torch.zeros_like(mask).scatter(1, wanted, True)


def outside(mask: Tensor, start: float = 0.25, end: float = 0.75) -> Tensor:
    """Known before ``start`` and from ``end`` on, shares of every clip's own length: mask (B, T) → (B, T) bool.

    The middle is left to the model (Tevet et al. 2023, sec. 4, in-betweening); ``end=1`` leaves it the future.
    """
    if not 0 <= start <= end <= 1:
        raise UserError(f"nothing lies between {start} and {end} of a clip; give two rising shares of 0 ... 1")
    frame, length = torch.arange(mask.shape[1], device=mask.device), mask.sum(1, keepdim=True)
    return mask & ((frame < (start * length).long()) | (frame >= (end * length).long()))

"""Losses in metres on joints (B, T, J, 3), one number a clip (B,), over frames where mask (B, T) is True.

As in MDM (Tevet et al. 2023, eqs. 3-5). Differences count only between two valid frames.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from motion_lightning.motion.skeleton import Skeleton


def position_loss(joints: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Squared distance of joints, m^2, averaged over joints and frames; 0 for a clip without valid frames."""
    return _mean((joints - target).square().sum(-1).mean(-1), mask)


def smooth_position_loss(joints: Tensor, target: Tensor, mask: Tensor, beta: float = 1.0) -> Tensor:
    """Smooth L1 of the joints' coordinates, metres, averaged over them and frames: quadratic below ``beta``."""
    return _mean(F.smooth_l1_loss(joints, target, reduction="none", beta=beta).flatten(2).mean(-1), mask)


def velocity_loss(joints: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Squared error of joint velocities, (m/frame)^2, averaged over joints and steps."""
    error = (joints - target).diff(dim=1)  # (B, T-1, J, 3)
    return _mean(error.square().sum(-1).mean(-1), mask[:, 1:] & mask[:, :-1])


def foot_loss(joints: Tensor, contacts: Tensor, mask: Tensor, skeleton: Skeleton, tolerance: float = 0.0) -> Tensor:
    """Squared step, (m/frame)^2, of feet that should stand, averaged over the standing ones.

    contacts (B, T, 4): row t speaks of the step from t to t + 1 of left ankle, left foot, right ankle and
    right foot; above 0.5 it stands. Real motion stays below 0.002 at 20 fps: that is how contacts are found.
    Of a step only what is longer than ``tolerance``, in m/frame, counts: at the length below which contacts
    are on, real motion costs nothing. 0 is as published.
    """
    feet = [*skeleton.feet["left"], *skeleton.feet["right"]]
    step = torch.linalg.vector_norm(joints[:, :, feet].diff(dim=1), dim=-1)  # (B, T-1, 4)
    stands = (contacts[:, :-1] > 0.5) & (mask[:, 1:] & mask[:, :-1])[..., None]
    return _mean((step - tolerance).clamp(min=0).square().flatten(1), stands.flatten(1))


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean (B,) of values (B, N) where mask (B, N) is True; 0, not NaN, where it never is."""
    return values.where(mask, values.new_zeros(())).sum(1) / mask.sum(1).clamp(min=1)

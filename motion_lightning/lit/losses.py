"""Losses on x0_hat (B, T, D) in metres, (B,) each, for ``training.losses``; the geometry is in ``motion.losses``."""

import torch
from torch import Tensor

from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.codecs.pose import PoseCodec
from motion_lightning.data.batch import Batch
from motion_lightning.errors import UserError
from motion_lightning.motion.anatomy import bone_length_loss
from motion_lightning.motion.losses import foot_loss, position_loss, smooth_position_loss, velocity_loss


def position(codec: FeatureCodec, x0_hat: Tensor, x0: Tensor, mask: Tensor, batch: Batch) -> Tensor:
    """Squared error of the joints, m²."""
    return position_loss(codec.joints(x0_hat), codec.joints(x0), mask)


def smooth_position(
    codec: FeatureCodec, x0_hat: Tensor, x0: Tensor, mask: Tensor, batch: Batch, beta: float = 1.0
) -> Tensor:
    """Smooth L1 of the joints' coordinates, m; below ``beta`` half of its square over ``beta``."""
    return smooth_position_loss(codec.joints(x0_hat), codec.joints(x0), mask, beta)


def foot(
    codec: FeatureCodec, x0_hat: Tensor, x0: Tensor, mask: Tensor, batch: Batch, tolerance: float | None = None
) -> Tensor:
    """Steps of feet that stand in the real clip, (m/frame)².

    Args:
        tolerance: m/frame that a standing foot may move. None: what the codec calls standing, so that real motion
            costs nothing; 0: nothing, as published.
    """
    if "contacts" not in codec.names:
        raise UserError(
            "the loss foot needs contacts, which codec.parts=essential leaves out: take no_rotations or all"
        )
    if tolerance is None:
        if codec.stand_speed is None:
            raise UserError("the loss foot needs its tolerance where codec.stand_speed=null: contacts are HumanML3D's")
        tolerance = codec.stand_speed / codec.fps
    return foot_loss(codec.joints(x0_hat), codec.metric(x0)["contacts"], mask, codec.skeleton, tolerance)


def velocity(codec: FeatureCodec, x0_hat: Tensor, x0: Tensor, mask: Tensor, batch: Batch) -> Tensor:
    """Squared error of the joints' velocities, (m/frame)²."""
    return velocity_loss(codec.joints(x0_hat), codec.joints(x0), mask)


def anatomy(codec: PoseCodec, x0_hat: Tensor, x0: Tensor, mask: Tensor, batch: Batch, space: str = "metres") -> Tensor:
    """Squared error of the bones' lengths in poses, m², against the skeleton's constants; float32 under autocast too.

    Without the weight alpha_bar that the training module gives to all of these it explodes: x0_hat is an error in eps
    times s / sqrt(alpha_bar), and the noisiest samples of a batch are all of its loss.

    Args:
        space: "metres", or "normalised": takes normalised numbers for metres, in which no body has these lengths and
            no pose a loss of 0. It is there to show that.
    """
    if space not in ("metres", "normalised"):
        raise UserError(f"space={space} of the anatomy loss is unknown; choose metres or normalised")
    with torch.autocast(x0_hat.device.type, enabled=False):
        joints = codec.joints(x0_hat) if space == "metres" else codec.body(x0_hat.float())
        return (bone_length_loss(joints, codec.skeleton) * mask).sum(1) / mask.sum(1)

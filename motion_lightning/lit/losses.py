"""Losses on x0_hat (B, T, D) in metres, (B,) each, for ``training.losses``; the geometry is in ``motion.losses``."""

from torch import Tensor

from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.data.batch import Batch
from motion_lightning.motion.losses import foot_loss, velocity_loss


def foot(codec: FeatureCodec, x0_hat: Tensor, x0: Tensor, mask: Tensor, batch: Batch) -> Tensor:
    """Steps of feet that stand in the real clip."""
    return foot_loss(codec.joints(x0_hat), codec.metric(x0)["contacts"], mask, codec.skeleton)


def velocity(codec: FeatureCodec, x0_hat: Tensor, x0: Tensor, mask: Tensor, batch: Batch) -> Tensor:
    """Error of the joints' velocities."""
    return velocity_loss(codec.joints(x0_hat), codec.joints(x0), mask)

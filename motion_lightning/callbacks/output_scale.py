"""Keeps an eye on a learned scale of a denoiser's output."""

import logging

import lightning as L
import torch

log = logging.getLogger(__name__)


class WatchOutputScale(L.Callback):
    """Logs ``train/output_scale`` and warns whenever it leaves [low, high]: the output vanishes, or explodes.

    Args:
        low, high: where it should stay.
        clamp: also put it back there, after the optimizer's step.
    """

    def __init__(self, low: float = 0.1, high: float = 10.0, clamp: bool = False):
        self.low, self.high, self.clamp, self.outside = low, high, clamp, False

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs, batch, batch_idx) -> None:
        scale = getattr(pl_module.model.denoiser, "output_scale", None)
        if not isinstance(scale, torch.nn.Parameter):
            return  # there is none, or it is a function of t
        value = scale.detach()
        pl_module.log("train/output_scale", value)
        outside = not self.low <= value <= self.high
        if outside and not self.outside:
            log.warning(
                "step %d: the output scale is %.4g, outside [%g, %g]: the output %s",
                trainer.global_step, value, self.low, self.high, "explodes" if value > self.high else "is suppressed",
            )  # fmt: skip
        self.outside = outside
        if self.clamp:
            with torch.no_grad():
                scale.clamp_(self.low, self.high)

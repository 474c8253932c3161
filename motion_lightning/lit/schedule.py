"""The learning rate of a training, after the step alone."""

import math

import lightning as L
import torch


def warm_cosine(module: L.LightningModule, optimizer: torch.optim.Optimizer, warmup: int, final: float) -> dict:
    """What ``configure_optimizers`` returns: linear warm-up, then a cosine to ``final`` of the peak at the end."""

    def factor(step: int) -> float:
        if step <= warmup:
            return min(1.0, (step + 1) / max(1, warmup))
        # Asked for any earlier, it would start the loader before a checkpoint says at which step.
        total = module.trainer.estimated_stepping_batches
        progress = min(1.0, (step - warmup) / max(1, total - warmup))
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

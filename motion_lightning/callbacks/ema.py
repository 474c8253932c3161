"""Exponential moving average of the weights, by Lightning's own weight averaging."""

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class EMA(WeightAveraging):
    """Validation, samples and checkpoints use the average; training goes on from the raw weights.

    The decay rises as (1 + n) / (10 + n) up to ``decay``, so that a short run does not average its random start, and
    every validation sees weights worth validating. Buffers are statistics of the data and are left alone.
    """

    def __init__(self, decay: float = 0.999):
        def average(averages: list[Tensor], currents: list[Tensor], count: Tensor) -> None:
            n = int(count)
            torch._foreach_lerp_(averages, currents, 1 - min(decay, (1 + n) / (10 + n)))

        super().__init__(use_buffers=False, multi_avg_fn=average)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None

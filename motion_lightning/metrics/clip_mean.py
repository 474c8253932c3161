"""Any measure of one clip as a torchmetrics.Metric: its mean over the clips of all processes."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric


class ClipMean(Metric):
    """Mean of ``measure(*arrays)`` over clips, in float64; every clip counts the same on any number of processes.

    The physical measures, reconstruction errors, DTW-MJE, ADE and FDE are such functions::

        slide = ClipMean(partial(foot_slide, skeleton=skeleton))
        slide.update(joints)  # a clip at a time

    Clips whose measure is NaN (too short for it, say) are left out and counted in ``unmeasured``.
    """

    full_state_update = False

    def __init__(self, measure: Callable[..., float]):
        super().__init__()
        self.measure = measure
        for name in ("total", "count", "unmeasured"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, *clip) -> None:
        value = float(self.measure(*clip))
        if value != value:
            self.unmeasured = self.unmeasured + 1
        else:
            self.total, self.count = self.total + value, self.count + 1

    def compute(self) -> Tensor:
        """() float64, NaN where nothing could be measured."""
        return self.total / self.count

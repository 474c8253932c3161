"""Is near alike? What share of a point's nearest neighbours bear its label."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from motion_lightning.errors import UserError

RESAMPLES = 2000


def purity(points: Tensor, labels: Sequence[str], k: int = 10) -> np.ndarray:
    """Share (N,) of the k nearest other points (N, ...), by Euclidean distance, that bear the label of each.

    NaN where no more than k points bear it, for which no space could do.
    """
    if len(points) <= k:
        raise UserError(f"{len(points)} points have no {k} neighbours each: take more clips, or a smaller k")
    flat = points.flatten(1).double()
    away = torch.cdist(flat, flat).fill_diagonal_(torch.inf)
    nearest = away.argsort(dim=1, stable=True)[:, :k].numpy()
    _, kind, count = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    return np.where(count[kind] > k, (kind[nearest] == kind[:, None]).mean(1), np.nan)


def chance(labels: Sequence[str], k: int = 10) -> float:
    """Mean of ``purity`` where neighbours are drawn by lot; NaN where no label is frequent enough."""
    _, kind, count = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    often = count[kind][count[kind] > k]
    return float((often - 1).mean() / (len(labels) - 1)) if len(often) else float("nan")


def bootstrap(values: np.ndarray, seed: int = 0) -> dict[str, float | list[float]]:
    """Mean of (N,), and the range of 95 % of the means of as many values drawn with replacement."""
    drawn = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    return {"mean": float(values.mean()), "interval": [float(low), float(high)], "clips": len(values)}

"""Distance between two pose sequences of unequal length and pace: mean joint error along the best alignment."""

from collections.abc import Sequence

import numpy as np


def dtw_mje(a: np.ndarray, b: np.ndarray) -> float:
    """DTW-MJE: the mean joint error along a dynamic time warping path.

    The error of two frames is the mean Euclidean distance of the points that both have seen (W. Huang et al., Towards
    Fast and High-Quality Sign Language Production, ACM MM 2021). The path goes from the first frames to the last by
    steps (1, 1), (1, 0) and (0, 1) of equal weight and has the least *sum* of errors (Sakoe and Chiba 1978); the sum is
    then divided by the number of pairs on the path, so that long clips do not count for more. Nothing is aligned in
    space: both are normalised by the shoulders before they come here.

    Args:
        a, b: (T, K, D + 1) coordinates and the confidence, 0 for a point that was not seen.

    Returns:
        Distance in the units of the coordinates (shoulder widths, where clips come from a store); NaN where no path
        of frames that have seen the same points leads from start to end.
    """
    a, b = (clip[(clip[..., -1] > 0).any(1)] for clip in (a, b))  # frames in which nobody was seen
    if not len(a) or not len(b):
        return float("nan")
    total, pairs = path_cost(frame_errors(a, b))
    return total / pairs if np.isfinite(total) else float("nan")


def mean_dtw_mje(clips: Sequence[np.ndarray | None], references: Sequence[np.ndarray]) -> float | None:
    """Mean over the clips that are there; None where none is."""
    errors = [dtw_mje(a, b) for a, b in zip(clips, references, strict=True) if a is not None]
    return float(np.nanmean(errors)) if errors else None


def frame_errors(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) mean distance of the points seen in frame n of ``a`` and in frame m of ``b``; infinite where none is."""
    total, count = (np.zeros((len(a), len(b)), np.float32) for _ in range(2))
    for k in range(a.shape[1]):  # point by point: all at once would not stay in the cache
        both = (a[:, None, k, -1] > 0) & (b[None, :, k, -1] > 0)
        total += both * np.sqrt(sum((x[:, None] - y) ** 2 for x, y in zip(a[:, k, :-1].T, b[:, k, :-1].T, strict=True)))
        count += both
    return np.where(count > 0, total / np.maximum(count, 1), np.inf).astype(np.float64)


def path_cost(cost: np.ndarray) -> tuple[float, int]:
    """Least sum of ``cost`` (N, M) along a path, and its number of pairs.

    Antidiagonals depend on the two before them alone, so each is one step for all its cells.
    """
    n, m = cost.shape
    total = np.full((n + 1, m + 1), np.inf)
    pairs = np.zeros((n + 1, m + 1), np.int64)
    total[0, 0] = 0.0
    for d in range(2, n + m + 1):
        i = np.arange(max(1, d - m), min(n, d - 1) + 1)
        j = d - i
        before = np.stack([total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]])  # diagonal first: fewer pairs
        best = before.argmin(0)
        steps = np.stack([pairs[i - 1, j - 1], pairs[i - 1, j], pairs[i, j - 1]])
        total[i, j] = before[best, np.arange(len(i))] + cost[i - 1, j - 1]
        pairs[i, j] = steps[best, np.arange(len(i))] + 1
    return float(total[n, m]), int(pairs[n, m])

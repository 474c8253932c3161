"""Mean, deviation and covariance of the frames of a split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FRAMES_A_CHUNK = 1 << 15


@dataclass(frozen=True)
class Stats:
    """Statistics of single frames, float64, over ``count`` frames (divided by ``count``, not ``count - 1``).

    ``std`` is what normalisers divide by: for HumanML3D's features the mean deviation of each group (Guo et
    al. 2022), so that the noise of quiet joints is not blown up; 1 where a feature never changes. ``cov`` is
    as measured.
    """

    mean: np.ndarray  # (D,)
    std: np.ndarray  # (D,)
    cov: np.ndarray  # (D, D)
    count: int

    def save(self, path: Path) -> None:
        np.savez(path, mean=self.mean, std=self.std, cov=self.cov, count=self.count)

    @classmethod
    def load(cls, path: Path) -> "Stats":
        with np.load(path) as file:
            return cls(file["mean"], file["std"], file["cov"], int(file["count"]))


def frame_statistics(clips: Iterable[np.ndarray], groups: Sequence[slice] = ()) -> Stats:
    """Statistics over the frames of all ``clips``, each (T, D), in one pass and float64.

    The deviations of each of ``groups`` are replaced by their mean.
    """
    count, pivot, total, outer = 0, 0.0, 0.0, 0.0
    for frames in _chunks(clips):
        if not count:
            pivot = frames.mean(0)  # near the mean, where sums of squares cancel least
        centred = frames - pivot
        count, total, outer = count + len(frames), total + centred.sum(0), outer + centred.T @ centred
    shift = total / count
    cov = outer / count - np.outer(shift, shift)
    cov = (cov + cov.T) / 2
    std = np.sqrt(np.diag(cov).clip(0))
    for group in groups:
        std[group] = std[group].mean()
    return Stats(pivot + shift, np.where(std > 1e-8, std, 1.0), cov, count)


def _chunks(clips: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    held, size = [], 0
    for clip in clips:
        held.append(clip)
        size += len(clip)
        if size >= FRAMES_A_CHUNK:
            yield np.concatenate(held).astype(np.float64)
            held, size = [], 0
    if held:
        yield np.concatenate(held).astype(np.float64)

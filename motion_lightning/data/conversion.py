"""From recordings at any rate and of any length to clips, in several processes."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from motion_lightning.data.ahead import in_order, processes
from motion_lightning.data.clip import Clip, Rejected


def resample(joints: np.ndarray, fps: float, target: float) -> np.ndarray:
    """Joints (T, J, 3) at another rate, from the first frame on: cubic in time, so steps stay even.

    Between frames bones come out slightly short; retargeting gives them their length back.
    """
    frames = math.floor((len(joints) - 1) / fps * target + 1e-6) + 1
    return CubicSpline(np.arange(len(joints)), joints)(np.arange(frames) * (fps / target))


def windows(frames: int, longest: int) -> list[tuple[int, int]]:
    """(start, end) of the fewest windows of equal length (to a frame) that cover the frames."""
    count = max(1, math.ceil(frames / longest))
    edges = [round(k * frames / count) for k in range(count + 1)]
    return list(itertools.pairwise(edges))


def in_processes(
    convert: Callable[..., list[Clip | Rejected]], jobs: Iterable[tuple[Any, ...]], workers: int
) -> Iterator[Clip | Rejected]:
    """What ``convert(*job)`` gives for each job, in their order, whatever the number of processes; 0 uses this one."""
    if workers < 1:
        for job in jobs:
            yield from convert(*job)
        return
    for items in in_order(processes(workers), partial(_apply, convert), jobs, ahead=8 * workers):
        yield from items


def _apply(convert: Callable[..., Any], job: tuple[Any, ...]) -> Any:
    return convert(*job)

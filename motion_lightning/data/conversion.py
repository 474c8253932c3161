"""From recordings at any rate and of any length to clips, in several processes."""

import itertools
import math
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
from scipy.interpolate import CubicSpline

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
    # spawn: a forked copy of a process that has used torch's threads may hang
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,))
    pending = deque()
    try:
        for job in jobs:
            pending.append(pool.submit(convert, *job))
            if len(pending) > 8 * workers:  # a slow reader must not fill the memory
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)

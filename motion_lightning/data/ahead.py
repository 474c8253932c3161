"""Work that is done ahead of its use, in its order."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

import torch


def in_order(pool: Executor, make: Callable[[Any], Any], jobs: Iterable[Any], ahead: int) -> Iterator[Any]:
    """``make(job)`` of each job, in their order, at most ``ahead`` more than were asked for: a slow reader must not
    fill the memory. The pool ends with it.
    """
    pending = deque()
    try:
        for job in jobs:
            pending.append(pool.submit(make, job))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def processes(workers: int) -> ProcessPoolExecutor:
    """A pool whose processes use one thread each."""
    # spawn: a forked copy of a process that has used torch's threads may hang
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,))

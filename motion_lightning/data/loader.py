"""Batches made ahead of their use."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from torch import Tensor

from motion_lightning.data.ahead import in_order
from motion_lightning.data.batch import Batch


class Loader:
    """Makes the batches that ``draws`` lists, in its order, up to two for each thread ahead.

    Threads, not processes: a store is mapped into memory, and handing 13 MB from one process to another costs three
    times the making of the batch (experiments/data_scale).

    Args:
        draws: what each batch is made of; its length is the loader's.
        make: one of them → a batch.
        threads: 0 makes a batch when it is asked for.
        pin: whether batches go to page-locked memory, from where a GPU can fetch them.
    """

    def __init__(self, draws: Sequence[Any], make: Callable[[Any], Batch], threads: int = 0, pin: bool = False):
        self.draws, self.make, self.threads, self.pin = draws, make, threads, pin

    def __len__(self) -> int:
        return len(self.draws)

    def __iter__(self) -> Iterator[Batch]:
        if not self.threads:
            yield from map(self._make, self.draws)
            return
        yield from in_order(ThreadPoolExecutor(self.threads), self._make, self.draws, ahead=2 * self.threads)

    def _make(self, draw: Any) -> Batch:
        batch = self.make(draw)
        return _pinned(batch) if self.pin else batch


def _pinned(part: Any) -> Any:
    if isinstance(part, Tensor):
        return part.pin_memory()
    return type(part)(*map(_pinned, part)) if isinstance(part, tuple) else part

"""Training batches as a function of (seed, step) alone, whatever ran before and on however many ranks."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from motion_lightning.data.quotas import Quotas
from motion_lightning.errors import UserError

ORDER, WINDOW, DRAW, QUOTA, AUGMENT = range(5)  # streams of random numbers


class Draw(NamedTuple):
    """One row of a batch. The two fractions in [0, 1) choose among its captions and among its crops."""

    clip: int
    caption: float
    crop: float
    frames: int  # of the longest clip in the global batch, so that all ranks pad alike
    seed: int  # of its augmentation


class StepBatchSampler(Sampler[list[Draw]]):
    """Endless passes over the data, cut into batches of ``batch_size`` clips; no clip is ever left over.

    Passes are permutations seeded by (seed, pass), one after another: of all clips, or of those that
    ``quotas`` draw for the pass. The clips of ``bucket`` consecutive batches are sorted by length before they
    are cut, so that a batch holds little padding; then the batches are mixed.

    Args:
        lengths: frames of each clip, (n,).
        batch_size: of the global batch, which the ranks share in equal parts.
        steps_per_epoch: batches that one iteration yields.
        start_step: of the next iteration; a function is asked when the iteration starts.
        quotas: of the clusters of these clips; None takes every clip once a pass.

    Raises:
        UserError: no clips, or a batch that the ranks cannot share.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        batch_size: int,
        seed: int = 0,
        steps_per_epoch: int = 1000,
        rank: int = 0,
        world_size: int = 1,
        start_step: int | Callable[[], int] = 0,
        bucket: int = 16,
        quotas: Quotas | None = None,
    ):
        if not len(lengths):
            raise UserError("no clips to train on; prepare a corpus with a training split")
        if batch_size % world_size:
            raise UserError(f"batch_size={batch_size} cannot be shared by {world_size} devices; take a multiple")
        self.lengths, self.batch_size, self.seed = np.asarray(lengths), batch_size, seed
        self.steps_per_epoch, self.start_step = steps_per_epoch, start_step
        self.rank, self.world_size = rank, world_size
        self.quotas, self.clips_a_pass = quotas, len(lengths) if quotas is None else len(quotas)
        self.bucket = max(1, min(bucket, self.clips_a_pass // batch_size))  # windows no longer than a pass
        self._pass = lru_cache(2)(self._pass)
        self._window = lru_cache(1)(self._window)

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[list[Draw]]:
        start = self.start_step() if callable(self.start_step) else self.start_step
        return (self.batch(step) for step in range(start, start + self.steps_per_epoch))

    def batch(self, step: int) -> list[Draw]:
        """This rank's part of the batch of ``step``."""
        clips = self._window(step // self.bucket)[step % self.bucket]  # (batch_size,)
        fractions = self._random(DRAW, step).random((self.batch_size, 2))
        seeds = self._random(AUGMENT, step).integers(2**63, size=self.batch_size)
        frames = int(self.lengths[clips].max())
        share = slice(
            self.rank * self.batch_size // self.world_size,
            (self.rank + 1) * self.batch_size // self.world_size,
        )
        return [
            Draw(int(clip), *fraction, frames, seed)
            for clip, fraction, seed in zip(clips[share], fractions[share].tolist(), seeds[share].tolist(), strict=True)
        ]

    def _window(self, index: int) -> np.ndarray:
        """The batches of one window, (bucket, batch_size)."""
        places = np.arange(size := self.bucket * self.batch_size) + index * size
        passes, offsets = np.divmod(places, self.clips_a_pass)
        clips = np.concatenate([self._pass(p)[offsets[passes == p]] for p in range(passes[0], passes[-1] + 1)])
        # Where a pass ends within the window, the next one is sorted the other way round: clips of about one
        # length meet there, and a clip meets itself in one batch at most.
        lengths = np.where(passes % 2, -1, 1) * self.lengths[clips]
        batches = clips[np.lexsort([lengths, passes])].reshape(self.bucket, self.batch_size)
        return self._random(WINDOW, index).permutation(batches)

    def _pass(self, index: int) -> np.ndarray:
        drawn = len(self.lengths) if self.quotas is None else self.quotas.draw(index, [self.seed, QUOTA])
        return self._random(ORDER, index).permutation(drawn)

    def _random(self, stream: int, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream, index])

"""Timesteps, noise and condition drop as pure functions of (seed, step).

They are drawn for the *global* batch and sliced by rank: N processes draw what one process with the same
global batch draws, and a resumed run draws what an uninterrupted one does. Noise has a stream per sample
and is drawn frame by frame, so that it depends neither on the rank nor on the batch's padding. NumPy does
the drawing: the first numbers of a longer draw are those of a shorter one, which torch does not promise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from motion_lightning.errors import UserError

STREAMS = ("timesteps", "noise", "drop", "layers", "validation", "sampling")
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class StepRandom:
    """Randomness of one rank. Rank r holds samples r B ... (r + 1) B - 1 of the global batch (world B)."""

    seed: int
    rank: int = 0
    world: int = 1

    def __post_init__(self):
        if self.seed < 0 or not 0 <= self.rank < self.world:
            raise UserError(
                f"no randomness for seed {self.seed}, rank {self.rank} of {self.world}; "
                "the seed must be at least 0 and the rank below the number of processes"
            )

    def timesteps(self, step: int, batch: int, steps: int, stratified: bool = True) -> Tensor:
        """t of this rank's samples, (B,) long in 0 ... steps - 1.

        ``stratified`` puts one draw into each of world B equal strata, in random order: each t is still
        uniform, but a batch covers all noise levels, which lowers the variance of the gradient.
        """
        generator, size = _generator(self.seed, "timesteps", step), batch * self.world
        u = generator.random(size)
        if stratified:
            u = (generator.permutation(size) + u) / size
        return torch.from_numpy((self._slice(u) * steps).astype(np.int64))

    def noise(self, step: int, like: Tensor) -> Tensor:
        """Unit noise of this rank's samples, shaped like ``like`` (B, T, ...), on its device and dtype."""
        samples = range(self.rank * len(like), (self.rank + 1) * len(like))
        return _normal([_generator(self.seed, "noise", step, i) for i in samples], like)

    def drop(self, step: int, batch: int, probability: float) -> Tensor:
        """True where this rank's sample loses its condition, (B,) bool."""
        u = _generator(self.seed, "drop", step).random(batch * self.world)
        return torch.from_numpy(self._slice(u) < probability)

    def layer_seed(self, step: int) -> int:
        """Seed for ``torch.manual_seed``: dropout inside the layers differs by rank and repeats on resume."""
        return int(_generator(self.seed, "layers", step, self.rank).integers(2**63))

    def _slice(self, global_batch: np.ndarray) -> np.ndarray:
        return np.split(global_batch, self.world)[self.rank]


def fixed_timesteps(clips: Tensor, steps: int) -> Tensor:
    """t for validation, (B,) long, of the clips' indices (B,) alone: same at every epoch, run and batch size.

    Multiples of the golden ratio modulo 1 fill 0 ... steps - 1 evenly for any number of clips.
    """
    return ((clips.double() * GOLDEN + 0.5) % 1 * steps).long()


def fixed_noise(clips: Tensor, like: Tensor) -> Tensor:
    """Unit noise for validation, shaped like ``like`` (B, T, ...), of the clips' indices (B,) alone."""
    return _normal([_generator(0, "validation", clip) for clip in clips.tolist()], like)


class SampleNoise:
    """Source of noise for a sampling run in which sample i depends on ``seeds[i]`` alone.

    Call number k returns unit noise shaped like x (B, T, ...) out of streams (seed, k): the first for
    x_T, the next for the sampler's steps. What else is in the batch, and its padding, make no difference.
    """

    def __init__(self, seeds: Sequence[int]):
        self.seeds, self.calls = list(seeds), 0

    def __call__(self, x: Tensor) -> Tensor:
        noise = _normal([_generator(seed, "sampling", self.calls) for seed in self.seeds], x)
        self.calls += 1
        return noise


def _generator(seed: int, stream: str, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, STREAMS.index(stream), *key))))


def _normal(generators: list[np.random.Generator], like: Tensor) -> Tensor:
    if len(generators) != len(like):
        raise ValueError(f"{len(generators)} streams of noise for a batch of {len(like)}")
    wide = np.float64 if like.dtype == torch.float64 else np.float32
    noise = np.empty(like.shape, wide)
    for generator, sample in zip(generators, noise, strict=True):
        generator.standard_normal(dtype=wide, out=sample)
    return torch.from_numpy(noise).to(like)

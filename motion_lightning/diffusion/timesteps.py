"""Timesteps, noise and condition drop as functions of (seed, step).

They are drawn for the *global* batch and sliced by rank: N processes draw what one process with the same
global batch draws, and a resumed run draws what an uninterrupted one does. Noise has a stream per sample
and is drawn frame by frame, so that it depends neither on the rank nor on the batch's padding. NumPy does
the drawing: the first numbers of a longer draw are those of a shorter one, which torch does not promise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit, ndtri
from torch import Tensor, nn

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

    def uniform(self, step: int, batch: int, stratified: bool = True) -> np.ndarray:
        """Numbers in 0 ... 1, (B,) float64, out of which this rank's timesteps are made.

        ``stratified`` puts one draw into each of world B equal strata, in random order: each number is still
        uniform, but a batch covers all noise levels, which lowers the variance of the gradient.
        """
        generator, size = _generator(self.seed, "timesteps", step), batch * self.world
        u = generator.random(size)
        if stratified:
            u = (generator.permutation(size) + u) / size
        return self._slice(u)

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


class Uniform(nn.Module):
    """Every timestep as often as every other.

    A timestep sampler answers ``draw(random, step, batch)`` with t (B,) long in 0 ... steps - 1 and the importance
    (B,) that the loss of each sample is multiplied by, and hears the losses of the step in ``update``.
    """

    def __init__(self, steps: int, stratified: bool = True):
        super().__init__()
        self.steps, self.stratified = steps, stratified

    def draw(self, random: StepRandom, step: int, batch: int) -> tuple[Tensor, Tensor]:
        return _floor(random.uniform(step, batch, self.stratified), self.steps), torch.ones(batch)

    def update(self, t: Tensor, losses: Tensor) -> None:
        """Nothing to learn."""


class LogitNormal(nn.Module):
    """(t + 1/2) / steps is a normal variable through a sigmoid (Esser et al. 2024, sec. 3.1): the middle of a flow.

    The importance is 1: the density is part of the objective, not a way to estimate another one.

    Args:
        mean: below 0 for less noise.
        std: of the normal variable.
    """

    def __init__(self, steps: int, mean: float = 0.0, std: float = 1.0, stratified: bool = True):
        super().__init__()
        if std <= 0:
            raise UserError(f"training.timesteps.std={std}: a normal distribution needs a deviation above 0")
        self.steps, self.mean, self.std, self.stratified = steps, mean, std, stratified

    def draw(self, random: StepRandom, step: int, batch: int) -> tuple[Tensor, Tensor]:
        u = random.uniform(step, batch, self.stratified)
        return _floor(expit(self.mean + self.std * ndtri(u)), self.steps), torch.ones(batch)

    def update(self, t: Tensor, losses: Tensor) -> None:
        """Nothing to learn."""


class LossAware(nn.Module):
    """Timesteps in proportion to the root mean square of their last losses (Nichol & Dhariwal 2021, sec. 3.3).

    Uniform until every timestep has ``history`` losses. The buffers travel in the checkpoint, and are alike on all
    ranks if ``update`` gets the losses of all of them, in one order.

    Args:
        history: losses kept of every timestep.
        uniform: share of draws that stay uniform, so that no timestep is forgotten.
        bias_correct: multiply by 1 / (T p), which leaves the objective what it was; without it the objective itself
            leans to timesteps of high loss.
    """

    losses: Tensor
    counts: Tensor

    def __init__(
        self,
        steps: int,
        history: int = 10,
        uniform: float = 0.001,
        bias_correct: bool = True,
        stratified: bool = True,
    ):
        super().__init__()
        if not 0 < uniform <= 1 or history < 1:
            raise UserError(
                f"training.timesteps: uniform={uniform} must lie above 0, at most at 1, and history={history} above 0"
            )
        self.steps, self.history, self.uniform = steps, history, uniform
        self.bias_correct, self.stratified = bias_correct, stratified
        self.register_buffer("losses", torch.zeros(steps, history))  # a ring for each t
        self.register_buffer("counts", torch.zeros(steps, dtype=torch.long))  # losses seen so far

    def probabilities(self) -> np.ndarray:
        """p of every timestep, (T,) float64."""
        if self.counts.min() < self.history:
            return np.full(self.steps, 1 / self.steps)
        rms = self.losses.cpu().double().square().mean(1).sqrt().numpy() + 1e-12  # of losses that are all 0, too
        return (1 - self.uniform) * rms / rms.sum() + self.uniform / self.steps

    def draw(self, random: StepRandom, step: int, batch: int) -> tuple[Tensor, Tensor]:
        p = self.probabilities()
        chain = p.cumsum()
        u = random.uniform(step, batch, self.stratified) * chain[-1]
        t = torch.from_numpy(np.searchsorted(chain, u, side="right").clip(max=self.steps - 1))
        importance = torch.from_numpy(1 / (self.steps * p)).float()[t]
        return t, importance if self.bias_correct else torch.ones(batch)

    @torch.no_grad()
    def update(self, t: Tensor, losses: Tensor) -> None:
        """Take the losses (N,) of the timesteps t (N,) of the whole global batch; the oldest ones make room."""
        order = t.argsort(stable=True)
        t, losses = t[order], losses[order].to(self.losses)
        seen = torch.bincount(t, minlength=self.steps)  # (T,)
        nth = torch.arange(len(t), device=t.device) - (seen.cumsum(0) - seen)[t]  # among those of its timestep
        kept = nth >= seen[t] - self.history  # a ring holds no more of one batch
        t, nth, losses = t[kept], nth[kept], losses[kept]
        self.losses[t, (self.counts[t] + nth) % self.history] = losses
        self.counts += seen


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


def _floor(share: np.ndarray, steps: int) -> Tensor:
    """Shares of the chain in 0 ... 1 as timesteps."""
    return torch.from_numpy((share * steps).astype(np.int64).clip(max=steps - 1))

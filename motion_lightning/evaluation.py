"""Scores of a trained model on one split of a store: skill and audit here, for any data; the rest is its task's."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from motion_lightning.assemble import encoded
from motion_lightning.data.kinds import kind_numbers, strangers
from motion_lightning.data.store import Split, Store
from motion_lightning.diffusion.timesteps import fixed_noise
from motion_lightning.metrics.skill import (
    BINS,
    BinnedError,
    FrameWiener,
    SequenceWiener,
    audit,
    bin_timesteps,
    skill,
)
from motion_lightning.pipeline import Diffusion, Sampling, by_frame
from motion_lightning.tasks.task import Scoring, Shown, Task
from motion_lightning.text.condition import rows, swapped
from motion_lightning.view.fragment import Fragment

Progress = Callable[[Iterable], Iterable]


@torch.no_grad()
def denoising_scores(model: Diffusion, split: Split, train: Split, batch_size: int, progress: Progress = iter) -> dict:
    """Skill per bin of t against linear estimates from training data, and the audit of what takes a condition.

    Every clip is noised once in every bin, with noise and timestep fixed by its index. The audit's wrong caption, or
    whatever the denoiser's null stands for, is that of a clip with another program, or of the next clip where programs
    are not known.
    """
    codec, process = model.codec, model.process
    clips = encoded(codec, train, train.some())
    frame = FrameWiener.of(clips, process)
    sequence = SequenceWiener(frame, clips[:1500], codec.length(int(split.lengths.max())))
    bins, losses = BinnedError(["model", "frame", "sequence"]), {"right": [], "null": [], "wrong": []}
    stranger = strangers(kind_numbers(split))
    for batch in progress(list(split.iter_batches(batch_size, multiple_of=1))):
        x0, mask = codec.encode(batch)
        others = split.collate([stranger[i] for i in batch.info.clip.tolist()], multiple_of=1)
        wrong = swapped(batch.cond, others.cond, getattr(model.denoiser, "drops", ("text",)))
        contexts = {
            "right": model.encode(batch.cond, mask),
            "null": model.encode(batch.cond, mask, drop=True),
            "wrong": model.encode(wrong, mask),
        }
        eps = fixed_noise(batch.info.clip, x0)

        def error(x0_hat: Tensor, x0=x0, mask=mask, batch=batch) -> Tensor:
            return sum(codec.errors((x0_hat - x0).square(), mask, batch).values())

        for number in range(BINS):
            t = bin_timesteps(process, number, batch.info.clip)
            x_t = process.noise(x0, t, eps) * by_frame(mask, x0)
            errors = {name: error(model.predict(x_t, t, ctx, mask)) for name, ctx in contexts.items()}
            for name, values in errors.items():
                losses[name].append(values.numpy())
            linear = [error(estimate(x_t, t, mask)) for estimate in (frame, sequence)]
            snr = process.snr(t)
            bins.update(t, process.steps, [e * snr for e in (errors["right"], *linear)])
    scores = {"skill": skill(bins.compute(), process)}
    if getattr(model.denoiser, "reads", True):  # an unconditional model was not asked to listen
        scores["audit"] = audit(*(np.concatenate(losses[name]) for name in ("right", "null", "wrong")))
    return scores


def sample_split(
    model: Diffusion,
    split: Split,
    sampling: Sampling,
    batch_size: int = 128,
    seed: int = 0,
    progress: Progress = iter,
    clips: Sequence[int] | None = None,
    texts: Sequence[int] | None = None,
    frames: Sequence[int] | None = None,
) -> list[Tensor]:
    """x (T, *shape) of one sample per clip; clips of like length are sampled together.

    Args:
        clips: indices; default all.
        texts: of each clip; default its first caption.
        frames: of each clip; default its own number.
    """
    clips = range(len(split)) if clips is None else clips
    texts = [split.text_ids(i)[0] for i in clips] if texts is None else texts
    frames = [int(split.lengths[i]) for i in clips] if frames is None else frames

    def cond(part: list[int]) -> Any:
        return split.collate([clips[i] for i in part], [texts[i] for i in part]).cond

    return in_batches(model, sampling, cond, frames, batch_size, seed, progress)


def sample_conditions(
    model: Diffusion, sampling: Sampling, batch_size: int, cond: Any, lengths: Sequence[int], seed: int
) -> list[Tensor]:
    """x (T, *shape) of one sample per condition, at lengths in frames."""
    return in_batches(model, sampling, lambda part: rows(cond, part), lengths, batch_size, seed)


def in_batches(
    model: Diffusion,
    sampling: Sampling,
    cond: Callable[[list[int]], Any],
    frames: Sequence[int],
    batch_size: int,
    seed: int,
    progress: Progress = iter,
) -> list[Tensor]:
    """Samples of so many frames each, of like length together; ``cond`` gives the conditions of some of them."""
    order = sorted(range(len(frames)), key=frames.__getitem__)
    done: list[Tensor] = [torch.empty(0)] * len(order)
    for k in progress(range(0, len(order), batch_size)):
        part = order[k : k + batch_size]
        samples = model.sample(cond(part), [frames[i] for i in part], sampling, seed=seed * 100_003 + k)
        for i, x in zip(part, samples, strict=True):
            done[i] = x
    return done


class Result(NamedTuple):
    """Scores (JSON-able), and samples beside real clips to look at."""

    scores: dict
    look: Fragment


def score_run(
    model: Diffusion,
    task: Task,
    store: Store,
    encoder,
    sampling: Sampling,
    split: str = "test",
    clips: int | None = None,
    batch_size: int = 128,
    seed: int = 0,
    shown: int = 12,
    progress: Progress = iter,
) -> Result:
    """Everything that ``evaluate`` reports of one model on one split of a store."""
    part, train = store.split(split).first(clips), store.split("train")
    scores = denoising_scores(model, part, train, batch_size, progress)
    samples = sample_split(model, part, sampling, batch_size, seed, progress)
    draw = partial(sample_conditions, model, sampling, batch_size)
    scores |= task.score(Scoring(model, store, part, samples, draw, encoder.encode, seed))
    chosen = np.random.default_rng(seed).permutation(len(part))[:shown].tolist()
    return Result(scores, task.look(model, beside_real(model, part, samples, chosen)))


def beside_real(model: Diffusion, part: Split, samples: Sequence[Tensor], chosen: Sequence[int]) -> list[Shown]:
    """Samples of some clips of a split, each with the real clip."""
    views = []
    for i, real in zip(chosen, encoded(model.sample_codec, part, list(chosen)), strict=True):
        caption, cond = part.captions(i)[0], part.collate([i]).cond
        views += [Shown(samples[i], caption, "sample", cond), Shown(real, caption, "real", cond, real=True)]
    return views

"""Scores of a trained model on one split of a store: skill, audit, attributes, physics. Each is a plain function."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from motion_lightning.data.bodies import joints_of
from motion_lightning.data.programs.paraphrases import load_paraphrases
from motion_lightning.data.store import Split, Store
from motion_lightning.diffusion.timesteps import fixed_noise
from motion_lightning.metrics.attributes import attribute_accuracy
from motion_lightning.metrics.physical import foot_slide, jitter
from motion_lightning.metrics.skill import (
    BINS,
    BinnedError,
    FrameWiener,
    SequenceWiener,
    audit,
    bin_timesteps,
    skill,
    squared_error,
)
from motion_lightning.motion.skeleton import load_skeleton
from motion_lightning.pipeline import Diffusion, Sampling
from motion_lightning.view.page import ClipView

Progress = Callable[[Iterable], Iterable]


@torch.no_grad()
def denoising_scores(model: Diffusion, split: Split, train: Split, batch_size: int, progress: Progress = iter) -> dict:
    """Skill per bin of t against linear estimates from training data, and the conditioning audit.

    Every clip is noised once in every bin, with noise and timestep fixed by its index. The audit's wrong caption is
    that of a clip with another program, or of the next clip where programs are not known.
    """
    codec, process = model.codec, model.process
    frame = FrameWiener(codec.covariance, process)
    longest = int(split.lengths.max())
    clips = [codec.encode(torch.from_numpy(train.features(i).copy())[None], torch.ones(1, n, dtype=torch.bool))[0]
             for i, n in list(enumerate(train.lengths))[:1500]]  # fmt: skip
    sequence = SequenceWiener(frame, clips, longest)
    bins, losses = BinnedError(["model", "frame", "sequence"]), {"right": [], "null": [], "wrong": []}
    stranger = strangers(split)
    for batch in progress(list(split.iter_batches(batch_size))):
        x0, mask = codec.encode(batch.x, batch.mask), batch.mask
        wrong = split.collate(
            batch.info.clip.tolist(), [split.text_ids(stranger[i])[0] for i in batch.info.clip.tolist()]
        )
        contexts = {
            "right": model.encode(batch.cond, mask),
            "null": model.encode(batch.cond, mask, drop=True),
            "wrong": model.encode(wrong.cond, mask),
        }
        eps = fixed_noise(batch.info.clip, x0)
        for number in range(BINS):
            t = bin_timesteps(process, number, batch.info.clip)
            x_t = process.noise(x0, t, eps) * mask[..., None]
            error = {name: squared_error(model.predict(x_t, t, ctx, mask), x0, mask) for name, ctx in contexts.items()}
            for name, values in error.items():
                losses[name].append(values.numpy())
            linear = [squared_error(estimate(x_t, t, mask), x0, mask) for estimate in (frame, sequence)]
            snr = process.snr(t)
            bins.update(t, process.steps, [e * snr for e in (error["right"], *linear)])
    return {
        "skill": skill(bins.compute(), process),
        "audit": audit(*(np.concatenate(losses[name]) for name in ("right", "null", "wrong"))),
    }


def strangers(split: Split) -> list[int]:
    """For every clip another one whose program differs (the next such clip)."""
    kinds = [program_kind(split.tags(i)) or i for i in range(len(split))]
    out = []
    for i, kind in enumerate(kinds):
        order = (np.arange(1, len(kinds)) + i) % len(kinds)
        out.append(next((int(j) for j in order if kinds[j] != kind), int(order[0])))
    return out


def program_kind(tags: dict) -> tuple | None:
    """What a clip does, without when: its segments' attributes."""
    if "program" not in tags:
        return None
    return tuple(
        tuple(sorted((k, v) for k, v in segment.items() if k not in ("start", "end") and v is not None))
        for segment in tags["program"]["segments"]
    )


@torch.no_grad()
def sample_captions(
    model: Diffusion,
    cond,
    lengths: list[int],
    sampling: Sampling,
    batch_size: int = 128,
    seed: int = 0,
    progress: Progress = iter,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Joints (T, J, 3) of one sample per condition: reconciled, and as they came."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    done, raw = [None] * len(lengths), [None] * len(lengths)
    for k in progress(range(0, len(order), batch_size)):
        rows = order[k : k + batch_size]
        part = type(cond)(*(field[rows] for field in cond))
        samples = model.sample(part, [lengths[i] for i in rows], sampling, seed=seed * 100_003 + k)
        for i, x in zip(rows, samples, strict=True):
            raw[i], done[i] = model.codec.joints(x).cpu().numpy(), model.codec.reconciled(x).cpu().numpy()
    return done, raw


def real_joints(split: Split, indices: Iterable[int]) -> list[np.ndarray]:
    """Joints (T, J, 3) in metres of real clips, through the same features as samples."""
    skeleton = load_skeleton(split.store.manifest["skeleton"])
    return [joints_of(split.features(i), skeleton, "motion") for i in indices]


def nearest_captions(store: Store, split: Split, cond_pooled: Tensor) -> list[int]:
    """For every pooled text (N, E) the training clip with the most similar caption: a model that only looks up."""
    owner = [(text, i) for i in range(len(split)) for text in split.text_ids(i)]
    table = torch.nn.functional.normalize(store.texts.cond([text for text, _ in owner]).pooled, dim=-1)
    best = (torch.nn.functional.normalize(cond_pooled, dim=-1) @ table.T).argmax(1)
    return [owner[i][1] for i in best.tolist()]


def nearest_distance(samples: list[np.ndarray], train: list[np.ndarray], frames: int = 40) -> np.ndarray:
    """Mean joint distance (N,) in metres from each sample to the nearest training clip, over the first ``frames``.

    A value near zero means a copy. The pelvis's horizontal path counts like every other joint.
    """

    def flat(clips):
        return torch.from_numpy(np.stack([c[:frames] for c in clips if len(c) >= frames]).astype(np.float32)).flatten(1)

    a, b = flat(samples), flat(train)
    squared = torch.cdist(a, b).square().min(1).values / (frames * samples[0].shape[1])
    return squared.sqrt().numpy()


def physical_scores(samples: list[np.ndarray], raw: list[np.ndarray], real: list[np.ndarray], skeleton) -> dict:
    """Jitter and foot slide of samples beside real motion; "raw" is before positions and velocities are reconciled."""
    out = {}
    for name, measure in (("jitter", jitter), ("foot_slide", foot_slide)):
        model, unreconciled, truth = (
            float(np.mean([measure(c, skeleton=skeleton, fps=skeleton.fps) for c in clips]))
            for clips in (samples, raw, real)
        )
        out[name] = {
            "model": model,
            "raw": unreconciled,
            "real": truth,
            "ratio": model / truth,
            "raw_ratio": unreconciled / truth,
        }
    return out


def attribute_table(programs: list[dict], named: dict[str, list[np.ndarray]]) -> dict:
    """Accuracy per attribute, single, compound and harder programs apart: {"single": {"action": {name: share}}, …}."""
    scores = {name: attribute_accuracy(programs, joints) for name, joints in named.items()}
    first = next(iter(scores.values()))
    return {
        group: {
            attribute: {name: known(score[group][attribute]) for name, score in scores.items()}
            for attribute in first[group]
            if attribute != "count"
        }
        | {"count": first[group]["count"]}
        for group in first
        if group != "confusion" and first[group]["count"]
    }


def known(share: float) -> float | None:
    """None for a share of nothing: JSON has no NaN."""
    return None if np.isnan(share) else float(share)


def typical_length(programs: list[list[dict]], frames: np.ndarray, segments: list[dict]) -> int:
    """Median ``frames`` of the programs that do the same actions at the stated speeds, or as many actions."""

    def actions(program: list[dict], speed: bool) -> list[tuple]:
        return [(s["action"], s.get("speed") or "normal" if speed else None) for s in program]

    for alike in (
        lambda p: actions(p, True) == actions(segments, True),
        lambda p: actions(p, False) == actions(segments, False),
        lambda p: len(p) == len(segments),
    ):
        if found := [int(n) for n, program in zip(frames, programs, strict=True) if alike(program)]:
            return int(np.median(found))
    return int(np.median(frames))


class Result(NamedTuple):
    """Scores (JSON-able) and clips to look at."""

    scores: dict
    views: list[ClipView]


def score_run(
    model: Diffusion,
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
    texts = [part.text_ids(i)[0] for i in range(len(part))]
    cond = store.texts.cond(texts)
    samples, raw = sample_captions(model, cond, part.lengths.tolist(), sampling, batch_size, seed, progress)
    real = real_joints(part, range(len(part)))
    scores["physical"] = physical_scores(samples, raw, real, model.codec.skeleton)
    programs = [part.tags(i).get("program") for i in range(len(part))]
    if all(programs):
        looked_up = real_joints(train, nearest_captions(store, train, cond.pooled))
        table = attribute_table(programs, {"model": samples, "real": real, "retrieval": looked_up})
        scores["attributes"] = table | paraphrase_table(model, store, encoder, sampling, seed)
        pool = real_joints(train, range(len(train)))
        scores["nearest_train"] = {
            name: float(np.median(nearest_distance(clips, pool)))
            for name, clips in (("model", samples), ("real", real))
        }
    chosen = np.random.default_rng(seed).permutation(len(part))[:shown]
    views = [
        ClipView(joints[i], caption="", title=title, fps=model.codec.skeleton.fps, group=store.texts[texts[i]])
        for i in chosen
        for title, joints in (("sample", samples), ("real", real))
    ]
    return Result(scores, views)


def paraphrase_table(model: Diffusion, store: Store, encoder, sampling: Sampling, seed: int) -> dict:
    """Attribute accuracy on prompts written by hand, without sight of the corpus's grammar."""
    train, written = store.split("train"), load_paraphrases()
    cond = encoder.encode([p["text"] for p in written])
    programs = [train.tags(i)["program"]["segments"] for i in range(len(train))]
    lengths = [typical_length(programs, train.lengths, p["segments"]) for p in written]
    samples, _ = sample_captions(model, cond, lengths, sampling, seed=seed + 1)
    looked_up = real_joints(train, nearest_captions(store, train, cond.pooled))
    table = attribute_table(written, {"model": samples, "retrieval": looked_up})
    return {f"paraphrases, {group}": rows for group, rows in table.items()}

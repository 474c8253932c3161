"""Motions of a skeleton: a viewer and a film; attributes read off the joints, physics, distance to the training set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motion_lightning.data.bodies import joints_of
from motion_lightning.data.programs.paraphrases import load_paraphrases
from motion_lightning.data.store import Split
from motion_lightning.metrics.attributes import attribute_accuracy
from motion_lightning.metrics.physical import foot_slide, jitter
from motion_lightning.motion.skeleton import load_skeleton
from motion_lightning.pipeline import Diffusion
from motion_lightning.tasks.retrieval import nearest_captions
from motion_lightning.tasks.task import Scoring, Shown
from motion_lightning.view.fragment import Fragment, viewer
from motion_lightning.view.page import ClipView
from motion_lightning.view.video import write_mp4


class MotionTask:
    """prompts: drawn in training."""

    def __init__(self, prompts: Sequence[str] = ()):
        self.prompts = list(prompts)

    def frames(self, model: Diffusion, seconds: float) -> int:
        """Frames of x of so many seconds."""
        return round(seconds * model.codec.fps)

    def look(self, model: Diffusion, shown: Sequence[Shown]) -> Fragment:
        """Skeletons to play and turn."""
        return viewer(self._clips(model, shown), model.codec.skeleton)

    def save(self, model: Diffusion, shown: Sequence[Shown], stem: Path) -> list[Path]:
        """A film, and the joints in metres."""
        clips = self._clips(model, shown)
        columns = 4 if any(clip.group for clip in clips) else None  # pairs stay together
        film = write_mp4(stem.with_name(stem.name + ".mp4"), clips, columns, skeleton=model.codec.skeleton)
        arrays, part = stem.with_name(stem.name + ".npz"), stem.with_name(stem.name + ".part.npz")
        lengths = [len(clip.joints) for clip in clips]
        joints = np.zeros((len(clips), max(lengths), *clips[0].joints.shape[1:]), np.float32)
        for row, clip in zip(joints, clips, strict=True):
            row[: len(clip.joints)] = clip.joints
        captions = [clip.caption for clip in clips]
        np.savez_compressed(part, joints=joints, lengths=lengths, fps=model.codec.fps, prompts=captions)
        return [film, part.replace(arrays)]

    def _clips(self, model: Diffusion, shown: Sequence[Shown]) -> list[ClipView]:
        clips = []
        pairs = len({one.real for one in shown}) == 2
        for one in shown:
            codec = one.codec or model.codec
            joints = codec.joints(one.x) if one.real else codec.reconciled(one.x, one.keep)
            group = one.caption if pairs else ""
            clips.append(ClipView(joints.cpu().numpy(), one.caption, one.title, fps=codec.fps, group=group))
        return clips

    def figures(
        self, model: Diffusion, split: Split, clips: Sequence[int], samples: Sequence[Tensor], real: bool = False
    ) -> dict[str, float]:
        """Jitter and foot slide; where programs are known, how many actions are right, and in the right order."""
        codec = model.codec
        joints = [(codec.joints if real else codec.reconciled)(x).cpu().numpy() for x in samples]
        out = {
            "foot slide (m/s)": float(np.mean([foot_slide(c, codec.skeleton, codec.fps) for c in joints])),
            "jitter (m/s³)": float(np.mean([jitter(c, codec.skeleton, codec.fps) for c in joints])),
        }
        programs = [split.tags(i).get("program") for i in clips]
        if all(programs):
            scores = attribute_accuracy(programs, joints)
            out |= {f"action accuracy, {group}": scores[group]["action"] for group in ("single", "compound")}
            out["order accuracy"] = scores["compound"]["order"]
        return {name: value for name, value in out.items() if not np.isnan(value)}

    def score(self, scoring: Scoring) -> dict[str, Any]:
        """Physics for every corpus; attributes and the nearest training clip where programs are known."""
        model, part, train = scoring.model, scoring.part, scoring.store.split("train")
        skeleton = model.codec.skeleton
        samples, raw = reconciled(model, scoring.samples)
        real = real_joints(part, range(len(part)))
        scores: dict[str, Any] = {"physical": physical_scores(samples, raw, real, skeleton), "headline": {}}
        programs = [part.tags(i).get("program") for i in range(len(part))]
        if all(programs):
            pooled = scoring.store.texts.cond([part.text_ids(i)[0] for i in range(len(part))]).pooled
            looked_up = real_joints(train, nearest_captions(scoring.store, train, pooled))
            table = attribute_table(programs, {"model": samples, "real": real, "retrieval": looked_up})
            scores["attributes"] = table | paraphrase_table(scoring)
            pool = real_joints(train, range(len(train)))
            scores["nearest_train"] = {
                name: float(np.median(nearest_distance(clips, pool)))
                for name, clips in (("model", samples), ("real", real))
            }
            scores["headline"] = {f"action, {group}": rows["action"]["model"] for group, rows in table.items()}
        for name, row in scores["physical"].items():
            scores["headline"][f"{name.replace('_', ' ')}, × real"] = row["ratio"]
        return scores


def reconciled(model: Diffusion, samples: Sequence[Tensor]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Joints (T, J, 3) in metres of samples: reconciled with their velocities and contacts, and as they came."""
    codec = model.codec
    return [codec.reconciled(x).cpu().numpy() for x in samples], [codec.joints(x).cpu().numpy() for x in samples]


def real_joints(split: Split, indices: Sequence[int]) -> list[np.ndarray]:
    """Joints (T, J, 3) in metres of real clips, through the same features as samples."""
    skeleton = load_skeleton(split.store.manifest["skeleton"])
    return [joints_of(split.features(i), skeleton, "motion") for i in indices]


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


def paraphrase_table(scoring: Scoring) -> dict:
    """Attribute accuracy on prompts written by hand, without sight of the corpus's grammar."""
    train, written = scoring.store.split("train"), load_paraphrases()
    cond = scoring.encode([p["text"] for p in written])
    programs = [train.tags(i)["program"]["segments"] for i in range(len(train))]
    lengths = [typical_length(programs, train.lengths, p["segments"]) for p in written]
    samples, _ = reconciled(scoring.model, scoring.draw(cond, lengths, scoring.seed + 1))
    looked_up = real_joints(train, nearest_captions(scoring.store, train, cond.pooled))
    table = attribute_table(written, {"model": samples, "retrieval": looked_up})
    return {f"paraphrases, {group}": rows for group, rows in table.items()}

"""Poses: a sheet and a viewer to look at; bodies, novelty, variety, and whether left is left."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motion_lightning.codecs.pose import PoseCodec
from motion_lightning.data.mirroring import mirror_text
from motion_lightning.data.programs.paraphrases import load_paraphrases
from motion_lightning.data.store import Split
from motion_lightning.metrics.pose import (
    anatomy_scores,
    diversity,
    mirrored_pairs,
    nearest,
    same_side,
    side_accuracy,
)
from motion_lightning.pipeline import Diffusion
from motion_lightning.tasks.retrieval import nearest_captions
from motion_lightning.tasks.task import Scoring, Shown
from motion_lightning.view.fragment import Fragment, viewer
from motion_lightning.view.page import ClipView
from motion_lightning.view.video import pictures

COLUMNS, SIZE = 4, 240  # of the sheet; pixels of a pose


class PoseTask:
    """prompts: drawn in training."""

    def __init__(self, prompts: Sequence[str] = ()):
        self.prompts = list(prompts)

    def frames(self, model: Diffusion, seconds: float) -> int:
        """A pose is one frame, however long."""
        return 1

    def look(self, model: Diffusion, shown: Sequence[Shown]) -> Fragment:
        """Bodies to turn."""
        return viewer(self._views(model, shown), model.codec.skeleton)

    def save(self, model: Diffusion, shown: Sequence[Shown], stem: Path) -> list[Path]:
        """A sheet of pictures, and the joints in metres with the pelvis at the origin."""
        sheet, arrays = (stem.with_name(stem.name + end) for end in (".png", ".npz"))
        part = stem.with_name(stem.name + ".part")
        views = self._views(model, shown)
        next(pictures(views, COLUMNS, SIZE, skeleton=model.codec.skeleton)).save(part, "PNG")
        part.replace(sheet)
        joints = np.concatenate([model.codec.joints(one.x).cpu().numpy() for one in shown])  # (N, J, 3)
        with part.open("wb") as file:
            np.savez_compressed(file, joints=joints, prompts=[one.caption for one in shown])
        return [sheet, part.replace(arrays)]

    def _views(self, model: Diffusion, shown: Sequence[Shown]) -> list[ClipView]:
        """Bodies that stand with their lowest joint on the floor."""
        alone, views = len({one.caption for one in shown}) == len(shown), []
        for one in shown:
            joints = (one.codec or model.codec).joints(one.x).cpu().numpy()  # (1, J, 3)
            joints = joints - joints[..., 1].min() * np.array([0, 1, 0], joints.dtype)
            group = "" if alone else one.caption
            views.append(ClipView(joints, one.caption, one.title, fps=model.codec.fps, group=group))
        return views

    def figures(self, *_: Any) -> dict[str, float]:
        """None beside what an evaluator measures."""
        return {}

    def score(self, scoring: Scoring) -> dict[str, Any]:
        """Samples beside the real poses of their captions, and beside the training pose of the most similar caption.

        ``tables``: bones in metres, before and after a clamp to the skeleton's lengths; median distance to the nearest
        training pose; mean distance of two samples. ``shares``: whether a pose is nearer to the real one of its caption
        than to that one's mirror image, over captions that name a side, and nearer to the mirror image of the pose of
        its mirrored caption than to that pose; the side that arms and legs show, where programs are known.
        """
        codec, store, part, train = scoring.model.codec, scoring.store, scoring.part, scoring.store.split("train")
        captions = [part.captions(i)[0] for i in range(len(part))]
        pooled = store.texts.cond([part.text_ids(i)[0] for i in range(len(part))]).pooled
        pool, looked_up = real_poses(codec, train), nearest_captions(store, train, pooled)
        poses = {
            "model": codec.joints(torch.cat([*scoring.samples])).cpu(),
            "real": real_poses(codec, part),
            "retrieval": pool[looked_up],
        }
        bodies = {
            name: anatomy_scores(joints, codec.skeleton)
            | {"nearest training pose": float(nearest(joints, pool).median()), "diversity": diversity(joints)}
            for name, joints in poses.items()
        }
        bodies["retrieval"]["nearest training pose"] = 0.0
        shares = {"Left and right": self._laterality(scoring, captions, poses)}
        programs = [part.tags(i).get("program") for i in range(len(part))]
        if all(programs):
            sides = {name: side_accuracy(programs, joints, codec.skeleton) for name, joints in poses.items()}
            shares["Side of the limb"] = by_row(sides)
            shares["Side, in other words"] = self._paraphrases(scoring, pool)
        headline = {
            "bone error, mm": 1000 * bodies["model"]["bone error"],
            "diversity, × real": bodies["model"]["diversity"] / bodies["real"]["diversity"],
        }
        for title, rows in shares.items():
            if rows:
                headline[f"{title.lower()}: right"] = float(np.mean([row["model"] for row in rows.values()]))
        return plain({"headline": headline, "tables": {"Bodies, metres": bodies}, "shares": shares})

    def _laterality(self, scoring: Scoring, captions: list[str], poses: dict[str, Tensor]) -> dict:
        """Shares over captions that name a side; {} where none does."""
        mirrored = {i: text for i, caption in enumerate(captions) if (text := mirror_text(caption)) != caption}
        if not mirrored:
            return {}
        skeleton, store, train = scoring.model.codec.skeleton, scoring.store, scoring.store.split("train")
        rows, cond = [*mirrored], scoring.encode([*mirrored.values()])
        samples = scoring.draw(cond, [1] * len(rows), scoring.seed + 1)
        found = real_poses(scoring.model.codec, train, nearest_captions(store, train, cond.pooled))
        others = {"model": scoring.model.codec.joints(torch.cat([*samples])).cpu(), "retrieval": found}
        real = poses["real"][rows]
        return by_row(
            {
                name: {
                    "the side of the real pose": share(same_side(poses[name][rows], real, skeleton)),
                    "mirrored captions, mirrored poses": share(mirrored_pairs(poses[name][rows], other, skeleton)),
                }
                for name, other in others.items()
            }
        )

    def _paraphrases(self, scoring: Scoring, pool: Tensor) -> dict:
        """Sides in poses of prompts that were written by hand, without sight of the corpus's grammar."""
        written, train = load_paraphrases(), scoring.store.split("train")
        programs = [{"segments": [{"side": None} | segment for segment in one["segments"]]} for one in written]
        cond = scoring.encode([one["text"] for one in written])
        samples = scoring.draw(cond, [1] * len(written), scoring.seed + 2)
        poses = {
            "model": scoring.model.codec.joints(torch.cat([*samples])).cpu(),
            "retrieval": pool[nearest_captions(scoring.store, train, cond.pooled)],
        }
        skeleton = scoring.model.codec.skeleton
        return by_row({name: side_accuracy(programs, joints, skeleton) for name, joints in poses.items()})


def real_poses(codec: PoseCodec, split: Split, indices: Sequence[int] | None = None) -> Tensor:
    """Joints (N, J, 3) in metres of the clips of a split, through the same x as samples."""
    joints = [codec.joints(codec.encode(batch)[0])[:, 0].cpu() for batch in split.iter_batches(256, indices, 1, 1)]
    return torch.cat(joints)


def by_row(columns: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """{column: {row: number}} → {row: {column: number}}."""
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    return {row: {name: column[row] for name, column in columns.items() if row in column} for row in rows}


def share(hits: Tensor) -> float:
    return float(hits.float().mean())


def plain(scores: Any) -> Any:
    """NaN becomes None, for JSON has none."""
    if isinstance(scores, dict):
        return {name: plain(value) for name, value in scores.items()}
    return None if isinstance(scores, float) and math.isnan(scores) else scores

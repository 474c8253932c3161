"""Signers as keypoints: figures that sign, ``.pose`` files; which signs are read back, and how far they are off."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from motion_lightning.data.signs.dictionary import Dictionary
from motion_lightning.data.signs.keypoints import HANDS, LIMBS, NECK, WRISTS, Keypoints
from motion_lightning.data.signs.pose_file import write_pose
from motion_lightning.data.signs.render import SIDES
from motion_lightning.data.signs.signing import NAMES, PICTURE
from motion_lightning.data.store import Split
from motion_lightning.metrics.dtw import mean_dtw_mje
from motion_lightning.metrics.sign_poses import SignReader, gloss_scores
from motion_lightning.pipeline import Diffusion
from motion_lightning.tasks.retrieval import nearest_captions
from motion_lightning.tasks.task import Scoring, Shown
from motion_lightning.view.film import Film, write_films
from motion_lightning.view.fragment import Fragment
from motion_lightning.view.signer import SignerView, Stick, signer_fragment, signer_pictures

STICK = Stick(LIMBS, SIDES, fingers=HANDS["left"].start)
SHOULDERS, CENTRE = 135.0, (256.0, 215.0)  # pixels in .pose files: how far apart they are, and their middle
Clips = list[np.ndarray]  # (T, K, D + 1) each


class KeypointTask:
    """prompts: drawn in training. every: frames of a clip from one picture of the film to the next."""

    def __init__(self, prompts: Sequence[str] = (), every: int = 2):
        self.prompts, self.every = list(prompts), every

    def frames(self, model: Diffusion, seconds: float) -> int:
        """Frames of x of so many seconds."""
        return round(seconds * model.codec.fps)

    def look(self, model: Diffusion, shown: Sequence[Shown]) -> Fragment:
        """Figures that sign in step."""
        return signer_fragment(self._views(model, shown), STICK)

    def save(self, model: Diffusion, shown: Sequence[Shown], stem: Path) -> list[Path]:
        """A film, and each sample as ``.pose`` where the library for it is installed."""
        views = self._views(model, shown)
        films = [
            Film(signer_pictures(thinned, STICK), view.caption, view.title, view.fps / self.every)
            for view in views
            for thinned in (replace(view, keypoints=view.keypoints[:: self.every]),)
        ]
        files = [write_films(stem.with_name(stem.name + ".mp4"), films)]
        if find_spec("pose_format"):
            folder = stem.with_name(stem.name + "_pose")
            folder.mkdir(parents=True, exist_ok=True)
            for i, (view, one) in enumerate(zip(views, shown, strict=True)):
                if not one.real:
                    keypoints = as_mediapipe(view.keypoints, view.fps)
                    files.append(write_pose(folder / f"{i:02}.pose", keypoints, (PICTURE, PICTURE, PICTURE)))
        return files

    def _views(self, model: Diffusion, shown: Sequence[Shown]) -> list[SignerView]:
        clips = [(one.codec or model.codec).keypoints(one.x).cpu().numpy() for one in shown]
        return [
            SignerView(clip, one.caption, one.title, model.codec.fps) for clip, one in zip(clips, shown, strict=True)
        ]

    def figures(
        self, model: Diffusion, split: Split, clips: Sequence[int], samples: Sequence[Tensor], real: bool = False
    ) -> dict[str, float]:
        """DTW-MJE to the real clip in shoulder widths, which is none for real clips."""
        if real:
            return {}
        made = [model.codec.keypoints(x).cpu().numpy() for x in samples]
        error = mean_dtw_mje(made, [split.features(i) for i in clips])
        return {} if error is None else {"DTW-MJE": error}

    def score(self, scoring: Scoring) -> dict[str, Any]:
        """Samples beside those who only look up, and beside real clips.

        ``lexicon`` joins stored signs, word by word; ``retrieval`` is the training clip with the most similar caption;
        ``real`` is the clip itself, but for DTW-MJE, where it is a training clip of the same signs by another signer;
        ``another text`` is the real clip of another text: chance. Signs are read where tags say when they were made.
        """
        part, train, codec = scoring.part, scoring.store.split("train"), scoring.model.codec
        texts = [part.text_ids(i)[0] for i in range(len(part))]
        real = [part.features(i) for i in range(len(part))]
        looked_up = nearest_captions(scoring.store, train, scoring.store.texts.cond(texts).pooled)
        clips: dict[str, Clips] = {
            "model": [codec.keypoints(x).cpu().numpy() for x in scoring.samples],
            "retrieval": [train.features(i) for i in looked_up],
            "real": real,
            "another text": real[1:] + real[:1],
        }
        glosses = [part.tags(i).get("gloss") for i in range(len(part))]
        read = {}
        if all(glosses) and len(train) and train.tags(0).get("spans"):
            dictionary, reader = Dictionary(train), SignReader(train)
            clips["lexicon"] = [dictionary.translate(scoring.store.texts[text]) for text in texts]
            read = {row: gloss_scores(glosses, [reader.read(clip) for clip in own]) for row, own in clips.items()}
        twins = same_signs(glosses, train) if all(glosses) else [None] * len(real)
        rows = [row for row in ("model", "lexicon", "retrieval", "real", "another text") if row in clips]
        aligned = {row: mean_dtw_mje(twins if row == "real" else clips[row], real) for row in rows}
        pace = np.mean([speed(clip) for clip in real])
        table = {
            row: read.get(row, {})
            | {"DTW-MJE": aligned[row], "speed, × real": float(np.mean([speed(clip) for clip in clips[row]]) / pace)}
            for row in rows
        }
        headline = {"DTW-MJE": table["model"]["DTW-MJE"]}
        if read:
            headline |= {"signs": table["model"]["signs"], "sign error rate": table["model"]["wer"]}
        return {"headline": headline, "tables": {"Signs": table}, "with twin": sum(twin is not None for twin in twins)}


def same_signs(glosses: Sequence[Sequence[str]], split: Split) -> list[np.ndarray | None]:
    """For each gloss the first clip of the split that has the same, if there is one."""
    first: dict[tuple[str, ...], int] = {}
    for i in range(len(split)):
        first.setdefault(tuple(split.tags(i).get("gloss", ())), i)
    return [split.features(first[tuple(gloss)]) if tuple(gloss) in first else None for gloss in glosses]


def speed(clip: np.ndarray) -> float:
    """Mean way of the wrists from frame to frame, in the coordinates' units; 0 for a single frame."""
    steps = np.diff(clip[:, WRISTS, :-1], axis=0)
    return float(np.linalg.norm(steps, axis=-1).mean()) if len(steps) else 0.0


def as_mediapipe(keypoints: np.ndarray, fps: float) -> Keypoints:
    """Keypoints (T, 50, D + 1) in shoulder widths → those of a ``.pose`` file in pixels, under MediaPipe's names."""
    own = np.delete(keypoints, NECK, axis=1)  # MediaPipe has no neck
    centre = np.array((*CENTRE, 0.0))[: own.shape[-1] - 1]
    points = np.where(own[..., -1:] > 0, own[..., :-1] * SHOULDERS + centre, 0)
    return Keypoints(points.astype(np.float32), own[..., -1].astype(np.float32), fps, NAMES)

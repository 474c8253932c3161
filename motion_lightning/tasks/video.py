"""Videos: films to look at; where their texts come from sign programs, whether the hands do what was asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motion_lightning.metrics.signs import sign_accuracy
from motion_lightning.pipeline import Diffusion
from motion_lightning.tasks.retrieval import nearest_captions
from motion_lightning.tasks.task import Scoring, Shown
from motion_lightning.view.film import Film, film_fragment, write_films
from motion_lightning.view.fragment import Fragment

COLUMNS = ("clip", "both", "movement", "speed", "size", "lost")


class VideoTask:
    """prompts: drawn in training."""

    def __init__(self, prompts: Sequence[str] = ()):
        self.prompts = list(prompts)

    def frames(self, model: Diffusion, seconds: float) -> int:
        """All clips are of one length."""
        return model.codec.frames

    def look(self, model: Diffusion, shown: Sequence[Shown]) -> Fragment:
        """Films that loop."""
        return film_fragment(self._films(model, shown))

    def save(self, model: Diffusion, shown: Sequence[Shown], stem: Path) -> list[Path]:
        """One film of all, and the pictures as bytes."""
        films = self._films(model, shown)
        film = write_films(stem.with_name(stem.name + ".mp4"), films)
        arrays, part = stem.with_name(stem.name + ".npz"), stem.with_name(stem.name + ".part.npz")
        videos = np.stack([one.frames for one in films])  # (N, T, H, W, 3)
        np.savez_compressed(part, videos=videos, fps=model.codec.fps, prompts=[one.caption for one in films])
        return [film, part.replace(arrays)]

    def _films(self, model: Diffusion, shown: Sequence[Shown]) -> list[Film]:
        videos = [(one.codec or model.codec).decode(one.x).movedim(1, -1).cpu().numpy() for one in shown]
        return [Film(video, one.caption, one.title, model.codec.fps) for video, one in zip(videos, shown, strict=True)]

    def figures(self, *_: Any) -> dict[str, float]:
        """None beside what an evaluator measures."""
        return {}

    def score(self, scoring: Scoring) -> dict[str, Any]:
        """Accuracy of hands that are tracked, beside real clips and those with the most similar training caption.

        ``clip`` is the share of videos in which all that the sentence says is right, ``both`` that in which both hands
        make the right movement; the others go by hand. Without sign programs there is nothing to score.
        """
        part, codec, train = scoring.part, scoring.model.codec, scoring.store.split("train")
        programs = [part.tags(i).get("program") for i in range(len(part))]
        if not all(programs):
            return {"headline": {}, "tables": {}}
        pooled = scoring.store.texts.cond([part.text_ids(i)[0] for i in range(len(part))]).pooled
        videos = {
            "model": [codec.decode(x).cpu().numpy() for x in scoring.samples],
            "real": [part.features(i) for i in range(len(part))],
            "retrieval": [train.features(i) for i in nearest_captions(scoring.store, train, pooled)],
        }
        right = {row: sign_accuracy(programs, clips, codec.fps) for row, clips in videos.items()}
        movements = sorted({name for scores in right.values() for name in scores["by_movement"]})
        return {
            "headline": {
                "sign clips, all right": known(right["model"]["clip"]),
                "sign movements right": known(right["model"]["movement"]),
            },
            "tables": {
                "Signs": {row: {name: known(scores[name]) for name in COLUMNS} for row, scores in right.items()},
                "Movements right": {
                    row: {name: known(scores["by_movement"].get(name, np.nan)) for name in movements}
                    for row, scores in right.items()
                },
            },
        }


def known(share: float) -> float | None:
    """None for a share of nothing: JSON has no NaN."""
    return None if np.isnan(share) else float(share)

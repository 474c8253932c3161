"""Videos made along poses: pose, sample and real film side by side; whether the hands are where the pose has them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from motion_lightning.data.signs.skeleton_maps import hands_of
from motion_lightning.errors import UserError
from motion_lightning.metrics.hands import hand_distance
from motion_lightning.pipeline import Diffusion
from motion_lightning.tasks.task import Scoring, Shown
from motion_lightning.tasks.video import VideoTask
from motion_lightning.view.film import Film, film_fragment, write_films
from motion_lightning.view.fragment import Fragment


class SignPairTask:
    """prompts: none, for a text says no pose; what is drawn in training are the poses of validation clips."""

    def __init__(self, prompts: Sequence[str] = ()):
        if prompts:
            raise UserError("task.prompts: a text says no pose, so none can be drawn from it alone; leave it empty")
        self.prompts: list[str] = []

    def frames(self, model: Diffusion, seconds: float) -> int:
        """All clips are of one length."""
        return model.codec.frames

    def look(self, model: Diffusion, shown: Sequence[Shown]) -> Fragment:
        """Films that loop, after the pose that they follow."""
        return film_fragment(films(model, shown))

    def save(self, model: Diffusion, shown: Sequence[Shown], stem: Path) -> list[Path]:
        """One film of all."""
        return [write_films(stem.with_name(stem.name + ".mp4"), films(model, shown), columns=6)]

    def figures(self, *_: Any) -> dict[str, float]:
        """None beside what an evaluator measures."""
        return {}

    def score(self, scoring: Scoring) -> dict[str, Any]:
        """Distance of tracked hands from those of the pose, beside real videos and beside the poses of other clips; and
        whether they do what the text says."""
        part, codec = scoring.part, scoring.model.codec
        places = hands_of(part, range(len(part)))
        videos = [codec.decode(x).cpu().numpy() for x in scoring.samples]
        table = {
            "model": hand_distance(videos, places),
            "real": hand_distance([part.features(i) for i in range(len(part))], places),
            "pose of another clip": hand_distance(videos, places[1:] + places[:1]),
        }
        scores = VideoTask().score(scoring)
        headline = {"hands off, heights": table["model"]["distance"], "hands in place": table["model"]["near"]}
        return {"headline": headline | scores["headline"], "tables": {"Hands": table} | scores["tables"]}


def films(model: Diffusion, shown: Sequence[Shown]) -> list[Film]:
    """A film of the pose before the first of all that follow it, then the films themselves."""
    out, last = [], None
    for one in shown:
        if one.cond is not None and one.caption != last:
            pose = ((one.cond.pose[0, : len(one.x)] + 1) * 127.5).round().to(torch.uint8)
            out.append(Film(pose.movedim(1, -1).cpu().numpy(), one.caption, "pose", model.codec.fps))
        last = one.caption
        video = (one.codec or model.codec).decode(one.x).movedim(1, -1).cpu().numpy()
        out.append(Film(video, one.caption, one.title, model.codec.fps))
    return out

"""Tracks: points that move over the picture of their scene; how far from the real ones they end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from motion_lightning.data.store import Split
from motion_lightning.data.tracks.program import Move, follows
from motion_lightning.metrics.tracks import ade, best_of, fde, point_errors, rotation_error
from motion_lightning.motion.rotations import sixd_to_matrix
from motion_lightning.pipeline import Diffusion
from motion_lightning.tasks.retrieval import nearest_captions
from motion_lightning.tasks.task import Scoring, Shown
from motion_lightning.text.condition import text_of
from motion_lightning.view.film import Film, film_fragment, write_films
from motion_lightning.view.fragment import Fragment
from motion_lightning.view.track_film import track_film

CHUNK = 64  # clips whose pictures are in memory together
SEEN = 1.0  # pixels that an object moves on average at least, to count as moved


class Truth(NamedTuple):
    """What is known of C clips, and what really happened."""

    query: np.ndarray  # (C, N, D)
    moved: np.ndarray  # (C, T, N, D)
    turned: np.ndarray  # (C, T, H, 3, 3)
    wrists: np.ndarray  # (C, T, H, 3) displacements
    present: np.ndarray  # (C, H)
    size: tuple[int, int]  # height and width, pixels


class TrackTask:
    """A condition is more than text, so that clips of the data are drawn and not prompts.

    Args:
        prompts: none.
        tries: samples of each clip of which the best is reported, too.
    """

    def __init__(self, prompts: Sequence[str] = (), tries: int = 5):
        self.prompts, self.tries = list(prompts), tries

    def frames(self, model: Diffusion, seconds: float) -> int:
        """All clips are of one length."""
        return model.codec.steps - 1

    def look(self, model: Diffusion, shown: Sequence[Shown]) -> Fragment:
        """The last picture of each scene, with points and wrists that go where they are said to."""
        return film_fragment(self._films(model, shown))

    def save(self, model: Diffusion, shown: Sequence[Shown], stem: Path) -> list[Path]:
        """One film of all, and the metric numbers."""
        film = write_films(stem.with_name(stem.name + ".mp4"), self._films(model, shown))
        arrays, part = stem.with_name(stem.name + ".npz"), stem.with_name(stem.name + ".part.npz")
        moves = [model.codec.decode(one.x) for one in shown]
        np.savez_compressed(
            part,
            query=np.concatenate([one.cond.query.cpu().numpy() for one in shown]),
            displacements=np.stack([move.tracks.cpu().numpy() for move in moves]),
            hand_positions=np.stack([move.position.cpu().numpy() for move in moves]),
            hand_rotations=np.stack([move.rotation.cpu().numpy() for move in moves]),
            captions=[one.caption for one in shown],
        )
        return [film, part.replace(arrays)]

    def _films(self, model: Diffusion, shown: Sequence[Shown]) -> list[Film]:
        films = []
        for one in shown:
            codec, cond = one.codec or model.codec, one.cond
            moves = codec.decode(one.x.cpu())
            there = cond.hands.present[0].cpu() if codec.hands else slice(0, 0)
            first = type(cond.hands)(*(part[0].cpu()[: codec.hands] for part in cond.hands))
            place, turned = (part[:, there].numpy() for part in moves.wrists(first))
            picture, query = cond.frames[0, -1].cpu().numpy(), cond.query[0].cpu().numpy()
            frames = track_film(picture, query, moves.tracks.numpy(), place, turned)
            films.append(Film(frames, one.caption, one.title, model.codec.fps))
        return films

    def figures(
        self, model: Diffusion, split: Split, clips: Sequence[int], samples: Sequence[Tensor], real: bool = False
    ) -> dict[str, float]:
        """End point errors in pixels, which are none for real clips."""
        if real:
            return {}
        errors = []
        for k in range(0, len(clips), CHUNK):
            truth = known(split.collate(clips[k : k + CHUNK], multiple_of=1), model.codec.hands)
            moved = np.stack([model.codec.decode(x).tracks.numpy() for x in samples[k : k + CHUNK]])
            errors.append(point_errors(moved, truth.moved, truth.size))
        errors = np.concatenate(errors)
        return {"ADE (px)": float(ade(errors).mean()), "FDE (px)": float(fde(errors).mean())}

    def score(self, scoring: Scoring) -> dict[str, Any]:
        """End point errors beside what moves nothing, all alike, or as in the clip of the nearest training caption;
        where programs are known, whether the right object goes the right way."""
        codec, part, train = scoring.model.codec, scoring.part, scoring.store.split("train")
        tries, truth = [[codec.decode(x) for x in scoring.samples]], []
        more: list[list[Tensor]] = [[] for _ in range(1, self.tries)]
        for start in range(0, len(part), CHUNK):
            batch = part.collate(range(start, min(start + CHUNK, len(part))), multiple_of=1)
            truth.append(known(batch, codec.hands))
            lengths = [codec.steps - 1] * len(batch.x)
            for k, samples in enumerate(more):
                samples += scoring.draw(batch.cond, lengths, scoring.seed + 1000 * (k + 1) + start)
        tries += [[codec.decode(x) for x in samples] for samples in more]
        real = Truth(*(np.concatenate(p) for p in list(zip(*truth, strict=True))[:-1]), truth[0].size)
        moved = np.stack([[m.tracks.numpy() for m in moves] for moves in tries])  # (K, C, T, N, D)
        wrists = np.stack([m.position.numpy() for m in tries[0]])
        turned = np.stack([m.rotation.numpy() for m in tries[0]])

        named = {"model": moved[0], "zero": np.zeros_like(real.moved), "mean of training": mean_moves(train, real)}
        pooled = text_of(scoring.store.texts.cond([part.text_ids(i)[0] for i in range(len(part))])).pooled
        named["nearest caption"] = looked_up(train, nearest_captions(scoring.store, train, pooled), real.query)
        table = {
            name: track_errors(point_errors(values, real.moved, real.size), real) for name, values in named.items()
        }
        errors = point_errors(moved, real.moved, real.size)
        table[f"best of {self.tries}"] = track_errors(errors, real, best=True)
        hands = {
            "model": hand_errors(wrists, turned, real),
            "zero": hand_errors(np.zeros_like(wrists), np.broadcast_to(np.eye(3), turned.shape), real),
        }
        tables = {"End point error": table, "Hands": hands} if codec.hands else {"End point error": table}
        headline = {
            "ADE, pixels": table["model"]["ADE, px"],
            "FDE, pixels": table["model"]["FDE, px"],
            "FDE, × moving nothing": table["model"]["FDE, px"] / table["zero"]["FDE, px"],
        }
        cases = told(part, real)
        if cases:
            tables["What the sentence asks for"] = {
                name: obeyed(cases, values, real) for name, values in {"real": real.moved, **named}.items()
            }
            headline |= {k: tables["What the sentence asks for"]["model"][k] for k in ("right object", "right way")}
        return {"headline": headline, "tables": tables}


def known(batch, hands: int) -> Truth:
    """The numbers of a batch that figures are made of."""
    cond = batch.cond
    return Truth(
        cond.query.numpy(),
        batch.x.numpy(),
        sixd_to_matrix(cond.moves.rotation[:, :, :hands]).numpy(),
        cond.moves.position[:, :, :hands].numpy(),
        cond.hands.present[:, :hands].numpy(),
        tuple(cond.frames.shape[-2:]),
    )


def mean_moves(train: Split, real: Truth) -> np.ndarray:
    """(C, T, N, D): every point moves as all points of training do on average."""
    mean = np.mean([train.features(i).mean(1) for i in train.some()], 0)  # (T, D)
    return np.broadcast_to(mean[None, :, None], real.moved.shape)


def looked_up(train: Split, clips: Sequence[int], query: np.ndarray) -> np.ndarray:
    """(C, T, N, D): each point moves as that of the given training clip does which lies nearest in the picture."""
    out = []
    for i, points in zip(clips, query, strict=True):
        theirs = train.extras(i)["query"]
        gap = np.linalg.norm(points[:, None, :2] - theirs[None, :, :2], axis=-1)  # (N, N)
        out.append(train.features(i)[:, gap.argmin(1)])
    return np.stack(out)


def track_errors(errors: np.ndarray, real: Truth, best: bool = False) -> dict[str, float]:
    """Means over clips of errors in pixels (..., C, T - 1, N); with ``best`` of the best of K tries."""
    share = 1 / max(real.size)
    travels = np.linalg.norm(real.moved[:, -1, :, :2] * real.size[::-1], axis=-1) > SEEN  # (C, N)
    last = np.where(travels, errors[..., -1, :], 0).sum(-1) / travels.sum(-1).clip(min=1)
    figures = {"ADE, px": ade(errors), "FDE, px": fde(errors), "FDE of points that move, px": last}
    if best:
        figures = {name: best_of(values) for name, values in figures.items()}
    out = {name: float(values.mean()) for name, values in figures.items()}
    return out | {
        "ADE, share of the picture": out["ADE, px"] * share,
        "FDE, share of the picture": out["FDE, px"] * share,
    }


def hand_errors(wrists: np.ndarray, turned: np.ndarray, real: Truth) -> dict[str, float | None]:
    """Of wrists that are there, over slots 1 to T - 1."""
    there = real.present
    if not there.any():
        return {"place, px": None, "rotation, degrees": None}
    place = point_errors(wrists, real.wrists, real.size).mean(1)[there]
    angle = rotation_error(turned, real.turned)[:, 1:].mean(1)[there]
    return {"place, px": float(place.mean()), "rotation, degrees": float(np.degrees(angle).mean())}


class Case(NamedTuple):
    """A move of a program that can be seen in a clip."""

    clip: int
    move: Move
    points: np.ndarray  # of the moved object
    objects: np.ndarray  # (N,) which object each point of the clip is on
    movers: frozenset[int]  # objects that the program moves


def told(part: Split, real: Truth) -> list[Case]:
    """Moves whose object really goes the way that is told, by more than a pixel: the rest nobody could see."""
    cases = []
    for clip in range(len(part)):
        tags = part.tags(clip)
        if not {"program", "objects"} <= tags.keys():
            continue
        objects, moves = np.array(tags["objects"]), [Move(**move) for move in tags["program"]]
        for move in moves:
            points = np.flatnonzero(objects == move.object)
            if len(points) < 2:
                continue
            to = real.moved[clip, -1, points]
            seen = np.linalg.norm(to[:, :2] * real.size[::-1], axis=-1).mean() > SEEN
            if seen and follows(move, real.query[clip, points], to):
                cases.append(Case(clip, move, points, objects, frozenset(m.object for m in moves)))
    return cases


def obeyed(cases: Sequence[Case], moved: np.ndarray, real: Truth) -> dict[str, float | int]:
    """Shares of cases in which the told object moves twice as far as any that should stand still, and in which it goes
    the told way; by more than half a pixel in both."""
    right_object, right_way = [], []
    for case in cases:
        to = moved[case.clip, -1]
        far = np.linalg.norm(to[:, :2] * real.size[::-1], axis=-1)
        others = set(case.objects[case.objects >= 0].tolist()) - case.movers
        still = max((far[case.objects == other].mean() for other in others), default=0)
        goes = far[case.points].mean() > SEEN / 2
        right_object.append(goes and far[case.points].mean() > 2 * still)
        right_way.append(goes and follows(case.move, real.query[case.clip, case.points], to[case.points]))
    return {
        "right object": float(np.mean(right_object)),
        "right way": float(np.mean(right_way)),
        "cases": len(cases),
    }

"""Pictures: sheets of them, the error of eps beside what two numbers reach, and whether digits are as asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motion_lightning.data.store import Split
from motion_lightning.diffusion.timesteps import fixed_noise
from motion_lightning.metrics.affine import affine_error
from motion_lightning.pipeline import Diffusion, Sampling
from motion_lightning.tasks.task import Scoring, Shown
from motion_lightning.text.condition import moved, rows
from motion_lightning.view.film import Film, film_fragment, write_films
from motion_lightning.view.fragment import Fragment

SHARE = 0.4  # of the affine denoiser's error: MNIST's mark is 0.08, and there that is 0.20
LEVELS = 50  # timesteps at which the error is taken
READ = 10_000  # training pictures that the classifier learns from, at most


class ImageTask:
    """prompts: drawn in training; without any, conditions are those of validation pictures.

    Args:
        sampling: of the samples by the null condition, whatever its guidance; without any there are none, or no others.
        mark: error of eps on validation pictures that a model passes below; "affine": ``SHARE`` of the affine
            denoiser's; None: there is none.
    """

    def __init__(self, prompts: Sequence[str] = (), sampling: Sampling | None = None, mark: float | str | None = None):
        self.prompts, self.mark = list(prompts), mark
        self.free = sampling._replace(guidance=0.0) if sampling and sampling.guidance else None

    def frames(self, model: Diffusion, seconds: float) -> int:
        """One."""
        return 1

    def look(self, model: Diffusion, shown: Sequence[Shown]) -> Fragment:
        """Samples with their captions, as many by the null condition, and real pictures: a row of each."""
        return film_fragment(self._films(model, shown), width=112)

    def save(self, model: Diffusion, shown: Sequence[Shown], stem: Path) -> list[Path]:
        """The sheet, and the pictures as bytes."""
        films = self._films(model, shown)
        columns = max(sum(film.caption == name for film in films) for name in {film.caption for film in films})
        sheet = write_films(stem.with_name(stem.name + ".png"), films, columns=min(columns, 12), size=96)
        arrays, part = stem.with_name(stem.name + ".npz"), stem.with_name(stem.name + ".part.npz")
        pictures = np.stack([film.frames[0] for film in films])  # (N, H, W, 3)
        np.savez_compressed(
            part, pictures=pictures, rows=[film.caption for film in films], captions=[film.title for film in films]
        )
        return [sheet, part.replace(arrays)]

    def _films(self, model: Diffusion, shown: Sequence[Shown]) -> list[Film]:
        samples = [one for one in shown if not one.real]
        groups = {
            (samples[0].title if samples else "") or "sample": samples,
            "sample by the null condition": self._unconditional(model, samples),
            "real": [one for one in shown if one.real],
        }
        return [
            Film(colour(model.codec.pictures(one.x)), caption=row, title=one.caption)
            for row, members in groups.items()
            for one in members
        ]

    def _unconditional(self, model: Diffusion, samples: Sequence[Shown]) -> list[Shown]:
        """As many as there are samples. The null takes the place of their condition, so that of one serves for all."""
        if self.free is None or not samples or samples[0].cond is None:
            return []
        cond = rows(samples[0].cond, [0] * len(samples))
        return [Shown(x, "") for x in model.sample(cond, [1] * len(samples), self.free)]

    def figures(self, *_: Any) -> dict[str, float]:
        """None beside what an evaluator measures."""
        return {}

    def score(self, scoring: Scoring) -> dict[str, Any]:
        """Error of eps on validation pictures; digits of samples, read by a classifier of the training pictures.

        Pictures without labels, or all of one, have nothing to read.
        """
        model, store = scoring.model, scoring.store
        error = self.eps_error(model, store.split("train"), store.split("val"))
        headline = {"eps-MSE, val" if name == "model" else f"eps-MSE, {name}": value for name, value in error.items()}
        tables = {"Error of eps on validation pictures": {name: {"eps-MSE": value} for name, value in error.items()}}
        if not (accuracy := self.digits(scoring)):
            return {"headline": headline, "tables": tables}
        headline["digit accuracy"] = accuracy["right digit"]["model"]
        return {"headline": headline, "tables": tables, "shares": {"Digits, read by a classifier": accuracy}}

    @torch.no_grad()
    def eps_error(self, model: Diffusion, train: Split, val: Split) -> dict[str, float]:
        """eps-MSE over all timesteps: the model's, that of the best affine denoiser with two numbers, the mark."""
        process, codec = model.process, model.codec
        total, count, clips = 0.0, 0, []
        for batch in val.iter_batches(256, multiple_of=1):
            x0, mask = codec.encode(batch)
            clips.append(x0)
            ctx, eps = model.encode(batch.cond, mask), fixed_noise(batch.info.clip, x0)
            for i in range(LEVELS):  # each picture has timesteps of its own, all together spread evenly
                shift = (batch.info.clip * 0.618034) % 1
                t = ((i + shift) / LEVELS * process.steps).long()
                x0_hat = model.predict(process.noise(x0, t, eps), t, ctx, mask)
                total += ((x0_hat - x0).double().square().flatten(1).mean(1) * process.snr(t)).sum().item()
            count += LEVELS * len(x0)
        known = torch.cat([codec.encode(batch)[0] for batch in train.iter_batches(256, multiple_of=1)])
        affine = affine_error(known, torch.cat(clips), process).mean().item()
        errors = {"model": total / count, "affine denoiser": affine}
        return (
            errors if self.mark is None else errors | {"mark": SHARE * affine if self.mark == "affine" else self.mark}
        )

    def digits(self, scoring: Scoring) -> dict[str, dict[str, float]]:
        """Share of pictures that a support vector machine of the training pictures reads as their caption has it."""
        train, part, model = scoring.store.split("train"), scoring.part, scoring.model
        labels, wanted = (np.array([s.tags(i).get("label", -1) for i in range(len(s))]) for s in (train, part))
        if len(set(labels.tolist())) < 2 or -1 in wanted:
            return {}
        from sklearn.svm import SVC

        pictures = np.stack([train.features(i) for i in range(min(len(train), READ))])
        reader = SVC(C=10.0).fit(flat(pictures), labels[:READ])
        samples = {"model": list(scoring.samples)}
        if self.free is not None:
            cond = part.collate(range(len(part)), multiple_of=1).cond
            cond = moved(cond, scoring.samples[0].device)
            samples["null condition"] = model.sample(cond, [1] * len(part), self.free, scoring.seed)
        read = {
            name: reader.predict(flat(model.codec.pictures(torch.stack(list(clips))).cpu().numpy()))
            for name, clips in samples.items()
        }
        read["real"] = reader.predict(flat(np.stack([part.features(i) for i in range(len(part))])))
        return {"right digit": {name: float((found == wanted).mean()) for name, found in read.items()}}


def flat(pictures: np.ndarray) -> np.ndarray:
    """Bytes (N, ...) → numbers (N, D) from 0 to 1."""
    return pictures.reshape(len(pictures), -1).astype(np.float32) / 255


def colour(pictures: Tensor) -> np.ndarray:
    """Bytes (T, C, H, W) of one channel or three → (T, H, W, 3)."""
    return pictures.movedim(1, -1).expand(*pictures.shape[:1], *pictures.shape[2:], 3).cpu().numpy()

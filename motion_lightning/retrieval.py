"""Clips and sentences of a split in an evaluator's space, or a projector's, to look things up in."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motion_lightning import realignment
from motion_lightning.data.kinds import kind_numbers
from motion_lightning.data.store import Split, file_sha256
from motion_lightning.errors import UserError
from motion_lightning.evaluator import TrainedEvaluator, load_evaluator
from motion_lightning.metrics.retrieval import retrieval


def load_space(run: str | Path) -> TrainedEvaluator:
    """The evaluator of a run of ``train model=evaluator``, or the realigned space of one of LEAD's projector."""
    file = realignment.checkpoint_of(run)
    if not realignment.is_projector(file):
        return load_evaluator(run)
    model, config = realignment.read(file)
    folder = file.parent.parent
    space = TrainedEvaluator(model, folder, file_sha256(file), config)
    space.name = f"the realigned space of {folder.name}"
    return space


class Index:
    """Unit vectors of every clip and every caption of a split. Those of clips are kept in the store, by evaluator."""

    def __init__(self, evaluator: TrainedEvaluator, split: Split):
        self.evaluator, self.split = evaluator, split
        if not len(split):
            raise UserError(f"{split.store.path}: no {split.name} clips to look among; give another split=")
        self.motions = self._motions()  # (N, W)
        self.texts = list(dict.fromkeys(text for i in range(len(split)) for text in split.text_ids(i)))
        self.sentences = evaluator.texts(split, self.texts)  # (M, W)

    def clips_of(self, sentence: str, count: int) -> list[tuple[int, float]]:
        """The clips that match a sentence best, with the cosine."""
        scores = self.motions @ self.evaluator.of_sentences([sentence])[0]
        return [(i, float(scores[i])) for i in best(scores, count)]

    def texts_of(self, clip: int, count: int) -> list[tuple[int, str, float]]:
        """The captions that match a clip best, each with a clip that has it, and the cosine."""
        owner = {text: i for i in reversed(range(len(self.split))) for text in self.split.text_ids(i)}
        scores = self.sentences @ self.motions[clip]
        known = self.split.store.texts
        return [(owner[self.texts[k]], known[self.texts[k]], float(scores[k])) for k in best(scores, count)]

    def scores(self) -> dict[str, dict[str, float]]:
        """How well the first captions of all clips find their clips, and these them; equal kinds count as found."""
        row = {text: k for k, text in enumerate(self.texts)}
        texts = self.sentences[[row[self.split.text_ids(i)[0]] for i in range(len(self.split))]]
        return retrieval(texts, self.motions, torch.tensor(kind_numbers(self.split)))

    def _motions(self) -> Tensor:
        split, name = self.split, f"embeddings-{self.split.name}-{self.evaluator.digest[:8]}.npy"
        file = split.store.path / "derived" / name
        if not file.is_file():
            self.evaluator.check(split.store)
            clips, lengths = range(len(split)), split.lengths.tolist()
            made = self.evaluator.clips(split, clips, [0] * len(split), lengths).numpy()
            file.parent.mkdir(exist_ok=True)
            part = file.with_suffix(".part.npy")
            np.save(part, made)
            part.replace(file)
        return torch.from_numpy(np.load(file, allow_pickle=False))


def best(scores: Tensor, count: int) -> Sequence[int]:
    """Indices of the highest, the first of equal ones."""
    return scores.argsort(descending=True, stable=True)[:count].tolist()

"""The different captions of a corpus, and their embeddings: memory-mapped, or read when first asked for."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from motion_lightning.data.batch import TextCond
from motion_lightning.data.ragged import Ragged


class Texts(Sequence):
    """The different texts of a folder."""

    def __init__(self, path: Path):
        self._texts = Ragged(path, "texts", np.uint8)

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, i: int) -> str:
        return self._texts.text(i)


class TextCache(Texts):
    """The different captions of a corpus and their embeddings, kept in half precision."""

    def __init__(self, path: Path, width: int):
        super().__init__(path)
        self._tokens = Ragged(path, "tokens", np.float16, [width])
        self._pooled = Ragged(path, "pooled", np.float16, [width])
        self.path, self.width = path, width

    def __reduce__(self):
        return TextCache, (self.path, self.width)

    def pos(self, i: int) -> str:
        """Parts of speech as the corpus came with them, "a/DET man/NOUN kick/VERB"; else empty."""
        return self._pos.text(i)

    def lookup(self, text: str) -> int | None:
        """Index of a text; None where the corpus does not have it."""
        return self._index.get(text.strip())

    def tokens(self, i: int) -> np.ndarray:
        """(L, E) float16."""
        return self._tokens[i]

    def pooled(self, i: int) -> np.ndarray:
        """(E,) float16."""
        return self._pooled.data[i]

    def cond(self, texts: Sequence[int]) -> TextCond:
        """The embeddings of several texts, padded to the longest, float32."""
        rows = [self.tokens(i) for i in texts]
        tokens = np.zeros((len(rows), max(map(len, rows)), self.width), np.float16)  # torch is quick to widen them
        for to, row in zip(tokens, rows, strict=True):
            to[: len(row)] = row
        lengths = torch.tensor([len(row) for row in rows])
        return TextCond(
            tokens=torch.from_numpy(tokens).float(),  # (B, L, E)
            mask=torch.arange(tokens.shape[1]) < lengths[:, None],  # (B, L)
            pooled=torch.from_numpy(np.stack([self.pooled(i) for i in texts])).float(),  # (B, E)
        )

    @cached_property
    def _pos(self) -> Ragged:
        return Ragged(self.path, "pos", np.uint8)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {self[i]: i for i in range(len(self))}

"""A small corpus and an encoder without a network, for stores and loaders."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from motion_lightning.data.clip import Clip, Rejected
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.text.condition import TextCond


class Corpus:
    """``n`` clips of 20–60 frames; ``stop_at`` interrupts before that item."""

    name, representation, skeleton, fps, min_frames = "small", "motion", "humanml22", 20.0, 20
    about = {"title": "Numbers", "source": "this test", "licence": "MIT"}  # noqa: RUF012

    def __init__(self, n: int = 40, width: int = 263, seed: int = 0, stop=None, stop_at: int = -1):
        self.n, self.width, self.seed, self.stop, self.stop_at = n, width, seed, stop, stop_at

    def fingerprint(self) -> dict:
        return {"n": self.n, "width": self.width, "seed": self.seed}

    def __len__(self) -> int:
        return self.n

    def item(self, i: int) -> Clip | Rejected:
        if i % 10 == 9:
            return Rejected(f"c{i}", f"recording {i}", "unreadable")
        rng = np.random.default_rng([self.seed, i])
        features = rng.standard_normal((rng.integers(20, 61), self.width)).astype(np.float32) * 2 + 1
        captions = [f"a person does number {i % 13}", f"some körper moves {'on and ' * (i % 4)}on"][: 1 + i % 2]
        return Clip(f"c{i}", features, captions, ("train", "train", "val", "test")[i % 4], {"program": {"i": i}})

    def clips(self) -> Iterator[Clip | Rejected]:
        for i in range(self.n):
            if i == self.stop_at:
                self.stop()
            yield self.item(i)


class Encoder:
    """Vectors drawn from a hash of the words; ``stop_at`` interrupts before that call."""

    name, dim, max_tokens = "hash", 6, 8

    def __init__(self, stop=None, stop_at: int = -1):
        self.stop, self.stop_at, self.calls = stop, stop_at, 0

    def fingerprint(self) -> dict:
        return {"name": self.name}

    def encode(self, texts) -> TextCond:
        if self.calls == self.stop_at:
            self.stop()
        self.calls += 1
        rows = [torch.stack([_vector(word, self.dim) for word in text.split()]) for text in texts]
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(r), dtype=torch.bool) for r in rows], True)
        tokens = torch.nn.utils.rnn.pad_sequence(rows, True)
        return TextCond(tokens, mask, tokens.sum(1) / mask.sum(1, keepdim=True))


def _vector(word: str, dim: int) -> torch.Tensor:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little")
    return torch.randn(dim, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session")
def make_corpus():
    return Corpus


@pytest.fixture(scope="session")
def make_encoder():
    return Encoder


@pytest.fixture(scope="session")
def small_store(tmp_path_factory) -> Store:
    path = tmp_path_factory.mktemp("stores") / "small"
    prepare_store(Corpus(), Encoder(), path, progress=False)
    return Store.open(path)

"""Retrieval over a gallery against plain loops; nearest neighbours of one kind count as found."""

import numpy as np
import pytest
import torch

from motion_lightning.errors import UserError
from motion_lightning.metrics.retrieval import Retrieval, retrieval


def gallery(count: int = 60, noise: float = 0.8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    texts = torch.randn(count, 12, generator=generator)
    return texts, texts + noise * torch.randn(count, 12, generator=generator)


def plain(queries: np.ndarray, gallery: np.ndarray, kinds: np.ndarray) -> list[int]:
    """Rank from 1 of the first of the own kind, by the cosine."""
    ranks = []
    for query, kind in zip(queries, kinds, strict=True):
        cosines = [query @ x / np.linalg.norm(query) / np.linalg.norm(x) for x in gallery]
        order = sorted(range(len(gallery)), key=lambda i: -cosines[i])
        ranks.append(1 + next(place for place, i in enumerate(order) if kinds[i] == kind))
    return ranks


@pytest.mark.parametrize("kinds", [np.arange(60), np.arange(60) // 4], ids=["each its own", "kinds of four"])
def test_ranks_are_those_of_plain_loops(kinds):
    texts, motions = gallery()
    found = retrieval(texts, motions, torch.from_numpy(kinds))
    for name, (a, b) in {"text to motion": (texts, motions), "motion to text": (motions, texts)}.items():
        ranks = np.array(plain(a.numpy(), b.numpy(), kinds))
        assert ranks.max() > 1
        for k in (1, 2, 3, 5, 10):
            assert found[name][f"R@{k}"] == pytest.approx((ranks <= k).mean())
        assert found[name]["median rank"] == sorted(ranks)[29]


def test_what_cannot_tell_motions_apart_comes_last():
    found = retrieval(torch.randn(20, 4), torch.ones(20, 4))["text to motion"]
    assert found["R@10"] == 0 and found["median rank"] == 20


def test_clips_may_come_in_any_order_and_twice():
    texts, motions = gallery()
    metric = Retrieval()
    for part in (torch.arange(60)[::7], torch.randperm(60), torch.arange(5)):
        metric.update(texts[part], motions[part], part)
    assert metric.compute() == retrieval(texts.double(), motions.double())


def test_embeddings_that_mean_nothing_are_refused():
    metric = Retrieval()
    metric.update(torch.ones(8, 4), torch.randn(8, 4), torch.arange(8))
    with pytest.raises(UserError, match="retrieval, texts: all 8 embeddings are equal"):
        metric.compute()

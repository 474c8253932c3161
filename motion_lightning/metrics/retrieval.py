"""Retrieval over a whole gallery, both ways (Guo et al. 2022; protocols of TMR, Petrovich et al. 2023, sec. 4)."""

import torch
from torch import Tensor

from motion_lightning.metrics.gathered import Gathered, check_embeddings

AT = (1, 2, 3, 5, 10)


def retrieval(texts: Tensor, motions: Tensor, kinds: Tensor | None = None) -> dict[str, dict[str, float]]:
    """Recall among the first k, and the median rank from 1, of texts that look for their motion and the other way.

    Args:
        texts, motions: (N, E); the cosine ranks, of equal ones the worst place counts.
        kinds: (N,) which pairs are of one kind: any of these is a find (TMR's "all with threshold").
    """
    scores = torch.nn.functional.normalize(texts, dim=-1) @ torch.nn.functional.normalize(motions, dim=-1).T
    kinds = torch.arange(len(texts)) if kinds is None else kinds
    same = kinds[:, None] == kinds
    return {name: _recalls(s, same) for name, s in (("text to motion", scores), ("motion to text", scores.T))}


def _recalls(scores: Tensor, same: Tensor) -> dict[str, float]:
    best = scores.masked_fill(~same, -torch.inf).amax(1, keepdim=True)  # (N, 1)
    rank = 1 + ((scores >= best) & ~same).sum(1)
    return {f"R@{k}": float((rank <= k).double().mean()) for k in AT} | {"median rank": float(rank.double().median())}


class Retrieval(Gathered):
    """Over all clips, on any number of processes."""

    def __init__(self):
        super().__init__("texts", "motions", "kinds")

    def update(self, texts: Tensor, motions: Tensor, index: Tensor, kinds: Tensor | None = None) -> None:
        """Embeddings (B, E) of texts and of their motions, of clips index (B,) of kinds (B,); default each its own."""
        self.keep(index, texts, motions, index if kinds is None else kinds)

    def compute(self) -> dict[str, dict[str, float]]:
        """UserError for NaN, or embeddings that are all equal."""
        texts, motions, kinds = self.in_order()
        check_embeddings("retrieval, texts", texts), check_embeddings("retrieval, motions", motions)
        return retrieval(texts, motions, kinds)

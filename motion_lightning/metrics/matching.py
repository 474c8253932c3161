"""Does a motion match its text? R-precision and MM-Dist (Guo et al., CVPR 2022, sec. 5.1)."""

import torch
from torch import Tensor

from motion_lightning.errors import UserError
from motion_lightning.metrics.gathered import Gathered, check_embeddings


def pools(clips: int, size: int, generator: torch.Generator) -> Tensor:
    """Indices (clips // size, size) of clips in random pools, the rest left out; UserError for less than one pool."""
    if clips < size:
        raise UserError(f"{clips} clips are fewer than a pool of {size}: score more clips, or set protocol.pool")
    return torch.randperm(clips, generator=generator)[: clips // size * size].view(-1, size)


def ranks(texts: Tensor, motions: Tensor) -> tuple[Tensor, Tensor]:
    """Where each text (P, S, E) finds its own motion among the S of its pool, (P, S, E).

    Returns:
        Rank (P, S) from 0, motions at the same distance counted as nearer, so that what cannot tell motions apart
        finds none; and the Euclidean distance (P, S) to its own.
    """
    lengths = torch.linalg.vecdot(texts, texts)[..., None] + torch.linalg.vecdot(motions, motions)[:, None]
    distances = torch.baddbmm(lengths, texts, motions.mT, alpha=-2).clamp(min=0)  # (P, S, S), squared; never below 0
    own = distances.diagonal(dim1=1, dim2=2)  # (P, S)
    return (distances <= own[..., None]).sum(-1) - 1, own.sqrt()


def matching(texts: Tensor, motions: Tensor, top: int = 3) -> dict[str, float]:
    """R-precision 1 … top, shares of texts that find their motion among the first, and MM-Dist, the mean distance.

    Args:
        texts, motions: (P, S, E), in P pools of S.
    """
    place, own = ranks(texts, motions)
    shares = {f"R-precision {k}": float((place < k).double().mean()) for k in range(1, top + 1)}
    return shares | {"MM-Dist": float(own.mean())}


class Matching(Gathered):
    """R-precision and MM-Dist over all clips, in pools drawn by a seed: the same on any number of processes."""

    def __init__(self, pool: int = 32, top: int = 3, seed: int = 0):
        super().__init__("texts", "motions")
        self.pool, self.top, self.seed = pool, top, seed

    def update(self, texts: Tensor, motions: Tensor, index: Tensor) -> None:
        """Embeddings (B, E) of texts and of their motions, of clips index (B,)."""
        self.keep(index, texts, motions)

    def compute(self) -> dict[str, float]:
        """UserError for fewer clips than a pool, NaN, or embeddings that are all equal."""
        texts, motions = self.in_order()
        pool = pools(len(texts), self.pool, torch.Generator().manual_seed(self.seed))
        check_embeddings("R-precision, texts", texts), check_embeddings("R-precision, motions", motions)
        return matching(texts[pool], motions[pool], self.top)

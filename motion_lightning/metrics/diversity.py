"""How much motions differ: of all texts (Diversity), and of one (MultiModality); Guo et al., Action2Motion, 2020."""

import torch
from torch import Tensor

from motion_lightning.errors import UserError
from motion_lightning.metrics.gathered import Gathered, check_embeddings


def draw_pairs(count: int, pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two rows of ``pairs`` indices below ``count``, none twice in a row; one and the same may stand beside itself."""
    if count < pairs:
        raise UserError(
            f"{count} embeddings are fewer than the {pairs} that are drawn for pairs: take more, or draw fewer pairs"
        )
    return tuple(torch.randperm(count, generator=generator)[:pairs] for _ in range(2))


def diversity(x: Tensor, pairs: int, generator: torch.Generator) -> float:
    """Mean distance of random pairs of embeddings (N, E)."""
    a, b = draw_pairs(len(x), pairs, generator)
    return float((x[a] - x[b]).norm(dim=-1).mean())


def multimodality(x: Tensor, pairs: int, generator: torch.Generator) -> float:
    """Mean distance of random pairs of samples of the same text; x (texts, samples, E).

    The drawn places are the same for every text, as in the published code.
    """
    a, b = draw_pairs(x.shape[1], pairs, generator)
    return float((x[:, a] - x[:, b]).norm(dim=-1).mean())


class Diversity(Gathered):
    """Of the embeddings of all clips, with pairs drawn by a seed."""

    def __init__(self, pairs: int = 300, seed: int = 0):
        super().__init__("embeddings")
        self.pairs, self.seed = pairs, seed

    def update(self, embeddings: Tensor, index: Tensor) -> None:
        """Embeddings (B, E) of clips index (B,)."""
        self.keep(index, embeddings)

    def compute(self) -> Tensor:
        """() float64. UserError for fewer embeddings than pairs, NaN, or none that differ."""
        (x,) = self.in_order()
        drawn = diversity(check_embeddings("Diversity", x), self.pairs, torch.Generator().manual_seed(self.seed))
        return torch.tensor(drawn, dtype=torch.float64)


class MultiModality(Gathered):
    """Of several samples of each text, with pairs drawn by a seed."""

    def __init__(self, pairs: int = 10, seed: int = 0):
        super().__init__("embeddings")
        self.pairs, self.seed = pairs, seed

    def update(self, embeddings: Tensor, index: Tensor) -> None:
        """Embeddings (B, samples, E) of texts index (B,)."""
        self.keep(index, embeddings)

    def compute(self) -> Tensor:
        """() float64. UserError for fewer samples than pairs, NaN, or embeddings that are all equal."""
        (x,) = self.in_order()
        check_embeddings("MultiModality", x, least=1)
        drawn = multimodality(x, self.pairs, torch.Generator().manual_seed(self.seed))
        return torch.tensor(drawn, dtype=torch.float64)

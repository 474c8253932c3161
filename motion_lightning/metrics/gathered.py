"""Rows that several processes have seen, in one order that does not depend on how they were dealt out."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from motion_lightning.errors import UserError


def in_order(index: Tensor | Sequence[Tensor], *rows: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """What each index (N,) came with, (N, ...), by rising index, on the CPU and in float64.

    An index that came twice counts once: samplers repeat clips to give every process as many. Index and rows are
    the states of a ``torchmetrics.Metric``: a list before its processes are joined, one tensor after.
    """
    index, *rows = (torch.cat(list(part)) if not isinstance(part, Tensor) else part for part in (index, *rows))
    _, where = torch.unique(index, return_inverse=True)
    first = torch.full((int(where.max()) + 1 if len(where) else 0,), len(where), device=where.device)
    first = first.scatter_reduce(0, where, torch.arange(len(where), device=where.device), "amin")
    return [part[first].cpu().double() for part in rows]


class Gathered(Metric):
    """Rows of every clip, kept by their clips' indices: what is computed does not depend on who saw which.

    Every process has to see a clip at least.
    """

    full_state_update = False

    def __init__(self, *names: str):
        super().__init__()
        self.names = ("index", *names)
        for name in self.names:
            self.add_state(name, [], dist_reduce_fx="cat")

    def keep(self, *rows: Tensor) -> None:
        """Index (B,) of clips, then their rows (B, ...) by the names of the constructor."""
        for name, part in zip(self.names, rows, strict=True):
            getattr(self, name).append(part.float() if part.is_floating_point() else part)

    def in_order(self) -> list[Tensor]:
        """All rows by name, float64, on the CPU."""
        return in_order(*(getattr(self, name) for name in self.names))


def check_embeddings(name: str, x: Tensor, least: int = 2) -> Tensor:
    """x (N, E) as it is.

    Raises:
        UserError: too few of them, a number that is none, or one and the same embedding throughout, from which every
            metric would make a figure that looks right.
    """
    if len(x) < least:
        raise UserError(f"{name}: {len(x)} embeddings, at least {least} are needed; score more clips")
    if not x.sum().isfinite():
        rows = int((~x.isfinite().flatten(1).all(1)).sum())
        raise UserError(f"{name}: {rows} of {len(x)} embeddings hold NaN or infinity")
    flat = x.flatten(0, -2)
    if flat[0].equal(flat[1]) and (flat == flat[:1]).all():
        raise UserError(f"{name}: all {len(x)} embeddings are equal; the evaluator does not see its input")
    return x

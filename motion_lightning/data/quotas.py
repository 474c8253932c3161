"""Quotas: how many clips of each cluster one pass over the training data holds, and which.

Poses and motions come in a few large heaps (people stand, people walk) and many small ones. A quota takes
fewer clips of a heap a pass, other ones each time, so that in the end none is lost.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from motion_lightning.errors import UserError

NAMES = ("none", "uniform", "sqrt")


@dataclass(frozen=True, eq=False)
class Quotas:
    """What each pass holds: ``counts[c]`` clips of cluster c in each pass, out of those with that label.

    Args:
        labels: cluster of each clip, (n,) int, each of 0 … k - 1 at least once.
        counts: clips of each cluster in one pass, (k,) int; more than there are means that some come again.
    """

    labels: np.ndarray
    counts: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """(k,) clips of each cluster."""
        return np.bincount(self.labels, minlength=len(self.counts))

    @property
    def before(self) -> np.ndarray:
        """(k,) shares of the clusters in the data."""
        return self.sizes / len(self.labels)

    @property
    def after(self) -> np.ndarray:
        """(k,) shares of the clusters in every pass, exactly."""
        return self.counts / self.counts.sum()

    def __len__(self) -> int:
        """Clips of one pass."""
        return int(self.counts.sum())

    def __str__(self) -> str:
        before, after = (f"{100 * share.max():.1f} %" for share in (self.before, self.after))
        return f"{len(self):,} of {len(self.labels):,} clips a pass, largest cluster {before} -> {after}"

    def draw(self, index: int, seed: Sequence[int]) -> np.ndarray:
        """The clips of pass ``index``, (len(self),), by cluster.

        A cluster's clips lie on a circle and every pass takes the next ``count`` of them. So a clip comes at
        most once a pass (unless the count exceeds the cluster), and after any number of passes the clips of a
        cluster have come equally often, up to one. When a pass ends where the circle began, it is shuffled.
        """
        chosen = []
        for cluster, (members, count) in enumerate(zip(self._members, self.counts.tolist(), strict=True)):
            shuffle, turn = divmod(index, len(members) // math.gcd(len(members), count))
            circle = np.random.default_rng([*seed, cluster, shuffle]).permutation(members)
            chosen.append(circle[(turn * count + np.arange(count)) % len(members)])
        return np.concatenate(chosen)

    @cached_property
    def _members(self) -> list[np.ndarray]:
        return [np.flatnonzero(self.labels == cluster) for cluster in range(len(self.counts))]


def plan_quotas(labels: np.ndarray, quotas: str | Mapping[int | str, float], replacement: bool = False) -> Quotas:
    """Quotas that keep these promises: no more clips than there are, unless ``replacement``; no cluster at
    zero; and where clusters are of unequal size, the largest share falls.

    Args:
        labels: cluster of each clip, (n,).
        quotas: "uniform": as many clips of every cluster as the smallest has; "sqrt": in proportion to the
            root of the clusters' sizes, all of the smallest; a table of clips a pass by cluster (whole
            numbers), in which a cluster that is not named keeps all of its clips; or a table of shares of a pass
            (fractions), in which those that are not named divide what is left in proportion to their sizes.
        replacement: a quota may exceed its cluster, whose clips then come again within a pass, all equally
            often up to one. Named quotas and shares then make passes as long as the data.

    Raises:
        UserError: a table that breaks a promise, with every cluster that does; unknown names and clusters.
    """
    sizes = np.bincount(labels)
    if not len(labels) or not sizes.all():
        raise UserError("quotas need clusters that all have clips; fit them anew")
    if isinstance(quotas, str):
        counts = _named(sizes, quotas, replacement)
    else:
        counts = _table(sizes, quotas, replacement)
        if reasons := _broken(sizes, counts, replacement):
            raise UserError(f"quotas: {'; '.join(reasons)}")
    return Quotas(np.asarray(labels), counts)


def _named(sizes: np.ndarray, name: str, replacement: bool) -> np.ndarray:
    if name not in NAMES:
        raise UserError(f"quotas={name} is unknown; choose {', '.join(NAMES)} or a table {{cluster: number or share}}")
    if name == "none":
        return sizes.copy()
    weight = np.ones(len(sizes)) if name == "uniform" else np.sqrt(sizes)
    if replacement:
        counts = _whole(weight / weight.sum(), sizes.sum())
    else:
        counts = np.rint(weight * (sizes.min() / weight.min())).astype(int)  # all of the smallest cluster
    # Rounding may lift the largest share of tiny clusters. All equal at last, it is below what it was.
    while not _falls(sizes, counts) and counts.max() > 1:
        counts = np.minimum(counts, counts.max() - 1)
    return counts


def _table(sizes: np.ndarray, table: Mapping[int | str, float], replacement: bool) -> np.ndarray:
    asked: dict[int, float] = {}
    for key, value in table.items():
        if not str(key).isdecimal() or int(key) >= len(sizes):
            raise UserError(f"quotas: there is no cluster {key}; they are numbered 0 to {len(sizes) - 1}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise UserError(f"quotas: cluster {key} has {value!r}, should be a number of clips or a share of them")
        asked[int(key)] = value
    named = np.array(sorted(asked), dtype=int)
    if not len(named):
        raise UserError("quotas: the table is empty; name a cluster, or quotas=none")
    values = np.array([asked[cluster] for cluster in named.tolist()], dtype=float)
    whole = [isinstance(value, int) for value in asked.values()]
    if all(whole):
        counts = sizes.copy()
        counts[named] = values
        return counts
    if any(value and number for value, number in zip(asked.values(), whole, strict=True)) or values.max() > 1:
        raise UserError("quotas: give clips (whole numbers) or shares (fractions below 1), not both")
    return _of_shares(sizes, named, values, replacement)


def _of_shares(sizes: np.ndarray, named: np.ndarray, values: np.ndarray, replacement: bool) -> np.ndarray:
    shares, rest = np.zeros(len(sizes)), np.setdiff1d(np.arange(len(sizes)), named)
    left = 1 - values.sum()
    if left < -1e-6 or (len(rest) == 0 and left > 1e-2):
        raise UserError(f"quotas: the shares sum to {values.sum():.4g}, should be 1 where every cluster is named")
    shares[named] = values
    if len(rest):
        shares[rest] = max(left, 0) * sizes[rest] / sizes[rest].sum()
    shares /= shares.sum()
    asked = shares > 0
    total = sizes.sum() if replacement else math.floor((sizes[asked] / shares[asked]).min() + 1e-6)
    counts = _whole(shares, total)
    return counts if replacement else np.minimum(counts, sizes)


def _whole(shares: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in proportion to shares that sum to one, at least 1 where the share is not 0."""
    counts = np.rint(shares * total).astype(int)
    return np.where(shares > 0, np.maximum(counts, 1), 0)


def _falls(sizes: np.ndarray, counts: np.ndarray) -> bool:
    """Whether the largest share falls, in whole numbers; where all clusters are equal it may stay."""
    before, after = int(sizes.max()) * int(counts.sum()), int(counts.max()) * int(sizes.sum())
    return after < before or (after == before and sizes.min() == sizes.max())


def _broken(sizes: np.ndarray, counts: np.ndarray, replacement: bool) -> list[str]:
    """Each promise that a table breaks, in words."""
    reasons = []
    if not replacement:
        reasons += [
            f"cluster {c} has {sizes[c]} clips and is asked for {counts[c]} (replacement: true lets them come again)"
            for c in np.flatnonzero(counts > sizes).tolist()
        ]
    if len(empty := np.flatnonzero(counts == 0).tolist()):
        names = ", ".join(map(str, empty))
        reasons.append(f"none is asked of cluster {names}, whose clips would be lost; give at least one")
    if counts.any() and not _falls(sizes, counts):
        before, after = 100 * sizes.max() / sizes.sum(), 100 * counts.max() / counts.sum()
        change = "raise" if after > before else "leave"
        reasons.append(
            f"they {change} the largest share, {before:.1f} % -> {after:.1f} % (cluster {counts.argmax()}), "
            "which quotas are there to lower; ask less of that cluster"
        )
    return reasons

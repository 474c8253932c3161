"""Evaluation by a protocol of the field: which clips and captions, how often, which figures, and may they be compared?

An evaluator is what places motions and texts in one space::

    name: str; digest: str                             # SHA-256 of what it is made of
    texts(split, texts) -> (N, E)                      # of indices of texts
    clips(split, clips, starts, lengths) -> (N, E)     # of real clips, cut
    samples(codec, samples) -> (N, E)                  # of x (T, *shape) of a model's codec
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from motion_lightning.data.store import Split
from motion_lightning.errors import UserError
from motion_lightning.metrics.diversity import diversity, multimodality
from motion_lightning.metrics.frechet import Moments, frechet_distance, moments
from motion_lightning.metrics.gathered import check_embeddings
from motion_lightning.metrics.matching import matching, pools

CAUGHT = 1e-3  # a figure may be off by this much before an interval says otherwise: figures are published so rounded


@dataclass(frozen=True)
class Frames:
    """Which clips take part, and how they are cut; lengths in frames."""

    min: int = 1
    max: int | None = None
    multiple_of: int = 1
    shorten: float = 0.0  # probability that a clip loses a further ``multiple_of`` frames


@dataclass(frozen=True)
class MultiModalityPlan:
    """Several samples of each of some captions."""

    captions: int = 100
    samples: int = 30
    pairs: int = 10
    replications: int = 20
    choose: str = "random"


@dataclass(frozen=True)
class Protocol:
    """A protocol as conf/protocol has it; ``real`` holds [figure, interval] of real motions by corpus."""

    name: str
    source: str = ""
    split: str = "test"
    clips: int | None = None
    lengths: bool | str = True
    pool: int = 32
    pools: str = "loader"
    replications: int = 20
    top: int = 3
    diversity_pairs: int = 300
    multimodality: MultiModalityPlan | None = None
    features: str = "all"
    evaluator: str = "trained"
    frames: Frames = Frames()
    real: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> "Protocol":
        """From plain containers; UserError for a setting that there is not, or that is out of range."""
        node = dict(node)
        if unknown := node.keys() - cls.__dataclass_fields__.keys():
            known = ", ".join(cls.__dataclass_fields__)
            raise UserError(f"protocol.{min(unknown)}: there is no such setting; there are {known}")
        plan, frames = node.get("multimodality"), node.get("frames")
        node["multimodality"] = MultiModalityPlan(**plan) if plan else None
        node["frames"] = Frames(**(frames or {}))
        made = cls(**node)
        for name in ("pool", "replications", "top", "diversity_pairs"):
            if getattr(made, name) < 1:
                raise UserError(f"protocol.{name}={getattr(made, name)}: give 1 or more")
        if made.clips is not None and made.clips < made.pool:
            raise UserError(f"protocol.clips={made.clips}: a pool takes {made.pool}, give as many or more")
        if made.lengths not in (True, "true", "predicted"):
            raise UserError(f"protocol.lengths={made.lengths}: give true or predicted")
        if made.pools not in ("loader", "shuffled"):
            raise UserError(f"protocol.pools={made.pools}: give loader or shuffled")
        return made

    @property
    def predicts(self) -> bool:
        """Whether samples are as long as their captions lead to expect."""
        return self.lengths == "predicted"

    def eligible(self, split: Split) -> np.ndarray:
        """Indices of the clips that take part; UserError for fewer than a pool, or than Diversity's pairs."""
        most = np.inf if self.frames.max is None else self.frames.max
        found = np.flatnonzero((split.lengths >= self.frames.min) & (split.lengths <= most))
        bounds = "" if len(found) == len(split.lengths) else f" of {self.frames.min} to {most:g} frames"
        there = f"{split.store.path}, {split.name}: {len(found)} clips{bounds}"
        if len(found) < self.pool:
            raise UserError(
                f"{there}, and a pool of protocol={self.name} takes {self.pool}; prepare more clips, "
                "or set protocol.pool"
            )
        if (scored := self.scored(len(found), self.clips)) < self.diversity_pairs:
            raise UserError(
                f"{there}, of which a replication scores {scored}: too few for the {self.diversity_pairs} pairs that "
                f"protocol={self.name} draws for Diversity; take more clips, or set protocol.diversity_pairs={scored}"
            )
        return found

    def scored(self, count: int, clips: int | None = None) -> int:
        """How many of ``count`` clips, at most ``clips``, a replication scores: no loader's last incomplete batch."""
        count = count if clips is None else min(clips, count)
        return count // self.pool * self.pool if self.pools == "loader" else count


class Draw(NamedTuple):
    """What one replication scores: clips, a caption of each, and how each is cut."""

    clips: np.ndarray  # (N,) indices into the split, in random order
    texts: np.ndarray  # (N,) indices of texts
    starts: np.ndarray  # (N,) first frames
    lengths: np.ndarray  # (N,) frames


def generator_of(number: int, seed: int) -> torch.Generator:
    """Of the pools and pairs of a replication."""
    return torch.Generator().manual_seed(seed * 1_000_003 + number)


def draw(protocol: Protocol, split: Split, number: int, seed: int = 0, clips: int | None = None) -> Draw:
    """The clips of replication ``number``, a function of (seed, number); at most ``clips`` of them."""
    rng = np.random.default_rng([seed, number])
    found = protocol.eligible(split)
    chosen = rng.permutation(found)[: protocol.scored(len(found), clips)]
    texts = [ids[int(rng.integers(len(ids)))] for ids in map(split.text_ids, chosen)]
    unit, lengths = protocol.frames.multiple_of, split.lengths[chosen]
    cut = lengths // unit * unit
    shorter = rng.random(len(chosen)) < protocol.frames.shorten
    cut = np.where(shorter & (cut > unit), cut - unit, cut).clip(1)
    starts = (rng.random(len(chosen)) * (lengths - cut + 1)).astype(int)
    return Draw(chosen, np.array(texts), starts, cut)


class RealEmbeddings:
    """Embeddings of real clips, each cut computed once."""

    def __init__(self, evaluator: Any, split: Split):
        self.evaluator, self.split = evaluator, split
        self.known: dict[tuple[int, int, int], Tensor] = {}
        self.of_texts: dict[int, Tensor] = {}

    def __call__(self, drawn: Draw) -> Tensor:
        """(N, E) float64."""
        cuts = [*zip(drawn.clips.tolist(), drawn.starts.tolist(), drawn.lengths.tolist(), strict=True)]
        if new := [cut for cut in dict.fromkeys(cuts) if cut not in self.known]:
            self.known.update(zip(new, self.evaluator.clips(self.split, *zip(*new, strict=True)), strict=True))
        return torch.stack([self.known[cut] for cut in cuts]).double()

    def texts(self, drawn: Draw) -> Tensor:
        """(N, E) float64 of the drawn captions."""
        ids = drawn.texts.tolist()
        if new := [text for text in dict.fromkeys(ids) if text not in self.of_texts]:
            self.of_texts.update(zip(new, self.evaluator.texts(self.split, new), strict=True))
        return torch.stack([self.of_texts[text] for text in ids]).double()


def figures(
    protocol: Protocol, texts: Tensor, motions: Tensor, real: Moments, generator: torch.Generator
) -> dict[str, float]:
    """One replication's figures of motions (N, E) with their texts (N, E), beside the moments of real motions.

    UserError for NaN, for embeddings that are all equal, and for fewer than Diversity's pairs.
    """
    check_embeddings("texts", texts), check_embeddings("motions", motions)
    if protocol.pools == "loader":  # they are in random order already
        whole = len(texts) // protocol.pool * protocol.pool
        pooled = [x[:whole].unflatten(0, (-1, protocol.pool)) for x in (texts, motions)]
    else:
        pool = pools(len(texts), protocol.pool, generator)
        pooled = [x[pool] for x in (texts, motions)]
    matched = matching(*pooled, protocol.top)
    distance = matched.pop("MM-Dist")
    return {
        **matched,
        "FID": frechet_distance(moments(motions), real),
        "MM-Dist": distance,
        "Diversity": diversity(motions, protocol.diversity_pairs, generator),
    }


def score_embeddings(
    protocol: Protocol, texts: Tensor, motions: Tensor, real: Tensor, several: Tensor | None = None
) -> list[dict]:
    """Figures of embeddings that are there already, a row a replication; these run side by side.

    Args:
        texts, motions: (R, N, E), in random order.
        real: (M, E) of real motions.
        several: (R, captions, samples, E), for MultiModality.
    """
    reference = moments(check_embeddings("real motions", real.double()))

    def one(number: int) -> dict:
        generator = torch.Generator().manual_seed(number)
        row = figures(protocol, texts[number].double(), motions[number].double(), reference, generator)
        if several is not None:
            row["MultiModality"] = multimodality(several[number].double(), protocol.multimodality.pairs, generator)
        return row

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # matrices of 512 gain less from threads than replications do
    try:
        with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, range(len(texts))))
    finally:
        torch.set_num_threads(threads)


def summarise(replications: Sequence[Mapping[str, float | None]]) -> dict[str, dict | None]:
    """Mean and 95 % interval, 1.96 σ / √R with σ over R (the field's convention), of every figure; None for NaN.

    One replication has no interval.
    """
    names = dict.fromkeys(name for one in replications for name in one)
    table: dict[str, dict | None] = {}
    for name in names:
        values = np.array([one[name] for one in replications if name in one], dtype=np.float64)
        table[name] = None
        if len(values) and np.isfinite(values).all():
            interval = 1.96 * float(values.std()) / len(values) ** 0.5 if len(values) > 1 else None
            table[name] = {"mean": float(values.mean()), "interval": interval, "replications": len(values)}
    return table


def self_test(real: Mapping[str, Mapping | None], expected: Mapping[str, Sequence[float]]) -> list[str]:
    """Ground-truth test: what speaks against comparing, a line a figure of real motions that is not as expected.

    Args:
        real: of ``summarise``.
        expected: [figure, interval] by name.
    """
    wrong = []
    for name, (figure, interval) in expected.items():
        own = real.get(name)
        if own is None:
            wrong.append(f"real motions have no {name}, expected {figure:g}")
        elif abs(own["mean"] - figure) > (own["interval"] or 0) + (interval or 0) + CAUGHT:
            have = f"{own['mean']:.4g} ± {own['interval'] or 0:.2g}"
            wrong.append(f"real motions have {name} {have}, expected {figure:g} ± {interval or 0:.2g}")
    return wrong


def chosen_for_multimodality(protocol: Protocol, drawn: Draw, number: int, seed: int) -> np.ndarray:
    """Places in the draw of the captions that get several samples."""
    plan, count = protocol.multimodality, len(drawn.clips)
    if plan.choose == "first_batches":
        return np.arange(min(plan.captions, count))
    return np.random.default_rng([seed, number, 1]).permutation(count)[: plan.captions]

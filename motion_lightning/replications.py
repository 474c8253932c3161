"""The replications of a protocol: of real motions and of a model, kept as they come, so that a second call goes on."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from motion_lightning.data.store import Split
from motion_lightning.errors import UserError
from motion_lightning.metrics.diversity import multimodality
from motion_lightning.metrics.frechet import moments
from motion_lightning.protocol import (
    Draw,
    Protocol,
    RealEmbeddings,
    chosen_for_multimodality,
    draw,
    figures,
    generator_of,
    summarise,
)

REFERENCE = 1_000_000  # real motions are read a second time as the reference of FID, cut anew

Sample = Callable[[Draw, int], list[Tensor]]  # draw, seed → x (T, *shape) of each
Measure = Callable[[Draw, list[Tensor]], Mapping[str, float]]  # draw, samples → more figures
Progress = Callable[[Iterable[int]], Iterable[int]]


class Replications:
    """All replications of one protocol on one split with one evaluator.

    Args:
        seed: of draws, pools and noise.
    """

    def __init__(self, protocol: Protocol, split: Split, evaluator: Any, seed: int = 0):
        self.protocol, self.split, self.evaluator, self.seed = protocol, split, evaluator, seed
        self.real = RealEmbeddings(evaluator, split)

    def reference(self, number: int):
        """Moments of the real motions that FID compares with."""
        return moments(self.real(draw(self.protocol, self.split, REFERENCE + number, self.seed)))

    def of_real(self, progress: Progress = iter) -> list[dict]:
        """Figures of real motions, a row a replication."""
        rows = []
        for number in progress(range(self.protocol.replications)):
            drawn = draw(self.protocol, self.split, number, self.seed)
            texts, motions = self.real.texts(drawn), self.real(drawn)
            generator = generator_of(number, self.seed)
            rows.append(figures(self.protocol, texts, motions, self.reference(number), generator))
        return rows

    def of_model(
        self, codec: Any, sample: Sample, file: Path, provenance: Mapping, measure: Measure, progress: Progress = iter
    ) -> list[dict]:
        """Figures of a model, a row a replication.

        Args:
            codec: of what ``sample`` returns.
            file: keeps the rows; those that an interrupted call left are not computed again, if they have the same
                provenance.
        """
        rows = kept_rows(file, provenance)
        for number in progress(range(len(rows), self.protocol.replications)):
            rows.append(self.one_of_model(number, codec, sample, measure))
            write_json(file, {"provenance": dict(provenance), "rows": rows})
        return rows[: self.protocol.replications]

    def one_of_model(self, number: int, codec: Any, sample: Sample, measure: Measure) -> dict[str, float | None]:
        """One replication of a model; a figure that is not a number is None."""
        protocol = self.protocol
        drawn = draw(protocol, self.split, number, self.seed, protocol.clips)
        samples = sample(drawn, self.seed + 1000 * number)
        broken = sum(not x.isfinite().all() for x in samples)
        if broken:
            raise UserError(
                f"{broken} of {len(samples)} samples hold NaN or infinity: the model diverged, see its training loss"
            )
        motions = self.evaluator.samples(codec, samples).double()
        generator = generator_of(number, self.seed)
        row = figures(protocol, self.real.texts(drawn), motions, self.reference(number), generator)
        plan = protocol.multimodality
        if plan and number < plan.replications:
            chosen = chosen_for_multimodality(protocol, drawn, number, self.seed)
            repeated = Draw(*(np.repeat(part[chosen], plan.samples) for part in drawn))
            several = self.evaluator.samples(codec, sample(repeated, self.seed + 1000 * number + 1)).double()
            row["MultiModality"] = multimodality(several.unflatten(0, (-1, plan.samples)), plan.pairs, generator)
        row |= measure(drawn, samples)
        return {name: None if math.isnan(value) else float(value) for name, value in row.items()}


def result(
    protocol: Protocol, dataset: str, rows: list[dict], real: list[dict], reasons: list[str], provenance
) -> dict:
    """What is written beside a run: the table's numbers, whether they may be compared, and where they came from."""
    return {
        "protocol": protocol.name,
        "dataset": dataset,
        "metrics": summarise(rows),
        "real": summarise(real),
        "comparable": not reasons,
        "reasons": reasons,
        "provenance": dict(provenance),
    }


def kept_rows(file: Path, provenance: Mapping) -> list[dict]:
    """Rows of an earlier call of the same provenance."""
    if not file.is_file():
        return []
    try:
        kept = json.loads(file.read_text())
        same = kept["provenance"] == json.loads(json.dumps(dict(provenance)))
        return list(kept["rows"]) if same else []
    except (ValueError, KeyError, TypeError):
        return []


def write_json(file: Path, content: Any) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    part.write_text(json.dumps(content, indent=1, allow_nan=False))
    part.replace(file)

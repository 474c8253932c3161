"""Trained runs by a protocol: figures into a file of each run, and one table of all."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from motion_lightning import __version__
from motion_lightning.assemble import Run, encoded, load_run, open_data
from motion_lightning.config import instantiate
from motion_lightning.data.store import Store, file_sha256
from motion_lightning.errors import UserError
from motion_lightning.evaluation import sample_split
from motion_lightning.evaluator import TrainedEvaluator, ensure_evaluator, load_evaluator
from motion_lightning.lengths import open_lengths
from motion_lightning.paths import conf_dir
from motion_lightning.pipeline import Sampling
from motion_lightning.protocol import Draw, Protocol, draw, self_test, summarise
from motion_lightning.replications import Replications, result, write_json
from motion_lightning.view.results import write_results

log = logging.getLogger(__name__)


def evaluate_by_protocol(
    runs: Sequence[str], protocol: Mapping, evaluator: str | None, out: str | Path, scoring: Mapping, overrides: Mapping
) -> list[Path]:
    """Every run's ``protocol-NAME.json``, and results.md, .tex and .html of all in ``out``.

    Args:
        runs: folders or checkpoints.
        protocol: as conf/protocol has it.
        evaluator: folder of one; None takes that of the corpus, which is trained where there is none.
        scoring: ``checkpoint``, ``batch_size`` and ``seed``.
        overrides: of each run's sampling: steps, guidance, interval, rescale.

    Returns:
        The tables.
    """
    plan = Protocol.of(protocol)
    results: dict[str, dict] = {}
    tests: dict[str, tuple] = {}  # store → replications, figures of real motions, reasons
    # What cannot be loaded, and too few clips, are said before hours pass.
    loaded = [load_run(run, scoring["checkpoint"]) for run in runs]
    stores = [open_data(run.config, run.config["store"]) for run in loaded]
    for store in stores:
        plan.eligible(store.split(plan.split))
    for run, store in zip(loaded, stores, strict=True):
        if store.digest not in tests:
            judge = find_evaluator(plan, evaluator, store, run.config["data"])
            tests[store.digest] = ground_truth(Replications(plan, store.split(plan.split), judge, scoring["seed"]))
        replications, real, reasons = tests[store.digest]
        sampling = instantiate(run.config["sampler"]).but(overrides)
        source = provenance(run, store, replications, sampling)
        try:
            rows = replications.of_model(
                run.model.sample_codec, sampler(run, store, replications, sampling, scoring["batch_size"]),
                run.folder / f"protocol-{plan.name}.rows.json", source, partial(measured, run, replications),
                partial(tqdm, desc=run.folder.name, unit="replication"),
            )  # fmt: skip
            wrong = []
        except UserError as error:
            if len(loaded) == 1:
                raise
            log.warning("%s: %s", run.folder.name, error)  # the others are worth a table
            rows, wrong = [], [str(error)]
        drawn = draw(plan, replications.split, 0, replications.seed)
        clips = encoded(run.model.sample_codec, replications.split, drawn.clips.tolist())
        truth = [real[0] | measured(run, replications, drawn, clips, real=True), *real[1:]]
        made = result(plan, store.manifest["corpus"], rows, truth, reasons + wrong, source)
        write_json(run.folder / f"protocol-{plan.name}.json", made)
        results[unique(run.folder, results)] = made
    files = write_results(Path(out), results, published(store.manifest["corpus"], plan))
    log.info("%s", files[0].read_text())
    for reason in dict.fromkeys(reason for made in results.values() for reason in made["reasons"]):
        log.warning("not comparable: %s", reason)
    log.info("the same as %s", ", ".join(map(str, files[1:])))
    return files


def find_evaluator(protocol: Protocol, given: str | None, store: Store, data: Mapping) -> Any:
    """The evaluator that is given, or the corpus' own; UserError where the protocol's cannot be trained."""
    if given is not None and (Path(given) / "evaluator.json").is_file():
        from motion_lightning.zoo.guo_evaluator import GuoScorer

        return GuoScorer.load(Path(given))
    if given is not None:
        return load_evaluator(given)
    if protocol.evaluator != "trained":
        raise UserError(
            f"protocol={protocol.name} is one of Guo et al.'s evaluator: convert the published files by python -m "
            "motion_lightning.zoo import guo PATH, and give evaluator=FOLDER; protocol=programs takes one that is "
            "trained here"
        )
    return ensure_evaluator(store, data)


def ground_truth(replications: Replications) -> tuple[Replications, list[dict], list[str]]:
    """Real motions through the same path, before any model is scored: are they as they should be?

    Expected is what the protocol publishes for the corpus, or what this evaluator gave on the data that it was trained
    on, which is kept beside it.
    """
    protocol, split, judge = replications.protocol, replications.split, replications.evaluator
    real = replications.of_real(partial(tqdm, desc="real motions", unit="replication"))
    corpus, reasons = split.store.manifest["corpus"], judge.reasons(split.store)
    expected = protocol.real.get(corpus) if protocol.evaluator != "trained" else None
    if isinstance(judge, TrainedEvaluator):
        if protocol.evaluator != "trained":
            reasons.append(f"protocol={protocol.name} is one of Guo et al.'s evaluator, this is {judge.name}")
        file = judge.folder / f"ground_truth-{protocol.name}-{split.name}.json"
        if not file.is_file() and not reasons:
            write_json(file, {"evaluator": judge.digest, "rows": real})
        if file.is_file():
            kept = json.loads(file.read_text())
            if kept["evaluator"] != judge.digest:
                reasons.append(f"{judge.folder} was changed since its figures of real motions were kept")
            expected = {name: [row["mean"], row["interval"]] for name, row in summarise(kept["rows"]).items() if row}
    if not expected:
        reasons.append(f"nobody has published figures of real motions for data={corpus} under protocol={protocol.name}")
    return replications, real, reasons + self_test(summarise(real), expected or {})


def sampler(run: Run, store: Store, replications: Replications, sampling: Sampling, batch_size: int):
    """draw, seed → samples of the run."""
    protocol, split = replications.protocol, replications.split
    lengths = open_lengths(store) if protocol.predicts else None

    def sample(drawn: Draw, seed: int):
        frames = drawn.lengths
        if lengths is not None:
            unit, texts = protocol.frames.multiple_of, store.texts.cond(drawn.texts.tolist())
            frames = lengths.draw(texts.pooled, seed).numpy() // unit * unit
            frames = frames.clip(max(protocol.frames.min, unit), protocol.frames.max)
        return sample_split(
            run.model, split, sampling, batch_size, seed, partial(tqdm, leave=False, unit="batch"),
            drawn.clips.tolist(), drawn.texts.tolist(), frames.tolist(),
        )  # fmt: skip

    return sample


def measured(run: Run, replications: Replications, drawn: Draw, samples, real: bool = False) -> dict[str, float]:
    """What the task of the data measures beside the protocol."""
    task = instantiate(run.config["task"])
    return task.figures(run.model, replications.split, drawn.clips.tolist(), samples, real)


def provenance(run: Run, store: Store, replications: Replications, sampling: Sampling) -> dict[str, Any]:
    """Where the numbers come from: whoever has the same gets the same."""
    protocol, judge = replications.protocol, replications.evaluator
    return {
        "run": run.folder.name,
        "checkpoint": run.checkpoint.name,
        "checkpoint_sha256": file_sha256(run.checkpoint)[:16],
        "step": run.step,
        "evaluator": judge.digest[:16],
        "evaluator_name": judge.name,
        "data": f"{store.manifest['corpus']} {protocol.split}",
        "clips": len(protocol.eligible(replications.split)),
        "store": store.digest[:16],
        **sampling.described,
        "seed": replications.seed,
        "plan": {
            name: value
            for name, value in asdict(protocol).items()
            if name in ("clips", "lengths", "pool", "pools", "top", "diversity_pairs", "multimodality", "frames")
        },
        "version": __version__,
    }


def unique(folder: Path, taken: Mapping) -> str:
    """A name for a run in the table."""
    name = folder.name
    return name if name not in taken else str(folder)


def published(corpus: str, protocol: Protocol) -> list[Mapping]:
    """Figures of other systems on this corpus, of conf/published; none for a corpus that they do not know."""
    file = conf_dir() / "published" / f"{corpus}.yaml"
    if not file.is_file() or protocol.evaluator == "trained":
        return []
    return yaml.safe_load(file.read_text())["rows"]

"""``python -m motion_lightning.evaluate``: score a trained run beside real motion, and write its report."""

import json
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from motion_lightning.config import instantiate, main, to_plain
from motion_lightning.errors import UserError

log = logging.getLogger(__name__)


@main("evaluate")
def evaluate(cfg: DictConfig) -> None:
    """Score one run by itself, or runs by a protocol of the field."""
    if (cfg.run is None) == (cfg.runs is None):
        raise UserError("say what to score: run=runs/NAME, or 'runs=[runs/A,runs/B]' with a protocol=NAME")
    if cfg.get("protocol"):
        from motion_lightning.protocol_runs import evaluate_by_protocol

        runs = [cfg.run] if cfg.runs is None else [*cfg.runs]
        evaluate_by_protocol(runs, to_plain(cfg.protocol), cfg.evaluator, cfg.out, instantiate(cfg.scoring), cfg)
        return
    if cfg.run is None:
        raise UserError("several runs are scored by a protocol: add protocol=NAME, or take compare, which shows them")
    evaluate_run(cfg.run, **instantiate(cfg.scoring), overrides=cfg)


def evaluate_run(
    run: str | Path,
    split: str = "test",
    clips: int | None = None,
    checkpoint: str = "last",
    batch_size: int = 128,
    seed: int = 0,
    shown: int = 12,
    overrides: Mapping | None = None,
) -> Path:
    """Skill, audit and what its task measures of a run on a split, into its evaluation.json and report.html.

    Args:
        run: run folder or checkpoint.
        clips: at most so many clips of the split; None takes all.
        shown: samples in the report.
        overrides: of the run's sampling: steps, guidance, interval, rescale; None keeps what the run was configured
            with.

    Returns:
        The report's path.
    """
    from tqdm import tqdm

    from motion_lightning.assemble import load_run, open_data
    from motion_lightning.evaluation import score_run
    from motion_lightning.view.report import write_report

    loaded = load_run(run, checkpoint)
    store = open_data(loaded.config, loaded.config["store"])
    encoder = instantiate(loaded.config["text_encoder"])
    sampling = instantiate(loaded.config["sampler"]).but(overrides or {})
    result = score_run(
        loaded.model, instantiate(loaded.config["task"]), store, encoder, sampling, split=split, clips=clips,
        batch_size=batch_size, seed=seed, shown=shown, progress=partial(tqdm, leave=False),
    )  # fmt: skip
    scores = result.scores
    scores["provenance"] = {
        "run": loaded.folder.name,
        "checkpoint": loaded.checkpoint.name,
        "step": loaded.step,
        "data": f"{store.manifest['corpus']} {split}",
        "clips": len(store.split(split).first(clips)),
        "store": store.digest[:16],
        **sampling.described,
        "seed": seed,
    }
    part = loaded.folder / "evaluation.part"
    part.write_text(json.dumps(scores, indent=1))
    part.replace(loaded.folder / "evaluation.json")
    report = write_report(loaded.folder, samples=result.look, evaluation=scores)
    log.info("%s\nevaluation.json and report.html are in %s", summary(scores), loaded.folder)
    return report


def summary(scores: dict) -> str:
    """The figures that a terminal shows."""
    lines = []
    bins = scores["skill"]
    ratio = [m / f for m, f, j in zip(bins["model"], bins["frame"], bins["judged"], strict=True) if j]
    verdict = "passed" if bins["passed"] else "FAILED"
    said = "no bin of t is noisy enough to be judged"
    if ratio:
        said = f"error {min(ratio):.2f} to {max(ratio):.2f} of the linear estimate's, by bin of t"
    lines.append(f"skill   {verdict}: {said}")
    audit = scores.get("audit")  # of a model that takes a condition
    if audit:
        losses = "  ".join(f"{name} {audit[name][0]:.4f}" for name in ("right", "null", "wrong"))
        lines.append(f"audit   {'passed' if audit['passed'] else 'FAILED'}: {losses}")
    for group, table in scores.get("attributes", {}).items():
        shares = {name: row["model"] for name, row in table.items() if isinstance(row, dict)}
        cells = "  ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items() if share is not None)
        lines.append(f"{group}: {cells}")
    for title, table in scores.get("tables", {}).items():
        for name, row in table.items():
            cells = "  ".join(f"{column} {value:.4g}" for column, value in row.items() if value is not None)
            lines.append(f"{title}, {name}: {cells}")
    for name, row in scores.get("physical", {}).items():
        lines.append(
            f"{name:<12}{row['model']:.4g}, {row['ratio']:.2f} x real ({row['raw_ratio']:.2f} before reconciling)"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    evaluate()

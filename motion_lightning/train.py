"""``python -m motion_lightning.train``: train a denoiser, then score and show it."""

import csv
import importlib
import logging
import os
import warnings
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import MISSING, DictConfig, OmegaConf

from motion_lightning.checks import check
from motion_lightning.config import instantiate, load_config, main, run_dir, save_config, to_plain
from motion_lightning.errors import UserError

log = logging.getLogger(__name__)


@main("train")
def train(cfg: DictConfig) -> None:
    """Prepare the corpus if need be, train, score the last weights, write the report."""
    from motion_lightning.prepare import ensure_store

    folder = Path(cfg.resume) if cfg.resume else run_dir()
    last = find_last(folder, bool(cfg.resume))
    if cfg.resume:
        cfg = continued(cfg, folder)
    if cfg.get("stages"):
        from motion_lightning.stages import train_stages

        return train_stages(cfg)
    if cfg.warning:
        log.warning("warning: %s", " ".join(cfg.warning.split()))
    check(cfg)

    import lightning as L
    import torch

    from motion_lightning.assemble import open_data
    from motion_lightning.first_stage import ensure_vae

    quieten()
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    torch.set_float32_matmul_precision("high")
    ensure_vae(cfg)
    encoder, assembly = instantiate(cfg.text_encoder), importlib.import_module(cfg.assembly)
    model = assembly.build_model(cfg, encoder.dim)  # what does not go together is refused before data are prepared
    store_path = ensure_store(cfg, model.codec.representation)
    store = open_data(cfg, store_path)
    config = {**to_plain(cfg), "store": str(store_path), "text_dim": encoder.dim, "resume": None}
    module = assembly.build_module(cfg, model, store, config)
    trainer = build_trainer(cfg, folder, encoder)
    if trainer.is_global_zero:
        save_config(config, folder)
        parameters = sum(p.numel() for p in model.parameters())
        log.info("%s: %s parameters, precision %s", folder, f"{parameters:,}", trainer.precision)
    keep_metrics(trainer, folder, last)
    trainer.fit(module, instantiate(cfg.loader, store=store), ckpt_path=last, weights_only=True)
    finish(trainer)
    if not trainer.is_global_zero:
        return
    if cfg.evaluate:
        from motion_lightning.evaluate import evaluate_run

        evaluate_run(folder, **instantiate(cfg.evaluate))
    if cfg.evaluate or (folder / "samples").is_dir():
        log.info("look:  %s", folder / ("report.html" if cfg.evaluate else "samples"))
    if cfg.assembly == "motion_lightning.evaluator":
        log.info("next:  python -m motion_lightning.evaluate 'runs=[…]' protocol=programs evaluator=%s", folder)
    if hasattr(assembly, "restore"):  # its models sample
        prompts = instantiate(cfg.task).prompts
        asked = f'prompt="{prompts[0]}"' if prompts else "clip=0"
        log.info("next:  python -m motion_lightning.sample run=%s %s", folder, asked)


def quieten() -> None:
    """Keep back what Lightning tells every user of every run and no user of this one can act on."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch").propagate = False  # else each line comes twice
    for text in (".*logs directory.*not empty", ".*smaller than the logging interval", ".*does not have many workers",
                 ".*treespec.*deprecated", ".*exists and is not empty", ".*in eval mode at the start"):  # fmt: skip
        warnings.filterwarnings("ignore", text)


def find_last(folder: Path, resume: bool) -> Path | None:
    """The checkpoint to go on from; a run is never written over."""
    last = folder / "checkpoints" / "last.ckpt"
    if resume and not last.is_file():
        raise UserError(f"resume={folder}: no checkpoints/last.ckpt in there; start the run without resume")
    if last.is_file() and not resume and "LOCAL_RANK" not in os.environ:  # other ranks start after the first
        raise UserError(f"{folder} holds a run: go on with it by resume={folder}, or choose another name=")
    return last if resume else None


def continued(cfg: DictConfig, folder: Path) -> DictConfig:
    """The configuration of the run, with what the command line says on top of it."""
    run = OmegaConf.create(load_config(folder))
    for override in HydraConfig.get().overrides.task:
        key = override.lstrip("+").split("=")[0]
        if key in ("resume", "debug"):
            continue
        if OmegaConf.select(run, key, default=MISSING) is MISSING:
            raise UserError(f"{override}: {folder} has no setting {key}, and groups cannot be changed by resume")
        OmegaConf.update(run, key, OmegaConf.select(cfg, key))
    return run


def build_trainer(cfg: DictConfig, folder: Path, encoder):
    """The trainer with its callbacks and loggers."""
    from lightning.pytorch.callbacks import LearningRateMonitor

    from motion_lightning.callbacks.ema import EMA
    from motion_lightning.callbacks.sampling import SampleClips
    from motion_lightning.callbacks.timing import StepTimer
    from motion_lightning.lit.precision import pick_precision

    callbacks = []
    if cfg.callbacks.samples:  # before the averaging, whose hook would put the raw weights back
        callbacks.append(
            SampleClips(
                task=instantiate(cfg.task),
                encoder=encoder,
                sampling=instantiate(cfg.sampler),
                folder=folder,
                **instantiate(cfg.callbacks.samples),
            )
        )
    callbacks += [instantiate(node) for node in cfg.callbacks.values() if node and "_target_" in node]
    if cfg.callbacks.ema:
        callbacks.append(EMA(**cfg.callbacks.ema))
    callbacks += [LearningRateMonitor("step"), StepTimer(folder), *savers(folder / "checkpoints")]
    loggers = [
        instantiate(logger, save_dir=str(folder)) for logger in cfg.logger.values() if isinstance(logger, DictConfig)
    ]
    precision = pick_precision(cfg.trainer.precision, cfg.trainer.accelerator)
    return instantiate(
        {**cfg.trainer, "precision": precision},
        callbacks=callbacks,
        logger=loggers,
        default_root_dir=str(folder),
    )


def keep_metrics(trainer, folder: Path, last: Path | None) -> None:
    """Lightning's CSV logger starts its file anew; put the rows from before the checkpoint back."""
    from lightning.pytorch.loggers import CSVLogger

    from motion_lightning.assemble import read_checkpoint

    file = folder / "metrics.csv"
    if last is None or not file.is_file() or not trainer.is_global_zero:
        return
    step = read_checkpoint(last)["global_step"]
    with file.open(newline="") as lines:
        rows = [{k: v for k, v in row.items() if v != ""} for row in csv.DictReader(lines)]
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            logger.experiment.metrics.extend(row for row in rows if int(row["step"]) < step)


def savers(folder: Path) -> list:
    """``best`` by validation loss, and ``last``: Lightning's ``save_last`` omits what is not the best."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    every_epoch = {"enable_version_counter": False, "save_on_train_epoch_end": True}
    return [
        ModelCheckpoint(folder, "best", monitor="val/loss", **every_epoch),
        ModelCheckpoint(folder, "last", **every_epoch),
    ]


def finish(trainer) -> None:
    """Leave nothing behind that a second job in this process would trip over."""
    import torch

    for logger in trainer.loggers:
        if hasattr(logger, "log_video") and trainer.is_global_zero:  # W&B's
            logger.experiment.finish()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    train()

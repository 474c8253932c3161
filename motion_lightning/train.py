"""``python -m motion_lightning.train``: train a denoiser, then score and show it."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from motion_lightning.config import instantiate, main, run_dir, save_config, to_plain

log = logging.getLogger(__name__)


@main("train")
def train(cfg: DictConfig) -> None:
    """Prepare the corpus if need be, train, score the last weights, write the report."""
    from motion_lightning.prepare import ensure_store

    store_path = ensure_store(cfg)
    folder = run_dir()
    config = {**to_plain(cfg), "store": str(store_path)}

    import lightning as L
    import torch

    from motion_lightning.assemble import build_model, fit_statistics
    from motion_lightning.data.store import Store
    from motion_lightning.lit.diffusion import DiffusionModule

    L.seed_everything(cfg.seed, workers=True, verbose=False)
    torch.set_float32_matmul_precision("high")
    store = Store.open(store_path)
    encoder = instantiate(cfg.text_encoder)
    datamodule = instantiate(cfg.loader, store=store)
    model = build_model(cfg, encoder.dim)
    fit_statistics(model, store)
    module = DiffusionModule(model, instantiate(cfg.optimizer), config=config, **instantiate(cfg.training))
    trainer = build_trainer(cfg, folder, encoder, model)
    if trainer.is_global_zero:
        save_config(config, folder)
        log.info("%s parameters, %s", f"{sum(p.numel() for p in model.parameters()):,}", trainer.precision)

    last = folder / "checkpoints" / "last.ckpt"
    trainer.fit(
        module, datamodule, ckpt_path=last if cfg.resume and last.is_file() else None, weights_only=True
    )
    finish(trainer, module)
    if trainer.is_global_zero and cfg.evaluate:
        from motion_lightning.evaluate import evaluate_run

        evaluate_run(folder, **instantiate(cfg.evaluate))
    if trainer.is_global_zero:
        log.info("the run is in %s: open %s\nnext: python -m motion_lightning.sample run=%s prompt=\"a person waves\"",
                 folder, folder / "report.html", folder)  # fmt: skip


def build_trainer(cfg: DictConfig, folder: Path, encoder, model):
    """The trainer with its callbacks and loggers."""
    from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint

    from motion_lightning.callbacks.ema import EMA
    from motion_lightning.callbacks.sampling import SampleMotions
    from motion_lightning.lit.precision import pick_precision

    callbacks = []
    if cfg.callbacks.samples:  # before the averaging, whose hook would put the raw weights back
        callbacks.append(
            SampleMotions(
                encoder=encoder,
                sampling=instantiate(cfg.sampler),
                folder=folder,
                **instantiate(cfg.callbacks.samples),
            )
        )
    if cfg.callbacks.ema:
        callbacks.append(EMA(**cfg.callbacks.ema))
    callbacks += [
        LearningRateMonitor("step"),
        ModelCheckpoint(
            folder / "checkpoints", "best", monitor="val/loss", save_last=True,
            enable_version_counter=False, save_on_train_epoch_end=True,
        ),
    ]  # fmt: skip
    loggers = [instantiate(logger, save_dir=str(folder)) for logger in cfg.logger.values() if logger]
    precision = pick_precision(cfg.trainer.precision, cfg.trainer.accelerator)
    return instantiate(
        {**cfg.trainer, "precision": precision},
        callbacks=callbacks,
        logger=loggers,
        default_root_dir=str(folder),
    )


def finish(trainer, module) -> None:
    """Leave nothing behind that a second job in this process would trip over."""
    import torch

    for logger in trainer.loggers:
        if hasattr(logger, "log_video"):
            import wandb

            wandb.finish(quiet=True)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    train()

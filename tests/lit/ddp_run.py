"""Trains a tiny model for two epochs on a number of CPU processes; run as ``ddp_run.py STORE OUT PROCESSES``.

Every rank leaves in OUT what it drew, its losses and its last weights.
"""

import sys
from functools import partial
from pathlib import Path

import lightning as L
import torch

from motion_lightning.assemble import fit_statistics
from motion_lightning.callbacks.ema import EMA
from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.data.store import Store
from motion_lightning.diffusion.precondition import Wiener
from motion_lightning.diffusion.process import Process
from motion_lightning.lit.diffusion import DiffusionModule
from motion_lightning.metrics.skill import FrameWiener
from motion_lightning.models.dit import DiT
from motion_lightning.pipeline import Diffusion
from motion_lightning.train import finish, savers


class Record(L.Callback):
    """What this rank's training steps saw."""

    def __init__(self):
        self.steps = []

    def on_fit_start(self, trainer, module):
        compute = module.compute_loss

        def recorded(batch, t, eps, drop, importance):
            loss = compute(batch, t, eps, drop, importance)
            row = {"clip": batch.info.clip, "t": t, "eps": eps, "drop": drop, "per_sample": loss.per_sample}
            self.steps.append(row)
            return loss

        module.compute_loss = recorded


def run(store: Path, out: Path, processes: int) -> None:
    store = Store.open(store)
    torch.manual_seed(0)
    codec = FeatureCodec()
    precondition = Wiener(Process(steps=100), *codec.shape)
    denoiser = DiT(*codec.shape, store.texts.width, width=32, depth=2, heads=2)
    model = Diffusion(denoiser, precondition, codec)
    linear = FrameWiener.of(fit_statistics(model, store), model.process)
    # Plain descent: Adam would blow up the rounding of a gradient that is nearly zero.
    optimizer = partial(torch.optim.SGD, lr=0.1)
    module = DiffusionModule(model, optimizer, linear, warmup=2, cond_drop=0.3, seed=7)
    data = MotionDataModule(
        store, batch_size=4, val_batch_size=2, steps_per_epoch=4, max_frames=40, seed=7
    )  # fmt: skip
    record = Record()
    trainer = L.Trainer(
        accelerator="cpu", devices=processes, strategy="ddp" if processes > 1 else "auto", max_epochs=2,
        callbacks=[EMA(0.9), record, *savers(out)], logger=False, num_sanity_val_steps=0,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module, data)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    left = {"steps": record.steps, "weights": module.state_dict(), "metrics": metrics}
    torch.save(left, out / f"rank{trainer.global_rank}.pt")
    finish(trainer)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))

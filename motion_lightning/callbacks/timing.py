"""How long a training step takes, and what a training took."""

import json
import statistics
import time
from pathlib import Path

import lightning as L
import torch


class StepTimer(L.Callback):
    """Times training steps, from batch to batch, without validations, samples and checkpoints between them.

    Logs the median of an epoch as ``train/step_seconds``, and after every epoch writes ``<run>/training.json``:
    trained parameters, optimizer steps, wall seconds over all sittings of a run, seconds a step, device, precision.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path):
        self.file = Path(folder) / "training.json"
        self.epoch = []  # seconds of each batch
        self.last, self.begun, self.before = None, 0.0, 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.begun = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epoch, self.last = [], None

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.last = None  # also a validation in the middle of an epoch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if self.last is None:
            self.last = time.perf_counter()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        # A GPU runs behind its host, but from one batch to the next the host waits for it as long as a step takes.
        now = time.perf_counter()
        self.epoch.append(now - self.last)
        self.last = now

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.epoch:
            return
        seconds = statistics.median(self.epoch) * trainer.accumulate_grad_batches
        pl_module.log("train/step_seconds", seconds, rank_zero_only=True)
        if trainer.is_global_zero:
            self.write(trainer, pl_module, seconds)

    def write(self, trainer: L.Trainer, pl_module: L.LightningModule, seconds_per_step: float) -> None:
        """What is known by now, whole or not at all."""
        device = pl_module.device
        facts = {
            "parameters": sum(p.numel() for p in pl_module.parameters() if p.requires_grad),
            "steps": trainer.global_step,
            "seconds": round(self.seconds, 1),
            "seconds_per_step": float(f"{seconds_per_step:.4g}"),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "devices": trainer.world_size,
            "threads": torch.get_num_threads(),
            "precision": str(trainer.precision),
        }
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(facts, indent=1))
        part.replace(self.file)

    @property
    def seconds(self) -> float:
        """Wall time of the training so far, validations and samples too."""
        return self.before + time.perf_counter() - self.begun

    def state_dict(self) -> dict:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict) -> None:
        self.before = state_dict["seconds"]

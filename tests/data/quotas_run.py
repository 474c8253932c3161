"""Draws batches with quotas on a number of CPU processes; run as ``quotas_run.py STORE OUT PROCESSES STEPS``.

Every rank leaves the clips of its steps in OUT.
"""

import sys
from pathlib import Path

import lightning as L
import torch

from motion_lightning.data.datamodule import MotionDataModule


class Draws(L.LightningModule):
    """Trains one weight, so that there is something to train, and writes down what it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.clips = []

    def training_step(self, batch, index: int):
        self.clips.append(batch.info.clip.tolist())
        return (self.weight - batch.x.mean()).square()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def run(store: Path, out: Path, processes: int, steps: int) -> None:
    trainer = L.Trainer(
        accelerator="cpu", devices=processes, strategy="ddp" if processes > 1 else "auto", max_epochs=1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
        use_distributed_sampler=False,
    )  # fmt: skip
    module = Draws()
    data = MotionDataModule(store, batch_size=4, steps_per_epoch=steps, bucket=1, seed=5, quotas="sqrt", clusters=3)
    trainer.fit(module, data)
    torch.save(module.clips, out / f"{processes}-{trainer.global_rank}.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))

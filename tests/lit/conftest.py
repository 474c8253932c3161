"""A LightningModule in small, its data, and trainers that leave nothing behind."""

from functools import partial

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from motion_lightning.assemble import encoded
from motion_lightning.data.batch import Batch
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.lit.diffusion import DiffusionModule
from motion_lightning.metrics.skill import FrameWiener
from motion_lightning.pipeline import Diffusion

EPOCH = 5  # steps
OPTIMIZER = partial(torch.optim.AdamW, lr=3e-3, weight_decay=0.01)


@pytest.fixture(scope="module")
def make_module(make_model, tiny_store):
    def make_module(model: Diffusion | None = None, **options) -> DiffusionModule:
        model = model or make_model()
        linear = FrameWiener.of(encoded(model.codec, tiny_store.split("train"), [0, 1, 2, 3]), model.process)
        return DiffusionModule(model, OPTIMIZER, linear, warmup=3, seed=7, **options)

    return make_module


@pytest.fixture
def data(tiny_store) -> MotionDataModule:
    return MotionDataModule(tiny_store, batch_size=4, val_batch_size=3, steps_per_epoch=EPOCH, max_frames=40, seed=7)


@pytest.fixture
def batch(tiny_store) -> Batch:
    return tiny_store.split("train").collate([0, 1, 2, 3])


def _trainer(epochs: int = 2, callbacks: tuple = (), **options) -> L.Trainer:
    return L.Trainer(
        **{
            "accelerator": "cpu", "devices": 1, "max_epochs": epochs, "logger": False,
            "gradient_clip_val": 1.0, "num_sanity_val_steps": 0, "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": any(isinstance(c, ModelCheckpoint) for c in callbacks),
            "use_distributed_sampler": False, "callbacks": list(callbacks), **options,
        }
    )  # fmt: skip


@pytest.fixture(scope="session")
def trainer():
    """Makes trainers: epochs, callbacks, and options of Lightning's."""
    return _trainer

"""Seconds a step are those of training alone, on a clock that the test turns."""

import json

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from motion_lightning.callbacks import timing
from motion_lightning.callbacks.timing import StepTimer


class Clock:
    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Work(L.LightningModule):
    """Training steps of 2 s, the third of an epoch 9 s; validations of 100 s."""

    def __init__(self, clock: Clock):
        super().__init__()
        self.clock, self.layer = clock, torch.nn.Linear(3, 1)
        self.frozen = torch.nn.Parameter(torch.zeros(50), requires_grad=False)

    def training_step(self, batch, index):
        self.clock.now += 9 if index == 2 else 2
        return self.layer(batch).mean()

    def validation_step(self, batch, index):
        self.clock.now += 100

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture
def fit(monkeypatch, tmp_path):
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)

    def fit(epochs: int, resume: bool = False, **options) -> dict:
        loader = DataLoader(torch.ones(10, 3), batch_size=2)
        trainer = L.Trainer(
            accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, callbacks=[StepTimer(tmp_path)], default_root_dir=tmp_path, **options,
        )  # fmt: skip
        last = tmp_path / "last.ckpt"
        trainer.fit(Work(clock), loader, loader, ckpt_path=last if resume else None)
        trainer.save_checkpoint(last)
        facts = json.loads((tmp_path / "training.json").read_text())
        assert trainer.callback_metrics["train/step_seconds"] == pytest.approx(facts["seconds_per_step"])
        return facts

    return fit


def test_validations_are_not_in_the_time_of_a_step(fit):
    facts = fit(2)
    assert facts["seconds_per_step"] == 2
    assert facts["seconds"] == 2 * (4 * 2 + 9 + 5 * 100)
    assert (facts["steps"], facts["parameters"], facts["device"]) == (10, 4, "cpu")


def test_nor_those_in_the_middle_of_an_epoch(fit):
    assert fit(1, val_check_interval=1)["seconds_per_step"] == 2


def test_a_step_of_several_batches_takes_as_many_times_longer(fit):
    facts = fit(1, accumulate_grad_batches=5)
    assert (facts["seconds_per_step"], facts["steps"]) == (10, 1)


def test_a_resumed_run_adds_up_its_sittings(fit):
    whole = 4 * 2 + 9 + 5 * 100
    assert fit(1)["seconds"] == whole
    facts = fit(2, resume=True)
    assert (facts["seconds"], facts["steps"]) == (2 * whole, 10)

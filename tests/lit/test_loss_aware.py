"""Timesteps that follow the loss, in training itself."""

from functools import partial

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from motion_lightning.callbacks.ema import EMA
from motion_lightning.diffusion.timesteps import LossAware

EAGER = partial(LossAware, history=1)  # 8 timesteps: a few batches teach it


@pytest.fixture
def coarse(make_model, make_module):
    return lambda: make_module(make_model(steps=8), timesteps=EAGER, weight="min_snr", final_lr=1.0)


def test_training_teaches_the_sampler_the_weighted_loss(coarse, data, trainer, monkeypatch):
    module, heard = coarse(), []
    compute = module.compute_loss

    def spy(batch, t, *rest):
        loss = compute(batch, t, *rest)
        heard.append((t, loss.per_sample))
        return loss

    monkeypatch.setattr(module, "compute_loss", spy)
    trainer(2, limit_val_batches=0).fit(module, data)
    expected = LossAware(8, history=1)
    for t, error in heard:
        expected.update(t, module.weights[t] * error)
    assert expected.counts.sum() == sum(len(t) for t, _ in heard)
    torch.testing.assert_close(module.timesteps.losses, expected.losses)
    assert torch.equal(module.timesteps.counts, expected.counts)


def test_a_resumed_run_goes_on_with_the_same_history(coarse, data, trainer, tmp_path):
    """With averaged weights beside it, which have no business with a history."""
    whole = coarse()
    trainer(2, (EMA(0.9),), limit_val_batches=0).fit(whole, data)
    first = coarse()
    saver = ModelCheckpoint(tmp_path, save_last=True, save_on_train_epoch_end=True)
    trainer(1, (EMA(0.9), saver), limit_val_batches=0).fit(first, data)
    resumed = coarse()
    trainer(2, (EMA(0.9),), limit_val_batches=0).fit(resumed, data, ckpt_path=tmp_path / "last.ckpt")
    assert torch.equal(resumed.timesteps.counts, whole.timesteps.counts)
    assert torch.equal(resumed.timesteps.losses, whole.timesteps.losses)

"""Runs of the LightningModule: repeated, stopped and taken up; averaging, samples and learning rate on the way."""

import subprocess
import sys
from itertools import pairwise

import lightning as L
import pytest
import torch

from motion_lightning.callbacks.ema import EMA
from motion_lightning.callbacks.sampling import SampleClips
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.errors import UserError
from motion_lightning.lit.diffusion import DiffusionModule
from motion_lightning.pipeline import Sampling
from motion_lightning.tasks.motion import MotionTask
from motion_lightning.train import savers

EPOCH = 5  # steps


class Stop(L.Callback):
    """The machine goes down while step ``at`` is under way."""

    def __init__(self, at: int):
        self.at = at

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.at:
            raise ConnectionError("power cut")


@pytest.fixture(scope="module")
def run(trainer):
    def run(module: DiffusionModule, data, folder, *more: L.Callback, resume: bool = False) -> L.Trainer:
        fit = trainer(2, (EMA(0.9), *savers(folder), *more))
        fit.fit(module, data, ckpt_path=folder / "last.ckpt" if resume else None, weights_only=True)
        return fit

    return run


@pytest.fixture(scope="module")
def straight(make_module, tiny_store, tmp_path_factory, run) -> dict:
    """The checkpoint of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("straight")
    data = MotionDataModule(tiny_store, batch_size=4, val_batch_size=3, steps_per_epoch=EPOCH, max_frames=40, seed=7)
    run(make_module(config={"name": "tiny", "model": {"width": 32}, "steps": [1, 2]}), data, folder)
    return {
        "path": folder / "last.ckpt",
        "state": torch.load(folder / "last.ckpt", weights_only=True),
    }


def test_checkpoint_is_plain_and_describes_itself(straight):
    """It was loaded with weights_only=True: tensors and containers, nothing that executes."""
    state = straight["state"]
    assert state["config"] == {"name": "tiny", "model": {"width": 32}, "steps": [1, 2]}
    assert state["global_step"] == 2 * EPOCH
    names = state["state_dict"].keys()
    assert {"model.codec.mean", "model.codec.std", "model.precondition.basis"} <= names
    assert all(name.startswith("model.") for name in names)
    averaged, raw = state["state_dict"], state["current_model_state"]
    assert any(not torch.equal(averaged[name], raw[name]) for name in names)
    for name in (
        "codec.mean",
        "codec.std",
        "precondition.basis",
        "precondition.filter",
    ):
        assert torch.equal(averaged["model." + name], raw["model." + name])


@pytest.mark.parametrize("at", [EPOCH, EPOCH + 3])
def test_killed_and_resumed_run_ends_bit_for_bit_the_same(make_module, make_model, data, straight, tmp_path, at, run):
    with pytest.raises(ConnectionError):
        run(make_module(), data, tmp_path, Stop(at))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == EPOCH

    torch.manual_seed(12345)  # another process, in another state, which starts from other weights
    fresh = MotionDataModule(
        data.store.path, batch_size=4, val_batch_size=3, steps_per_epoch=EPOCH, max_frames=40, seed=7
    )
    run(make_module(make_model(seed=99)), fresh, tmp_path, resume=True)
    resumed, state = torch.load(tmp_path / "last.ckpt", weights_only=True), straight["state"]
    for kind in (
        "state_dict",
        "current_model_state",
        "averaging_state",
    ):  # averaged weights, raw weights, count
        assert resumed[kind].keys() == state[kind].keys()
        assert not [name for name in state[kind] if not torch.equal(resumed[kind][name], state[kind][name])]
    moments = zip(*(c["optimizer_states"][0]["state"].values() for c in (resumed, state)), strict=True)
    assert all(torch.equal(one[name], other[name]) for one, other in moments for name in one)
    assert resumed["lr_schedulers"][0]["last_epoch"] == state["lr_schedulers"][0]["last_epoch"] == 2 * EPOCH


def test_a_checkpoint_samples_without_lightning(straight):
    code = f"""
import sys, torch
state = torch.load({str(straight["path"])!r}, weights_only=True)
from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.diffusion.precondition import Wiener
from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.models.dit import DiT
from motion_lightning.pipeline import Diffusion, Sampling
from motion_lightning.train import savers
from motion_lightning.text.condition import TextCond
codec = FeatureCodec()
model = Diffusion(DiT(137, 8, width=32, depth=2, heads=2), Wiener(Process(steps=100), 137), codec)
model.load_state_dict({{name.removeprefix("model."): value for name, value in state["state_dict"].items()}})
cond = TextCond(torch.randn(2, 3, 8), torch.ones(2, 3, dtype=torch.bool), torch.randn(2, 8))
samples = model.eval().sample(cond, [20, 12], Sampling(ddim, 4, 2.0))
assert [len(x) for x in samples] == [20, 12] and all(x.isfinite().all() for x in samples)
print("lightning" in sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (out.returncode, out.stdout.strip()) == (0, "False"), out.stderr


class Weights(L.Callback):
    """Raw weights after every step."""

    def __init__(self):
        self.after = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.after.append(pl_module.model.denoiser.words.null_token.detach().clone())


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_average_warms_up(make_module, data, tmp_path, decay, trainer):
    """The first average is the weights after the first step; then (1 + n) / (10 + n) up to ``decay``."""
    weights, ema, module = Weights(), EMA(decay), make_module(cond_drop=0.5)
    trainer(2, (ema, weights)).fit(module, data)
    average = weights.after[0].double()
    for n, now in enumerate(weights.after[1:], start=1):
        keep = min(decay, (1 + n) / (10 + n))
        average = keep * average + (1 - keep) * now
    torch.testing.assert_close(module.model.denoiser.words.null_token.detach().double(), average, atol=1e-6, rtol=1e-5)
    assert (average - weights.after[-1]).abs().max() > 1e-4


def samples(encoder, folder) -> SampleClips:
    return SampleClips(MotionTask(["a slow wave"]), encoder, Sampling(ddim, 2, 1.0), folder, seconds=1.0)


def test_samples_come_from_averaged_weights(make_module, data, tiny_encoder, tmp_path, monkeypatch, trainer):
    seen, weights, ema = [], Weights(), EMA(0.999)
    callback = samples(tiny_encoder, tmp_path)

    def write(trainer, module):
        seen.append(module.model.denoiser.words.null_token.detach().clone())

    monkeypatch.setattr(callback, "write", write)
    module = make_module(cond_drop=0.5)
    trainer(2, (callback, ema, weights)).fit(module, data)
    assert len(seen) == 2
    assert torch.equal(seen[1], module.model.denoiser.words.null_token)  # after the last step: the average
    assert not torch.equal(seen[1], weights.after[-1])


def test_samples_after_the_averaging_are_refused(make_module, data, tiny_encoder, tmp_path, trainer):
    with pytest.raises(UserError, match="put it before"):
        trainer(1, (EMA(), samples(tiny_encoder, tmp_path))).fit(make_module(), data)


def test_learning_rate_warms_up_and_comes_down(make_module, data, trainer):
    rates = []

    class Rates(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"] / 3e-3)

    trainer(2, (Rates(),), limit_val_batches=0).fit(make_module(final_lr=0.1), data)
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1]) and rates[3] == pytest.approx(1)
    assert all(a > b for a, b in pairwise(rates[3:])) and 0.1 < rates[-1] < 0.2

"""Training of LEAD's projector on latents of a VAE that stays as it is."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from motion_lightning.callbacks.ema import EMA
from motion_lightning.codecs.latent import Autoencoder
from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.codecs.motion_latent import MotionLatents
from motion_lightning.codecs.realigned import Realignment
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.lit.latents import all_latents
from motion_lightning.lit.projector import ProjectorModule, fitted_divergence, parts
from motion_lightning.lit.vae import VAEModule
from motion_lightning.models.mld import MotionVAE
from motion_lightning.models.projector import Projector
from motion_lightning.tasks.motion import MotionTask

WEIGHTS = {"align": 10.0, "reconstruction": 1.0, "variance": 0.1}
OPTIMIZER = partial(torch.optim.AdamW, lr=3e-3, weight_decay=0.1)
SIZE = {"width": 32, "depth": 1, "heads": 2, "ff": 64}


def vae() -> MotionVAE:
    torch.manual_seed(0)
    return MotionVAE(67, 2, 4, width=16, depth=1, heads=2, ff=32, dropout=0.0, places=64)


@pytest.fixture(scope="module")
def loader(tiny_store):
    return partial(MotionDataModule, tiny_store, batch_size=8, steps_per_epoch=20)


@pytest.fixture(scope="module")
def vae_run(tmp_path_factory, trainer, loader) -> Path:
    """A run of forty steps."""
    folder = tmp_path_factory.mktemp("runs") / "vae"
    module = VAEModule(Autoencoder(vae(), FeatureCodec("essential")), OPTIMIZER, config={}, kl_weight=1e-4)
    module.model.codec.fit(loader().store)
    saver = ModelCheckpoint(folder / "checkpoints", "last", save_on_train_epoch_end=True)
    trainer(2, (saver,), default_root_dir=folder).fit(module, loader())
    return folder


@pytest.fixture(scope="module")
def codec(vae_run, tiny_store) -> MotionLatents:
    codec = MotionLatents(vae(), FeatureCodec("essential"), str(vae_run))
    codec.fit(tiny_store)
    return codec


@pytest.fixture
def make(codec):
    def make(kind: str = "transformer", weights: dict | None = None, **options) -> ProjectorModule:
        torch.manual_seed(0)
        model = Realignment(Projector(2, 4, 8, kind, **SIZE), codec)
        return ProjectorModule(model, OPTIMIZER, WEIGHTS | (weights or {}), warmup=5, **options)

    return make


def test_the_divergence_is_that_of_normals_fitted_to_both_batches():
    z, z_hat = torch.randn(50, 2, 3), 0.3 * torch.randn(50, 2, 3) + 0.2
    fitted = [torch.distributions.Normal(x.mean(0), x.std(0, correction=0)) for x in (z, z_hat)]
    wanted = torch.distributions.kl_divergence(*fitted)
    torch.testing.assert_close(fitted_divergence(z, z_hat), wanted.mean())
    assert fitted_divergence(z, z) == 0


def test_the_divergence_grows_as_reconstructions_become_one_and_their_order_is_nothing_to_it():
    z = torch.randn(64, 1, 8, dtype=torch.float64)
    costs = [fitted_divergence(z, share * z) for share in (1.0, 0.9, 0.5, 0.1, 0.0)]
    assert costs == sorted(costs) and torch.stack(costs).isfinite().all()
    torch.testing.assert_close(fitted_divergence(z, z.flip(0)), torch.zeros((), dtype=z.dtype))


def test_the_parts_are_cosine_and_squared_error():
    z, z_hat, text = torch.randn(5, 2, 4), torch.randn(5, 2, 4), torch.randn(5, 8)
    p = torch.randn(5, 8)
    costs = parts(z, p, z_hat, text)
    cosine = (p * text).sum(1) / p.norm(dim=1) / text.norm(dim=1)
    torch.testing.assert_close(costs.align, 1 - cosine.mean())
    torch.testing.assert_close(costs.reconstruction, (z - z_hat).square().sum() / 40)
    torch.testing.assert_close(parts(z, 3 * text, z, text).align, torch.zeros(()), atol=1e-6, rtol=0)


def test_latents_are_those_of_each_clip_whatever_it_is_batched_with(codec, tiny_store):
    split = tiny_store.split("train")
    table = all_latents(codec, split)
    for i in (0, 7, 15):
        torch.testing.assert_close(table[i], codec.encode(split.collate([i]))[0][0], atol=1e-4, rtol=1e-3)
    cut = all_latents(codec, split, max_frames=20)
    torch.testing.assert_close(cut[3], codec.encode(split.collate([3], max_frames=20))[0][0], atol=1e-4, rtol=1e-3)
    assert not torch.allclose(cut[3], table[3], atol=1e-3)


@pytest.mark.parametrize("kind", ["transformer", "mlp"])
def test_held_out_clips_are_near_their_captions_and_come_back(kind, make, trainer, loader, tmp_path):
    """Nearer than to the captions of others, and with an error far below the variance of z, which is 1."""
    fit, module = trainer(8, default_root_dir=tmp_path), make(kind)
    before = trainer().validate(make(kind), loader(), verbose=False)[0]
    fit.fit(module, loader())
    after = {name: value.item() for name, value in fit.callback_metrics.items()}
    assert after["val/align"] < 0.7 * after["val/stranger"]
    assert after["val/reconstruction"] < 0.35 < before["val/reconstruction"]
    assert after["val/loss"] == pytest.approx(
        10 * after["val/align"] + after["val/reconstruction"] + 0.1 * after["val/variance"], rel=1e-5
    )


def test_reconstruction_alone_aligns_nothing_and_brings_more_back(make, trainer, loader, tmp_path):
    scores = []
    for weights in ({}, {"align": 0.0, "variance": 0.0}):
        fit = trainer(5, default_root_dir=tmp_path)
        fit.fit(make("mlp", weights), loader())
        scores.append({name: value.item() for name, value in fit.callback_metrics.items()})
    whole, alone = scores
    assert alone["train/reconstruction"] < whole["train/reconstruction"]
    assert alone["val/align"] > whole["val/align"] + 0.2
    assert alone["val/loss"] == pytest.approx(alone["val/reconstruction"], rel=1e-5)


def test_the_vae_gets_no_gradient_and_stays_bit_for_bit(make, trainer, loader, tmp_path):
    """Under weight decay and averaging, also in the checkpoint; every number of the projector moves."""
    module = make()
    before = {name: value.clone() for name, value in module.model.state_dict().items()}
    saver = ModelCheckpoint(tmp_path, "last", save_on_train_epoch_end=True)
    trainer(1, (EMA(0.9), saver), default_root_dir=tmp_path).fit(module, loader())
    assert not module.model.codec.vae.training
    assert all(p.grad is None and not p.requires_grad for p in module.model.codec.parameters())
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    for state in (module.model.state_dict(), {name.removeprefix("model."): value for name, value in saved.items()}):
        assert {*before} <= {*state}
        for name, value in before.items():
            assert torch.equal(state[name], value) == name.startswith("codec."), name


def test_a_run_goes_on_as_if_it_had_not_stopped(make, trainer, loader, tmp_path):
    whole, stopped, resumed = (make("mlp") for _ in range(3))
    trainer(2, default_root_dir=tmp_path).fit(whole, loader())
    saver = ModelCheckpoint(tmp_path, "last", save_on_train_epoch_end=True)

    class Stop(Exception):
        pass

    start = stopped.on_train_epoch_start

    def stop():
        start()
        if stopped.trainer.current_epoch == 1:
            raise Stop

    stopped.on_train_epoch_start = stop
    with pytest.raises(Stop):
        trainer(2, (saver,), default_root_dir=tmp_path).fit(stopped, loader())
    trainer(2, default_root_dir=tmp_path).fit(resumed, loader(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_validation_is_of_the_whole_split_whatever_the_size_of_its_batches(make, trainer, loader):
    one, other = (trainer().validate(make(), loader(val_batch_size=size), verbose=False)[0] for size in (2, 64))
    assert one == pytest.approx(other, rel=1e-5)


def test_the_space_is_shown_before_and_after(make, trainer, loader, tmp_path):
    trainer(1, default_root_dir=tmp_path).fit(make(task=MotionTask()), loader())
    figures = json.loads((tmp_path / "space.json").read_text())
    assert {*figures} == {"cosine", "reconstruction", "variance", "retrieval"}  # labels are too rare for purity
    assert (tmp_path / "space.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "samples" / "space.html").read_text()
    assert "nearest, realigned" in page and "nearest caption" in page and "data:image/png" in page

"""Latents of whole motions: a VAE by smooth L1 of features and joints, and a model of its latents around it."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint

from motion_lightning.callbacks.ema import EMA
from motion_lightning.codecs.latent import Autoencoder, clips_of, differences
from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.codecs.motion_latent import MotionLatents
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.diffusion.precondition import Plain
from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.errors import UserError
from motion_lightning.lit.diffusion import DiffusionModule
from motion_lightning.lit.losses import smooth_position
from motion_lightning.lit.vae import VAEModule
from motion_lightning.metrics.reconstruction import global_mpjpe, mpjpe
from motion_lightning.models.mld import MLD, MotionVAE
from motion_lightning.pipeline import Diffusion, Sampling

SIZE = {"width": 16, "depth": 3, "heads": 2, "ff": 32, "dropout": 0.0}
TOKENS, LATENT = 3, 5
OPTIMIZER = partial(torch.optim.AdamW, lr=3e-3, weight_decay=0.1)
JOINTS = {"joints": {"weight": 2.0, "loss": smooth_position}}


def make_vae() -> MotionVAE:
    torch.manual_seed(0)
    return MotionVAE(137, TOKENS, LATENT, patch=4, norm_first=True, **SIZE)


def make(store, **options) -> VAEModule:
    codec = FeatureCodec()
    codec.fit(store)
    config = {"trained_on": clips_of(store)}
    return VAEModule(Autoencoder(make_vae(), codec), OPTIMIZER, config=config, losses=JOINTS, **options)


@pytest.fixture(scope="module")
def loader(tiny_store):
    return partial(MotionDataModule, tiny_store, batch_size=8, steps_per_epoch=4)


@pytest.fixture(scope="module")
def vae_run(tmp_path_factory, trainer, loader, tiny_store) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "vae"
    saver = ModelCheckpoint(folder / "checkpoints", "last", save_on_train_epoch_end=True)
    trainer(1, (EMA(0.9), saver)).fit(make(tiny_store, reconstruction="smooth_l1"), loader())
    return folder


@pytest.fixture
def codec(vae_run, tiny_store) -> MotionLatents:
    codec = MotionLatents(make_vae(), FeatureCodec(), str(vae_run))
    codec.fit(tiny_store)
    return codec


@pytest.fixture
def model(codec, tiny_encoder) -> Diffusion:
    torch.manual_seed(0)
    denoiser = MLD(LATENT, tiny_encoder.dim, **SIZE)
    return Diffusion(denoiser, Plain(Process("scaled_linear", 100), LATENT, "eps"), codec)


def test_the_loss_is_smooth_l1_of_features_and_of_joints(tiny_store):
    module, batch = make(tiny_store, reconstruction="smooth_l1", kl_weight=0.3), tiny_store.split("val").collate([0, 1])
    cost = module.compute_cost(batch, torch.zeros_like)
    codec, (x, mask) = module.model.codec, module.model.codec.encode(batch)
    x_hat = module.model.reconstruct(x, mask)
    for i, valid in enumerate(mask):
        mine, real = x_hat[i, valid], x[i, valid]
        torch.testing.assert_close(cost.reconstruction[i], F.smooth_l1_loss(mine, real))
        torch.testing.assert_close(cost.losses["joints"][i], F.smooth_l1_loss(codec.joints(mine), codec.joints(real)))
    total = cost.reconstruction + 0.3 * cost.divergence + 2.0 * cost.losses["joints"]
    torch.testing.assert_close(module.total(cost), total)


def test_another_distance_is_refused_by_name(tiny_store):
    with pytest.raises(UserError, match=r"training\.reconstruction=absolute .* squared, smooth_l1"):
        make(tiny_store, reconstruction="absolute")


def test_joint_errors_are_those_of_single_clips_in_millimetres(tiny_store):
    module, batch = make(tiny_store), tiny_store.split("val").collate([0, 1, 2])
    with torch.no_grad():
        errors = module.joint_errors(batch)
        x, mask = module.model.codec.encode(batch)
        x_hat = module.model.reconstruct(x, mask)
    for i, valid in enumerate(mask):
        ours, real = (module.model.codec.joints(clip[i, valid]).numpy() for clip in (x_hat, x))
        assert errors["joint_mm"][i].item() == pytest.approx(1000 * global_mpjpe(ours, real), rel=1e-4)
        assert errors["pose_mm"][i].item() == pytest.approx(1000 * mpjpe(ours, real), rel=1e-4)


def test_they_are_logged_over_the_validation_clips(trainer, loader, tiny_store):
    fit = trainer(1)
    fit.fit(make(tiny_store), loader())
    assert {"val/joint_mm", "val/pose_mm", "val/joints", "val/divergence"} <= fit.callback_metrics.keys()
    assert fit.callback_metrics["val/joint_mm"] > 0


def test_every_number_of_every_token_has_mean_0_and_variance_1(codec, tiny_store):
    x = torch.cat([codec.encode(batch)[0] for batch in tiny_store.split("train").iter_batches(5)])
    assert x.shape == (16, TOKENS, LATENT)
    torch.testing.assert_close(x.mean(0), torch.zeros(TOKENS, LATENT), atol=1e-3, rtol=0)
    torch.testing.assert_close(x.var(0, correction=0), torch.ones(TOKENS, LATENT), atol=1e-2, rtol=0)
    assert codec.std.shape == (TOKENS, LATENT) and not torch.allclose(codec.std[0], codec.std[1])


@pytest.mark.parametrize("frames", [1, 7, 40, 201])
def test_latents_become_motions_of_any_length(codec, tiny_store, frames):
    x, mask = codec.encode(tiny_store.split("val").collate([0]))
    motion = codec.finish(x[0], frames)
    assert motion.shape == (frames, 137) and mask.shape == (1, TOKENS)
    assert codec.joints(motion).isfinite().all()


def test_finishing_x_is_what_the_vae_says_of_the_motion(codec, tiny_store):
    batch = tiny_store.split("val").collate([0, 1])
    x, _ = codec.encode(batch)
    motions, mask = codec.codec.encode(batch)
    want = Autoencoder(codec.vae, codec.codec).reconstruct(motions, mask)
    for i, valid in enumerate(mask):
        torch.testing.assert_close(codec.finish(x[i], int(valid.sum())), want[i, valid], atol=1e-4, rtol=1e-4)


def test_the_vae_gets_no_gradient_and_stays_bit_for_bit_through_the_second_stage(model, trainer, loader, tmp_path):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    module = DiffusionModule(model, OPTIMIZER, space="target", config={"text_dim": 8})
    saver = ModelCheckpoint(tmp_path, "last", save_on_train_epoch_end=True)
    trainer(1, (EMA(0.9), saver)).fit(module, loader())
    assert all(p.grad is None and not p.requires_grad for p in model.codec.vae.parameters())
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    for state in (model.state_dict(), {name.removeprefix("model."): value for name, value in saved.items()}):
        assert all(torch.equal(state[name], value) for name, value in before.items() if name.startswith("codec."))
    assert not torch.equal(before["denoiser.null"], model.denoiser.null)


def test_samples_are_motions_of_the_asked_length(model, tiny_store):
    cond = tiny_store.split("val").collate([0, 1]).cond
    samples = model.eval().sample(cond, [9, 30], Sampling(ddim, 3, 2.0))
    assert [tuple(sample.shape) for sample in samples] == [(9, 137), (30, 137)]
    joints = model.codec.reconciled(samples[1]).numpy()
    assert joints.shape == (30, 22, 3) and np.isfinite(joints).all()


def test_a_vae_of_other_clips_is_refused_with_what_was_found_and_expected(vae_run, tiny_store, tmp_path):
    state = torch.load(vae_run / "checkpoints" / "last.ckpt", weights_only=True)
    state["config"]["trained_on"] |= {"corpus": "bvh", "skeleton": "kit21", "features": [251]}
    (tmp_path / "checkpoints").mkdir()
    torch.save(state, tmp_path / "checkpoints" / "last.ckpt")
    codec = MotionLatents(make_vae(), FeatureCodec(), str(tmp_path))
    with pytest.raises(UserError, match=r"codec\.run=.* is a VAE of other clips") as refused:
        codec.fit(tiny_store)
    for said in ("corpus bvh, expected smooth", "skeleton kit21, expected humanml22", "features [251], expected [263]"):
        assert said in str(refused.value)


def test_differences_name_the_settings_that_differ():
    found, expected = {"source": {"train": 4000, "seed": 0}}, {"source": {"train": 12, "seed": 0, "texts": 3}}
    assert differences(found, expected) == ["train 4000, expected 12", "texts nothing, expected 3"]
    assert differences(expected, expected) == differences(None, expected) == []

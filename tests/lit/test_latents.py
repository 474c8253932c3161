"""A model of latents, of a VAE that is trained first and then left alone."""

from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from motion_lightning.assemble import load_run
from motion_lightning.callbacks.ema import EMA
from motion_lightning.codecs.image import ImageCodec
from motion_lightning.codecs.latent import Autoencoder, LatentCodec
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.data.store import Store
from motion_lightning.diffusion.linear_skip import LinearSkip
from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.errors import UserError
from motion_lightning.lit.diffusion import DiffusionModule
from motion_lightning.lit.vae import VAEModule
from motion_lightning.models.image_vae import ImageVAE
from motion_lightning.models.unet2d import UNet2d
from motion_lightning.pipeline import Diffusion, Sampling

PACKAGE = "motion_lightning."
VAE = {"_target_": PACKAGE + "models.image_vae.ImageVAE", "channels": 1, "size": 8, "width": 8}
PICTURES = {"_target_": PACKAGE + "codecs.image.ImageCodec", "channels": 1, "size": 8}


def optimizer(parameters):
    return torch.optim.AdamW(parameters, 3e-3, weight_decay=0.1)


@pytest.fixture(scope="module")
def loader(fours):
    return partial(MotionDataModule, fours, batch_size=16, steps_per_epoch=8, multiple_of=1)


@pytest.fixture(scope="module")
def vae_run(tmp_path_factory, trainer, loader) -> Path:
    """A run of eight steps."""
    folder = tmp_path_factory.mktemp("runs") / "vae"
    torch.manual_seed(0)
    module = VAEModule(Autoencoder(ImageVAE(1, 8, width=8), ImageCodec(1, 8)), optimizer, config={})
    saver = ModelCheckpoint(folder / "checkpoints", "last", save_on_train_epoch_end=True)
    trainer(1, (EMA(0.9), saver), default_root_dir=folder).fit(module, loader())
    return folder


@pytest.fixture
def codec(vae_run, fours) -> LatentCodec:
    codec = LatentCodec(ImageVAE(1, 8, width=8), ImageCodec(1, 8), str(vae_run))
    codec.fit(fours)
    return codec


@pytest.fixture
def model(codec, tiny_encoder) -> Diffusion:
    torch.manual_seed(0)
    denoiser = UNet2d(**codec.sizes, text_dim=tiny_encoder.dim, width=8, heads=2)
    return Diffusion(denoiser, LinearSkip(Process("linear", 100), 32), codec)


def all_x(codec: LatentCodec, store: Store) -> torch.Tensor:
    return torch.cat([codec.encode(batch)[0] for batch in store.split("train").iter_batches(50, multiple_of=1)])


def test_latents_have_mean_0_and_variance_1_in_every_channel(codec, fours):
    x = all_x(codec, fours).transpose(0, 2).flatten(1)  # (channels, N)
    assert x.shape[0] == 2
    torch.testing.assert_close(x.mean(1), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.var(1, correction=0), torch.ones(2), atol=1e-3, rtol=0)
    assert not torch.allclose(codec.std, torch.ones_like(codec.std), atol=0.05)  # the VAE did not see to that


def test_decoding_x_is_decoding_the_latents(codec, fours):
    batch = fours.split("val").collate(range(4), multiple_of=1)
    x, mask = codec.encode(batch)
    direct = codec.vae.decode(codec.vae.encode(batch.x, mask)[0].mean)
    torch.testing.assert_close(codec.decode(x), direct, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(codec.decode(x[2]), direct[2], atol=1e-5, rtol=1e-5)
    assert codec.pictures(x[0]).shape == (1, 1, 8, 8) and codec.pictures(x).dtype == torch.uint8


def test_what_is_decoded_is_the_end_of_the_walk(model, fours, tiny_encoder):
    """z_0, of which an oracle knows what it is, not the noise z_T that sampling starts from."""
    batch = fours.split("val").collate([0], multiple_of=1)
    x0, _ = model.codec.encode(batch)
    seen = []

    class Oracle(nn.Module):
        def encode(self, cond, mask, drop):
            return None

        def forward(self, x_t, t, ctx, mask):
            seen.append(x_t)
            return model.precondition(x_t, t, mask).target(x0.expand_as(x_t))

    oracle = Diffusion(Oracle(), model.precondition, model.codec)
    (z,) = oracle.sample(batch.cond, [1], Sampling(ddim, 20, 1.0))
    torch.testing.assert_close(z, x0[0], atol=1e-3, rtol=1e-3)
    assert torch.equal(model.codec.pictures(z), model.codec.pictures(x0[0]))
    assert not torch.equal(model.codec.pictures(seen[0][0]), model.codec.pictures(x0[0]))


def test_the_vae_gets_no_gradient_and_stays_bit_for_bit(model, trainer, loader, tmp_path):
    """Under weight decay, averaging and validation; what is trained around it moves."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    module = DiffusionModule(model, optimizer, space="target", config={"text_dim": 8})
    saver = ModelCheckpoint(tmp_path, "last", save_on_train_epoch_end=True)
    trainer(1, (EMA(0.9), saver)).fit(module, loader())
    assert not model.codec.vae.training
    assert all(p.grad is None and not p.requires_grad for p in model.codec.vae.parameters())
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    for state in (model.state_dict(), {name.removeprefix("model."): value for name, value in saved.items()}):
        for name, value in before.items():
            if name.startswith("codec."):
                assert torch.equal(state[name], value), name
    assert not torch.equal(before["denoiser.null"], model.denoiser.null)


def test_gradients_pass_through_the_decoder_to_x(codec):
    x = torch.randn(2, 1, *codec.shape, requires_grad=True)
    codec.decode(x).square().sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None for p in codec.vae.parameters())


def test_its_checkpoint_needs_no_other_run(model, fours, tmp_path):
    """The VAE's weights and what builds it are in there: one run samples."""
    config = {
        "text_dim": 8,
        "codec": {"_target_": PACKAGE + "codecs.latent.LatentCodec", "vae": VAE, "codec": PICTURES, "run": "gone"},
        "model": {"_target_": PACKAGE + "models.unet2d.UNet2d", "width": 8, "heads": 2},
        "diffusion": {
            "process": {"_target_": PACKAGE + "diffusion.process.Process", "schedule": "linear", "steps": 100},
            "precondition": {"_target_": PACKAGE + "diffusion.linear_skip.LinearSkip"},
        },
    }
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "config": config, "global_step": 1}, tmp_path / "last.ckpt")
    loaded = load_run(tmp_path / "last.ckpt").model
    cond, sampling = fours.split("val").collate([0, 1], multiple_of=1).cond, Sampling(ddim, 3, 2.0)
    for one, two in zip(
        loaded.sample(cond, [1, 1], sampling), model.eval().sample(cond, [1, 1], sampling), strict=True
    ):
        assert torch.equal(loaded.codec.pictures(one), model.codec.pictures(two))


def test_a_model_of_latents_without_its_vae_is_refused_with_both_settings(fours, tmp_path):
    codec = LatentCodec(ImageVAE(1, 8, width=8), ImageCodec(1, 8), str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"codec._target_=LatentCodec .* codec.run=.*none"):
        codec.fit(fours)


def test_a_vae_of_another_shape_is_refused(fours, vae_run):
    codec = LatentCodec(ImageVAE(1, 8, latent_channels=3, width=8), ImageCodec(1, 8), str(vae_run))
    with pytest.raises(UserError, match=r"last\.ckpt is not of this codec\.vae"):
        codec.fit(fours)


def test_a_channel_that_says_nothing_is_refused(codec, fours, monkeypatch):
    def load():
        with torch.no_grad():
            codec.vae.encoder[-1].weight.zero_()

    monkeypatch.setattr(codec, "load", load)
    with pytest.raises(UserError, match="2 of 2 channels of the latents do not vary"):
        codec.fit(fours)

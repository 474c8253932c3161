"""Training of VAEs."""

from functools import partial

import pytest
import torch

from motion_lightning.codecs.image import ImageCodec
from motion_lightning.codecs.latent import Autoencoder
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.diffusion.timesteps import fixed_noise
from motion_lightning.lit.vae import VAEModule
from motion_lightning.models.image_vae import ImageVAE
from motion_lightning.tasks.image import ImageTask

OPTIMIZER = partial(torch.optim.AdamW, lr=5e-3)


def make(**options) -> VAEModule:
    torch.manual_seed(0)
    return VAEModule(Autoencoder(ImageVAE(1, 8, width=8), ImageCodec(1, 8)), OPTIMIZER, warmup=2, **options)


@pytest.fixture
def data(fours) -> MotionDataModule:
    return MotionDataModule(fours, batch_size=16, steps_per_epoch=10, multiple_of=1)


@pytest.fixture
def batch(fours):
    return fours.split("val").collate(range(6), multiple_of=1)


def test_the_loss_is_reconstruction_and_weighted_divergence(batch):
    module = make(kl_weight=0.3)
    cost = module.compute_cost(batch, torch.zeros_like)
    q, _ = module.model.vae.encode(batch.x, batch.mask)
    x_hat = module.model.vae.decode(q.mean)
    torch.testing.assert_close(cost.reconstruction, (x_hat - batch.x).square().flatten(1).mean(1))
    torch.testing.assert_close(cost.divergence, q.divergence().flatten(1).mean(1))
    torch.testing.assert_close(module.total(cost), cost.reconstruction + 0.3 * cost.divergence)


def test_noise_of_the_latents_reaches_the_pictures(batch):
    module = make()
    quiet, loud = (module.compute_cost(batch, lambda like, s=s: s * torch.ones_like(like)) for s in (0, 1))
    assert not torch.equal(quiet.reconstruction, loud.reconstruction)
    assert torch.equal(quiet.divergence, loud.divergence)


def test_every_parameter_gets_a_gradient(batch):
    module = make()
    module.total(module.compute_cost(batch, partial(fixed_noise, batch.info.clip))).sum().backward()
    assert not [name for name, p in module.named_parameters() if p.grad is None]


def test_training_lowers_the_loss_and_repeats_bit_for_bit(trainer, data, fours):
    scores, weights = [], []
    for _ in range(2):
        module, fit = make(), trainer(2)
        before = module.total(
            module.compute_cost(fours.split("val").collate(range(9), multiple_of=1), torch.zeros_like)
        )
        fit.fit(module, data)
        scores.append(fit.callback_metrics["val/loss"].item())
        weights.append(module.model.vae.encoder[0].weight.detach().clone())
    assert scores[0] == scores[1] < 0.8 * before.mean().item()
    assert torch.equal(*weights)


def test_validation_is_a_mean_over_clips_with_noise_of_their_own(trainer, fours):
    """Whatever the size of its batches."""
    losses = []
    for size in (4, 21):
        data = MotionDataModule(fours, val_batch_size=size, multiple_of=1)
        losses.append(trainer().validate(make(), data, verbose=False)[0]["val/loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_reconstructions_stand_beside_the_pictures(trainer, data, tmp_path):
    trainer(1, default_root_dir=tmp_path).fit(make(task=ImageTask()), data)
    page = (tmp_path / "samples" / "reconstructions.html").read_text()
    assert page.count("<img") == 24 and "reconstruction" in page and "real" in page
    assert (tmp_path / "samples" / "reconstructions.png").is_file()

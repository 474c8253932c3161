"""The VAE of pictures."""

import pytest
import torch

from motion_lightning.errors import UserError
from motion_lightning.models.image_vae import Gaussian, ImageVAE


@pytest.mark.parametrize(("size", "latent"), [(8, (2, 4, 4)), (32, (4, 8, 8)), (8, (3, 8, 8))])
def test_pictures_become_latents_of_the_size_asked_for(size, latent):
    vae = ImageVAE(1, size, latent_channels=latent[0], latent_size=latent[1], width=8)
    x, mask = torch.randn(2, 3, 1, size, size), torch.ones(2, 3, dtype=torch.bool)
    q, latent_mask = vae.encode(x, mask)
    assert q.mean.shape == q.log_variance.shape == (2, 3, *latent) == (2, vae.length(3), *vae.shape)
    assert torch.equal(latent_mask, mask)
    assert vae.decode(q.mean, mask).shape == x.shape
    assert vae.sizes == {"channels": latent[0], "size": latent[1]}


def test_the_divergence_is_that_of_gaussians():
    torch.manual_seed(0)
    q = Gaussian(torch.randn(2, 1, 3), torch.randn(2, 1, 3))
    normal = torch.distributions.Normal(q.mean, (0.5 * q.log_variance).exp())
    want = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(q.divergence(), want)
    assert not Gaussian(torch.zeros(2), torch.zeros(2)).divergence().any()


def test_draws_have_its_mean_and_variance():
    q = Gaussian(torch.full((200_000,), 2.0), torch.full((200_000,), -1.0))
    draws = q.sample(torch.randn(200_000, generator=torch.Generator().manual_seed(0)))
    assert draws.mean().item() == pytest.approx(2, abs=0.01)
    assert draws.var().log().item() == pytest.approx(-1, abs=0.02)


def test_frames_know_nothing_of_each_other():
    torch.manual_seed(0)
    vae, x = ImageVAE(1, 8, width=8), torch.randn(2, 3, 1, 8, 8)
    mask = torch.ones(2, 3, dtype=torch.bool)
    together, alone = vae.encode(x, mask)[0].mean, vae.encode(x[:, 1:2], mask[:, 1:2])[0].mean
    torch.testing.assert_close(together[:, 1:2], alone)


@pytest.mark.parametrize("latent_size", [3, 16, 0, 6])
def test_a_latent_that_halving_does_not_reach_is_refused(latent_size):
    with pytest.raises(UserError, match=f"model.latent_size={latent_size}"):
        ImageVAE(1, 8, latent_size=latent_size)


def test_it_learns_to_reconstruct():
    torch.manual_seed(0)
    vae = ImageVAE(1, 8, width=8)
    x, mask = torch.randn(16, 1, 1, 1, 1).expand(-1, -1, -1, 8, 8), torch.ones(16, 1, dtype=torch.bool)
    optimizer, errors = torch.optim.Adam(vae.parameters(), 5e-3), []
    for _ in range(60):
        loss = (vae.decode(vae.encode(x, mask)[0].mean, mask) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    assert errors[-1] < 0.05 * errors[0]

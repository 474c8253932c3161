"""The affine denoiser of pictures."""

import pytest
import torch

from motion_lightning.data.digits import DigitsCorpus
from motion_lightning.diffusion.process import Process
from motion_lightning.metrics.affine import affine_error

LINEAR = Process("linear", 1000)


def test_it_is_the_best_that_two_numbers_can_do():
    """Against least squares of eps on x_t, over many draws."""
    torch.manual_seed(0)
    data = torch.rand(4000, 16, dtype=torch.float64).square() * 2 - 1
    error = affine_error(data, data, LINEAR)
    for t in (20, 200, 600):
        eps = torch.randn_like(data)
        x_t = LINEAR.noise(data, torch.full((len(data),), t), eps).flatten()
        design = torch.stack([x_t, torch.ones_like(x_t)], 1)
        solution = torch.linalg.lstsq(design, eps.flatten()[:, None]).solution
        best = (design @ solution - eps.flatten()[:, None]).square().mean().item()
        assert error[t].item() == pytest.approx(best, rel=0.05)


def test_mnist_gives_a_fifth():
    """Of MNIST it needs the published mean .1307 and deviation .3081 of pixels alone. An error of 0.5 is a failure."""
    mean, deviation = 2 * 0.1307 - 1, 2 * 0.3081
    pixels = torch.tensor([[mean - deviation, mean + deviation]])
    assert affine_error(pixels, pixels, LINEAR).mean().item() == pytest.approx(0.20, abs=0.005)


def test_the_embedded_digits_have_a_mark_of_their_own():
    """Of 8 × 8 pixels more are ink: 0.23, by the closed form on the fours in [-1, 1]."""
    clips = list(DigitsCorpus(only=4).clips())
    train, val = (
        torch.stack([torch.from_numpy(c.features) for c in clips if c.split == split]) / 127.5 - 1
        for split in ("train", "val")
    )
    assert affine_error(train, val, LINEAR).mean().item() == pytest.approx(0.231, abs=0.002)

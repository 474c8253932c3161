"""What a set of slides about DDPM gets wrong, beside the paper's own formulas."""

import pytest
import torch

from motion_lightning.diffusion.process import Process

LINEAR = Process("linear", 1000)


def test_noise_is_scaled_by_the_product_of_alphas_not_by_the_last():
    """One alpha leaves a picture as good as clean at every t; the product of them leaves nothing of it."""
    slip = Process("linear", 1000, cumulative=False)
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    torch.testing.assert_close(slip.alpha_bar, 1 - beta)
    torch.testing.assert_close(LINEAR.alpha_bar, torch.cumprod(1 - beta, 0))
    assert slip.snr(999) == pytest.approx(49, rel=1e-6) and LINEAR.snr(999) < 5e-5


def test_the_noise_that_is_given_is_the_noise_in_x_t():
    """One channel as well as three: nothing is drawn inside, nothing is broadcast."""
    torch.manual_seed(0)
    for channels in (1, 3):
        x0, t = torch.rand(4, 1, channels, 8, 8, dtype=torch.float64), torch.tensor([0, 99, 500, 999])
        eps = torch.randn_like(x0)
        x_t = LINEAR.noise(x0, t, eps)
        assert x_t.shape == x0.shape
        torch.testing.assert_close(LINEAR.convert(eps, "eps", "x0", x_t, t), x0)


def test_the_reverse_step_is_that_of_algorithm_2_with_the_product_under_the_root():
    """(x_t - beta / sqrt(1 - alpha_bar) eps) / sqrt(alpha); its variance is beta (1 - alpha_bar') / (1 - alpha_bar)."""
    torch.manual_seed(0)
    x_t, eps = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    t = torch.tensor([1, 10, 300, 700, 999])
    beta, alpha_bar = (torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)[t], LINEAR.alpha_bar[t])
    q = LINEAR.q_posterior(LINEAR.convert(eps, "eps", "x0", x_t, t), x_t, t, t - 1)
    column = [value[:, None] for value in (beta, alpha_bar, LINEAR.alpha_bar[t - 1])]
    torch.testing.assert_close(q.mean, (x_t - column[0] / (1 - column[1]).sqrt() * eps) / (1 - column[0]).sqrt())
    torch.testing.assert_close(q.variance, column[0] * (1 - column[2]) / (1 - column[1]))
    slip = (x_t - column[0] / column[0].sqrt() * eps) / (1 - column[0]).sqrt()  # 1 - alpha for 1 - alpha_bar
    assert (slip - q.mean).abs().max() > 0.05


def test_a_term_of_the_bound_divides_by_twice_the_variance():
    """KL of two Gaussians of one variance: |difference|² / (2 σ²), which the slides turn over."""
    variance = LINEAR.q_posterior(torch.zeros(1), torch.zeros(1), 500, 499).variance.double().item()
    a, b = (torch.distributions.Normal(mean, variance**0.5) for mean in (torch.tensor(0.0), torch.tensor(0.3)))
    divergence = torch.distributions.kl_divergence(a, b).item()
    assert divergence == pytest.approx(0.3**2 / (2 * variance), rel=1e-5)
    assert divergence != pytest.approx(2 * variance * 0.3**2, rel=0.5)


def test_the_bound_is_below_the_log_likelihood_not_below_the_likelihood():
    """Of Gaussian data all is known in closed form: E[log p/q] ≤ log p(x0), with equality for the true posterior."""
    torch.manual_seed(0)
    a2, x0 = LINEAR.alpha_bar[500], torch.tensor(0.7, dtype=torch.float64)
    normal = torch.distributions.Normal
    x_t = a2.sqrt() * x0 + (1 - a2).sqrt() * torch.randn(100_000, dtype=torch.float64)
    prior, q = normal(0.0, 1.0), normal(a2.sqrt() * x0, (1 - a2).sqrt())
    for shift, tight in ((0.0, True), (0.4, False)):
        p = normal(a2.sqrt() * x_t + shift, (1 - a2).sqrt())  # p(x0 | x_t) of data N(0, 1); shifted: a poor model
        bound = (prior.log_prob(x_t) + p.log_prob(x0) - q.log_prob(x_t)).mean()
        truth = (prior.log_prob(x_t) + p.log_prob(x0) - q.log_prob(x_t)).exp().mean().log()
        assert bound <= truth + 1e-6 and (abs(truth - bound) < 1e-6) == tight

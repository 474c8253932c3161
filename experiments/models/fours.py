"""Is there more to know of noisy fours than their mean and covariance? Prints the README's table.

python experiments/models/fours.py

E[x0 | x_t] in closed form under a mixture that keeps mean and covariance C of the training pictures: a Gaussian of
covariance h C at each of them, moved to the mean by the factor sqrt(1 - h). h = 1 is the linear estimate, h = 0 knows
the training pictures by heart. Error of eps on held-out fours beside the linear one's, in ten bins of t.
"""

import numpy as np
import torch

from motion_lightning.data.digits import DigitsCorpus
from motion_lightning.diffusion.process import Process
from motion_lightning.metrics.skill import BINS

FOLDS, DRAWS = 5, 20


def posterior(x_t, a, s, pictures, h):
    """x0_hat (N, D) of x_t (N, D) at a and s (N, 1), from training pictures (K, D)."""
    mean, covariance = pictures.mean(0), pictures.T.cov()
    variance, basis = torch.linalg.eigh(covariance)
    centres = ((1 - h) ** 0.5 * (pictures - mean)) @ basis  # (K, D)
    variance = h * variance.clamp(min=0)
    z = (x_t - a * mean) @ basis  # (N, D)
    noisy = a**2 * variance + s**2  # (N, D)
    away = z[:, None] - a[:, None] * centres  # (N, K, D)
    weights = (-0.5 * (away**2 / noisy[:, None]).sum(-1)).softmax(1)  # (N, K)
    middle = weights @ centres  # (N, D); the filter is the same for all, so that it takes the mean of the centres
    return (middle + a * variance / noisy * (z - a * middle)) @ basis.T + mean


def table(widths: tuple[float, ...]) -> dict[float, list[float]]:
    """Error of each h over that of h = 1, by bin."""
    pictures = np.stack([clip.features.ravel() for clip in DigitsCorpus(only=4).clips()])  # (181, 64)
    x0 = torch.from_numpy(pictures).double() / 127.5 - 1
    process, random = Process("linear", 1000), torch.Generator().manual_seed(0)
    fold = torch.randperm(len(x0), generator=random) % FOLDS
    total = {h: torch.zeros(BINS) for h in (*widths, 1.0)}
    for held in range(FOLDS):
        known, test = x0[fold != held], x0[fold == held]
        for number, bin_ in enumerate(torch.arange(process.steps).chunk(BINS)):
            for _ in range(DRAWS):
                t = bin_[torch.randint(len(bin_), (len(test),), generator=random)]
                x_t = process.noise(test, t, torch.randn(test.shape, generator=random, dtype=torch.float64))
                a, s = process.a(t)[:, None], process.s(t)[:, None]
                for h, errors in total.items():
                    error = (posterior(x_t, a, s, known, h) - test).square().mean(1) * process.snr(t)
                    errors[number] += error.sum()
    return {h: (errors / total[1.0]).tolist() for h, errors in total.items()}


if __name__ == "__main__":
    print("| h |", " | ".join(map(str, range(BINS))), "|")
    print("|---|" + "---|" * BINS)
    for h, ratios in table((0.0, 0.3, 0.5, 0.7, 0.85)).items():
        print(f"| {h} |", " | ".join(f"{ratio:.4f}" for ratio in ratios), "|")

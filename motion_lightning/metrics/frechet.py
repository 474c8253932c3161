"""Fréchet distance between normal distributions fitted to embeddings (Heusel et al. 2017, eq. 6): the field's FID."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from motion_lightning.metrics.gathered import check_embeddings, in_order

SMALL = 1e-13


class Moments(NamedTuple):
    """A normal distribution, float64, on the CPU."""

    mean: Tensor  # (E,)
    root: Tensor  # (E, E), root @ root.T is the covariance
    trace: Tensor  # () of the covariance


def moments(x: Tensor) -> Moments:
    """Mean and covariance (divided by N - 1) of embeddings (N, E), N ≥ 2, float64.

    The root is Cholesky's. Where the covariance is singular, of fewer embeddings than dimensions say, it is made of
    eigenvectors, and what rounding makes of zero eigenvalues, ± E ε λ_max, is set to 0 where it is negative.
    """
    x = x.detach().cpu().double()
    mean = x.mean(0)
    centred = (x - mean).numpy()
    covariance = torch.from_numpy(centred.T @ centred) / (len(x) - 1)  # numpy sees the symmetry: half the work
    root, failed = torch.linalg.cholesky_ex(covariance)
    if failed:
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp(min=0).sqrt()
    return Moments(mean, root, covariance.trace())


def frechet_distance(a: Moments, b: Moments) -> float:
    """|μ_a - μ_b|² + tr(C_a + C_b - 2 (C_a C_b)^½).

    The trace of the root is the sum of singular values of M = R_aᵀ R_b, where C = R Rᵀ: no complex root, no offset on
    the diagonal. They are the roots of the eigenvalues of M Mᵀ, found in a third of the time, as long as none is so
    small that squaring loses it: then each is right to 1e-9 of the largest. Below 0 the distance is cut.
    """
    product = a.root.T @ b.root
    squares = torch.linalg.eigvalsh(product @ product.T)
    common = squares.sqrt().sum() if squares[0] > SMALL * squares[-1] else torch.linalg.svdvals(product).sum()
    return float(((a.mean - b.mean).square().sum() + a.trace + b.trace - 2 * common).clamp(min=0))


class FrechetDistance(Metric):
    """Between embeddings of samples and of real motions."""

    full_state_update = False

    def __init__(self):
        super().__init__()
        for kind in ("samples", "real"):
            self.add_state(kind, [], dist_reduce_fx="cat")
            self.add_state(f"{kind}_index", [], dist_reduce_fx="cat")

    def update(self, embeddings: Tensor, index: Tensor, real: bool) -> None:
        """Embeddings (B, E) of clips index (B,)."""
        kind = "real" if real else "samples"
        getattr(self, kind).append(embeddings.float())
        getattr(self, f"{kind}_index").append(index)

    def compute(self) -> Tensor:
        """() float64. UserError for fewer than 2 embeddings of a kind, NaN, or none that differ."""
        (samples,), (real,) = in_order(self.samples_index, self.samples), in_order(self.real_index, self.real)
        parts = [moments(check_embeddings(f"FID, {name}", x)) for name, x in (("samples", samples), ("real", real))]
        return torch.tensor(frechet_distance(*parts), dtype=torch.float64)

"""FID, R-precision, MM-Dist, Diversity and MultiModality against independent calculations."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.errors import UserError
from motion_lightning.metrics.diversity import Diversity, MultiModality, draw_pairs
from motion_lightning.metrics.frechet import FrechetDistance, frechet_distance, moments
from motion_lightning.metrics.matching import Matching, matching, pools

RUN = Path(__file__).with_name("embedding_run.py")


def normal(count: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) * 0.3 + rng.normal(size=width)


def fid(a: np.ndarray, b: np.ndarray) -> float:
    return frechet_distance(*(moments(torch.from_numpy(x)) for x in (a, b)))


def published_fid(a: np.ndarray, b: np.ndarray) -> float:
    """With scipy's matrix root, as the field computes it."""
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(c @ d)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c) + np.trace(d) - 2 * np.trace(root.real))


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(0, 10_000))
def test_fid_is_scipys(width, seed):
    a, b = normal(4 * width + 20, width, seed), normal(3 * width + 20, width, seed + 1)
    assert fid(a, b) == pytest.approx(published_fid(a, b), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("count", "width"), [(400, 64), (30, 64), (2, 64), (4384, 512)])
def test_fid_of_a_set_with_itself_is_zero_also_where_the_covariance_is_singular(count, width):
    a = normal(count, width, 1)
    assert fid(a, a) < 1e-6


def test_fid_is_symmetric_and_never_negative():
    a, b = normal(50, 64, 1), normal(40, 64, 2)  # both rank-deficient
    assert fid(a, b) == pytest.approx(fid(b, a), rel=1e-9)
    assert fid(a, b + 0) > 0


def test_fid_of_singular_covariances_is_that_within_their_subspace():
    a, b = normal(300, 8, 1), normal(300, 8, 2)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(32, 8)))[0]
    assert fid(a @ basis.T, b @ basis.T) == pytest.approx(fid(a, b), rel=1e-7)


def test_fid_of_known_normal_distributions():
    """Diagonal covariances: Σ (μ₁ - μ₂)² + (σ₁ - σ₂)², of samples whose moments are exact."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1000, 6))
    z = np.linalg.qr(z - z.mean(0))[0] * np.sqrt(999)
    assert fid(z * [1, 2, 3, 1, 1, 1] + 5, z * [2, 2, 1, 1, 1, 1] + [5, 5, 5, 5, 5, 6]) == pytest.approx(1 + 4 + 1)


def test_r_precision_and_mm_dist_are_those_of_plain_loops():
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(100, 16))
    motions = texts + rng.normal(size=(100, 16)) * 1.2
    pool = pools(100, 32, torch.Generator().manual_seed(5))
    assert pool.shape == (3, 32) and len(pool.unique()) == 96
    hits, distances = np.zeros(3), []
    for rows in pool.numpy():
        for i in rows:
            ranking = sorted(rows, key=lambda j: np.linalg.norm(texts[i] - motions[j]))
            hits += [ranking.index(i) < k for k in (1, 2, 3)]
            distances.append(np.linalg.norm(texts[i] - motions[i]))
    found = matching(*(torch.from_numpy(x)[pool] for x in (texts, motions)))
    expected = [*(hits / 96), np.mean(distances)]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-12)
    assert list(found) == ["R-precision 1", "R-precision 2", "R-precision 3", "MM-Dist"]


def test_a_text_ranks_motions_and_not_the_other_way_round():
    """One motion that is near to every text spoils the rank of the others' texts, once each."""
    texts = torch.eye(4)
    motions = -torch.eye(4)
    motions[0] = 0.4  # nearer to texts 1, 2 and 3 than their own motions are; its own text has it nearest, too
    found = matching(texts[None], motions[None], top=3)
    assert found["R-precision 1"] == 0.25  # of text 0
    assert found["R-precision 2"] == 0.25  # the others' motions are as near as each other's, which is no find


def test_what_cannot_tell_motions_apart_finds_none():
    texts, motions = torch.randn(2, 32, 8), torch.ones(2, 32, 8)
    assert matching(texts, motions)["R-precision 3"] == 0


def test_diversity_and_multimodality_are_mean_distances_of_drawn_pairs():
    x = torch.randn(400, 16, dtype=torch.float64)
    metric = Diversity(300, seed=4)
    metric.update(x, torch.arange(400))
    a, b = (part.numpy() for part in draw_pairs(400, 300, torch.Generator().manual_seed(4)))
    assert len(set(a)) == len(set(b)) == 300
    plain = np.mean([np.linalg.norm(x[i].float() - x[j].float()) for i, j in zip(a, b, strict=True)])
    assert float(metric.compute()) == pytest.approx(plain, rel=1e-6)
    several = torch.randn(5, 30, 16)
    modes = MultiModality(10, seed=2)
    modes.update(several, torch.arange(5))
    a, b = draw_pairs(30, 10, torch.Generator().manual_seed(2))
    plain = np.mean([(several[k, i] - several[k, j]).norm() for k in range(5) for i, j in zip(a, b, strict=True)])
    assert float(modes.compute()) == pytest.approx(plain, rel=1e-6)


def test_two_processes_find_what_one_does(tmp_path):
    sys.path.insert(0, str(RUN.parent))
    try:
        from embedding_run import measure
    finally:
        sys.path.pop(0)
    alone = measure(torch.arange(200))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks = [subprocess.Popen([sys.executable, RUN, tmp_path], env={**environment, "RANK": str(r)}) for r in (0, 1)]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    assert json.loads((tmp_path / "found.json").read_text()) == pytest.approx(alone, rel=1e-6)


def broken(kind: str) -> torch.Tensor:
    x = torch.randn(64, 8)
    if kind == "NaN":
        x[5, 3] = float("nan")
    return torch.ones(64, 8) if kind == "constant" else x[:20] if kind == "few" else x


@pytest.mark.parametrize(("kind", "said"), [("NaN", "hold NaN"), ("constant", "are equal"), ("few", "fewer than")])
def test_embeddings_that_mean_nothing_are_refused(kind, said):
    x = broken(kind)
    index = torch.arange(len(x))
    metric, pairs = Matching(), Diversity(32)
    metric.update(x, x, index), pairs.update(x, index)
    for one in (metric, pairs):
        with pytest.raises(UserError, match=said):
            one.compute()
    distance = FrechetDistance()
    distance.update(x, index, real=False), distance.update(torch.randn(64, 8), torch.arange(64), real=True)
    if kind != "few":
        with pytest.raises(UserError, match=f"samples.*{said}"):
            distance.compute()

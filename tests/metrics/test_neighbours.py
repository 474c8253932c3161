"""Purity of neighbourhoods."""

import numpy as np
import pytest
import torch

from motion_lightning.errors import UserError
from motion_lightning.metrics.neighbours import bootstrap, chance, purity


def test_far_groups_are_pure_and_their_own_point_does_not_count():
    points = torch.randn(12, 2) + 100 * torch.arange(3).repeat(4)[:, None]
    labels = [*"abc"] * 4
    assert np.array_equal(purity(points, labels, k=3), np.ones(12))
    torch.manual_seed(0)
    assert purity(torch.randn(12, 2), labels, k=3).mean() < 0.8


def test_shares_on_a_line_are_counted_by_hand():
    points = torch.tensor([0.0, 1, 2, 10, 11, 12])[:, None]
    #                      a    a  b  b   b   a: two nearest of 0 are 1 and 2, of 1 are 0 and 2, of 12 are 11 and 10
    assert purity(points, [*"aabbba"], k=2).tolist() == [0.5, 0.5, 0, 0.5, 0.5, 0]


def test_labels_too_rare_to_fill_a_neighbourhood_are_left_out():
    share = purity(torch.randn(7, 3), [*"aaaabbb"], k=3)
    assert np.isfinite(share[:4]).all() and np.isnan(share[4:]).all()
    assert chance([*"aaaabbb"], 3) == pytest.approx(3 / 6)
    assert np.isnan(chance([*"abc"], 3))
    with pytest.raises(UserError, match="3 points have no 3 neighbours"):
        purity(torch.randn(3, 2), [*"abc"], k=3)


def test_purity_of_noise_is_that_of_chance():
    torch.manual_seed(0)
    labels = [*"aaab"] * 100
    assert purity(torch.randn(400, 5), labels).mean() == pytest.approx(chance(labels), abs=0.02)


def test_the_interval_is_as_wide_as_the_standard_error_says():
    values = np.random.default_rng(1).normal(3, 2, 400)
    figure = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert figure["interval"] == pytest.approx([values.mean() - half, values.mean() + half], abs=0.03)
    assert figure["mean"] == values.mean() and figure["clips"] == 400

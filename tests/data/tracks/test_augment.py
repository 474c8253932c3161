"""Warps of a batch: pictures, points, moves and hands go together, before anything is normalised."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.data.batch import Batch, Info, TextCond
from motion_lightning.data.tracks.augment import TrackAugment, Warp, take_points, warp_batch
from motion_lightning.data.tracks.condition import HandCond, HandMoves, TrackCond
from motion_lightning.errors import UserError
from motion_lightning.motion.rotations import matrix_to_sixd, quat_to_matrix, sixd_to_matrix

SIZE = (24, 32)  # not square


def turns(*shape: int, generator: torch.Generator) -> torch.Tensor:
    q = torch.randn(*shape, 4, generator=generator, dtype=torch.float64)
    return quat_to_matrix(q / q.norm(dim=-1, keepdim=True))


def batch_of(seed: int, rows: int = 3, steps: int = 5, points: int = 6, dims: int = 3) -> Batch:
    g = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    x = (uniform(rows, steps, points, dims) - 0.5) * 0.3
    x[:, 0] = 0
    absolute = turns(rows, steps, 2, generator=g)
    relative = absolute @ absolute[:, :1].mT
    position = uniform(rows, steps, 2, 3)
    present = torch.ones(rows, 2, dtype=torch.bool)
    present[0, 1] = False
    cond = TrackCond(
        text=TextCond(uniform(rows, 4, 8), torch.ones(rows, 4, dtype=torch.bool), uniform(rows, 8)),
        frames=uniform(rows, 2, 3, *SIZE) * 2 - 1,
        query=torch.cat([uniform(rows, points, 2) * 0.5 + 0.25, 0.5 + uniform(rows, points, dims - 2)], -1),
        depth=uniform(rows, 2, *SIZE),
        hands=HandCond(position[:, 0], matrix_to_sixd(absolute[:, 0]), present),
        moves=HandMoves(position - position[:, :1], matrix_to_sixd(relative)),
    )
    return Batch(x, torch.ones(rows, steps, dtype=torch.bool), cond, Info(torch.arange(rows), torch.arange(rows)))


def warp_of(seed: int, rows: int = 3) -> Warp:
    g = torch.Generator().manual_seed(seed)
    draw = torch.rand(rows, 4, generator=g, dtype=torch.float64) * 2 - 1
    return Warp(draw[:, 0] * 2, (0.4 * draw[:, 1]).exp(), 0.2 * draw[:, 2:], SIZE)


seeds = st.integers(0, 10_000)


@settings(max_examples=25, deadline=None)
@given(seeds, seeds, st.sampled_from([2, 3]))
def test_a_moved_point_is_the_warp_of_where_it_moved(a, b, dims):
    batch, warp = batch_of(a, dims=dims), warp_of(b)
    got = warp_batch(batch, warp)
    for t in range(batch.x.shape[1]):
        torch.testing.assert_close(got.cond.query + got.x[:, t], warp.points(batch.cond.query + batch.x[:, t]))
        torch.testing.assert_close(
            (got.cond.hands.position + got.cond.moves.position[:, t])[1:],
            warp.points(batch.cond.hands.position + batch.cond.moves.position[:, t])[1:],
        )
    assert not got.x[:, 0].any() and not got.cond.moves.position[:, 0].any()
    torch.testing.assert_close(got.x[..., 2:], batch.x[..., 2:])  # depth stays


@settings(max_examples=25, deadline=None)
@given(seeds, seeds)
def test_wrists_turn_with_the_camera(a, b):
    """A R_t is the turned wrist, and A (R_t R_0ᵀ) Aᵀ its turn since time 0."""
    batch, warp = batch_of(a), warp_of(b)
    got = warp_batch(batch, warp)
    roll = warp.roll[:, None]
    first = sixd_to_matrix(batch.cond.hands.rotation)
    torch.testing.assert_close(sixd_to_matrix(got.cond.hands.rotation)[1:], (roll @ first)[1:])
    for t in range(batch.x.shape[1]):
        now = sixd_to_matrix(batch.cond.moves.rotation[:, t]) @ first  # R_t
        after = sixd_to_matrix(got.cond.moves.rotation[:, t]) @ sixd_to_matrix(got.cond.hands.rotation)
        torch.testing.assert_close(after[1:], (roll @ now)[1:])
    eye = torch.eye(3, dtype=torch.float64).expand_as(first)
    torch.testing.assert_close(sixd_to_matrix(got.cond.moves.rotation[:, 0]), eye)


@settings(max_examples=25, deadline=None)
@given(seeds, seeds)
def test_augmentation_commutes_with_denormalisation(a, b):
    """Normalised after the warp, and made metric again, it is the warp of the metric numbers."""
    batch, warp = batch_of(a), warp_of(b)
    mean, std = torch.tensor([0.02, -0.1, 0.05]), torch.tensor([0.08, 0.3, 0.01])  # unlike along the axes
    normalised = (batch.x - mean) / std
    there = warp_batch(batch._replace(x=normalised * std + mean), warp).x
    back = (warp_batch(batch, warp).x - mean) / std
    torch.testing.assert_close(back * std + mean, there)
    wrong = warp.vectors(normalised) * std + mean  # turned after the division
    assert (wrong - there).abs().max() > 1e-3


def test_turns_are_of_pixels():
    """A quarter turn takes a step of 8 pixels right to one of 8 pixels down, in a picture that is not square."""
    warp = Warp(torch.tensor([math.pi / 2]), torch.ones(1), torch.zeros(1, 2), SIZE)
    torch.testing.assert_close(warp.vectors(torch.tensor([[[8 / 32, 0.0]]])), torch.tensor([[[0.0, 8 / 24]]]))


@pytest.mark.parametrize("seed", range(8))
def test_pictures_go_where_points_go(seed):
    g = torch.Generator().manual_seed(seed)
    size = (60, 80)
    warp = Warp(
        torch.rand(1, generator=g) - 0.5, torch.rand(1, generator=g) * 0.6 + 0.8,
        torch.rand(1, 2, generator=g) * 0.2 - 0.1, size,
    )  # fmt: skip
    point = torch.rand(1, 1, 2, generator=g) * 0.4 + 0.3
    v, u = torch.meshgrid((torch.arange(60) + 0.5) / 60, (torch.arange(80) + 0.5) / 80, indexing="ij")
    blob = torch.exp(-(((u - point[..., 0]) * 80) ** 2 + ((v - point[..., 1]) * 60) ** 2) / 8)  # (60, 80)
    seen = warp.pictures(blob[None, None])[0, 0]
    middle = torch.stack([(seen * u).sum(), (seen * v).sum()]) / seen.sum()
    torch.testing.assert_close(middle, warp.points(point)[0, 0], atol=3e-3, rtol=0)


def test_nothing_drawn_changes_nothing():
    batch = batch_of(0)
    still = Warp(torch.zeros(3).double(), torch.ones(3).double(), torch.zeros(3, 2).double(), SIZE)
    got = warp_batch(batch, still)
    torch.testing.assert_close(got.x, batch.x)
    torch.testing.assert_close(got.cond.frames, batch.cond.frames)
    torch.testing.assert_close(got.cond.depth, batch.cond.depth)
    torch.testing.assert_close(got.cond.moves, batch.cond.moves)


def test_hands_that_are_not_there_stay_as_they_are():
    batch = batch_of(1)
    position, rotation = batch.cond.hands.position.clone(), batch.cond.hands.rotation.clone()
    got = warp_batch(batch, warp_of(2)).cond.hands
    torch.testing.assert_close(got.position[0, 1], position[0, 1])
    torch.testing.assert_close(got.rotation[0, 1], rotation[0, 1])


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0, 80), st.floats(0, 1), st.floats(0, 0.5))
def test_query_points_stay_in_the_picture(seed, rotate, zoom, shift):
    batch = batch_of(seed)
    batch = batch._replace(cond=batch.cond._replace(depth=None))
    augment = TrackAugment(rotate, zoom, shift)
    one, two = (augment(batch, range(seed, seed + 3)) for _ in range(2))
    assert ((one.cond.query[..., :2] >= 0) & (one.cond.query[..., :2] <= 1)).all()
    torch.testing.assert_close(one.x, two.x, rtol=0, atol=0)  # the seeds decide
    assert one.cond.depth is None and one.cond.text is batch.cond.text


def test_warps_are_weaker_where_points_are_near_the_border():
    batch = batch_of(0)
    batch.cond.query[0, 0, :2] = 0  # any turn or shift may take it out
    augment, moved = TrackAugment(30, 0.3, 0.2), []
    for seed in range(20):
        got = augment(batch, range(3 * seed, 3 * seed + 3)).cond.query
        assert ((got[..., :2] >= 0) & (got[..., :2] <= 1)).all()
        moved.append((got - batch.cond.query).abs().amax((1, 2)))
    rows = torch.stack(moved).mean(0)
    assert rows[0] < 0.8 * rows[1:].min()


def test_a_row_is_warped_by_its_own_seed():
    """Whatever else is in the batch: so processes that share a batch draw what one would."""
    batch, augment = batch_of(3), TrackAugment(points=4)
    whole = augment(batch, [5, 6, 7])
    row = [part[1:2] for part in (batch.x, batch.cond.frames, batch.cond.query)]
    one = TrackCond(
        *(type(part)(*(field[1:2] for field in part)) if isinstance(part, tuple) else part[1:2] for part in batch.cond)
    )
    alone = augment(Batch(row[0], batch.mask[1:2], one, batch.info), [6])
    torch.testing.assert_close(alone.x, whole.x[1:2])
    torch.testing.assert_close(alone.cond.query, whole.cond.query[1:2])
    torch.testing.assert_close(alone.cond.frames, whole.cond.frames[1:2])


def test_some_points_are_left_with_their_own_moves():
    batch = batch_of(4)
    got = take_points(batch, torch.tensor([[5, 0], [2, 3], [1, 1]]))
    assert got.x.shape == (3, 5, 2, 3) and got.cond.query.shape == (3, 2, 3)
    torch.testing.assert_close(got.x[1, :, 1], batch.x[1, :, 3])
    torch.testing.assert_close(got.cond.query[0, 0], batch.cond.query[0, 5])
    assert TrackAugment(points=4)(batch, range(3)).x.shape == (3, 5, 4, 3)
    with pytest.raises(UserError, match=r"loader\.augment\.points=7.* 6 points"):
        TrackAugment(points=7)(batch, range(3))


def test_hands_left_out_come_off_the_pictures():
    """The source's fault, on demand: points move with the picture, hands do not."""
    batch = batch_of(5)
    right, wrong = (TrackAugment(30, 0.3, 0.2, hands=hands)(batch, [1, 2, 3]) for hands in (True, False))
    torch.testing.assert_close(wrong.x, right.x)
    torch.testing.assert_close(wrong.cond.moves, batch.cond.moves)
    torch.testing.assert_close(wrong.cond.hands, batch.cond.hands)
    assert (right.cond.hands.position - batch.cond.hands.position).abs().max() > 0.01

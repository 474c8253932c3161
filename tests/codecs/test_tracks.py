"""Tracks and hands in x: what is normalised by what, what is left out, and the way back."""

import numpy as np
import pytest
import torch

from motion_lightning.codecs.tracks import TrackCodec
from motion_lightning.data.clip import Clip
from motion_lightning.data.store import Store
from motion_lightning.data.tracks.augment import take_points
from motion_lightning.data.tracks.condition import TrackCondition
from motion_lightning.data.tracks.statistics import store_statistics
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError
from motion_lightning.motion.rotations import matrix_to_sixd, quat_to_matrix, sixd_to_matrix

N, T = 5, 4


class FewTracks:
    """Twelve clips of five points; the right hand is missing in every other one."""

    name, representation, skeleton, fps, min_frames = "few", "tracks", None, 10.0, 2
    about = {"title": "Few", "source": "this test", "licence": "MIT"}  # noqa: RUF012

    def fingerprint(self) -> dict:
        return {"kind": "few"}

    def __len__(self) -> int:
        return 12

    def clips(self):
        for i in range(12):
            rng = np.random.default_rng(i)
            moved = rng.normal(size=(T, N, 3)) * [0.1, 0.3, 0.01] + [0, 0.05, 0]
            turns = torch.from_numpy(rng.normal(size=(T, 2, 4)))
            absolute = quat_to_matrix(turns / turns.norm(dim=-1, keepdim=True))
            position = rng.normal(size=(T, 2, 3)) * 0.2
            moved[0], position[0] = 0, 0
            present = np.array([True, i % 2 == 0])
            rotation = matrix_to_sixd(absolute[0]).numpy()
            relative = matrix_to_sixd(absolute @ absolute[:1].mT).numpy()
            extras = {
                "frames": rng.integers(0, 255, (2, 3, 8, 8), dtype=np.uint8),
                "query": rng.uniform(0.2, 0.8, (N, 3)).astype(np.float32),
                "depth": rng.uniform(0.5, 0.9, (2, 8, 8)).astype(np.float32),
                "hand_present": present,
                "hand_position": (rng.uniform(0.2, 0.8, (2, 3)) * present[:, None]).astype(np.float32),
                "hand_rotation": np.where(present[:, None], rotation, [1, 0, 0, 0, 1, 0]).astype(np.float32),
                "hand_position_displacements": (position * present[:, None]).astype(np.float32),
                "hand_rotation_displacements": np.where(present[:, None], relative, [1, 0, 0, 0, 1, 0]).astype(
                    np.float32
                ),
            }
            split = "train" if i < 8 else "val" if i < 10 else "test"
            yield Clip(f"{i}", moved.astype(np.float32), ["a hand moves"], split, {}, extras=extras)


@pytest.fixture(scope="module")
def store(tmp_path_factory, tiny_encoder) -> Store:
    path = tmp_path_factory.mktemp("stores") / "few"
    prepare_store(FewTracks(), tiny_encoder, path, progress=False)
    return Store.open(path).with_condition(TrackCondition())


@pytest.fixture
def codec(store) -> TrackCodec:
    codec = TrackCodec(points=N, steps=T)
    codec.fit(store)
    return codec


@pytest.fixture
def batch(store):
    return store.split("train").collate(range(6), multiple_of=1)


def test_x_is_packed_in_named_slices(codec, batch):
    x, mask = codec.encode(batch)
    assert x.shape == (6, T - 1, 18 + 3 * N) == (6, codec.length(T), *codec.shape) and mask.shape == (6, T - 1)
    assert codec.sizes == {"points": N, "dims": 3, "steps": T - 1, "hands": 2}
    assert {name: x[..., part].shape[-1] for name, part in codec.slices.items()} == {
        "hand_position": 6, "hand_rotation": 12, "track": 3 * N
    }  # fmt: skip
    track = codec.slices["track"]
    mean, std = codec.mean[track].view(N, 3), codec.std[track].view(N, 3)
    assert (mean == mean[0]).all() and (std == std[0]).all()  # an axis has one number for all points
    torch.testing.assert_close(x[..., track].unflatten(-1, (N, 3)), (batch.x[:, 1:] - mean[0]) / std[0])


def test_statistics_are_the_stores(codec, store):
    numbers = store_statistics(store)
    torch.testing.assert_close(codec.mean[codec.slices["track"]][:3], torch.tensor(numbers.displacement_mean))
    torch.testing.assert_close(codec.std[codec.slices["hand_position"]][3:], torch.tensor(numbers.hand_uvd_disp_std))
    torch.testing.assert_close(codec.mean[codec.slices["hand_rotation"]][6:], torch.tensor(numbers.hand_rot_disp_mean))
    whole = store.split("train").collate(range(8), multiple_of=1)
    x = codec.encode(whole)[0][..., codec.slices["track"]].reshape(-1, 3)
    torch.testing.assert_close(x.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)


def test_slot_0_is_not_in_x(codec, batch):
    """Whatever stands there, x is the same; decoded it is exactly still."""
    garbage = batch._replace(x=torch.cat([batch.x[:, :1] + 7, batch.x[:, 1:]], 1))
    torch.testing.assert_close(codec.encode(garbage)[0], codec.encode(batch)[0])
    moves = codec.decode(torch.randn(6, T - 1, *codec.shape))
    assert not moves.tracks[:, 0].any() and not moves.position[:, 0].any()
    assert torch.equal(moves.rotation[:, 0], torch.eye(3).expand(6, 2, 3, 3))


def test_decoding_gives_back_what_was_encoded(codec, batch):
    x, _ = codec.encode(batch)
    moves, there = codec.decode(x), batch.cond.hands.present
    torch.testing.assert_close(moves.tracks, batch.x, atol=1e-5, rtol=1e-5)
    real = batch.cond.moves
    torch.testing.assert_close(moves.position.transpose(1, 2)[there], real.position.transpose(1, 2)[there])
    torch.testing.assert_close(
        moves.rotation.transpose(1, 2)[there],
        sixd_to_matrix(real.rotation).transpose(1, 2)[there],
        atol=1e-5,
        rtol=1e-5,
    )


def test_wrists_are_turned_from_the_left(codec, batch):
    """R_t = R_rel R_0, and what a network says is made orthonormal first."""
    x, _ = codec.encode(batch)
    moves, hands = codec.decode(x), batch.cond.hands
    position, rotation = moves.wrists(hands)
    first = sixd_to_matrix(hands.rotation)
    torch.testing.assert_close(rotation[:, 0], first)
    want = sixd_to_matrix(batch.cond.moves.rotation)[0, 2, 0] @ first[0, 0]
    torch.testing.assert_close(rotation[0, 2, 0], want, atol=1e-5, rtol=1e-5)
    wrong = first[0, 0] @ sixd_to_matrix(batch.cond.moves.rotation)[0, 2, 0]
    assert (wrong - want).abs().max() > 0.1
    torch.testing.assert_close(position[:, 0], hands.position)
    torch.testing.assert_close(moves.wrists(type(hands)(*(f[:1] for f in hands)))[0][:1], position[:1])
    rough = codec.decode(torch.randn(2, T - 1, *codec.shape)).rotation
    torch.testing.assert_close(rough @ rough.mT, torch.eye(3).expand_as(rough), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.linalg.det(rough), torch.ones(rough.shape[:-2]), atol=1e-5, rtol=1e-5)


def test_hands_that_are_not_there_cost_nothing(codec, batch):
    x, mask = codec.encode(batch)
    absent = ~batch.cond.hands.present[:, 1]
    assert absent.any() and not x[absent][..., 3:6].any() and not x[absent][..., 12:18].any()
    squared = torch.rand_like(x)
    want = codec.errors(squared, mask, batch)
    loud = squared.clone()
    loud[absent, :, 3:6], loud[absent, :, 12:18] = 99.0, 99.0
    for name, part in codec.errors(loud, mask, batch).items():
        torch.testing.assert_close(part, want[name])
    assert list(want) == ["hand_position", "hand_rotation", "track"]
    torch.testing.assert_close(want["track"], squared[..., 18:].mean((1, 2)))
    torch.testing.assert_close(want["hand_position"][absent], squared[absent][..., :3].mean((1, 2)))
    torch.testing.assert_close(want["hand_rotation"][~absent], 0.5 * squared[~absent][..., 6:18].mean((1, 2)))
    nobody = batch._replace(
        cond=batch.cond._replace(hands=batch.cond.hands._replace(present=torch.zeros(6, 2, dtype=torch.bool)))
    )
    assert not codec.errors(squared, mask, nobody)["hand_position"].any()


def test_padded_batches_are_the_same(codec, batch, store):
    padded = store.split("train").collate(range(6), multiple_of=8)
    assert padded.mask.shape == (6, 8)
    torch.testing.assert_close(codec.encode(padded), codec.encode(batch))


def test_padding_costs_nothing(codec, batch):
    x, mask = codec.encode(batch)
    mask = mask & (torch.arange(T - 1) < T - 2)
    squared = torch.rand_like(x)
    loud = squared.clone()
    loud[:, -1] = 99.0
    for name, part in codec.errors(loud, mask, batch).items():
        torch.testing.assert_close(part, codec.errors(squared, mask, batch)[name])


@pytest.mark.parametrize("kept", [[3, 1], [3, 1, 0], [3, 1, 0, 2]])
def test_a_batch_may_have_fewer_points(codec, batch, kept):
    few, end = take_points(batch, torch.tensor([kept] * 6)), 18 + 3 * len(kept)
    (x, mask), (whole, _) = codec.encode(few), codec.encode(batch)
    assert x.shape == whole.shape and not x[..., end:].any()
    torch.testing.assert_close(x[..., 18:21], whole[..., 18 + 9 : 18 + 12])
    torch.testing.assert_close(codec.decode(x).tracks[:, :, 1], batch.x[:, :, 1], atol=1e-5, rtol=1e-5)
    squared = torch.rand_like(x)
    torch.testing.assert_close(codec.errors(squared, mask, few)["track"], squared[..., 18:end].mean((1, 2)))


def test_without_hands_x_is_the_tracks_alone(store, batch):
    codec = TrackCodec(points=N, steps=T, hands=False)
    codec.fit(store)
    x, mask = codec.encode(batch)
    assert x.shape == (6, T - 1, 3 * N) and codec.sizes["hands"] == 0
    assert list(codec.errors(x.square(), mask, batch)) == ["track"]
    moves = codec.decode(x)
    torch.testing.assert_close(moves.tracks, batch.x, atol=1e-5, rtol=1e-5)
    assert moves.position.shape == (6, T, 0, 3)


@pytest.mark.parametrize("options", [{"points": N + 1}, {"dims": 2}, {"steps": T + 1}])
def test_other_sizes_than_the_stores_are_refused(store, options):
    with pytest.raises(UserError, match=r"codec\.points"):
        TrackCodec(**{"points": N, "steps": T} | options).fit(store)
    with pytest.raises(UserError, match="2 slots"):
        TrackCodec(steps=1)

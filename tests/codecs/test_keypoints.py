"""Keypoints and x: there and back, and what was not seen changes nothing."""

import numpy as np
import pytest
import torch

from motion_lightning.codecs.keypoints import KeypointCodec
from motion_lightning.data.clip import Clip
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError


class Points:
    """Clips of 6 points of which some were not seen; ``guess`` stands where they would be."""

    name, representation, skeleton, fps, min_frames = "points", "keypoints", None, 12.5, 4
    about = {"title": "Points", "source": "this test", "licence": "MIT"}  # noqa: RUF012

    def __init__(self, guess: float = 0.0, dims: int = 2):
        self.guess, self.dims = guess, dims

    def fingerprint(self) -> dict:
        return {"guess": self.guess, "dims": self.dims}

    def __len__(self) -> int:
        return 12

    def clips(self):
        rng = np.random.default_rng(0)
        for i in range(12):
            points = rng.normal(size=(10 + i, 6, self.dims)) * (1 + np.arange(6))[:, None] + 3
            confidence = (rng.random((10 + i, 6, 1)) > 0.3).astype(np.float32)
            confidence[:, 0] = 1
            points = np.where(confidence > 0, points, self.guess)
            features = np.concatenate([points, confidence], -1).astype(np.float32)
            yield Clip(f"{i}", features, ["a point moves"], ("train", "train", "val")[i % 3])


@pytest.fixture(scope="module")
def make_store(tmp_path_factory, tiny_encoder):
    def make_store(**settings) -> Store:
        path = tmp_path_factory.mktemp("stores") / "points"
        prepare_store(Points(**settings), tiny_encoder, path, progress=False)
        return Store.open(path)

    return make_store


def fitted(store: Store) -> KeypointCodec:
    codec = KeypointCodec(points=6, dims=store.manifest["features"]["shape"][-1] - 1)
    codec.fit(store)
    return codec


@pytest.mark.parametrize("dims", [2, 3])
def test_a_round_trip_gives_the_points_back_and_confidence_one(make_store, dims):
    store = make_store(dims=dims)
    codec, batch = fitted(store), store.split("train").collate([0, 3, 5])
    x, mask = codec.encode(batch)
    assert x.shape == (3, batch.x.shape[1], 6 * dims) and codec.sizes == {"features": 6 * dims} and codec.fps == 12.5
    assert (x[~mask] == 0).all()
    points = codec.keypoints(x)
    torch.testing.assert_close(points[mask][..., :-1], batch.x[mask][..., :-1], atol=1e-5, rtol=1e-5)
    assert (points[..., -1] == 1).all()


def test_statistics_are_those_of_the_points_that_were_seen(make_store):
    store = make_store(guess=100.0)
    codec, train = fitted(store), store.split("train")
    frames = np.concatenate([train.features(i) for i in range(len(train))])
    for point in range(6):
        seen = frames[frames[:, point, 2] > 0, point, :2].astype(np.float64)
        np.testing.assert_allclose(codec.mean.unflatten(0, (6, 2))[point], seen.mean(0), rtol=1e-5)
        np.testing.assert_allclose(codec.std.unflatten(0, (6, 2))[point], seen.std(0), rtol=1e-4)


def test_what_stands_for_an_unseen_point_changes_neither_statistics_nor_loss(make_store):
    stores = [make_store(guess=guess) for guess in (0.0, 55.0)]
    a, b = (fitted(store) for store in stores)
    torch.testing.assert_close(a.mean, b.mean)
    torch.testing.assert_close(a.std, b.std)
    batch, other = (store.split("val").collate([0, 1]) for store in stores)
    assert (batch.x != other.x).any()
    noise = torch.randn(2, batch.x.shape[1], 12, generator=torch.Generator().manual_seed(0))
    losses = [
        codec.errors((noise * 7 - codec.encode(one)[0]).square(), one.mask, one)["diffusion"]
        for codec, one in ((a, batch), (b, other))
    ]
    torch.testing.assert_close(*losses)


def test_the_loss_is_the_mean_over_what_was_seen_whatever_the_padding(make_store):
    store = make_store()
    codec, split = fitted(store), store.split("val")
    narrow, wide = split.collate([0]), split.collate([0], frames=40)
    squared = torch.rand(1, 40, 12, generator=torch.Generator().manual_seed(0))
    squared[:, -1] = float("inf")
    seen = (narrow.x[..., 2] > 0).repeat_interleave(2, -1) & narrow.mask[..., None]
    expected = squared[:, : narrow.x.shape[1]][seen].mean()
    for batch in (narrow, wide):
        error = codec.errors(squared[:, : batch.x.shape[1]], batch.mask, batch)["diffusion"]
        torch.testing.assert_close(error, expected[None])
    unseen = narrow._replace(x=torch.zeros_like(narrow.x))
    assert codec.errors(squared[:, : narrow.x.shape[1]], narrow.mask, unseen)["diffusion"] == 0


def test_a_point_that_never_moves_does_not_blow_up(make_store):
    codec = KeypointCodec(points=1, dims=2)
    assert (codec.std >= 1e-3).all()
    store = make_store()
    codec = fitted(store)
    assert torch.isfinite(codec.encode(store.split("val").collate([0]))[0]).all()


def test_another_number_of_coordinates_is_refused(make_store):
    with pytest.raises(UserError, match=r"codec\.dims=3"):
        KeypointCodec(points=6, dims=2).fit(make_store(dims=3))

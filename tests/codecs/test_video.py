"""Videos to x and back."""

import pytest
import torch

from motion_lightning.codecs.video import VideoCodec
from motion_lightning.errors import UserError


@pytest.fixture(scope="module")
def codec(video_store) -> VideoCodec:
    codec = VideoCodec(size=24)
    codec.fit(video_store)
    return codec


def test_x_has_mean_picture_zero_and_unit_variance_in_all_directions_of_colour(codec, video_store):
    train = video_store.split("train")
    x, mask = codec.encode(train.collate(range(len(train))))
    assert x.shape == (40, 16, 3, 24, 24) and mask.all()
    assert x.mean((0, 1)).abs().max() < 1e-4
    colours = x.movedim(2, -1).flatten(0, -2)
    assert torch.allclose(colours.T @ colours / len(colours), torch.eye(3), atol=1e-3)


def test_hands_count_for_more_than_in_rgb(codec, video_store):
    train = video_store.split("train")
    batch = train.collate(range(len(train)))
    x, _ = codec.encode(batch)
    hands = torch.stack([torch.from_numpy(train.extras(i)["hands"].copy()) for i in range(len(train))])  # (N, T, 2, 2)
    row, column = torch.meshgrid(torch.arange(24) + 0.5, torch.arange(24) + 0.5, indexing="ij")
    away = torch.hypot(column - hands[..., 0, None, None], row - hands[..., 1, None, None])  # (N, T, 2, H, W)
    there = (away < 1.7).any(2)[:, :, None]  # inside a glove

    def share(pictures):
        return ((pictures.square() * there).sum() / pictures.square().sum()).item()

    assert share(x) > 2.5 * share(batch.x - codec.mean)


def test_bytes_survive_the_way_there_and_back(codec, video_store):
    part = video_store.split("test")
    x, _ = codec.encode(part.collate(range(len(part))))
    for i in range(len(part)):
        assert torch.equal(codec.decode(x[i]), torch.from_numpy(part.features(i).copy()))


def test_values_beyond_the_range_become_the_nearest_bytes(codec):
    assert codec.decode(torch.full((16, 3, 24, 24), 1e3)).unique().tolist() == [255]
    assert codec.decode(torch.full((16, 3, 24, 24), -1e3)).unique().tolist() == [0]


@pytest.mark.parametrize("wrong", [lambda x: (x + 1) * 127.5, lambda x: x * 1.5, lambda x: x * float("nan")])
def test_pictures_outside_their_range_are_refused(codec, video_store, wrong):
    batch = video_store.split("test").collate([0, 1])
    with pytest.raises(UserError, match=r"pictures should lie in \[-1, 1\]"):
        codec.encode(batch._replace(x=wrong(batch.x)))


def test_padding_is_zero_and_costs_nothing(codec, video_store):
    batch = video_store.split("test").collate([0, 1], max_frames=12, frames=16)
    x, mask = codec.encode(batch)
    assert mask.sum(1).tolist() == [12, 12] and not x[:, 12:].any()
    squared = torch.ones_like(x)
    squared[:, 12:] = 99
    assert torch.equal(codec.errors(squared, mask, batch)["diffusion"], torch.ones(2))


@pytest.mark.parametrize("wrong", [{"size": 32}, {"size": 24, "frames": 8}])
def test_clips_of_another_size_or_length_are_refused_with_both_said(video_store, wrong):
    with pytest.raises(
        UserError, match=r"clips of \[16\] frames of \(3, 24, 24\), the codec takes .* set codec\.frames"
    ):
        VideoCodec(**wrong).fit(video_store)

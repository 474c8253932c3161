"""Pictures as they are."""

import pytest
import torch

from motion_lightning.codecs.image import ImageCodec
from motion_lightning.errors import UserError


def test_x_is_the_picture_in_minus_one_to_one_and_comes_back_as_its_bytes(fours):
    codec = ImageCodec(1, 8)
    codec.fit(fours)
    part = fours.split("val")
    batch = part.collate(range(5), multiple_of=1)
    x, mask = codec.encode(batch)
    assert x.shape == (5, 1, 1, 8, 8) == (5, codec.length(1), *codec.shape) and mask.all()
    assert x.min() == -1 and x.max() == 1
    for i, row in enumerate(codec.pictures(x)):
        assert torch.equal(row, torch.from_numpy(part.features(i).copy()))
    assert codec.pictures(torch.tensor([-3.0, 3.0]).view(1, 1, 1, 2)).flatten().tolist() == [0, 255]


def test_errors_are_means_over_pixels(fours):
    squared = torch.rand(5, 1, 1, 8, 8)
    batch = fours.split("val").collate(range(5), multiple_of=1)
    (error,) = ImageCodec(1, 8).errors(squared, batch.mask, batch).values()
    torch.testing.assert_close(error, squared.flatten(1).mean(1))


@pytest.mark.parametrize("codec", [ImageCodec(3, 8), ImageCodec(1, 32)])
def test_pictures_of_another_shape_are_refused(fours, codec):
    with pytest.raises(UserError, match=r"shape \(1, 8, 8\)"):
        codec.fit(fours)

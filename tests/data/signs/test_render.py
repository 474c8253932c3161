"""Skeletons as pictures: places, sides, what is not seen, and motions from the front."""

import numpy as np
import pytest

from motion_lightning.data.signs.keypoints import HANDS, conform
from motion_lightning.data.signs.render import PAPER, render, render_motion
from motion_lightning.data.signs.signing import make_person, perform
from motion_lightning.motion.skeleton import load_skeleton


@pytest.fixture(scope="module")
def signing():
    return conform(perform(["TODAY", "CITY", "SUN"], make_person(1), np.random.default_rng(0))[0])


def test_limbs_are_where_the_points_are(signing):
    film = render(signing.points, 64, signing.confidence)
    assert film.shape == (len(signing), 3, 64, 64) and film.dtype == np.uint8
    pixels = (signing.points[..., :2] - (0, 0.35)) * 32 / 1.5 + 32
    red, green, blue = film.transpose(1, 0, 2, 3).astype(int)
    for t in (0, 20, 40):
        for k, hue in ((3, np.minimum(red, blue) - green), (6, blue - np.maximum(red, green))):  # elbows
            x, y = pixels[t, k].astype(int)
            assert hue[t, y - 1 : y + 2, x - 1 : x + 2].max() > 60


def test_the_pictures_scale(signing):
    small, large = render(signing.points[:3], 32), render(signing.points[:3], 128)
    pooled = large.reshape(3, 3, 32, 4, 32, 4).mean((3, 5))
    assert np.abs(pooled - small).mean() < 4


def test_what_was_not_seen_is_not_drawn(signing):
    confidence = signing.confidence.copy()
    confidence[5, HANDS["right"]] = 0
    with_gap, whole = render(signing.points[:9], 64, confidence[:9]), render(signing.points[:9], 64)
    changed = (with_gap != whole).any((1, 2, 3))
    assert changed.tolist() == [t == 5 for t in range(9)]
    nothing = render(signing.points[:1], 32, np.zeros((1, 50)))
    assert (nothing == np.array(PAPER, np.uint8)[:, None, None]).all()


def test_unseen_points_may_be_anything_seen_ones_not(signing):
    points, confidence = signing.points[:2].copy(), np.ones((2, 50))
    points[0, 20] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        render(points, 32, confidence)
    confidence[0, 20] = 0
    assert render(points, 32, confidence).shape == (2, 3, 32, 32)


def test_motions_face_the_viewer(walk):
    skeleton = load_skeleton("humanml22")
    film = render_motion(walk[:20], skeleton, 64)
    assert film.shape == (20, 3, 64, 64)
    red, green, blue = film.astype(int).transpose(1, 0, 2, 3)
    left, right = np.minimum(red, blue) - green > 60, blue - np.maximum(red, green) > 60
    columns = np.arange(64)
    middles = [(mask.sum((0, 1)) * columns).sum() / mask.sum() for mask in (left, right)]
    assert middles[0] > middles[1]  # the left is on the right of the picture
    ink = (film != np.array(PAPER, np.uint8)[:, None, None]).any(1)
    assert not ink[:, :2].any() and not ink[:, -1:].any() and ink[:, 40:62].any()  # within the picture, standing

"""Points are drawn where they are, over a picture that keeps its shape."""

import numpy as np

from motion_lightning.view.track_film import track_film


def test_points_are_where_they_are():
    """In a picture twice as wide as high: one point goes across, the other stays."""
    moved = np.zeros((5, 2, 3), np.float32)
    moved[:, 0, 0] = np.linspace(0, 0.5, 5)
    frames = track_film(-np.ones((3, 20, 40), np.float32), np.float32([[0.25, 0.5, 1], [0.5, 0.25, 1]]), moved)
    assert frames.shape == (5, 112, 224, 3) and frames.dtype == np.uint8
    bright = frames.max(-1) > 150
    for t, u in enumerate(np.linspace(0.25, 0.75, 5)):
        assert bright[t, 56, round(224 * u)]
        assert bright[t, 28, 112]  # the one that stays
    assert not bright[0, 56, 168] and bright[4, 56, 112]  # a trail is left


def test_wrists_have_three_axes():
    still, place = np.zeros((2, 1, 2), np.float32), np.full((2, 1, 3), 0.5, np.float32)
    turned = np.broadcast_to(np.float32([[0, -1, 0], [1, 0, 0], [0, 0, 1]]), (2, 1, 3, 3))
    plain, drawn = (
        track_film(-np.ones((3, 32, 32), np.float32), np.float32([[0.1, 0.1]]), still, *hands)[0].astype(int)
        for hands in ((), (place, turned))
    )
    below, left = drawn[112 + 10, 112] - plain[122, 112], drawn[112, 112 - 10] - plain[112, 102]
    assert below.argmax() == 0 and below[0] > 100  # the first axis, red, points down; the second, green, to the left
    assert left.argmax() == 1 and left[1] > 50

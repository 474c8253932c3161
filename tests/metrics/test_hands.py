"""Distance of tracked hands from a pose: next to nothing for real videos, large for other poses."""

import numpy as np
import pytest

from motion_lightning.data.signs.corpus import SignVideoCorpus
from motion_lightning.metrics.hands import hand_distance


@pytest.fixture(scope="module")
def clips():
    corpus = SignVideoCorpus(train=12, val=0, test=0)
    return [(clip.features, clip.extras["hands"] / 32) for clip in corpus.clips()]


def test_real_videos_have_their_hands_in_place(clips):
    found = hand_distance(*zip(*clips, strict=True))
    assert found["distance"] < 0.005 and found["near"] == 1 and found["lost"] == 0


def test_a_shift_of_the_places_is_the_distance(clips):
    moved = [places + np.array((0.06, 0.08)) for _, places in clips]
    found = hand_distance([video for video, _ in clips], moved)
    assert found["distance"] == pytest.approx(0.1, abs=0.005) and found["near"] == 0


def test_poses_of_other_clips_are_far(clips):
    videos, places = zip(*clips, strict=True)
    assert hand_distance(videos, places[1:] + places[:1])["distance"] > 0.08


def test_hands_that_are_not_there_are_lost(clips):
    found = hand_distance([np.zeros_like(clips[0][0])], [clips[0][1]])
    assert found["lost"] == 1 and found["near"] == 0 and np.isnan(found["distance"])

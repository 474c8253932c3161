"""Reading drawn sign videos back: exact on clips of the corpus, at chance on shuffled programs, calm about noise."""

from collections import Counter

import numpy as np
import pytest

from motion_lightning.data.signs.corpus import SignVideoCorpus
from motion_lightning.data.signs.program import Hand, SignProgram
from motion_lightning.metrics.signs import LOST, read_hand, read_program, score, sign_accuracy, track_hands


@pytest.fixture(scope="module")
def clips():
    corpus = SignVideoCorpus(train=60, val=0, test=60)
    return list(corpus.clips())


def test_hands_are_found_to_a_quarter_of_a_pixel(clips):
    for clip in clips:
        np.testing.assert_allclose(track_hands(clip.features).places, clip.extras["hands"], atol=0.25)


@pytest.mark.parametrize("size", [24, 64])
def test_programs_of_real_clips_are_read_back(size):
    clips = list(SignVideoCorpus(train=30, val=0, test=30, size=size).clips())
    found = sign_accuracy([c.tags["program"] for c in clips], [c.features for c in clips])
    assert all(found[key] >= 0.99 for key in ("movement", "speed", "size", "clip")) and found["lost"] == 0, found


def test_shuffled_programs_are_right_by_chance_only(clips):
    moves = Counter(c.tags["program"][hand]["movement"] for c in clips for hand in ("left", "right"))
    chance = sum((count / (2 * len(clips))) ** 2 for count in moves.values())
    shuffled = [clips[i - 1].tags["program"] for i in range(len(clips))]
    found = sign_accuracy(shuffled, [c.features for c in clips])
    assert abs(found["movement"] - chance) < 0.07 and found["clip"] < 0.05


def test_noise_and_specks_do_not_mislead(clips):
    rng = np.random.default_rng(0)
    some = clips[:40]
    noisy = [c.features / 127.5 - 1 + 0.15 * rng.standard_normal(c.features.shape) for c in some]
    for video in noisy:
        video[:, :, :2, :2] = np.array([0.8, -0.6, 0.1])[:, None, None]  # a bit of glove in a corner
    assert sign_accuracy([c.tags["program"] for c in some], noisy)["clip"] >= 0.95


def test_left_and_right_are_not_confused(clips):
    clip = next(c for c in clips if c.tags["program"]["left"] != c.tags["program"]["right"])
    swapped = {"left": clip.tags["program"]["right"], "right": clip.tags["program"]["left"]}
    assert not all(all(hand.values()) for hand in score(swapped, read_program(clip.features)).values())


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1.0, -1.0])
def test_a_video_without_hands_has_lost_them(value):
    video = np.full((16, 3, 32, 32), value, np.float32)
    assert np.isnan(track_hands(video).places).all()
    assert read_program(video) == SignProgram(LOST, LOST)
    found = sign_accuracy([SignProgram(Hand("stay"), Hand("wave", "slow"))], [video])
    assert found["movement"] == found["speed"] == 0 and found["lost"] == 1 and np.isnan(found["size"])


def test_a_few_frames_may_be_missing():
    time = np.arange(16) / 8
    places = np.stack([0.75 + 0.085 * np.cos(2 * np.pi * time), 0.6 + 0.085 * np.sin(2 * np.pi * time)], -1)
    places[[3, 8]] = np.nan
    assert read_hand(places, np.full(16, 12.0)) == Hand("circle", "normal", "normal")
    places[:9] = np.nan
    assert read_hand(places, np.full(16, 12.0)) == LOST


def test_pictures_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="T, 3, H, W"):
        track_hands(np.zeros((16, 32, 32, 3)))

"""Signs read back from keypoints: right on signers never seen, at chance on other sentences, calm about noise."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from motion_lightning.errors import UserError
from motion_lightning.metrics.sign_poses import SignReader, edits, gloss_scores, observations


@pytest.fixture(scope="module")
def reader(sign_store) -> SignReader:
    return SignReader(sign_store.split("train"))


@pytest.fixture(scope="module")
def held_out(sign_store):
    part = sign_store.split("test")
    return [part.features(i) for i in range(len(part))], [part.tags(i)["gloss"] for i in range(len(part))]


def test_signs_of_people_who_were_never_seen_are_read(reader, held_out):
    clips, asked = held_out
    found = gloss_scores(asked, [reader.read(clip) for clip in clips])
    assert found["signs"] >= 0.98 and found["wer"] <= 0.02 and found["clips"] >= 0.95, found


def test_left_handed_signers_are_read_as_well(reader, sign_store):
    part = sign_store.split("train")
    left = [i for i in range(len(part)) if part.tags(i)["leads"] == "left"]
    assert len(left) > 5 and set(reader.models) == {"left", "right"}
    found = gloss_scores([part.tags(i)["gloss"] for i in left], [reader.read(part.features(i)) for i in left])
    assert found["wer"] <= 0.05


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_noise_and_blur_do_not_mislead(reader, held_out, noise):
    clips, asked = held_out
    rng = np.random.default_rng(0)
    spoilt = [clip + noise * rng.normal(size=clip.shape) * (1, 1, 1, 0) for clip in clips]
    assert gloss_scores(asked, [reader.read(clip) for clip in spoilt])["wer"] < 0.05
    soft = [gaussian_filter1d(clip, 1.2, axis=0) for clip in clips]
    assert gloss_scores(asked, [reader.read(clip) for clip in soft])["wer"] < 0.05


def test_other_sentences_are_not_found(reader, held_out):
    clips, asked = held_out
    read = [reader.read(clip) for clip in clips]
    found = gloss_scores(asked[1:] + asked[:1], read)
    assert found["signs"] < 0.4 and found["clips"] < 0.1


def test_a_signer_at_rest_says_nothing_and_half_a_clip_half_of_it(reader, held_out, sign_store):
    clips, asked = held_out
    assert reader.read(clips[0][:1].repeat(60, 0)) == []
    end = sign_store.split("test").tags(0)["spans"][0][1] + 3
    assert reader.read(clips[0][:end]) == asked[0][:1]


def test_a_store_without_times_of_signs_cannot_be_read(tiny_store):
    with pytest.raises(UserError, match="when each sign was made"):
        SignReader(tiny_store.split("train"))


def test_observations_do_not_see_where_a_hand_s_fingers_are_but_how_they_are_held(held_out):
    clip = held_out[0][0]
    moved = clip.copy()
    moved[:, 8:29, :3] += 0.5  # the hand alone; its wrist in the body stays
    np.testing.assert_allclose(observations(moved), observations(clip), atol=1e-6)


def test_edits_are_those_of_the_word_error_rate():
    assert edits("abcd", "abcd") == 0 and edits("abcd", "") == 4 and edits("", "ab") == 2
    assert edits("abcd", "bcde") == 2 and edits("abcd", "axcd") == 1 and edits("abc", "acb") == 2
    assert gloss_scores([["A", "B"], ["C", "D"]], [["A", "B"], ["D"]]) == {"signs": 0.75, "wer": 0.25, "clips": 0.5}

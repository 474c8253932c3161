"""Skeletons beside drawn videos: where the hands are, as pictures and as a condition."""

import numpy as np
import pytest
import torch

from motion_lightning.data.signs.corpus import SignVideoCorpus
from motion_lightning.data.signs.keypoints import conform
from motion_lightning.data.signs.render import COLOURS
from motion_lightning.data.signs.signing import make_person, perform
from motion_lightning.data.signs.skeleton_maps import PairCondition, SignPairCorpus, hands_of, map_of_keypoints
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store

SIZES = {"train": 4, "val": 2, "test": 2}


@pytest.fixture(scope="module")
def clips():
    return list(SignPairCorpus(**SIZES).clips())


def pixels(picture: np.ndarray, side: str) -> np.ndarray:
    """(N, 2) x and y of what is drawn in a side's colour."""
    y, x = np.nonzero(np.abs(picture.astype(int) - np.array(COLOURS[side])[:, None, None]).max(0) < 60)
    return np.stack([x, y], -1) + 0.5


def test_videos_are_those_of_the_corpus_without_skeletons(clips):
    for clip, plain in zip(clips, SignVideoCorpus(**SIZES).clips(), strict=True):
        assert clip.captions == plain.captions and clip.id == plain.id
        np.testing.assert_array_equal(clip.features, plain.features)
        np.testing.assert_array_equal(clip.extras["hands"], plain.extras["hands"])
    assert SignPairCorpus(**SIZES).fingerprint() != SignVideoCorpus(**SIZES).fingerprint()


def test_arms_end_at_the_hands(clips):
    for clip in clips:
        for picture, hands in zip(clip.extras["pose"], clip.extras["hands"], strict=True):
            for side, hand in zip(("left", "right"), hands, strict=True):
                drawn = pixels(picture, side)
                assert np.linalg.norm(drawn - hand, axis=-1).min() < 1.6, (clip.id, side)


def test_a_batch_has_poses_in_minus_one_to_one_beside_its_text(clips, tmp_path, tiny_encoder):
    prepare_store(SignPairCorpus(**SIZES), tiny_encoder, tmp_path / "pairs", progress=False)
    split = Store.open(tmp_path / "pairs").with_condition(PairCondition()).split("train")
    batch = split.collate([2, 0])
    assert batch.cond.pose.shape == (2, 16, 3, 32, 32) and batch.cond.pose.abs().max() <= 1
    expected = torch.from_numpy(clips[2].extras["pose"]).float() / 127.5 - 1
    torch.testing.assert_close(batch.cond.pose[0], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.cond.text, split.store.texts.cond(batch.info.caption.tolist()))
    np.testing.assert_allclose(hands_of(split, [2])[0], clips[2].extras["hands"] / 32)


def test_keypoints_of_a_signer_become_the_skeleton_of_a_drawn_one():
    keypoints, spans = perform(["NIGHT", "SEA"], make_person(0), np.random.default_rng(0))
    features = conform(keypoints).features()
    pictures = map_of_keypoints(features, 48)
    assert pictures.shape == (len(features), 3, 48, 48) and map_of_keypoints(features, 48, 16).shape[0] == 16
    resting, signing = pictures[0], pictures[(spans[0][0] + spans[0][1]) // 2]
    for side in ("left", "right"):
        assert pixels(resting, side)[:, 1].max() > 40 and pixels(signing, side)[:, 1].max() < 36
    assert pixels(resting, "left")[:, 0].mean() > 24 > pixels(resting, "right")[:, 0].mean()

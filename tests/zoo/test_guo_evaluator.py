"""Guo et al.'s evaluator under a protocol: real clips, samples and captions of a store in one space."""

import numpy as np
import pytest
import torch

from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.errors import UserError
from motion_lightning.models.guo import GuoEvaluator
from motion_lightning.protocol import Frames, Protocol
from motion_lightning.replications import Replications
from motion_lightning.text.word_vectors import WordVectors
from motion_lightning.zoo.guo import Guo
from motion_lightning.zoo.guo_evaluator import GuoScorer


@pytest.fixture(scope="module")
def scorer() -> GuoScorer:
    torch.manual_seed(0)
    words = ["sos", "eos", "unk", "a", "someone", "wave", "slow", "wide", "low", "fast"]
    network = GuoEvaluator(263).requires_grad_(False)
    return GuoScorer(
        Guo(network, WordVectors(words, torch.randn(10, 300)), {"dataset": "smooth", "evaluator_sha256": "1" * 64})
    )


@pytest.fixture
def split(tiny_store):
    return tiny_store.split("train")


def test_samples_of_all_features_are_placed_as_the_clips_they_copy(scorer, split, tiny_store):
    codec = FeatureCodec("all")
    codec.fit(tiny_store)
    clips = [split.collate([i], multiple_of=1) for i in range(5)]
    samples = [codec.encode(clip)[0][0] for clip in clips]
    placed = scorer.clips(split, range(5), [0] * 5, split.lengths[:5].tolist())
    torch.testing.assert_close(scorer.samples(codec, samples), placed, atol=1e-4, rtol=1e-3)
    assert placed.shape == (5, 512) and (placed[0] - placed[1]).norm() > 1e-3


def test_a_cut_is_the_clip_that_is_left(scorer, split):
    whole = torch.from_numpy(split.features(2)[3:23].copy())[None]
    cut = scorer.clips(split, [0, 2], [0, 3], [24, 20])[1]
    torch.testing.assert_close(cut, scorer.guo.network.embed_motion(whole, torch.tensor([20]))[0])


def test_captions_are_read_word_by_word(scorer, split):
    ids = [split.text_ids(i)[0] for i in range(4)]  # a slow wave, a wide wave, …
    placed = scorer.texts(split, [*ids, ids[0]])
    torch.testing.assert_close(placed[4], placed[0])
    assert len(np.unique(placed.numpy().round(5), axis=0)) == 4


def test_samples_of_fewer_features_are_refused(scorer):
    with pytest.raises(UserError, match=r"reads all features of a frame, .*: train it with codec\.parts=all"):
        scorer.samples(FeatureCodec("no_rotations"), [torch.zeros(40, 137)])


def test_another_corpus_is_not_to_be_compared(scorer, tiny_store):
    assert scorer.reasons(tiny_store) == []
    other = GuoScorer(scorer.guo._replace(about={"dataset": "kit", "evaluator_sha256": "1" * 64}))
    assert other.reasons(tiny_store) == ["Guo et al.'s evaluator of kit is no evaluator of data=smooth"]


def test_a_protocol_runs_on_cut_clips(scorer, split):
    protocol = Protocol(
        "mine", pool=4, replications=3, diversity_pairs=5, frames=Frames(24, 199, multiple_of=4, shorten=0.5)
    )
    rows = Replications(protocol, split, scorer).of_real()
    assert len(rows) == 3 and all(np.isfinite([*row.values()]).all() for row in rows)
    assert rows[0]["FID"] > 0  # the reference is cut anew

"""Drawn sign videos: what a clip holds, that a seed decides it, and that no signer is in two splits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.data.clip import SPLITS
from motion_lightning.data.signs.corpus import SignVideoCorpus
from motion_lightning.data.signs.program import HANDS, MOVEMENTS, PERIODIC, SIZED, Hand, SignProgram, sample_program
from motion_lightning.data.signs.sentences import PHRASES, SIZES, SPEEDS, sentences
from motion_lightning.data.signs.signer import make_signer, move
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError


@pytest.fixture(scope="module")
def corpus() -> SignVideoCorpus:
    return SignVideoCorpus(train=20, val=10, test=10)


def test_a_clip_is_a_video_with_hands_and_sentences(corpus):
    clip = corpus.clip("train", 3)
    assert clip.features.shape == (16, 3, 32, 32) and clip.features.dtype == np.uint8
    assert clip.extras["hands"].shape == (16, 2, 2) and clip.extras["hands"].dtype == np.float32
    assert len(set(clip.captions)) == 3
    assert SignProgram.from_dict(clip.tags["program"]).to_dict() == clip.tags["program"]


def test_the_seed_decides_everything(corpus):
    again = SignVideoCorpus(train=99, val=10, test=10)  # a split can grow without changing
    other = SignVideoCorpus(train=20, val=10, test=10, seed=1)
    for split in SPLITS:
        a, b, c = (source.clip(split, 4) for source in (corpus, again, other))
        assert np.array_equal(a.features, b.features) and a.captions == b.captions and a.tags == b.tags
        assert not np.array_equal(a.features, c.features)
    assert corpus.fingerprint() != other.fingerprint()


def test_an_interrupted_run_can_go_on(corpus):
    assert [c.id for c in corpus.clips(start=33)] == [c.id for c in corpus.clips()][33:]


def test_no_signer_is_in_two_splits(corpus):
    signers = {split: set() for split in SPLITS}
    for clip in corpus.clips():
        signers[clip.split].add(clip.tags["signer"])
    assert all(signers.values())
    assert sum(map(len, signers.values())) == len(set.union(*signers.values()))
    assert len({repr(make_signer(i)).split(",", 1)[1] for i in range(36)}) == 36  # people do look different


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(24, 128))
def test_hands_stay_in_the_picture_on_their_own_side(seed, size):
    rng = np.random.default_rng(seed)
    program, signer = sample_program(rng), make_signer(int(rng.integers(100)))
    places = move(program, signer, 16, 8.0, rng).places * signer.scale
    assert (np.abs(places[..., 0]) + signer.hand < 0.5).all()
    assert (places[:, 0, 0] > 0).all() and (places[:, 1, 0] < 0).all()  # the signer's left is on the right
    assert (places[..., 1] > 0.1).all() and (places[..., 1] < 0.95).all()


@given(st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_what_a_text_says_is_where_hands_begin(seed):
    """No phase that only chance knows: strokes begin low, circles too, and then outwards, on both sides."""
    rng = np.random.default_rng(seed)
    for movement in ("up_down", "circle"):
        hand = Hand(movement, "slow", "large")
        places = move(SignProgram(hand, hand), make_signer(seed % 30), 32, 8.0, rng).places  # (T, 2, 2)
        high, low = places[..., 1].min(0), places[..., 1].max(0)
        assert (places[0, :, 1] > low - 0.05 * (low - high)).all()
        if movement == "circle":
            outwards = (places[2] - places[0])[:, 0] * (1, -1)
            assert (outwards > 0).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_sentences_say_all_of_the_program(seed):
    rng = np.random.default_rng(seed)
    program = sample_program(rng)
    for text in sentences(program, rng, 4):
        assert "{" not in text and "  " not in text and text == text.strip() and len(text.split()) < 36
        for hand in program.hands:
            assert hand.speed not in SPEEDS or any(word in text for word in SPEEDS[hand.speed])
            assert hand.size not in SIZES or any(word in text for word in SIZES[hand.size])


def test_every_movement_can_be_told_with_its_attributes():
    assert set(PHRASES) == set(MOVEMENTS)
    assert set(SIZED) <= set(PERIODIC) <= set(MOVEMENTS)
    for movement in SIZED:
        assert sum("{size}" in phrase for phrase in PHRASES[movement]) >= 2
    rng = np.random.default_rng(0)
    programs = [sample_program(rng) for _ in range(800)]
    assert {hand.movement for program in programs for hand in program.hands} == set(MOVEMENTS)
    assert not any(program.left.movement == program.right.movement == "stay" for program in programs)
    assert len({sentence for program in programs for sentence in sentences(program, rng)}) > 2000
    assert HANDS == ("left", "right")


def test_the_store_gives_pictures_from_minus_one_to_one(corpus, make_encoder, tmp_path):
    report = prepare_store(corpus, make_encoder(), tmp_path / "signs", progress=False)
    assert report.clips == 40
    split = Store.open(tmp_path / "signs").split("val")
    clip = corpus.clip("val", 2)
    assert np.array_equal(split.features(2), clip.features) and split.captions(2) == clip.captions
    assert np.array_equal(split.extras(2)["hands"], clip.extras["hands"])
    batch = split.collate([2, 5])
    assert batch.x.shape == (2, 16, 3, 32, 32)
    np.testing.assert_allclose(batch.x[0].numpy(), clip.features / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [{"size": 8}, {"frames": 4}, {"train": -1}, {"train": 0, "val": 0, "test": 0}, {"signers": (3, 0, 1)},
     {"signers": (3, 1)}, {"texts": 0}],
)  # fmt: skip
def test_settings_that_cannot_be(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        SignVideoCorpus(**wrong)

"""Words that call for stored signs: learned by counting, looked up for sentences that were never seen."""

import numpy as np
import pytest

from motion_lightning.data.signs.dictionary import Dictionary, words
from motion_lightning.data.signs.lexicon import ENGLISH, SIGNS
from motion_lightning.errors import UserError


@pytest.fixture(scope="module")
def dictionary(sign_store) -> Dictionary:
    return Dictionary(sign_store.split("train"))


def test_words_of_signs_are_learned_and_words_of_all_sentences_are_not(dictionary):
    assert set(dictionary.signs) == set(SIGNS)
    for word in ("there", "is", "in", "a", "the", "some", "it", "at"):
        assert not dictionary.meanings[word], word
    for sign, phrases in ENGLISH.items():
        if sign:
            called = [s for phrase in phrases for word in words(phrase) for s in dictionary.meanings.get(word, ())]
            assert set(called) == {sign}, (sign, called)


def test_held_out_sentences_are_glossed_in_the_order_of_the_language(dictionary, sign_store):
    part = sign_store.split("test")
    for i in range(len(part)):
        for caption in part.captions(i):
            assert dictionary.gloss(caption) == part.tags(i)["gloss"], caption


def test_what_is_joined_moves_no_faster_than_signers_do(dictionary, sign_store):
    part = sign_store.split("test")
    fastest = max(np.abs(np.diff(part.features(i)[..., :3], axis=0)).max() for i in range(len(part)))
    for i in range(len(part)):
        clip = dictionary.translate(part.captions(i)[0])
        assert clip.dtype == np.float32 and clip.shape[1:] == (50, 4) and 0.5 < len(clip) / part.lengths[i] < 2
        assert np.abs(np.diff(clip[..., :3], axis=0)).max() < 1.1 * fastest
        assert (clip[..., 3] == 1).all()


def test_all_signs_are_one_signer_s(dictionary):
    width = [np.linalg.norm(sign[:, 2, :3] - sign[:, 3, :3], axis=-1) for sign in dictionary.signs.values()]
    np.testing.assert_allclose(np.concatenate(width), width[0][0], rtol=2e-2)


def test_a_text_without_a_word_that_is_known_is_a_signer_at_rest(dictionary):
    clip = dictionary.translate("bonjour à tous")
    assert dictionary.gloss("bonjour à tous") == [] and np.abs(np.diff(clip[..., :3], axis=0)).max() < 1e-3


def test_an_unknown_sign_is_refused_and_a_store_without_times_too(dictionary, tiny_store):
    with pytest.raises(UserError, match="HAIL are not in the lexicon"):
        dictionary.sign(["RAIN", "HAIL"])
    with pytest.raises(UserError, match="when each sign was made"):
        Dictionary(tiny_store.split("train"))

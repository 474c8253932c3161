"""Captions for Guo et al.'s evaluator: start, end and padding; lists before tags; unknown words."""

import pytest
import torch

from motion_lightning.errors import UserError
from motion_lightning.text import word_vectors
from motion_lightning.text.tagging import corpus_lines
from motion_lightning.text.word_vectors import CLASSES, SPECIAL_CLASS, WordVectors

WORDS = ["sos", "eos", "unk", "a", "man", "kick", "walk", "left", "leg", "slowly", "chair", "with"]
CLASS = {  # utils/word_vectorizer.py of EricGuo5513/text-to-motion
    "VERB": 0, "NOUN": 1, "DET": 2, "ADP": 3, "NUM": 4, "AUX": 5, "PRON": 6, "ADJ": 7, "ADV": 8,
    "place": 9, "body": 10, "object": 11, "action": 12, "manner": 13, "other": 14,
}  # fmt: skip


@pytest.fixture
def words() -> WordVectors:
    return WordVectors(WORDS, torch.arange(12.0)[:, None].expand(12, 300))


def read(words: WordVectors, line: str) -> tuple[list[int], list[int], int]:
    tokens = words(["a caption"], [line])
    assert tokens.vectors.shape == (1, 22, 300) and tokens.pos.shape == (1, 22, 15)
    assert torch.equal(tokens.pos.sum(-1), torch.ones(1, 22))
    return tokens.vectors[0, :, 0].int().tolist(), tokens.pos[0].argmax(1).tolist(), int(tokens.lengths)


def test_a_caption_lies_between_start_and_end_and_is_padded(words):
    index, pos, length = read(words, "a/DET man/NOUN with/ADP")
    assert index == [0, 3, 4, 11, 1] + 17 * [2] and length == 5
    assert pos == [14, 2, 1, 3, 14] + 17 * [14]


@pytest.mark.parametrize("count", [1, 19, 20, 21, 60])
def test_twenty_words_count(words, count):
    index, _, length = read(words, "a/DET " * (count - 1) + "man/NOUN")
    kept = min(count, 20)
    assert length == kept + 2 and index[length - 1] == 1 and index[length:] == [2] * (22 - length)
    assert (4 in index) == (count <= 20)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("kick/NOUN", "action"),
        ("left/VERB", "place"),
        ("leg/ADJ", "body"),
        ("chair/X", "object"),
        ("slowly/ADV", "manner"),
        ("man/NOUN", "NOUN"),
        ("man/CCONJ", "other"),
        ("man/noun", "other"),
    ],
)
def test_the_lists_come_before_the_tag(words, token, expected):
    assert read(words, token)[1][1] == CLASS[expected]


@pytest.mark.parametrize("token", ["zebra/NOUN", "dumbbell/NOUN", "Man/NOUN"])
def test_an_unknown_word_is_unknown_whatever_its_tag_and_list(words, token):
    index, pos, _ = read(words, token)
    assert (index[1], pos[1]) == (2, 14)


def test_there_are_81_words_in_five_lists():
    counts = [list(SPECIAL_CLASS.values()).count(place) for place in range(9, 14)]
    assert counts == [12, 13, 10, 34, 12] and CLASSES == 15


def test_captions_keep_their_order(words):
    lines = ["man/NOUN", "a/DET man/NOUN kick/VERB", "with/ADP a/DET"]
    together = words(["x"] * 3, lines)
    for i, line in enumerate(lines):
        alone = words(["x"], [line])
        assert all(torch.equal(a[i], b[0]) for a, b in zip(together, alone, strict=True))


def test_a_line_is_made_where_there_is_none(words, monkeypatch):
    monkeypatch.setattr(word_vectors, "corpus_lines", lambda texts: ["a/DET man/NOUN kick/VERB" for _ in texts])
    made = words(["a man kicks", "he walks"], ["", "walk/VERB"])
    given = words(["a man kicks", "he walks"], ["a/DET man/NOUN kick/VERB", "walk/VERB"])
    assert all(torch.equal(a, b) for a, b in zip(made, given, strict=True))
    assert torch.equal(words(["a man kicks"]).vectors, given.vectors[:1])


def test_lines_are_made_as_humanml3d_makes_them(shared_data):
    lines = (shared_data / "humanml3d_reference" / "texts" / "000000.txt").read_text().splitlines()
    captions, published = zip(*(line.split("#")[:2] for line in lines), strict=True)
    assert corpus_lines(captions) == list(published)


def test_made_lines_hold_lemmas_and_words_of_letters():
    made = corpus_lines(["A person's hands wave; he turns counter-clockwise 90 degrees to his left."])[0]
    tokens = dict(token.rsplit("/", 1) for token in made.split())
    assert {"person", "hand", "turn", "counterclockwise", "degree", "left"} <= tokens.keys()
    assert "90" not in tokens and tokens["his"] == "DET"


@pytest.mark.parametrize(
    ("captions", "lines"),
    [([], []), (["a man"], ["a/DET", "man/NOUN"]), (["a man"], ["a/DET man"]), (["a man"], ["/DET"]), (["..."], [])],
)
def test_captions_that_cannot_be_read_are_refused(words, captions, lines):
    with pytest.raises(UserError):
        words(captions, lines)


@pytest.mark.parametrize(
    ("listed", "rows", "message"),
    [
        (WORDS, 11, "12 words, vectors of shape"),
        ([*WORDS[:-1], "man"], 12, "'man' is there twice"),
        (["a", *WORDS[1:]][:3], 3, "without sos"),
        (WORDS, None, "'walk' is not finite"),
    ],
)
def test_word_vectors_that_do_not_fit_are_refused(listed, rows, message):
    vectors = torch.zeros(rows or 12, 300)
    if rows is None:
        vectors[6, 3] = float("inf")
    with pytest.raises(UserError, match=message):
        WordVectors(listed, vectors)

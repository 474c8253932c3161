"""Captions as Guo et al.'s evaluator reads them: word vectors and parts of speech, with a start and an end.

The words, the classes and the lists are those of EricGuo5513/text-to-motion (utils/word_vectorizer.py), the cutting
and padding those of its data/dataset.py.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from motion_lightning.errors import UserError
from motion_lightning.text.tagging import corpus_lines

POS = ("VERB", "NOUN", "DET", "ADP", "NUM", "AUX", "PRON", "ADJ", "ADV")  # then the five lists, then all others
SPECIAL = (
    # places and directions
    "left right clockwise counterclockwise anticlockwise forward back backward up down straight curve",
    # parts of the body
    "arm chin foot feet face hand mouth leg waist eye knee shoulder thigh",
    # objects
    "stair dumbbell chair window floor car ball handrail baseball basketball",
    # actions
    "walk run swing pick bring kick put squat throw hop dance jump turn stumble stop sit lift lower raise wash stand "
    "kneel stroll rub bend balance flap jog shuffle lean rotate spin spread climb",
    # manners
    "slowly carefully fast careful slow quickly happy angry sad happily angrily sadly",
)
OTHER = len(POS) + len(SPECIAL)
CLASSES = OTHER + 1
CLASS = {tag: i for i, tag in enumerate(POS)}
SPECIAL_CLASS = {word: len(POS) + i for i, words in enumerate(SPECIAL) for word in words.split()}
MOST = 20  # words of a caption that count
START, END, UNKNOWN = "sos", "eos", "unk"


class WordTokens(NamedTuple):
    """Captions of at most 20 words between start and end, padded to 22."""

    vectors: Tensor  # (B, 22, E) float32
    pos: Tensor  # (B, 22, 15) float32, one-hot
    lengths: Tensor  # (B,) int64, start and end included


class WordVectors:
    """Looks words up.

    Args:
        words: in the order of their vectors; "sos", "eos" and "unk" among them.
        vectors: (N, E) float32.

    Raises:
        UserError: not one vector for each word, a word twice, one of the three missing, or a vector that is not finite.
    """

    def __init__(self, words: Sequence[str], vectors: Tensor):
        if vectors.ndim != 2 or len(words) != len(vectors):
            raise UserError(f"{len(words)} words, vectors of shape {tuple(vectors.shape)}: one for each is expected")
        self.words, self.vectors = list(words), vectors.float()
        self.index = {word: i for i, word in enumerate(self.words)}
        if len(self.index) < len(self.words):
            twice = next(word for i, word in enumerate(self.words) if self.index[word] != i)
            raise UserError(f"word vectors: {twice!r} is there twice; take the published files")
        if missing := [word for word in (START, END, UNKNOWN) if word not in self.index]:
            raise UserError(f"word vectors without {', '.join(missing)}; take the published files")
        if not (finite := self.vectors.isfinite().all(1)).all():
            raise UserError(f"word vectors: that of {self.words[int(finite.int().argmin())]!r} is not finite")

    def __len__(self) -> int:
        return len(self.words)

    def __call__(self, captions: Sequence[str], lines: Sequence[str] = ()) -> WordTokens:
        """Captions → what the evaluator reads.

        Args:
            lines: the corpus' own words and tags of each caption, "a/DET man/NOUN kick/VERB"; they count as they
                stand. Those that are empty, or all where none are given, are made from the caption by `corpus_lines`.

        Raises:
            UserError: no captions, one without a word, or a line of another form.
        """
        lines = list(lines) or [""] * len(captions)
        if not captions or len(lines) != len(captions):
            raise UserError(f"{len(lines)} lines of tags for {len(captions)} captions: give one for each, and some")
        if untold := [i for i, line in enumerate(lines) if not line.strip()]:
            for i, made in zip(untold, corpus_lines([captions[i] for i in untold]), strict=True):
                lines[i] = made
        index = torch.full((len(lines), MOST + 2), self.index[UNKNOWN])
        pos = torch.full_like(index, OTHER)
        lengths = torch.zeros(len(lines), dtype=torch.int64)
        for row, (caption, line) in enumerate(zip(captions, lines, strict=True)):
            told = [self.look_up(*token) for token in parse(line, caption)[:MOST]]
            told = [(self.index[START], OTHER), *told, (self.index[END], OTHER)]
            lengths[row] = len(told)
            index[row, : len(told)], pos[row, : len(told)] = torch.tensor(told).T
        return WordTokens(self.vectors[index], F.one_hot(pos, CLASSES).float(), lengths)

    def look_up(self, word: str, tag: str) -> tuple[int, int]:
        """Index of a word's vector, and its class: that of the list that it is in, else that of its tag."""
        if word not in self.index:
            return self.index[UNKNOWN], OTHER  # whatever its tag
        return self.index[word], SPECIAL_CLASS.get(word, CLASS.get(tag, OTHER))


def parse(line: str, caption: str) -> list[tuple[str, str]]:
    """Words and tags of a line.

    Raises:
        UserError: it has none, or one is not of the form word/TAG.
    """
    told = [token.rpartition("/") for token in line.split()]
    if not told:
        raise UserError(f"the caption {caption[:80]!r} has no word; leave it out")
    if wrong := [tag for word, _, tag in told if not word or not tag]:
        raise UserError(f"the caption {caption[:80]!r}: expected word/TAG in its line of tags, got {wrong[0][:80]!r}")
    return [(word, tag) for word, _, tag in told]

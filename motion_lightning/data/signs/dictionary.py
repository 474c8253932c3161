"""From words to stored signs without a network: what is looked up is joined and smoothed.

The baseline of A. Moryossef et al., An Open-Source Gloss-Based Baseline for Spoken to Signed Language Translation
(2023): text to gloss, gloss to a sign of the lexicon, signs one after another. Here all of it is taken from a store:
which word calls for which sign by counting, the signs from the clips of one signer.
"""

import re
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d

from motion_lightning.data.store import Split
from motion_lightning.errors import UserError

SURE = 0.9  # share of a word's captions that have a sign, from which on the word calls for it
SEEN = 3  # captions that a word has to be in
SMOOTH = 1.0  # frames, deviation of the filter over what is joined


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


class Dictionary:
    """Words, the signs that they call for, and one example of each sign.

    ``meanings`` has, for each word that is in ``SEEN`` captions or more, the signs that a share ``SURE`` of these come
    with; ``order`` where in a sentence a sign stands on average; ``signs`` the frames (n, K, D + 1) of each, from the
    signer who shows most of them, of middle length; ``pause`` the frames between two signs, and ``rest`` the frame that
    everything begins and ends with.

    Args:
        split: training clips; their tags hold ``gloss``, ``spans`` and ``signer``.

    Raises UserError where tags do not say when signs were made.
    """

    def __init__(self, split: Split):
        told, together = Counter(), defaultdict(Counter)
        places, examples, pauses, rest = defaultdict(list), defaultdict(lambda: defaultdict(list)), [], {}
        for i in range(len(split)):
            tags = split.tags(i)
            if not tags.get("spans"):
                raise UserError(
                    f"{split.store.path}: tags do not say when each sign was made; there is no lexicon in it"
                )
            gloss, spans, signer = tags["gloss"], tags["spans"], tags.get("signer", "")
            for caption in split.captions(i):
                for word in words(caption):
                    told[word] += 1
                    together[word].update(set(gloss))
            for k, (sign, span) in enumerate(zip(gloss, spans, strict=True)):
                places[sign].append(k / max(1, len(gloss) - 1))
                examples[signer][sign].append((i, *span))
            pauses += [start - end for (_, end), (start, _) in pairwise(spans)]
            rest.setdefault(signer, i)
        self.meanings = {
            word: [sign for sign, count in together[word].items() if count >= SURE * told[word]]
            for word in told
            if told[word] >= SEEN
        }
        self.order = {sign: float(np.mean(at)) for sign, at in places.items()}
        known = {name: (len(signs), sum(map(len, signs.values()))) for name, signs in examples.items()}
        self.signer = max(sorted(known), key=known.__getitem__)
        self.signs = {}
        for sign in self.order:
            shown = examples[self.signer].get(sign) or max((e[sign] for e in examples.values()), key=len)
            i, start, end = sorted(shown, key=lambda example: example[2] - example[1])[len(shown) // 2]
            self.signs[sign] = split.features(i)[start:end]
        self.pause = round(float(np.median(pauses))) if pauses else 1
        self.rest = split.features(rest[self.signer])[:1]

    def gloss(self, text: str) -> list[str]:
        """The signs that a text calls for, in the order that signs usually have."""
        called = {sign for word in words(text) for sign in self.meanings.get(word, ())}
        return sorted(called, key=self.order.__getitem__)

    def sign(self, gloss: list[str]) -> np.ndarray:
        """Stored signs one after another, from rest to rest, (T, K, D + 1); UserError for an unknown one."""
        unknown = [sign for sign in gloss if sign not in self.signs]
        if unknown:
            raise UserError(
                f"signs {', '.join(unknown)} are not in the lexicon; it has {', '.join(sorted(self.signs))}"
            )
        parts = [self.rest]
        for part in (*(self.signs[sign] for sign in gloss), self.rest):
            parts += [_passage(parts[-1][-1], part[0], self.pause), part]
        joined = np.concatenate(parts)
        smooth = gaussian_filter1d(joined[..., :-1], SMOOTH, axis=0, mode="nearest")
        return np.concatenate([smooth, joined[..., -1:]], -1).astype(np.float32)

    def translate(self, text: str) -> np.ndarray:
        """Keypoints (T, K, D + 1) for a text; one that calls for no sign is a signer at rest."""
        return self.sign(self.gloss(text))


def _passage(a: np.ndarray, b: np.ndarray, frames: int) -> np.ndarray:
    """From frame ``a`` to frame ``b`` (K, D + 1), speeding up and slowing down; seen where both are."""
    share = (np.arange(1, frames + 1) / (frames + 1))[:, None, None]
    points = a[:, :-1] + share**2 * (3 - 2 * share) * (b - a)[:, :-1]
    confidence = np.broadcast_to(np.minimum(a[:, -1:], b[:, -1:]), (frames, len(a), 1))
    return np.concatenate([points, confidence], -1).astype(np.float32)

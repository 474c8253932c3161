"""What the embedded corpus has always made of a seed, it makes still: trained models and figures stand on it."""

import hashlib
import json

import numpy as np

from motion_lightning.data.clip import SPLITS
from motion_lightning.data.programs.captions import captions
from motion_lightning.data.programs.corpus import ProgramCorpus

FINGERPRINT = {"corpus": "programs", "version": 4, "train": 4000, "val": 400, "test": 400}
FINGERPRINT |= {"seed": 0, "compound": 0.45, "texts": 3}


def test_the_default_clips_and_captions_stay_as_they_are():
    corpus, digest = ProgramCorpus(), hashlib.sha256()
    for split in SPLITS:
        for number in range(8):
            program, joints, rng = corpus.motion(split, number)
            words = json.dumps([program.to_dict(), captions(program, rng, 3)], sort_keys=True)
            digest.update(words.encode() + np.round(joints * 1e5).astype("<i4").tobytes())  # to 10 µm: libraries differ
    assert digest.hexdigest() == "38e77775abb3bf242497e3787ad2a191fcbecd56742fe2bb02524d94f3232781"


def test_the_fingerprint_of_the_default_corpus_stays_as_it_is():
    assert ProgramCorpus().fingerprint() == FINGERPRINT

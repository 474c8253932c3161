"""Drawn sign videos: short clips of a signer whose hands follow a program, with sentences of the same program."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from motion_lightning.data.clip import SPLITS, Clip
from motion_lightning.data.signs.drawing import HANDS, draw
from motion_lightning.data.signs.program import sample_program
from motion_lightning.data.signs.sentences import sentences
from motion_lightning.data.signs.signer import make_signer, move
from motion_lightning.errors import UserError

VERSION = 2  # of pictures and sentences; raised whenever a seed would give others
FPS = 8.0


class SignVideoCorpus:
    """Clips made by sign programs, as a corpus that ``prepare`` reads.

    A clip is a function of (seed, split, number) alone. Features are (frames, 3, size, size) uint8, RGB;
    ``extras["hands"]`` (frames, 2, 2) float32 are the middles of the left and the right hand, x and y in
    pixels. ``tags`` hold the program, the signer and the size. A signer is in one split only.

    Args:
        train, val, test: clips of each split.
        size: sides of the square picture in pixels, 24 to 128.
        frames: of a clip, 8 a second; 16 at least, so that one slow cycle fits.
        signers: of train, val and test.
        seed: of all random choices.
        texts: captions of a clip.

    Raises UserError for settings outside these bounds.
    """

    name, representation, skeleton, fps = "signs", "video", None, FPS
    min_frames = 16

    def __init__(
        self,
        train: int = 2000,
        val: int = 200,
        test: int = 200,
        size: int = 32,
        frames: int = 16,
        signers: tuple[int, int, int] = (24, 6, 6),
        seed: int = 0,
        texts: int = 3,
    ):
        self.counts = dict(zip(SPLITS, (train, val, test), strict=True))
        if min(self.counts.values()) < 0 or not sum(self.counts.values()):
            raise UserError(f"train={train} val={val} test={test}: a corpus needs clips, and none below zero")
        if not 24 <= size <= 128:
            raise UserError(f"size={size}: pictures should have 24 to 128 pixels a side")
        if not 16 <= frames <= 256:
            raise UserError(f"frames={frames}: a clip should have 16 to 256 frames")
        if len(signers) != 3 or min(signers) < 1:
            raise UserError(f"signers={list(signers)} should be three counts of 1 or more: of train, val and test")
        if not 1 <= texts <= 8:
            raise UserError(f"texts={texts}: a clip has 1 to 8 captions")
        self.size, self.frames, self.seed, self.texts = size, frames, seed, texts
        ends = np.cumsum([0, *signers])
        self.signers = {s: range(a, b) for s, a, b in zip(SPLITS, ends[:-1].tolist(), ends[1:].tolist(), strict=True)}
        self.about = {
            "title": "Drawn sign videos",
            "source": f"made by {__name__} from the seed {seed}",
            "licence": "that of this software",
            "notes": "Movements of two hands, invented for this corpus: no words of any sign language.",
        }

    def __len__(self) -> int:
        return sum(self.counts.values())

    def fingerprint(self) -> dict[str, Any]:
        """All that decides what the clips are."""
        settings = {"size": self.size, "frames": self.frames, "seed": self.seed, "texts": self.texts}
        signers = {split: len(numbers) for split, numbers in self.signers.items()}
        return {"corpus": self.name, "version": VERSION, **self.counts, "signers": signers, **settings}

    def clips(self, start: int = 0) -> Iterator[Clip]:
        """Clips in the order train, val, test, from number ``start`` on."""
        jobs = [(split, i) for split, n in self.counts.items() for i in range(n)]
        for split, number in jobs[start:]:
            yield self.clip(split, number)

    def clip(self, split: str, number: int) -> Clip:
        """The clip with a number in a split."""
        return self.drawn(split, number)[0]

    def drawn(self, split: str, number: int) -> tuple[Clip, np.ndarray]:
        """That clip, and the points of its signer's skeleton (frames, 8, 2) in pixels."""
        seeds = np.random.SeedSequence([self.seed, SPLITS.index(split), number]).spawn(3)
        program_rng, picture_rng, text_rng = map(np.random.default_rng, seeds)
        program = sample_program(program_rng)
        signer = make_signer(int(picture_rng.choice(self.signers[split])), self.seed)
        tracks = move(program, signer, self.frames, FPS, picture_rng)
        video, joints = draw(signer, tracks, self.size, picture_rng.uniform((-0.025, -0.01), (0.025, 0.03)))
        clip = Clip(
            id=f"{split}_{number:05d}",
            features=video,
            captions=sentences(program, text_rng, self.texts),
            split=split,
            tags={"program": program.to_dict(), "signer": signer.name, "size": self.size},
            extras={"hands": joints[:, HANDS]},
        )
        return clip, joints

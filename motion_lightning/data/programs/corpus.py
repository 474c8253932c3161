"""The embedded corpus: captioned motions whose programs are known, made from a seed."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from motion_lightning.data.ahead import in_order, processes
from motion_lightning.data.clip import SPLITS, Clip
from motion_lightning.data.programs.captions import captions
from motion_lightning.data.programs.harder import sample_harder
from motion_lightning.data.programs.program import ACTIONS, COMPOUND, FPS, Program, sample_program
from motion_lightning.data.programs.synthesis import perform
from motion_lightning.errors import UserError
from motion_lightning.motion.features import joints_to_features
from motion_lightning.motion.skeleton import load_skeleton

VERSION = 4  # of the motions and captions; raised whenever a seed would give others
HARDER_VERSION = 1  # of the harder ones


class ProgramCorpus:
    """Clips made by motion programs, as a corpus that ``prepare`` reads.

    A clip is a function of (seed, split, number) alone: a split can grow without changing, and any number of
    processes makes the same corpus. ``tags["program"]`` says what the clip does and when.

    Args:
        train, val, test: clips of each split.
        seed: of all random choices.
        compound: share of clips with two segments ("…, then …").
        texts: captions of a clip.
        harder: share of clips of a harder form: order told against order done, two things at once, counts and
            three parts, each as often as the others. The rest are the clips that the corpus has without them.
        without: actions that no clip shows and no caption tells. Clips that had none of them stay as they were.
        workers: processes that make clips; 0 makes them in this one.

    Raises UserError for counts below zero and shares outside [0, 1].
    """

    name = "programs"
    representation = "motion"
    skeleton = "humanml22"
    fps = float(FPS)
    min_frames = 20
    about: ClassVar = {
        "title": "Motion programs",
        "source": "made by motion_lightning from a seed; no recordings",
        "licence": "MIT, as the code that makes it",
    }

    def __init__(
        self,
        train: int = 4000,
        val: int = 400,
        test: int = 400,
        seed: int = 0,
        compound: float = COMPOUND,
        texts: int = 3,
        workers: int = 2,
        harder: float = 0.0,
        without: Sequence[str] = (),
    ):
        self.counts = dict(zip(SPLITS, (train, val, test), strict=True))
        if min(self.counts.values()) < 0 or not sum(self.counts.values()):
            raise UserError(f"train={train} val={val} test={test}: a corpus needs clips, and none below zero")
        for name, share in (("compound", compound), ("harder", harder)):
            if not 0 <= share <= 1:
                raise UserError(f"{name}={share} is a share of the clips and should lie between 0 and 1")
        if texts < 1:
            raise UserError(f"texts={texts}: every clip needs at least one caption")
        if unknown := [action for action in without if action not in ACTIONS]:
            raise UserError(f"without={unknown[0]} is no action of the corpus; these are {', '.join(ACTIONS)}")
        if len({*ACTIONS} - {*without, "sit_down", "stand_up"}) < 3:
            raise UserError("without: at least three actions are to be left beside sitting down and standing up")
        self.seed, self.compound, self.harder, self.texts, self.workers = seed, compound, harder, texts, workers
        self.without = tuple(sorted(without))

    def __len__(self) -> int:
        return sum(self.counts.values())

    def fingerprint(self) -> dict[str, Any]:
        """All that decides what the clips are."""
        settings = {"seed": self.seed, "compound": self.compound, "texts": self.texts}
        harder = {"harder": [HARDER_VERSION, self.harder]} if self.harder else {}  # old stores stay valid
        without = {"without": list(self.without)} if self.without else {}
        return {"corpus": self.name, "version": VERSION, **self.counts, **settings, **harder, **without}

    def clips(self, start: int = 0) -> Iterator[Clip]:
        """Clips in the order train, val, test from number ``start`` on, whatever the number of processes."""
        jobs = list(chain.from_iterable(((split, i) for i in range(n)) for split, n in self.counts.items()))
        jobs = jobs[start:]
        if self.workers < 1 or len(jobs) < 64:
            yield from map(self.clip, *zip(*jobs, strict=True)) if jobs else ()
            return
        parts = [jobs[k : k + 32] for k in range(0, len(jobs), 32)]
        yield from chain.from_iterable(in_order(processes(self.workers), self.part, parts, ahead=4 * self.workers))

    def part(self, jobs: list[tuple[str, int]]) -> list[Clip]:
        """Several clips at once: what one process is given to do."""
        return [self.clip(split, number) for split, number in jobs]

    def clip(self, split: str, number: int) -> Clip:
        """The clip with a number in a split."""
        program, joints, rng = self.motion(split, number)
        return Clip(
            id=f"{split}_{number:05d}",
            features=joints_to_features(joints, load_skeleton(self.skeleton), fps=self.fps),
            captions=captions(program, rng, self.texts),
            split=split,
            tags={"program": program.to_dict(), "duration": program.frames / self.fps},
        )

    def motion(self, split: str, number: int) -> tuple[Program, np.ndarray, np.random.Generator]:
        """Program and joints (T + 1, 22, 3) of a clip, and the generator that its captions come from."""
        seeds = np.random.SeedSequence([self.seed, SPLITS.index(split), number]).spawn(4)
        program_rng, motion_rng, caption_rng, harder_rng = map(np.random.default_rng, seeds)
        hard = harder_rng.random() < self.harder
        while True:
            program = sample_harder(harder_rng) if hard else sample_program(program_rng, self.compound)
            if not any(segment.action in self.without for segment in program.segments):
                break
        return program, perform(program, motion_rng), caption_rng

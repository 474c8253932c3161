"""A corpus in which every check finds nothing, to be spoiled in one place."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from motion_lightning.data.clip import Clip, Rejected
from motion_lightning.data.programs.corpus import ProgramCorpus
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.doctor.examine import examine
from motion_lightning.doctor.finding import Finding
from motion_lightning.motion.features import features_to_joints, joints_to_features
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton("humanml22")


class Listed:
    """A corpus of the clips that it is given."""

    name, representation, skeleton, fps, min_frames = "listed", "motion", "humanml22", 20.0, 4
    about = {"title": "Listed <clips>", "licence": "CC0"}  # noqa: RUF012

    def __init__(self, clips, published=None, source=None):
        self.items, self.published, self.source = clips, published, source

    def fingerprint(self) -> dict:
        return {"published": self.published or {}}

    def __len__(self) -> int:
        return len(self.items)

    def clips(self):
        # prepare tidies up clips in place, and these are used again
        yield from (replace(item) for item in self.items)


@pytest.fixture(scope="session")
def listed() -> type[Listed]:
    return Listed


@pytest.fixture(scope="session")
def clean() -> list[Clip | Rejected]:
    """24 clips: 16, 4 and 4 by split."""
    clips = list(ProgramCorpus(train=16, val=4, test=4, seed=5, texts=2, workers=0).clips())
    return [replace(clip, tags={"recording": clip.id}) for clip in clips]


@pytest.fixture(scope="session")
def examined(tmp_path_factory, tiny_encoder) -> Callable:
    """clips → findings by the name of their check; ``spoil`` works on the store's folder before they are looked for."""

    def examined(clips, spoil=None, **corpus) -> dict[str, Finding]:
        path = tmp_path_factory.mktemp("examined") / "store"
        listed = Listed(clips, **corpus)
        prepare_store(listed, tiny_encoder, path, progress=False)
        if spoil:
            spoil(path)
        findings, _ = examine(Store.open(path), listed)
        return {finding.check: finding for finding in findings}

    return examined


@pytest.fixture(scope="session")
def healthy(examined, clean) -> dict[str, Finding]:
    """What is found in the clean corpus."""
    return examined(clean)


@pytest.fixture(scope="session")
def changed() -> Callable:
    """(clip, joints → joints) → the clip with its joints (T, J, 3) changed."""

    def changed(clip: Clip, change: Callable[[np.ndarray], np.ndarray]) -> Clip:
        joints = features_to_joints(torch.from_numpy(clip.features)).numpy().astype(np.float64)
        return replace(clip, features=joints_to_features(change(joints), SKELETON))

    return changed

"""A few small scenes, and a folder of them."""

from pathlib import Path

import numpy as np
import pytest

from motion_lightning.data.tracks.corpus import TrackCorpus
from motion_lightning.data.tracks.episodes import Episode
from motion_lightning.data.tracks.reader import EpisodeReader
from motion_lightning.data.tracks.scene import scene_episode

SMALL = {"train": 4, "val": 2, "test": 2, "size": 24, "workers": 0}


@pytest.fixture(scope="session")
def small() -> dict:
    """Settings of a corpus of eight scenes."""
    return dict(SMALL)


@pytest.fixture(scope="session")
def corpus() -> TrackCorpus:
    return TrackCorpus(**SMALL)


@pytest.fixture(scope="session")
def clips(corpus) -> list:
    return list(corpus.clips())


@pytest.fixture(scope="session")
def folder(tmp_path_factory, corpus) -> Path:
    """The same scenes as HDF5 files."""
    path = tmp_path_factory.mktemp("scenes")
    corpus.write(path, progress=False)
    return path


@pytest.fixture(scope="session")
def episode() -> Episode:
    """A tiny one, with both hands."""
    for seed in range(20):
        episode = scene_episode(np.random.default_rng(seed), "tiny", size=16, frames=12, starts=(0, 2), points=9)
        if episode.windows[0].hands.present.all():
            return episode
    raise AssertionError("no scene with two hands")


@pytest.fixture(scope="session")
def reader():
    with EpisodeReader(timeout=60) as reader:
        yield reader

"""Two runs that never trained, on little data, and pages of them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from motion_lightning.assemble import build_model, fit_statistics
from motion_lightning.config import compose, save_config, to_plain
from motion_lightning.data.programs.corpus import ProgramCorpus
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.judge.__main__ import judge

RUNS = ("zebra_one", "quokka_two")


@pytest.fixture(scope="session")
def program_store(tmp_path_factory, tiny_encoder) -> Store:
    """8 + 2 + 40 clips of motion programs."""
    path = tmp_path_factory.mktemp("stores") / "programs"
    prepare_store(ProgramCorpus(train=8, val=2, test=40, texts=1, workers=0), tiny_encoder, path, progress=False)
    return Store.open(path)


@pytest.fixture(scope="session")
def runs(tmp_path_factory, program_store, randomise) -> Path:
    """Folder of the two runs."""
    folder = tmp_path_factory.mktemp("runs")
    config = to_plain(compose("train", ["model=dit_xs", "sampler.steps=2"]))
    config |= {"store": str(program_store.path), "text_dim": program_store.manifest["text_width"]}
    for seed, name in enumerate(RUNS):
        model = randomise(build_model(config, config["text_dim"]), seed, 0.02)
        fit_statistics(model, program_store)
        state = {f"model.{key}": value for key, value in model.state_dict().items()}
        (folder / name / "checkpoints").mkdir(parents=True)
        torch.save({"state_dict": state, "config": config, "global_step": 7}, folder / name / "checkpoints/last.ckpt")
        save_config(config, folder / name)
    return folder


@pytest.fixture(scope="session")
def call(call) -> Callable[..., int]:
    """Run ``judge`` with arguments; its exit status."""
    return partial(call, judge)


@pytest.fixture(scope="session")
def pages(tmp_path_factory, runs, call) -> Path:
    """Folder of pages of both runs: 5 pairs, and 3 times 5 clips to choose a sentence for."""
    out = tmp_path_factory.mktemp("pages")
    assert call(f"runs=[{','.join(str(runs / name) for name in RUNS)}]", f"out={out}", "clips=5") == 0
    return out

"""model=unet from the configuration to the report."""

import json
import os
import subprocess
import sys

import pytest

from motion_lightning.config import compose, instantiate
from motion_lightning.data.poses import PoseCorpus

TINY = [
    "data.motions.corpus.train=60", "data.motions.corpus.val=8", "data.motions.corpus.test=30",
    "data.motions.corpus.workers=0", "model.width=8", "model.cond_width=16", "trainer.max_epochs=2",
    "loader.steps_per_epoch=3", "loader.batch_size=8", "sampler.steps=3", "evaluate.clips=30", "logger=csv",
    "trainer.accelerator=cpu", "trainer.precision=32-true",
]  # fmt: skip


def test_it_picks_poses_and_a_filter_of_one_frame():
    cfg = compose("train", ["model=unet"])
    assert cfg.data.corpus._target_.endswith("PoseCorpus") and cfg.codec._target_.endswith("PoseCodec")
    assert (cfg.diffusion.precondition.taps, cfg.diffusion.precondition.axes) == (1, "features")
    assert cfg.model.tokens == "joints" and cfg.model.text == "tokens" and cfg.warning is None
    assert cfg.loader.multiple_of == 1 and cfg.data.corpus.mode == "extreme"
    assert cfg.training.losses.anatomy.loss.space == "metres"


def test_another_diffusion_or_corpus_is_one_word():
    edm = compose("train", ["model=unet", "diffusion=edm"])
    assert "taps" not in edm.diffusion.precondition
    assert compose("train", ["model=unet", "diffusion=plain"]).diffusion.precondition.target == "x0"
    hard = compose("train", ["model=unet", "data@data.motions=programs_hard"])
    assert isinstance(instantiate(hard.data.corpus), PoseCorpus) and hard.data.motions.corpus.harder == 0.5


def test_the_faithful_preset_is_settings_alone_and_warns():
    cfg = compose("train", ["experiment=unet_faithful"])
    assert "a quarter" in cfg.warning and cfg.codec._target_.endswith("SliceCodec") and cfg.data.corpus.sliced
    assert cfg.data.corpus.mode == "first" and cfg.loader.first_action == "seed"
    assert (cfg.model.tokens, cfg.model.text, cfg.diffusion.precondition.target) == ("vector", "pooled", "eps")
    assert cfg.training.losses.anatomy.loss.space == "normalised" and cfg.callbacks.attention is None
    assert cfg.model._target_ == compose("train", ["model=unet"]).model._target_


@pytest.mark.slow
@pytest.mark.parametrize(
    "choice",
    [
        ["model=unet"],
        ["model=unet", "codec._target_=motion_lightning.codecs.pose.RotationCodec", "diffusion=edm"],
        ["experiment=unet_faithful"],
    ],
    ids=["default", "rotations", "faithful"],
)
def test_it_trains_draws_and_scores(tmp_path, choice):
    environment = os.environ | {"MOTION_LIGHTNING_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "motion_lightning.train", *choice, *TINY, "name=run"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    run = tmp_path / "runs" / "run"
    scores = json.loads((run / "evaluation.json").read_text())
    bodies = scores["tables"]["Bodies, metres"]["model"]
    assert ("warning" in done.stdout + done.stderr) is ("faithful" in choice[0])
    if "rotations" in "".join(choice).lower():
        assert bodies["bone error"] < 1e-6 and bodies["bone variation"] < 1e-4
    if "faithful" in choice[0]:
        assert bodies["bone variation"] > 0.05 and scores["tables"]["Bodies, metres"]["real"]["bone variation"] > 0.05
    maps = [*(run / "samples").glob("attention_*.png")]
    assert bool(maps) is ("faithful" not in choice[0]) and [*(run / "samples").glob("step_*.png")]
    assert "Side of the limb" in (run / "report.html").read_text()

"""Trainings in order, each of which goes on where it stopped."""

import subprocess
import sys

import pytest
import torch
import yaml

from motion_lightning import first_stage
from motion_lightning.config import compose
from motion_lightning.errors import UserError
from motion_lightning.retrieve import retrieve
from motion_lightning.sample import sample
from motion_lightning.stages import shared, train_stages
from motion_lightning.train import train

NAMES = ("vae", "diffusion", "projector")


def write_run(folder, epochs: int = 3) -> None:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": epochs - 1}, folder / "checkpoints" / "last.ckpt")
    (folder / "config.yaml").write_text(yaml.safe_dump({"trainer": {"max_epochs": 3}}))


@pytest.fixture(scope="module")
def composed():
    return compose("train", ["experiment=lead", "name=mine", "seed=3", "trainer.max_epochs=2"])


@pytest.fixture
def cfg(composed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return composed


@pytest.fixture
def started(monkeypatch):
    """Arguments of the trainings that would have been started."""
    lines = []

    def run(line, env, check):
        lines.append(line[3:])
        return subprocess.CompletedProcess(line, 0)

    monkeypatch.setattr(first_stage.subprocess, "run", run)
    return lines


def test_all_are_trained_in_order_each_with_the_runs_before_it(cfg, started, monkeypatch):
    train_stages(cfg)
    assert [line[0] for line in started] == [f"experiment=lead_{name}" for name in NAMES]
    for line, name in zip(started, NAMES, strict=True):
        assert {f"hydra.run.dir=runs/mine_{name}", "seed=3", "trainer.max_epochs=2"} <= {*line}
        assert ("codec.run=runs/mine_vae" in line) == (name != "vae") and "name=mine" not in line
    assert "generator.run=runs/mine_diffusion" in started[-1]


def test_it_goes_on_at_the_stage_where_it_stopped(cfg, started, tmp_path):
    write_run(tmp_path / "runs/mine_vae")
    write_run(tmp_path / "runs/mine_diffusion", epochs=1)
    train_stages(cfg)
    assert started[0] == ["resume=runs/mine_diffusion"]
    assert started[1][0] == "experiment=lead_projector" and len(started) == 2
    started.clear()
    for name in NAMES:
        write_run(tmp_path / f"runs/mine_{name}")
    train_stages(cfg)
    assert not started


def test_a_stage_that_fails_stops_those_behind_it(cfg, started, monkeypatch):
    failed = lambda line, **_: started.append(line) or subprocess.CompletedProcess(line, 2)  # noqa: E731
    monkeypatch.setattr(first_stage.subprocess, "run", failed)
    with pytest.raises(UserError, match=r"the stage of experiment=lead_vae was not trained to its end"):
        train_stages(cfg)
    assert len(started) == 1


def test_a_setting_of_one_stage_is_refused():
    assert shared(["experiment=lead", "name=a", "loader.batch_size=8", "~logger"]) == ["loader.batch_size=8", "~logger"]
    with pytest.raises(UserError, match=r"model\.width=9 is of one stage"):
        shared(["experiment=lead", "model.width=9"])


def test_each_is_a_training_of_this_framework(cfg, monkeypatch):
    seen = []
    run = lambda line, **_: seen.append(line) or subprocess.CompletedProcess(line, 0)  # noqa: E731
    monkeypatch.setattr(first_stage.subprocess, "run", run)
    train_stages(cfg)
    assert all(line[:3] == [sys.executable, "-m", "motion_lightning.train"] for line in seen)


@pytest.mark.slow
def test_one_command_makes_all_of_lead_and_its_runs_are_used_like_others(tmp_path, monkeypatch, capfd, call):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOTION_LIGHTNING_HOME", str(tmp_path / "home"))
    corpus = ["data.corpus.train=300", "data.corpus.val=8", "data.corpus.test=8", "data.corpus.workers=0"]
    little = ["loader.batch_size=8", "loader.steps_per_epoch=2", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
    everything = ["experiment=lead", *corpus, *little, "logger=csv"]
    assert call(train, *everything) == 0
    assert (tmp_path / "runs/lead_projector/space.json").is_file() and not (tmp_path / "runs/lead").exists()
    capfd.readouterr()
    assert call(train, *everything) == 0  # nothing is left to do
    assert capfd.readouterr().out.count(" is there") == 3
    assert call(sample, "run=runs/lead_projector", "prompt=a person waves", "steps=2", "out=mine") == 0
    assert list((tmp_path / "mine").glob("*.npz"))
    assert call(retrieve, "evaluator=runs/lead_projector", "prompt=a person waves", "n=2", *corpus) == 0
    assert call(sample, "run=runs/lead_vae", "prompt=a person waves") == 2
    assert "it is a first stage, or an evaluator" in capfd.readouterr().err

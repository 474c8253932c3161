"""The VAE of a model of latents: where it comes from."""

import subprocess
import sys

import pytest
import torch
import yaml

from motion_lightning import first_stage
from motion_lightning.config import compose, to_plain
from motion_lightning.errors import UserError
from motion_lightning.sample import sample
from motion_lightning.train import train

VAE_RUN = {
    "assembly": "motion_lightning.first_stage",
    "model": {"_target_": "motion_lightning.models.image_vae.ImageVAE", "channels": 1, "size": 8},
    "codec": {"_target_": "motion_lightning.codecs.image.ImageCodec", "channels": 1, "size": 8},
    "trainer": {"max_epochs": 3},
}


def write_run(folder, epochs: int = 3, **settings) -> None:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": epochs - 1}, folder / "checkpoints" / "last.ckpt")
    (folder / "config.yaml").write_text(yaml.safe_dump(VAE_RUN | settings))


@pytest.fixture
def cfg(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return compose("train", ["experiment=ldm_digit", "data.corpus.texts=2", "model.width=16", "seed=3"])


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Command lines of processes that would have been started, each of which trains the VAE to its end."""
    lines = []

    def run(line, env, check):
        lines.append((line, env))
        write_run(tmp_path / "runs" / "digit_vae")
        return subprocess.CompletedProcess(line, 0)

    monkeypatch.setattr(first_stage.subprocess, "run", run)
    return lines


def test_a_trained_vae_says_how_it_is_built(cfg, started, tmp_path):
    write_run(tmp_path / "runs" / "digit_vae")
    first_stage.ensure_vae(cfg)
    assert not started
    assert cfg.codec.vae == VAE_RUN["model"] and cfg.codec.codec == VAE_RUN["codec"]


def test_it_is_trained_where_it_is_missing_on_the_same_data(cfg, started, monkeypatch):
    """What the command line says of data and seed holds for it, what it says of the model does not."""
    monkeypatch.setenv("LOCAL_RANK", "1")
    first_stage.ensure_vae(cfg)
    ((line, env),) = started
    assert line[:3] == [sys.executable, "-m", "motion_lightning.train"]
    assert {"experiment=digit_vae", "hydra.run.dir=runs/digit_vae", "data.corpus.texts=2", "seed=3"} <= {*line}
    assert not [argument for argument in line if argument.startswith("model") or argument == "experiment=ldm_digit"]
    assert "LOCAL_RANK" not in env and "PATH" in env
    assert cfg.codec.vae == VAE_RUN["model"]


@pytest.mark.parametrize("linear, warned", [(8, True), (196, False)])
def test_clips_beyond_what_principal_components_see_are_told_of(linear, warned, tiny_store, caplog):
    cfg = to_plain(compose("train", ["experiment=lead_vae", "model.latent=4", f"model.linear={linear}"]))
    model = first_stage.build_model(cfg, 8)
    first_stage.build_module(cfg, model, tiny_store, {"model": dict(cfg["model"])})
    longest = int(tiny_store.split("train").lengths.max())
    assert (f"set model.linear={longest}" in caplog.text) == warned
    assert model.vae.reading[:8].abs().sum() > 0


def test_a_vae_that_was_interrupted_is_trained_to_its_end(cfg, started, tmp_path):
    write_run(tmp_path / "runs" / "digit_vae", epochs=2)
    first_stage.ensure_vae(cfg)
    assert started[0][0][3:] == ["resume=runs/digit_vae"]


def test_an_interrupted_vae_of_motions_is_trained_to_its_end_before_the_second_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, motions = tmp_path / "runs" / "lead_vae", {"model": {"_target_": "VAE"}, "codec": {"_target_": "features"}}
    write_run(folder, epochs=2, **motions)
    lines = []

    def run(line, env, check):
        lines.append(line)
        write_run(folder, **motions)
        return subprocess.CompletedProcess(line, 0)

    monkeypatch.setattr(first_stage.subprocess, "run", run)
    cfg = compose("train", ["experiment=lead_diffusion"])
    first_stage.ensure_vae(cfg)
    assert [line[3:] for line in lines] == [["resume=runs/lead_vae"]]
    assert cfg.codec.vae == motions["model"] and cfg.codec.codec == motions["codec"]


def test_without_a_vae_and_a_way_to_train_one_both_settings_are_named(cfg):
    cfg.first_stage = None
    with pytest.raises(UserError, match=r"codec\.run=runs/digit_vae .* first_stage=null"):
        first_stage.ensure_vae(cfg)


def test_the_run_of_something_else_is_refused(cfg, tmp_path):
    write_run(tmp_path / "runs" / "digit_vae", assembly="motion_lightning.assemble")
    with pytest.raises(UserError, match=r"codec\.run=runs/digit_vae is no run of a VAE"):
        first_stage.ensure_vae(cfg)


def test_training_that_fails_is_said(cfg, monkeypatch):
    monkeypatch.setattr(first_stage.subprocess, "run", lambda line, **_: subprocess.CompletedProcess(line, 2))
    with pytest.raises(UserError, match=r"codec\.run=runs/digit_vae was not trained"):
        first_stage.ensure_vae(cfg)


def test_models_of_data_themselves_need_none(started):
    first_stage.ensure_vae(compose("train", ["experiment=ddpm_digit"]))
    assert not started


@pytest.mark.slow
def test_both_stages_in_one_command_and_samples_without_the_first(tmp_path, monkeypatch, capsys, call):
    monkeypatch.chdir(tmp_path)
    little = ["loader.steps_per_epoch=3", "trainer.max_epochs=1", "trainer.accelerator=cpu", "sampler.steps=2"]
    assert call(train, "experiment=ldm_digit", "logger=csv", "evaluate.clips=8", *little) == 0
    for name in ("digit_vae", "ldm_digit"):
        assert (tmp_path / "runs" / name / "checkpoints" / "last.ckpt").is_file()
    assert call(sample, "run=runs/digit_vae", "prompt=the digit 4") == 2
    assert "it is a first stage, or an evaluator" in capsys.readouterr().err
    (tmp_path / "runs" / "digit_vae").rename(tmp_path / "gone")
    assert call(sample, "run=runs/ldm_digit", "prompt=the digit 4", "n=2", "out=mine") == 0
    assert list((tmp_path / "mine").glob("*.png")) and list((tmp_path / "mine").glob("*.html"))

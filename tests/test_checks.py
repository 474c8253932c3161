"""Combinations that cannot work are refused by the command itself, with both settings named, and nothing prepared."""

import pytest

from motion_lightning.train import train


@pytest.fixture
def refusal(call, monkeypatch, capsys, tmp_path):
    """What ``train`` says to these overrides."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOTION_LIGHTNING_HOME", str(tmp_path / "home"))

    def refusal(*overrides: str) -> str:
        assert call(train, *overrides, "name=x", "logger=csv") == 2
        assert not (tmp_path / "home" / "stores").exists()
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        return line

    return refusal


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["training.cond_drop=0"], ["sampler.guidance=2", "training.cond_drop=0"]),
        (["sampler.steps=2000"], ["sampler.steps=2000", "diffusion.process.steps=1000"]),
        (["sampler.spacing=cosine"], ["sampler.spacing=cosine", "trailing"]),
        (
            ["sampler=heun", "sampler.sampler.along=eps", "diffusion=plain", "diffusion.process.schedule=flow"],
            ["sampler.sampler.along=eps", "velocity"],
        ),
        (["trainer=ddp", "loader.batch_size=33"], ["loader.batch_size=33", "trainer.devices=2"]),
        (["trainer.devices=4", "+trainer.num_nodes=3"], ["loader.batch_size=32", "3 times trainer.devices=4"]),
        (["-m", "trainer=ddp", "seed=1"], ["trainer.devices=2", "-m"]),
        (["-m", "resume=runs/a", "seed=1,2"], ["resume=runs/a", "-m"]),
        (["diffusion=plain", "training.space=target", "training.weight=p3"], ["p3", "x0"]),
        (["training.space=target"], ["training.weight=capped_v", "training.space=x0"]),
        (["model=track_dit", "data.corpus.depth=false"], ["model.backbone.channels=4", "data.corpus.depth=false"]),
        (["model=track_dit", "data.corpus.points=8"], ["loader.augment.points=16", "data.corpus.points=8"]),
        (
            ["model=track_dit", "callbacks.samples.prompts=[a hand moves]"],
            ["callbacks.samples.prompts", "loader.condition=TrackCondition"],
        ),
        (
            ["diffusion=plain", "diffusion.process.schedule=flow", "diffusion.precondition.target=eps"],
            ["diffusion.process.schedule=flow", "diffusion.precondition.target=eps"],
        ),
        (["model=vivit", "data.corpus.frames=15"], ["data.corpus.frames=15", "model.features.tubelet=2"]),
        (["model=vivit", "data=programs"], ["ViViT", "model=", "data="]),
        (["model=dit", "data=signs", "diffusion=edm"], ["DiT", "model=", "data="]),
        (["model=mdm", "data=digits", "diffusion=edm"], ["MDM", "model=", "data="]),
        (["model=vivit", "diffusion=wiener"], ["diffusion=wiener", "codec=VideoCodec", "diffusion=edm"]),
        (["experiment=ldm_digit", "codec.run=nowhere", "first_stage=null"], ["codec.run=nowhere", "first_stage"]),
        (["+text_encoder.max_tokens=1000"], ["text_encoder.max_tokens=1000", "512", "text_encoder.folder"]),
    ],
    ids=lambda case: case[-1],
)
def test_settings_that_exclude_each_other(refusal, overrides, names):
    line = refusal(*overrides)
    assert [name for name in names if name not in line] == []

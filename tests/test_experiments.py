"""Every experiment of the configuration, with all that it sets, on little data."""

import pytest
from omegaconf import OmegaConf

from motion_lightning.config import compose
from motion_lightning.paths import conf_dir
from motion_lightning.train import train

NAMES = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
SHORT = [
    *("loader.batch_size=4", "loader.steps_per_epoch=2", "trainer.max_epochs=1", "trainer.accelerator=cpu"),
    *("callbacks.samples.seconds=1", "sampler.steps=2", "evaluate.shown=1"),
]
SEEN = {"vae": "samples/reconstructions.html", "projector": "samples/space.html"}  # by the end of a name

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("home")]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "lead"])  # test_stages.py runs it
def test_every_experiment_runs(name, tmp_path, monkeypatch, request, call):
    """Two steps of each, and what there is to see of it."""
    monkeypatch.chdir(tmp_path)
    source = []
    if "bvh" in name:
        folder = request.getfixturevalue("recordings")
        (folder / "bandai_bvh.zip").symlink_to(request.getfixturevalue("shared_data") / "bandai_bvh.zip")
        source = [f"data.source={folder}"]
    cfg = compose("train", [f"experiment={name}", *source])
    data = cfg.data
    key, corpus = ("data.motions.corpus", data.motions.corpus) if "motions" in data else ("data.corpus", data.corpus)
    # principal components: of the 256 latents of a motion as many vary as there are training clips
    few = {"train": 300 if "lead" in name else 24, "val": 6, "test": 4, "workers": 0}
    little = [f"{key}.{part}={count}" for part, count in few.items() if part in corpus]
    # What an experiment switched off has no settings: a first stage is neither sampled nor evaluated.
    little += [setting for setting in SHORT if OmegaConf.select(cfg, setting.partition("=")[0].rpartition(".")[0])]
    assert call(train, f"experiment={name}", "name=trial", *source, *little) == 0
    assert (tmp_path / "runs/trial" / SEEN.get(name.rpartition("_")[2], "report.html")).stat().st_size

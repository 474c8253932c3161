"""The commands as a user meets them: help, preparing, a whole small run, and what they say to bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from motion_lightning.evaluate import evaluate
from motion_lightning.invert import invert
from motion_lightning.prepare import prepare
from motion_lightning.sample import sample
from motion_lightning.train import train

CORPUS = ["data.corpus.train=12", "data.corpus.val=4", "data.corpus.test=4", "data.corpus.workers=0"]
SMALL = [
    *CORPUS,
    *("loader.batch_size=4", "loader.steps_per_epoch=2", "trainer.max_epochs=1", "trainer.accelerator=cpu"),
    *("callbacks.samples.seconds=1", "sampler.steps=2", "evaluate.shown=1"),
]
HEAVY = {"torch", "lightning", "transformers", "wandb", "scipy", "matplotlib"}

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def run(tmp_path_factory, call):
    """A run of two steps."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(train, "name=small", "model=dit_xs", "logger=csv", *SMALL) == 0
    return folder / "runs/small"


# ------------------------------------------------------------------------------------------------ help


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("train", ["model: dit", "experiment=", "logger: csv, wandb", "trainer.max_epochs"]),
        ("prepare", ["data: ", "bvh", "programs", "data.source=", "MOTION_LIGHTNING_HOME"]),
        ("sample", ["prompt=", "guidance"]),
        ("evaluate", ["run=", "scoring.split"]),
        ("doctor", ["data.source=", "fail_on", "Exit status"]),
        ("judge", ["runs=[", "answers=[", "prompts="]),
        ("invert", ["exemplars=[", "token=", "mode", "sample"]),
    ],
)
def test_help_is_light(command, names):
    """It names what there is to set, and waits for none of the libraries that take seconds."""
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['{command}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('motion_lightning.{command}', run_name='__main__')\n"
        "finally:\n"
        f"    print(*({HEAVY} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert not done.stderr.strip()
    for name in [f"python -m motion_lightning.{command}", *names]:
        assert name in done.stdout


# ---------------------------------------------------------------------------------------------- prepare


def only_store(home):
    (manifest,) = (home / "stores").glob("*/manifest.json")
    return manifest


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTION_LIGHTNING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_prepare_tells_what_it_did_and_does_it_once(own_home, capsys, call):
    assert call(prepare, *CORPUS) == 0
    out = capsys.readouterr().out
    manifest = only_store(own_home)
    assert "ready: 20 clips" in out
    assert str(manifest.parent) in out
    assert "python -m motion_lightning.train data.corpus.train=12" in out
    written = manifest.stat().st_mtime_ns
    assert call(prepare, *CORPUS) == 0
    assert only_store(own_home).stat().st_mtime_ns == written


def test_a_store_that_is_old_or_damaged_is_made_anew(own_home, capsys, call):
    call(prepare, *CORPUS)
    whole = json.loads(only_store(own_home).read_text())
    largest = max((only_store(own_home).parent).iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    assert call(prepare, *CORPUS) == 0
    assert f"{largest.name} is missing or cut" in capsys.readouterr().out
    assert json.loads(only_store(own_home).read_text())["digest"] == whole["digest"]

    manifest = json.loads(only_store(own_home).read_text())
    manifest["version"] = 0
    only_store(own_home).write_text(json.dumps(manifest))
    assert call(prepare, *CORPUS) == 0
    assert json.loads(only_store(own_home).read_text())["version"] == whole["version"]


def test_settings_have_stores_of_their_own(own_home, call):
    call(prepare, *CORPUS)
    first = only_store(own_home)
    call(prepare, *CORPUS, "data.corpus.seed=1")
    assert len(list((own_home / "stores").glob("*/manifest.json"))) == 2
    assert first.exists()


def test_a_model_refuses_other_data_before_they_are_prepared(own_home, capsys, call):
    assert call(train, "data=digits", "name=x") == 2
    assert "model DiT needs features, the data have channels, size" in capsys.readouterr().err
    assert not (own_home / "stores").exists()


def test_a_corpus_of_files_asks_for_them_once(own_home, recordings, shared_data, capsys, call):
    """Real recordings: asked for, refused, prepared, remembered, and missed when they are gone."""
    folder = recordings
    assert call(prepare, "data=bvh") == 2
    assert "data.source=FOLDER" in capsys.readouterr().err
    assert call(prepare, "data=bvh", f"data.source={folder}") == 2  # the archive is not there yet
    assert not (own_home / "sources.json").exists()

    (folder / "bandai_bvh.zip").symlink_to(shared_data / "bandai_bvh.zip")
    capsys.readouterr()
    assert call(prepare, "data=bvh", "data.source=recordings", "data.corpus.workers=0") == 0
    assert "train data=bvh data.corpus.workers=0" in capsys.readouterr().out
    assert call(prepare, "data=bvh", "data.corpus.workers=0") == 0
    folder.rename(folder.with_name("moved"))
    capsys.readouterr()
    assert call(prepare, "data=bvh") == 2
    assert f"{folder} (remembered from the last time) does not exist" in capsys.readouterr().err


# --------------------------------------------------------------------------------------- a run and after


def test_a_run_explains_itself(run):
    for name in ("config.yaml", "metrics.csv", "checkpoints/last.ckpt", "evaluation.json", "report.html"):
        assert (run / name).stat().st_size
    assert list((run / "samples").glob("step_*.html"))
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["name"], config["model"]["width"], config["loader"]["batch_size"]) == ("small", 64, 4)
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert state["config"]["model"] == config["model"]


def test_words_are_learned_and_two_of_them_sampled_in_one_prompt(run, tmp_path, monkeypatch, capsys, call):
    monkeypatch.chdir(tmp_path)
    few = ["steps=2", "batch_size=2", "templates=[a person *]"]
    assert call(invert, f"run={run}", "exemplars=[train_00000,test_00001]", "token=my-walk", *few) == 0
    assert "<my-walk> of 2 motions, mode diffusion: loss" in capsys.readouterr().out
    assert call(invert, f"run={run}", "exemplars=val_00000", "token=Bow2", "vectors=2", "init=bows", *few) == 0
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["Bow2.safetensors", "my-walk.safetensors"]
    assert all(Path(file).stat().st_size < 8000 for file in files)

    ask = [f"run={run}", "prompt=a person <my-walk> in a circle, then <Bow2>", "seconds=1", "out=mine"]
    assert call(sample, *ask, "tokens=[my-walk.safetensors,Bow2.safetensors]") == 0
    (file,) = (tmp_path / "mine").glob("*.npz")
    with np.load(file) as kept:
        assert kept["joints"].shape == (1, 20, 22, 3) and np.isfinite(kept["joints"]).all()
    (page,) = (tmp_path / "mine").glob("*.html")
    assert "&lt;my-walk&gt;" in page.read_text() and "<my-walk>" not in page.read_text().split("<script")[0]

    capsys.readouterr()
    assert call(sample, *ask, "tokens=my-walk.safetensors") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: prompt: <Bow2> is no word that was learned, known: <my-walk>; add tokens=")
    assert error.count("\n") == 1
    assert call(sample, *ask) == 2 and "known: none" in capsys.readouterr().err
    for wrong, words in [
        (["exemplars=[train_00000,none.npy]", "token=w"], "exemplars: none.npy: no such file"),
        (["exemplars=[train_00000]", "token=my walk"], "token=my walk: a name is a letter"),
        (["exemplars=[train_00000]", "token=w", "out=w.pt"], "out=w.pt: a token file ends in .safetensors"),
        (["exemplars=[train_00000]", "token=w", "mode=realigned"], "mode=realigned does not go with run="),
    ]:
        assert call(invert, f"run={run}", *wrong) == 2
        assert words in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == files


def test_sampling_from_another_folder(run, tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    prompt = "a person walks, then [waves] <3 with the 'left' hand"
    assert call(sample, f"run={run}", f"prompt={prompt}", "n=2", "seconds=1.5", "out=mine") == 0
    (file,) = (tmp_path / "mine").glob("*.npz")
    with np.load(file) as kept:
        assert kept["joints"].shape == (2, 30, 22, 3)
        assert list(kept["prompts"]) == [prompt] * 2
    for kind in ("html", "mp4"):
        assert list((tmp_path / "mine").glob(f"*.{kind}"))


def test_evaluating_again_gives_the_same_figures(run, call):
    first = json.loads((run / "evaluation.json").read_text())
    assert call(evaluate, f"run={run}", "scoring.shown=1") == 0
    second = json.loads((run / "evaluation.json").read_text())
    assert second["skill"] == first["skill"]
    assert second["physical"] == first["physical"]


@pytest.mark.parametrize("edit", ["inbetween", "upper_body"])
def test_edits_stand_beside_their_source(run, tmp_path, monkeypatch, edit, call):
    """As long as it, and with what is kept of it where it was."""
    monkeypatch.chdir(tmp_path)
    prompt = "prompt=a person waves, twice"
    assert call(sample, f"run={run}", f"edit={edit}", "source=1", prompt, "n=2", "keep=0.2", "out=mine") == 0
    (page,) = (tmp_path / "mine").glob(f"a-person-waves-twice-{edit}-seed0.html")
    assert "source, " in page.read_text() and "edit 2" in page.read_text()
    arrays = np.load(page.with_suffix(".npz"))
    joints = arrays["joints"]
    assert len(set(arrays["lengths"])) == 1 and joints.shape[0] == 3  # two edits and the source
    kept = joints[:, : joints.shape[1] // 5] if edit == "inbetween" else joints[:, :, [0, 1, 2, 4, 5, 7, 8, 10, 11]]
    np.testing.assert_allclose(kept[:2], kept[[2, 2]], atol=1e-4)
    assert np.abs(joints[:2] - joints[2]).max() > 0.01


BAD_INPUT = [
    (sample, ["run=runs/none", "prompt=x"], "runs/none"),
    (sample, ["run={run}", "prompt="], "prompt is empty"),
    (sample, ["run={run}"], "prompt is not set: write what is done"),
    (sample, ["prompt=x"], "run is not set: add run=…"),
    (sample, ["run={run}", "prompt=x", "checkpoint=first"], "first.ckpt"),
    (sample, ["run={run}/config.yaml", "prompt=x"], "not a checkpoint"),
    (sample, ["run={run}", "prompt=x", "steps=2000"], "2000 steps"),
    (sample, ["run={run}", "prompt=x", "seconds=0"], "seconds"),
    (sample, ["run={run}", "prompt=x", "edit=legs"], "edit=legs is unknown; choose one of inbetween, upper_body"),
    (sample, ["run={run}", "edit=inbetween", "keep=0.6"], "keep=0.6"),
    (sample, ["run={run}", "prompt=x", "source=3"], "say which, edit=inbetween or edit=upper_body"),
    (sample, ["run={run}", "edit=upper_body", "source=nobody"], "source=nobody is no clip of this run's data"),
    (evaluate, ["run={run}", "scoring.split=trian"], "split 'trian'"),
    (train, ["data=bvh", "data.source=none"], "none does not exist"),
    (train, ["model=dit_xl"], "there are dit, "),
    (train, ["diffusion.process.schedule=sinus", *SMALL], "sinus"),
    (train, ["codec.parts=some", *SMALL], "codec.parts=some is unknown"),
    (train, ["trainer.accelerator=abacus", *CORPUS], "abacus"),
]


@pytest.mark.parametrize(("command", "arguments", "says"), BAD_INPUT, ids=[case[2] for case in BAD_INPUT])
def test_bad_input_ends_in_one_line(run, tmp_path, monkeypatch, capsys, command, arguments, says, call):
    monkeypatch.chdir(tmp_path)
    assert call(command, *(argument.format(run=run) for argument in arguments)) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert says in lines[0]


def test_bad_input_of_a_process_is_one_line(tmp_path):
    """As a shell sees it: nothing else on stderr, no traceback; the traceback with debug=true."""
    command = [sys.executable, "-m", "motion_lightning.prepare", "data=bvh", "data.source=none"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    done = subprocess.run([*command, "debug=true"], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    assert "Traceback" in done.stderr

"""MDM's checkpoints, by keys and shapes as published."""

import json
import shutil

import numpy as np
import pytest
import torch

from motion_lightning.assemble import load_run
from motion_lightning.config import instantiate
from motion_lightning.errors import UserError
from motion_lightning.evaluate import evaluate
from motion_lightning.sample import sample

ARGS = {"arch": "trans_enc", "cond_mask_prob": 0.1, "emb_trans_dec": False, "unconstrained": False}
DIFFUSION = {"noise_schedule": "cosine", "diffusion_steps": 50}


@pytest.fixture(scope="module")
def published(tmp_path_factory, layer, drawn):
    """(args.json's settings, width, depth, text) → model000000123.pt in a folder of its own."""

    def published(width=32, depth=2, text=16, features=263, dataset="humanml", change=None, wrap=None, **args):
        ff = 1024  # the only one there is
        shapes = {"input_process.poseEmbedding.weight": (width, features), "input_process.poseEmbedding.bias": (width,)}
        shapes |= {
            "sequence_pos_encoder.pe": (5000, 1, width),
            "embed_timestep.sequence_pos_encoder.pe": (5000, 1, width),
        }
        for i in range(depth):
            shapes |= layer(f"seqTransEncoder.layers.{i}", width, ff)
        for i in (0, 2):
            name = f"embed_timestep.time_embed.{i}"
            shapes |= {f"{name}.weight": (width, width), f"{name}.bias": (width,)}
        shapes |= {"embed_text.weight": (width, text), "embed_text.bias": (width,)}
        shapes |= {"output_process.poseFinal.weight": (features, width), "output_process.poseFinal.bias": (features,)}
        folder = tmp_path_factory.mktemp("mdm")
        settings = {"dataset": dataset, "latent_dim": width, "layers": depth, **ARGS, **DIFFUSION, **args}
        (folder / "args.json").write_text(json.dumps(settings))
        state = drawn(shapes | (change or {}))
        torch.save(wrap(state) if wrap else state, folder / "model000000123.pt")
        return folder / "model000000123.pt"

    return published


@pytest.mark.parametrize(
    ("dataset", "features", "steps", "masked"), [("humanml", 263, 50, True), ("kit", 251, 1000, False)]
)
def test_it_becomes_a_run(published, tiny_clip, stats, tmp_path, zoo, dataset, features, steps, masked):
    file = published(features=features, dataset=dataset, diffusion_steps=steps, mask_frames=masked)
    folder = stats(features)
    zoo("import", "mdm", file, f"name={tmp_path}/run", f"stats={folder}", f"clip={tiny_clip}")
    run = load_run(tmp_path / "run")
    theirs, ours, process = torch.load(file, weights_only=True), run.model.denoiser, run.model.process
    assert torch.equal(ours.inp.weight, theirs["input_process.poseEmbedding.weight"])
    assert torch.equal(ours.blocks[1].attention.qkv.bias, theirs["seqTransEncoder.layers.1.self_attn.in_proj_bias"])
    assert torch.equal(ours.blocks[0].mlp[3].weight, theirs["seqTransEncoder.layers.0.linear2.weight"])
    assert not ours.null.any() and ours.mask_frames == masked and run.step == 123
    assert (process.schedule, process.steps, run.model.precondition.kind) == ("cosine", steps, "x0")
    sampling = instantiate(run.config["sampler"])
    assert (sampling.sampler.func.__name__, sampling.steps, sampling.guidance) == ("ddpm", steps, 2.5)
    assert sampling.window == (0 if masked else 196) and run.config["text_encoder"]["max_tokens"] == 22
    record = json.loads((tmp_path / "run/provenance.json").read_text())
    assert sum(map(len, record["left_out"].values())) + record["tensors_used"] == len(theirs)
    assert len(record["sha256"]) == 64 and record["file"] == file.name

    frames = torch.randn(1, 5, features)  # the data set's features as they are, contacts too
    want = (frames - torch.from_numpy(np.load(f"{folder}/Mean.npy"))) / torch.from_numpy(np.load(f"{folder}/Std.npy"))
    got = run.model.codec.normalise(frames, torch.ones(1, 5, dtype=torch.bool))
    torch.testing.assert_close(got, want)


def test_it_samples_without_a_store_and_says_what_evaluating_needs(
    published, tiny_clip, stats, tmp_path, zoo, call, capsys
):
    zoo("import", "mdm", published(), f"name={tmp_path}/run", f"stats={stats()}", f"clip={tiny_clip}")
    assert "left out 2: a table of sines" in capsys.readouterr().out
    run, prompt = f"run={tmp_path}/run", "prompt=a person walks, then waves"
    assert call(sample, run, prompt, "seconds=0.5", "steps=2") == 0
    (numbers,) = (tmp_path / "run/samples").glob("*.npz")
    with np.load(numbers) as arrays:
        assert arrays["joints"].shape == (1, 10, 22, 3) and np.isfinite(arrays["joints"]).all()
    assert call(evaluate, run) == 2
    assert "store=" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:text of")
def test_it_is_evaluated_on_a_prepared_store(published, tiny_clip, clip_store, tmp_path, zoo, call):
    zoo("import", "mdm", published(), f"name={tmp_path}/run", f"store={clip_store}", f"clip={tiny_clip}")
    assert call(evaluate, f"run={tmp_path}/run", "steps=1", "scoring.clips=2", "scoring.shown=1") == 0
    assert json.loads((tmp_path / "run/evaluation.json").read_text())["provenance"]["step"] == 123
    other = shutil.copytree(clip_store, tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"encoder": {"name": "minilm"}}))
    with pytest.raises(UserError, match="texts were read by minilm, expected clip"):
        zoo("import", "mdm", published(), f"name={tmp_path}/two", f"store={other}", f"clip={tiny_clip}")


def test_averaged_weights_are_taken_where_asked_for(published, tiny_clip, stats, tmp_path, zoo):
    def both(state):
        return {"model": state, "model_avg": {key: value + 1 for key, value in state.items()}}

    file = published(wrap=both, use_ema=True)
    theirs = torch.load(file, weights_only=True)
    for name, average, which in [("auto", "auto", "model_avg"), ("no", "no", "model"), ("yes", "yes", "model_avg")]:
        given = (f"stats={stats()}", f"clip={tiny_clip}", f"average={average}")
        zoo("import", "mdm", file, f"name={tmp_path}/{name}", *given)
        weight = load_run(tmp_path / name).model.denoiser.text.weight
        assert torch.equal(weight, theirs[which]["embed_text.weight"])
        left_out = json.loads((tmp_path / name / "provenance.json").read_text())["left_out"]
        other = "model" if which == "model_avg" else "model_avg"
        assert f"{other}.embed_text.weight" in left_out["not the weights that are asked for (average=)"]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"change": {"embed_action.action_embedding": (12, 32)}}, r"embed_action\.action_embedding is unknown"),
        ({"change": {"embed_text.bias": (33,)}}, r"embed_text\.bias is 33, expected 32"),
        ({"text": 24}, r"embed_text\.weight is 32 x 24, expected 32 x 16"),
        ({"features": 251}, r"poseEmbedding\.weight is 32 x 251, expected 32 x 263"),
        ({"layers": 3}, r"lacks 12 of 46 tensors, the first of them blocks\.2\."),
        ({"layers": 1}, r"seqTransEncoder\.layers\.1\.\S+ is unknown"),
        ({"arch": "trans_dec"}, r"arch=trans_dec, expected trans_enc"),
        ({"text_encoder_type": "bert"}, r"text_encoder_type=bert, expected clip"),
        ({"unconstrained": True}, r"unconstrained=True, expected False"),
        ({"dataset": "humanact12"}, r"dataset=humanact12, expected humanml or kit"),
        ({"context_len": 20}, r"context_len=20, expected 0"),
    ],
)
def test_another_model_is_refused_by_name(published, tiny_clip, stats, tmp_path, zoo, made, words):
    with pytest.raises(UserError, match=words) as error:
        zoo("import", "mdm", published(**made), f"name={tmp_path}/run", f"stats={stats()}", f"clip={tiny_clip}")
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_what_is_missing_is_asked_for(published, tiny_clip, stats, tmp_path, zoo):
    file, out = published(), f"name={tmp_path}/run"
    for given, words in [
        ((), r"give stats=FOLDER with Mean\.npy and Std\.npy"),
        ((f"stats={tmp_path}",), r"Mean\.npy: no such file"),
        ((f"stats={stats(251)}",), r"mean of shape \(251,\), expected 263"),
        ((f"stats={stats()}",), r"embed_text\.weight is 32 x 16, expected 32 x 512"),  # ViT-B/32's, where none is named
        ((f"stats={stats()}", "colour=red"), r"mdm has no option colour; there are name, stats"),
        ((f"stats={stats()}", "average=often"), r"average=often"),
    ]:
        with pytest.raises(UserError, match=words):
            zoo("import", "mdm", file, out, *given)
    zoo("import", "mdm", file, out, f"stats={stats()}", f"clip={tiny_clip}")
    with pytest.raises(UserError, match="is there already"):
        zoo("import", "mdm", file, out, f"stats={stats()}", f"clip={tiny_clip}")
    (file.parent / "args.json").unlink()
    with pytest.raises(UserError, match=r"args\.json is missing"):
        zoo("import", "mdm", file, f"name={tmp_path}/two", f"stats={stats()}", f"clip={tiny_clip}")

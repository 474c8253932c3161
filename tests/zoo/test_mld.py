"""MLD's checkpoints, by keys and shapes as published."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from motion_lightning.assemble import load_run, read_checkpoint
from motion_lightning.config import instantiate
from motion_lightning.data.store import Store
from motion_lightning.errors import UserError
from motion_lightning.evaluate import evaluate
from motion_lightning.evaluation import sample_split
from motion_lightning.first_stage import build_model, is_complete
from motion_lightning.models.mld import MLD, MotionVAE
from motion_lightning.sample import sample
from motion_lightning.text.clip import CLIP
from motion_lightning.text.condition import TextCond


def transformer(name, layer, width, depth, ff, reads=False):
    """A transformer with long skips."""
    half, shapes = depth // 2, {f"{name}.norm.weight": (width,), f"{name}.norm.bias": (width,)}
    for i in range(half):
        shapes |= layer(f"{name}.input_blocks.{i}", width, ff, reads) | layer(
            f"{name}.output_blocks.{i}", width, ff, reads
        )
        merge = f"{name}.linear_blocks.{i}"
        shapes |= {f"{merge}.weight": (width, 2 * width), f"{merge}.bias": (width,)}
    return shapes | layer(f"{name}.middle_block", width, ff, reads)


@pytest.fixture(scope="module")
def published(tmp_path_factory, layer, drawn):
    """Sizes → a checkpoint of Lightning. The published ones: tokens=1, width=256, depth=9, ff=1024, text=768."""

    def shapes(tokens=1, width=32, depth=3, ff=48, text=16, features=263):
        out = transformer("vae.encoder", layer, width, depth, ff)
        out |= transformer("vae.decoder", layer, width, depth, ff, reads=True)
        out |= transformer("denoiser.encoder", layer, width, depth, ff)
        for name in ("vae.query_pos_encoder", "vae.query_pos_decoder", "denoiser.query_pos", "denoiser.mem_pos"):
            out[f"{name}.pe"] = (500, 1, width)
        out["vae.global_motion_token"] = (2 * tokens, width)
        for name, out_, in_ in [
            ("vae.skel_embedding", width, features),
            ("vae.final_layer", features, width),
            ("denoiser.time_embedding.linear_1", width, text),
            ("denoiser.time_embedding.linear_2", width, width),
            *([("denoiser.emb_proj.1", width, text)] if text != width else []),
            ("t2m_textencoder.input_emb", 512, 300),
        ]:
            out |= {f"{name}.weight": (out_, in_), f"{name}.bias": (out_,)}
        return out

    def published(change=None, **sizes):
        folder = tmp_path_factory.mktemp("mld")
        parts = {"epoch": 1999, "global_step": 44000, "datamodule_hyper_parameters": {"cfg": Path("/data")}}
        torch.save({"state_dict": drawn(shapes(**sizes) | (change or {})), **parts}, folder / "mld.ckpt")
        return folder / "mld.ckpt"

    published.shapes = shapes
    return published


def test_the_published_sizes_have_the_published_parameters(published):
    shapes = published.shapes(1, 256, 9, 1024, 768)
    count = {part: sum(np.prod(s) for k, s in shapes.items() if k.startswith(part)) for part in ("vae", "denoiser")}
    assert count == {"vae": 18_032_135, "denoiser": 8_349_184}
    with torch.device("meta"):
        vae, denoiser = (sum(p.numel() for p in model.parameters()) for model in (MotionVAE(263), MLD(256, 768)))
    assert vae == count["vae"] and denoiser - 768 == count["denoiser"] - 500 * 256  # the null; a memory's positions


@pytest.mark.parametrize(("tokens", "dataset", "features"), [(1, "humanml3d", 263), (3, "kit", 251)])
def test_it_becomes_a_run(published, tiny_clip, stats, tmp_path, zoo, capsys, tokens, dataset, features):
    file, given = published(tokens=tokens, features=features), (f"stats={stats(features)}", f"clip={tiny_clip}")
    zoo("import", "mld", file, f"name={tmp_path}/run", f"dataset={dataset}", *given, "heads=2")
    run, theirs = load_run(tmp_path / "run"), torch.load(file, weights_only=False)["state_dict"]
    model, latents, process = run.model.denoiser, run.model.codec, run.model.process
    query = theirs["vae.decoder.middle_block.multihead_attn.in_proj_weight"]
    assert torch.equal(latents.vae.decoder.middle.reading.q.weight, query[:32])
    assert torch.equal(latents.vae.decoder.middle.memory.weight, query[32:])
    assert torch.equal(latents.vae.summary, theirs["vae.global_motion_token"])
    assert torch.equal(model.encoder.up[0].norm2.bias, theirs["denoiser.encoder.output_blocks.0.norm2.bias"])
    assert torch.equal(model.positions, theirs["denoiser.query_pos.pe"][:, 0])
    assert (process.schedule, process.steps, run.model.precondition.kind) == ("scaled_linear", 1000, "eps")
    sampling = instantiate(run.config["sampler"])
    assert (sampling.sampler.func.__name__, sampling.steps, sampling.guidance) == ("ddim", 50, 7.5)
    assert run.step == 44000 and not latents.mean.any() and (latents.std == 1).all()  # latents as they are

    record = json.loads((tmp_path / "run/provenance.json").read_text())
    splits = sum("multihead_attn.in_proj" in key for key in theirs)  # one tensor makes two
    assert sum(map(len, record["left_out"].values())) + record["tensors_used"] == len(theirs) + splits
    assert record["left_out"]["an evaluator"] == ["t2m_textencoder.input_emb.weight", "t2m_textencoder.input_emb.bias"]
    assert "denoiser.mem_pos.pe" in capsys.readouterr().out

    cond = TextCond(torch.zeros(2, 1, 16), torch.ones(2, 1, dtype=torch.bool), torch.randn(2, 16))
    clips = run.model.sample(cond, [12, 30], sampling._replace(steps=2))
    assert [tuple(clip.shape) for clip in clips] == [(12, features), (30, features)]
    joints = latents.joints(clips[1])
    assert joints.shape == (30, 22 if dataset == "humanml3d" else 21, 3) and joints.isfinite().all()


def test_no_text_is_what_the_encoder_says_of_an_empty_one(published, tiny_clip, stats, tmp_path, zoo):
    from transformers import AutoTokenizer, CLIPTextModelWithProjection

    zoo("import", "mld", published(), f"name={tmp_path}/run", f"stats={stats()}", f"clip={tiny_clip}")
    tokens = AutoTokenizer.from_pretrained(tiny_clip)([""], return_tensors="pt")
    with torch.no_grad():
        want = CLIPTextModelWithProjection.from_pretrained(tiny_clip).eval()(**tokens).text_embeds[0]
    torch.testing.assert_close(load_run(tmp_path / "run").model.denoiser.null.detach(), want)
    assert want.abs().max() > 0.1 and CLIP(folder=tiny_clip).encode_nothing().shape == (16,)


def test_it_samples_at_the_length_that_is_asked_for(published, tiny_clip, stats, tmp_path, zoo, call):
    zoo("import", "mld", published(), f"name={tmp_path}/run", f"stats={stats()}", f"clip={tiny_clip}")
    for seconds, frames in (("0.5", 10), ("1.5", 30)):
        prompt = f"prompt=a person walks for {'long' if frames > 20 else 'short'}"
        assert (
            call(sample, f"run={tmp_path}/run", prompt, f"seconds={seconds}", "steps=2", f"out={tmp_path}/{frames}")
            == 0
        )
        (numbers,) = (tmp_path / str(frames)).glob("*.npz")
        with np.load(numbers) as arrays:
            assert arrays["joints"].shape == (1, frames, 22, 3) and np.isfinite(arrays["joints"]).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:text of")
def test_it_is_evaluated_on_a_prepared_store(published, tiny_clip, clip_store, tmp_path, zoo, call):
    """Samples are as long as the clips, though the model makes one token of each."""
    store = shutil.copytree(clip_store, tmp_path / "store")
    manifest = json.loads((store / "manifest.json").read_text())
    manifest["encoder"]["max_tokens"] = 77  # as MLD reads; the store's sentences were cut a little earlier
    (store / "manifest.json").write_text(json.dumps(manifest))
    zoo("import", "mld", published(tokens=2), f"name={tmp_path}/run", f"store={store}", f"clip={tiny_clip}")
    assert call(evaluate, f"run={tmp_path}/run", "steps=2", "scoring.clips=2", "scoring.shown=2") == 0
    scores = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert scores["physical"]["jitter"]["model"] > 0 and scores["provenance"]["sampler"] == "ddim"
    run, part = load_run(tmp_path / "run"), Store.open(store).split("test")
    samples = sample_split(run.model, part, instantiate(run.config["sampler"])._replace(steps=2))
    assert [len(sample) for sample in samples] == part.lengths.tolist()


def test_an_edit_of_latents_of_whole_clips_is_refused(published, tiny_clip, stats, tmp_path, zoo, call, capsys):
    zoo("import", "mld", published(), f"name={tmp_path}/run", f"stats={stats()}", f"clip={tiny_clip}")
    assert call(sample, f"run={tmp_path}/run", "edit=inbetween", "prompt=a person walks") == 2
    assert "latents of whole clips" in capsys.readouterr().err


def test_the_vae_alone_becomes_a_first_stage(published, stats, tmp_path, zoo):
    """What a model of latents takes as codec.run."""
    file = published()
    zoo("import", "mld", file, f"name={tmp_path}/vae", f"stats={stats()}", "stage=vae")
    state = read_checkpoint(tmp_path / "vae/checkpoints/last.ckpt")
    assert is_complete(tmp_path / "vae") and state["config"]["assembly"] == "motion_lightning.first_stage"
    model = build_model(state["config"], 0)
    model.load_state_dict({key.removeprefix("model."): value for key, value in state["state_dict"].items()})
    theirs = torch.load(file, weights_only=False)["state_dict"]
    assert torch.equal(model.vae.out.weight, theirs["vae.final_layer.weight"])
    left_out = json.loads((tmp_path / "vae/provenance.json").read_text())["left_out"]
    assert all(key.startswith("denoiser.") for key in left_out["the denoiser (stage=vae)"])


@pytest.mark.parametrize(
    ("made", "given", "words"),
    [
        ({"change": {"vae.dist_layer.weight": (64, 32)}}, (), r"vae\.dist_layer\.weight is unknown"),
        ({"change": {"motion_encoder.weight": (2, 2)}}, (), r"motion_encoder\.weight is unknown"),
        ({"change": {"denoiser.encoder.norm.bias": (33,)}}, (), r"denoiser\.encoder\.norm\.bias is 33, expected 32"),
        ({"change": {"vae.global_motion_token": (3, 32)}}, (), r"global_motion_token is \(3, 32\), expected an even"),
        ({}, ("dataset=kit",), r"vae\.skel_embedding\.weight is 32 x 263, expected 32 x 251"),
        ({"text": 24}, (), r"linear_1\.weight is 32 x 24, expected 32 x 16"),
        ({}, ("dataset=kitml",), "dataset=kitml is unknown; choose one of humanml3d, kit"),
        ({}, ("heads=5",), "heads=5: give a number that divides the width, 32"),
        ({}, ("heads=many",), "heads=many"),
        ({}, ("stage=both",), "stage=both"),
    ],
)
def test_another_model_is_refused_by_name(published, tiny_clip, stats, tmp_path, zoo, made, given, words):
    folder = stats(251 if "dataset=kit" in given else 263)
    with pytest.raises(UserError, match=words):
        zoo("import", "mld", published(**made), f"name={tmp_path}/run", f"stats={folder}", f"clip={tiny_clip}", *given)
    assert not list(tmp_path.iterdir())


def test_what_is_no_mld_is_refused(tmp_path, tiny_clip, stats, zoo):
    torch.save({"w": torch.ones(2)}, tmp_path / "weights.pt")
    torch.save({"state_dict": {"w": torch.ones(2)}}, tmp_path / "other.ckpt")
    for name, words in (("weights.pt", "holds no state_dict"), ("other.ckpt", "global_motion_token is None")):
        with pytest.raises(UserError, match=words):
            zoo("import", "mld", tmp_path / name, f"name={tmp_path}/run", f"stats={stats()}", f"clip={tiny_clip}")

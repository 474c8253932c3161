"""Motion textual inversion on tiny models: what changes, what does not, and what a word can be learned from."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from motion_lightning.assemble import Run
from motion_lightning.codecs.motion_latent import MotionLatents
from motion_lightning.codecs.realigned import Realigned
from motion_lightning.diffusion.precondition import Plain
from motion_lightning.diffusion.process import Process
from motion_lightning.errors import UserError
from motion_lightning.inversion import find_exemplars, learn, objective
from motion_lightning.models.mld import MLD, MotionVAE
from motion_lightning.models.projector import Projector
from motion_lightning.motion.bvh_export import export_bvh
from motion_lightning.motion.skeleton import load_skeleton
from motion_lightning.pipeline import Diffusion
from motion_lightning.text.encoders import MiniLM
from motion_lightning.text.pseudo_words import PseudoWords, first_vectors

SKELETON = load_skeleton()
TEMPLATES = ["a person *", "someone *"]
SIZE = {"width": 16, "depth": 1, "heads": 2, "ff": 32, "dropout": 0.0}


@pytest.fixture(scope="module")
def encoder(tiny_bert) -> MiniLM:
    return MiniLM(tiny_bert)


@pytest.fixture(scope="module")
def make_run(make_model, tiny_store, randomise):
    """A run whose diffusion is of frames, of latents, or of latents behind a projector; weights are random."""

    def make_run(mode: str) -> Run:
        frames = make_model(parts="essential")
        model, training = frames, {"space": "x0", "weight": "capped_v"}
        if mode != "diffusion":
            vae = randomise(MotionVAE(67, 1, 8, places=64, **SIZE), 1)
            made_of = {"vae": vae, "codec": frames.codec, "run": "none"}
            realigned = {"projector": randomise(Projector(1, 8, 8, **SIZE), 2)}
            codec = Realigned(**made_of, **realigned) if mode == "realigned" else MotionLatents(**made_of)
            process = Process(steps=100)
            model = Diffusion(MLD(8, 8, places=8, **SIZE), Plain(process, target="eps"), codec)
            training = {"space": "target"}
        randomise(model.denoiser, 3)
        config = {"store": str(tiny_store.path), "loader": {}, "training": training}
        return Run(model.eval().requires_grad_(False), config, Path("runs/tiny"), None, 7)

    return make_run


def learned(run, encoder, mode, clips=("000", "004"), **options):
    settings = {"steps": 25, "batch_size": 8, "rate": 0.1, "mode": mode, **options}
    return learn(run, encoder, find_exemplars(run, clips, 20, 200), "w", TEMPLATES, **settings)


@pytest.mark.parametrize("mode", ["diffusion", "vae", "realigned"])
def test_the_loss_falls_and_the_word_alone_changes(make_run, encoder, mode):
    run = make_run(mode)
    frozen = {
        f"{i} {name}": (value, value.clone())
        for i, module in enumerate([run.model, encoder.model])
        for name, value in module.state_dict().items()
    }
    word = learned(run, encoder, mode)
    before, after = word.about["loss"]
    assert after < before
    assert (word.vectors - first_vectors(encoder, 1)).abs().max() > 0.1 and not word.vectors.requires_grad
    assert all(torch.equal(now, then) for now, then in frozen.values())
    assert all(p.grad is None for module in (run.model, encoder.model) for p in module.parameters())
    assert word.about["exemplars"] == ["000", "004"] and word.about["run"] == "tiny, step 7"


def test_the_realigned_space_brings_the_text_to_the_motions(make_run, encoder):
    """One exemplar and one template: the loss is 1 - cos, and the text ends nearer to this clip than it began."""
    run = make_run("realigned")
    exemplars = find_exemplars(run, ["002"], 20, 200)
    word = learn(run, encoder, exemplars, "w", ["a person *"], steps=60, rate=0.1)
    target = run.model.codec.projector.encode(run.model.codec.encode(exemplars.batch)[0])

    def distance(vectors):
        text = PseudoWords(encoder, {"w": vectors}).encode(["a person <w>"]).pooled
        return float(1 - torch.cosine_similarity(text, target))

    assert word.about["mode"] == "realigned"  # where there is a projector, nobody has to say it
    assert word.about["loss"] == pytest.approx([distance(first_vectors(encoder, 1)), distance(word.vectors)], abs=1e-5)
    assert word.about["loss"][1] < 0.85 * word.about["loss"][0]


def test_learning_repeats_and_follows_its_seed_its_start_and_its_size(make_run, encoder):
    run = make_run("diffusion")
    one, same, other = (learned(run, encoder, None, steps=3, seed=seed).vectors for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    far = learned(run, encoder, None, steps=1, rate=1e-9, init="hop", vectors=2).vectors
    torch.testing.assert_close(far, first_vectors(encoder, 2, "hop"), rtol=0, atol=1e-6)


def test_modes_go_with_runs(make_run, encoder):
    for kind, mode, words in [
        ("diffusion", "vae", "expected diffusion"),
        ("vae", "realigned", "expected vae"),
        ("realigned", "diffusion", "expected realigned or vae"),
        ("vae", "textual", "expected one of realigned, vae, diffusion"),
    ]:
        run = make_run(kind)
        with pytest.raises(UserError, match=f"mode={mode} does not go with run=runs/tiny: {words}"):
            objective(run, find_exemplars(run, ["000"], 20, 200), mode)
    with pytest.raises(UserError, match=r"each with \* where the word is"):
        learn(run, encoder, find_exemplars(run, ["000"], 20, 200), "w", ["a person"])


def test_published_runs_are_inverted_by_their_own_target(make_run, encoder):
    run = make_run("vae")
    del run.config["training"]
    assert learned(run, encoder, "vae", steps=2).about["mode"] == "vae"


# ------------------------------------------------------------------------------------------- exemplars


def test_exemplars_are_the_motions_that_files_and_clips_hold(make_run, tiny_store, walk, tmp_path):
    run = make_run("diffusion")
    np.save(tmp_path / "walk.npy", walk)
    np.savez(tmp_path / "walk.npz", joints=walk[None].astype(np.float32), lengths=[61])
    export_bvh(tmp_path / "walk.bvh", walk, SKELETON)
    files = [str(tmp_path / f"walk.{kind}") for kind in ("npy", "npz", "bvh")]
    found = find_exemplars(run, [*files, "017"], 20, 200)
    assert found.batch.x.shape == (4, 60, 263) and found.names[3] == "017"
    assert found.batch.mask.sum(1)[:3].tolist() == [60, 60, 60] and not found.batch.x[~found.batch.mask].any()
    npy, npz, bvh, clip = found.batch.x
    torch.testing.assert_close(npy, npz, rtol=0, atol=1e-4)
    assert (npy - bvh)[:, :67].abs().max() < 0.02  # metres: BVH keeps rotations, which fit the joints
    part = tiny_store.split("val")
    real = torch.from_numpy(part.features(part.ids.index("017")).copy())
    assert torch.equal(clip[: len(real)], real)


def test_a_recording_finds_its_rig(make_run, shared_data, tmp_path):
    """A real one, 30 frames a second; another skeleton's joints are told."""
    import zipfile

    with zipfile.ZipFile(shared_data / "bandai_bvh.zip") as archive:
        name = next(n for n in sorted(archive.namelist()) if n.endswith(".bvh"))
        (tmp_path / "real.bvh").write_bytes(archive.read(name))
    found = find_exemplars(make_run("diffusion"), [str(tmp_path / "real.bvh")], 10, 10_000)
    named = find_exemplars(make_run("diffusion"), [str(tmp_path / "real.bvh")], 10, 10_000, rig="bandai")
    assert torch.equal(found.batch.x, named.batch.x)
    height = found.batch.x[found.batch.mask][:, 3]
    assert ((height > 0.5) & (height < 1.2)).all()  # of the pelvis, metres


def test_what_is_no_exemplar_is_refused_by_name(make_run, walk, tmp_path):
    run = make_run("diffusion")
    np.save(tmp_path / "short.npy", walk[:12])
    np.save(tmp_path / "long.npy", np.tile(walk, (4, 1, 1)))
    np.save(tmp_path / "few.npy", walk[:, :21])
    (tmp_path / "tiny.bvh").write_text((Path(__file__).parent / "motion/tiny.bvh").read_text())
    for name, words in [
        ("short.npy", "expected 20 to 200 at 20 a second, found 11 frames"),
        ("long.npy", "expected 20 to 200 at 20 a second, found 243 frames"),
        ("few.npy", r"expected \(frames, 22, 3\) numbers for humanml22, got float64 \(61, 21, 3\)"),
        ("tiny.bvh", "no known rig .* maps joints hip, knee, … to skeleton humanml22"),
        ("none.bvh", "cannot be read"),
        ("none", "no clip of this run's data, and no .npy, .npz, .bvh file"),
    ]:
        with pytest.raises(UserError, match=f"exemplars: .*{name}: {words}") as error:
            find_exemplars(run, ["000", str(tmp_path / name)], 20, 200)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="exemplars is empty"):
        find_exemplars(run, [], 20, 200)
    other = run._replace(model=SimpleNamespace(sample_codec=None))
    with pytest.raises(UserError, match="makes no motions of texts alone"):
        find_exemplars(other, ["000"], 20, 200)

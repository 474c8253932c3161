"""The projector's run: it loads alone, and with the diffusion of its latents it makes motions."""

import pytest
import torch

from motion_lightning import assemble
from motion_lightning.assemble import load_run
from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.codecs.motion_latent import MotionLatents
from motion_lightning.codecs.realigned import Realigned
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.errors import UserError
from motion_lightning.models.mld import MotionVAE
from motion_lightning.pipeline import Sampling
from motion_lightning.realignment import build_model, load_projector
from motion_lightning.retrieval import Index, load_space

PACKAGE = "motion_lightning."
SMALL = {"width": 16, "depth": 1, "heads": 2, "ff": 32, "dropout": 0.0}
VAE = {"_target_": PACKAGE + "models.mld.MotionVAE", "features": 67, "tokens": 2, "latent": 4, "places": 64, **SMALL}
CODEC = {
    "_target_": PACKAGE + "codecs.motion_latent.MotionLatents",
    "run": "runs/lead_vae",
    "vae": VAE,
    "codec": {"_target_": PACKAGE + "codecs.motion.FeatureCodec", "parts": "essential"},
}
SHARED = {"data": {"corpus": {}}, "text_dim": 8, "text_encoder": {"_target_": "tiny"}, "codec": CODEC}
PROJECTOR = SHARED | {
    "assembly": PACKAGE + "realignment",
    "generator": {"run": "runs/lead_diffusion"},
    "model": {"_target_": PACKAGE + "models.projector.Projector", "kind": "transformer", **SMALL},
}
DIFFUSION = SHARED | {
    "model": {"_target_": PACKAGE + "models.mld.MLD", **SMALL, "places": 8},
    "diffusion": {
        "process": {"_target_": PACKAGE + "diffusion.process.Process", "steps": 100},
        "precondition": {"_target_": PACKAGE + "diffusion.precondition.Plain", "target": "eps"},
    },
}
SAMPLING = Sampling(ddim, 3, 2.0)


def write_run(folder, model, config) -> None:
    """As training leaves it."""
    (folder / "checkpoints").mkdir(parents=True)
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "config": config, "global_step": 7}, folder / "checkpoints" / "last.ckpt")


def seeded(build, config, seed: int = 0):
    """With the same VAE for every model of one ``seed``."""
    model = build(config, 8)
    torch.manual_seed(seed)
    with torch.no_grad():
        for value in model.codec.state_dict().values():
            value.copy_(torch.rand(value.shape) * 0.5 + 0.1)
    return model


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder with a projector's run and one of diffusion, and no VAE's: its weights are in both."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    write_run(tmp_path / "runs/lead_projector", seeded(build_model, PROJECTOR), PROJECTOR)
    write_run(tmp_path / "runs/lead_diffusion", seeded(assemble.build_model, DIFFUSION), DIFFUSION)
    return tmp_path / "runs"


def rewrite(runs, name: str, build, config, seed: int = 0) -> None:
    (runs / name).rename(runs / f"{name}_before")
    write_run(runs / name, seeded(build, config, seed), config)


def test_it_loads_alone(runs):
    projector, codec, config = load_projector(runs / "lead_projector")
    assert isinstance(codec, MotionLatents) and config["model"]["kind"] == "transformer"
    assert not any(parameter.requires_grad for parameter in (*projector.parameters(), *codec.parameters()))
    z = torch.randn(3, 2, 4, requires_grad=True)
    assert projector.encode(z).shape == (3, 8)
    projector.decode(projector.encode(z)).square().sum().backward()
    assert z.grad.abs().sum() > 0  # what looks for a word goes through it


def test_a_sample_goes_there_and_back_before_it_is_decoded(runs, tiny_store):
    run, generator = load_run("runs/lead_projector"), load_run("runs/lead_diffusion")
    projector, codec, _ = load_projector("runs/lead_projector")
    assert run.step == 7 and run.folder.name == "lead_projector" and run.config["diffusion"] == DIFFUSION["diffusion"]
    cond = tiny_store.split("val").collate([0, 1]).cond
    made = run.model.sample(cond, [20, 33], SAMPLING, seed=4)
    generator.model.codec.finish = lambda x, frames: x  # its latents as they are
    for x, z in zip(made, generator.model.sample(cond, [20, 33], SAMPLING, seed=4), strict=True):
        assert z.shape == (2, 4)
        torch.testing.assert_close(x, codec.finish(projector.decode(projector.encode(z[None]))[0], len(x)))
        assert not torch.allclose(x, codec.finish(z, len(x)))
    assert [len(x) for x in made] == [20, 33] and isinstance(run.model.sample_codec, FeatureCodec)


def test_a_projector_that_changes_nothing_changes_no_motion():
    class Identity(torch.nn.Module):
        def encode(self, z):
            return z

        decode = encode

    vae, x = MotionVAE(**{name: value for name, value in VAE.items() if name != "_target_"}), torch.randn(2, 4)
    latents = MotionLatents(vae, FeatureCodec("essential"), "gone")
    realigned = Realigned(vae, FeatureCodec("essential"), "gone", projector=Identity())
    assert torch.equal(realigned.finish(x, 30), latents.finish(x, 30))


def test_the_diffusion_is_looked_for_beside_the_projector(runs, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path.parent)
    assert load_run(runs / "lead_projector").model.codec.shape == (4,)
    (runs / "lead_diffusion").rename(runs / "gone")
    with pytest.raises(UserError, match=r"generator\.run=runs/lead_diffusion, and there is none"):
        load_run(runs / "lead_projector")


def test_a_diffusion_of_another_text_encoder_is_refused(runs):
    rewrite(runs, "lead_diffusion", assemble.build_model, DIFFUSION | {"text_encoder": {"_target_": "other"}})
    with pytest.raises(UserError, match=r"another text encoder: expected .*tiny.*, found .*other"):
        load_run("runs/lead_projector")


@pytest.mark.parametrize("vae, seed", [(VAE, 1), (VAE | {"tokens": 1, "latent": 8}, 0)])
def test_a_diffusion_of_another_vae_is_refused(runs, vae, seed):
    """Of other weights, or another shape."""
    other = DIFFUSION | {"codec": CODEC | {"run": "runs/other_vae", "vae": vae}}
    rewrite(runs, "lead_diffusion", assemble.build_model, other, seed)
    with pytest.raises(UserError, match=r"other latents: expected .*runs/lead_vae.*, found .*runs/other_vae"):
        load_run("runs/lead_projector")


def test_things_are_looked_up_in_its_space(runs, tiny_store, tiny_encoder):
    """A clip's nearest caption, and a sentence's nearest clip, by the cosine of projected latents and pooled texts."""
    space = load_space("runs/lead_projector")
    space.encoder = tiny_encoder
    projector, codec, _ = load_projector("runs/lead_projector")
    split = tiny_store.split("val")
    index = Index(space, split)
    clips = torch.cat([projector.encode(codec.encode(split.collate([i]))[0]) for i in range(len(split))])
    torch.testing.assert_close(index.motions, clips, atol=1e-5, rtol=1e-4)
    text = tiny_encoder.encode(["a slow wave"]).pooled
    scores = torch.nn.functional.cosine_similarity(clips, text)
    ((clip, cosine),) = index.clips_of("a slow wave", 1)
    assert clip == int(scores.argmax()) and cosine == pytest.approx(float(scores.max()), abs=1e-5)
    captions = [index.split.store.texts[text] for text in index.texts]
    wanted = torch.nn.functional.cosine_similarity(tiny_encoder.encode(captions).pooled, clips[2:3]).argmax()
    assert index.texts_of(2, 1)[0][1] == captions[int(wanted)]


def test_what_is_no_projector_is_refused(runs):
    with pytest.raises(UserError, match=r"runs/lead_diffusion/.* is of a run of another kind"):
        load_projector("runs/lead_diffusion")
    with pytest.raises(UserError, match=r"there is no runs/none/checkpoints/last\.ckpt"):
        load_projector("runs/none")
    with pytest.raises(UserError, match=r"takes latents of whole motions, and codec\._target_=FeatureCodec"):
        build_model(PROJECTOR | {"codec": CODEC["codec"]}, 8)

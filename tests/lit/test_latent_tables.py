"""Latents that are made once, and when they may be."""

from functools import partial

import pytest
import torch

from motion_lightning.codecs.latent import Autoencoder
from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.codecs.motion_latent import MotionLatents
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.diffusion.precondition import Plain
from motion_lightning.diffusion.process import Process
from motion_lightning.lit import diffusion
from motion_lightning.lit.diffusion import DiffusionModule
from motion_lightning.lit.latents import LatentTables, always_the_same
from motion_lightning.models.mld import MLD, MotionVAE
from motion_lightning.pipeline import Diffusion

SIZE = {"width": 16, "depth": 3, "heads": 2, "ff": 32, "dropout": 0.0}
OPTIMIZER = partial(torch.optim.AdamW, lr=3e-3, weight_decay=0.1)


@pytest.fixture
def codec(tiny_store, tmp_path) -> MotionLatents:
    torch.manual_seed(0)
    inner = FeatureCodec()
    inner.fit(tiny_store)
    vae = MotionVAE(137, 2, 4, **SIZE)
    state = Autoencoder(vae, inner).state_dict()
    (tmp_path / "checkpoints").mkdir()
    torch.save({"state_dict": {f"model.{k}": v for k, v in state.items()}}, tmp_path / "checkpoints" / "last.ckpt")
    codec = MotionLatents(vae, inner, str(tmp_path))
    codec.fit(tiny_store)
    return codec


@pytest.fixture
def data(tiny_store):
    return partial(MotionDataModule, tiny_store, batch_size=8, steps_per_epoch=4)


def test_a_table_holds_what_the_codec_says_of_each_clip(codec, data):
    tables = LatentTables(codec, data())
    batch = data().store.split("val").collate([1, 0, 2])
    torch.testing.assert_close(tables("val", batch.info.clip), codec.encode(batch)[0], atol=1e-4, rtol=1e-4)
    assert len(tables("train")) == len(data().store.split("train"))


def test_latents_are_kept_where_every_visit_to_a_clip_has_the_same(codec, data):
    longest = max(int(n) for name in ("train", "val") for n in data().store.split(name).lengths)
    assert always_the_same(codec, data(max_frames=longest))
    assert not always_the_same(codec, data(max_frames=longest - 1))  # a window, drawn anew
    assert not always_the_same(codec, data(augment=lambda batch, seeds: batch))
    assert not always_the_same(codec.codec, data()) and not always_the_same(codec, None)


def test_a_training_is_the_same_whether_latents_are_kept_or_made_for_every_batch(
    codec, data, trainer, tiny_encoder, monkeypatch
):
    def trained() -> tuple[dict, torch.Tensor]:
        torch.manual_seed(0)
        model = Diffusion(MLD(4, tiny_encoder.dim, **SIZE), Plain(Process("scaled_linear", 100), 4, "x0"), codec)
        module, fit = DiffusionModule(model, OPTIMIZER, space="target"), trainer(2)
        fit.fit(module, data())
        assert (module.latents is None) == (diffusion.always_the_same is not always_the_same)
        return dict(model.denoiser.named_parameters()), fit.callback_metrics["val/loss"]

    kept, loss = trained()
    monkeypatch.setattr(diffusion, "always_the_same", lambda codec, data: False)
    made, want = trained()
    torch.testing.assert_close(loss, want, atol=1e-4, rtol=1e-4)
    for name, weight in made.items():
        torch.testing.assert_close(kept[name], weight, atol=1e-4, rtol=1e-3)

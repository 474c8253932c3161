"""The faithful preset of the ViViT, and what its note saw without knowing it."""

import lightning as L
import pytest
import torch
from torch import nn

from motion_lightning.assemble import build_model
from motion_lightning.config import compose, instantiate
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.diffusion.timesteps import StepRandom
from motion_lightning.errors import UserError
from motion_lightning.lit.diffusion import DiffusionModule
from motion_lightning.models.vivit_parts import Frames, Tubelets

SMALL = ["data.corpus.size=24", "model.width=16", "model.pairs=1", "model.heads=2", "model.readers=1"]


@pytest.fixture(scope="module")
def make_faithful(video_store, tiny_encoder):
    def make_faithful(*overrides: str, base: str = "experiment=vivit_faithful") -> DiffusionModule:
        torch.manual_seed(0)
        cfg = compose("train", [base, *SMALL, *overrides])
        model = build_model(cfg, tiny_encoder.dim)
        model.codec.fit(video_store)
        return DiffusionModule(model, instantiate(cfg.optimizer), **instantiate(cfg.training))

    return make_faithful


def test_the_preset_is_what_its_note_says():
    cfg = compose("train", ["experiment=vivit_faithful"])
    assert (cfg.model.skip, cfg.model.output_scale, cfg.model.temporal_weight) == ("none", "scalar", 0.5)
    assert (cfg.diffusion.process.schedule, cfg.diffusion.process.steps) == ("cosine", 50)
    assert (cfg.training.weight, cfg.diffusion.precondition.target) == ("inverse_snr_clamped", "eps")
    assert cfg.trainer.gradient_clip_val == 1.0 and "SNR" in cfg.warning
    watch = instantiate(cfg.callbacks.output_scale)
    assert (watch.low, watch.high, watch.clamp) == (0.1, 10.0, False)


@pytest.mark.parametrize("base", ["experiment=vivit_faithful", "model=vivit"])
def test_each_setting_changes_alone(base):
    plain = compose("train", [base])
    for override, key, value in [
        ("skip=raw", "skip", "raw"),
        ("model.output_scale=per_t", "output_scale", "per_t"),
        ("model.temporal_weight=0.1", "temporal_weight", 0.1),
        ("training.weight=snr_clamped", None, None),
        ("model/features=pretrained", "features", None),
    ]:
        changed = compose("train", [base, override])
        assert changed.model._target_ == plain.model._target_
        for name in set(plain.model) - {key, "features" if key == "features" else None}:
            assert changed.model[name] == plain.model[name]
        assert value is None or changed.model[key] == value
    for skip, kind in [("none", "Plain"), ("raw", "Plain"), ("preconditioned", "LinearSkip"), ("edm", "Karras")]:
        cfg = compose("train", ["model=vivit", f"skip={skip}"])
        assert cfg.diffusion.precondition._target_.endswith(kind)


def test_the_identity_predictor_is_the_curve_behind_192_and_0001(make_faithful, video_store):
    """A dead trunk with a raw skip puts out x_t; on data of unit variance its error is alpha_bar + (1 - s)²."""
    module = make_faithful("skip=raw")
    last = module.model.denoiser.features.projection[-1]
    nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)
    train, process = video_store.split("train"), module.model.process
    t = torch.arange(50)
    batch = train.collate([i % len(train) for i in range(50)])
    like, _ = module.model.codec.encode(batch)
    module.eval()
    with torch.no_grad():
        eps = torch.randn(like.shape, generator=torch.Generator().manual_seed(0))
        loss = module.compute_loss(batch, t, eps, torch.zeros(50, dtype=torch.bool))
    x_t = process.noise(like, t, eps)
    by_hand = (x_t - eps).square().flatten(1).mean(1)
    assert torch.allclose(loss.per_sample, by_hand, atol=1e-5), "the model is the identity"
    own = like.square().flatten(1).mean(1)  # variance of each clip, 1 on average over all
    a2, s = process.alpha_bar_at(t), process.s(t)
    closed = a2 + (1 - s).square()
    assert torch.allclose(by_hand.double(), a2 * own + (1 - s).square(), rtol=0.02, atol=1e-3)
    # With the clips' own variance divided out this is the curve of unit variance.
    unit = by_hand - (a2 * (own - 1)).float()
    assert closed[0] == pytest.approx(1.916, abs=1e-3) and unit[0] == pytest.approx(1.92, abs=0.02)
    assert closed[48] == pytest.approx(9.7e-4, rel=0.01) and unit[48] == pytest.approx(0.001, abs=5e-4)
    assert (unit.diff() < 0.02).all(), "it falls from t to t"


def test_weights_favour_the_noisiest_timesteps_100_times(make_faithful):
    weights = make_faithful().weights
    assert len(weights) == 50
    assert weights[0] == pytest.approx(0.1) and weights[-1] == pytest.approx(10)
    turned = make_faithful("training.weight=snr_clamped").weights
    assert turned[0] == pytest.approx(10) and turned[-1] == pytest.approx(0.1)


def test_output_scale_of_one_half_is_in_the_optimizer(make_faithful, video_store):
    module = make_faithful()
    scale = module.model.denoiser.output_scale
    assert scale.item() == 0.5
    data = MotionDataModule(video_store, batch_size=4, steps_per_epoch=2, multiple_of=1, seed=0)
    trainer = L.Trainer(
        accelerator="cpu", devices=1, max_epochs=1, logger=False, gradient_clip_val=1.0, limit_val_batches=0,
        num_sanity_val_steps=0, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module, data)
    (optimizer,) = trainer.optimizers
    assert any(p is scale for group in optimizer.param_groups for p in group["params"])
    assert 0 < abs(scale.item() - 0.5) < 0.1


def test_a_tenth_of_the_conditions_is_dropped(make_faithful):
    module = make_faithful()
    random = StepRandom(module.seed)
    drops = torch.cat([random.drop(step, 32, module.cond_drop) for step in range(200)])
    assert drops.float().mean().item() == pytest.approx(0.10, abs=0.02)


def test_presets_are_one_denoiser_with_other_settings(make_faithful):
    faithful, default = make_faithful().model.denoiser, make_faithful(base="model=vivit").model.denoiser
    assert type(faithful) is type(default)
    assert isinstance(faithful.features, Frames) and isinstance(default.features, Tubelets)


def test_frames_that_tubelets_do_not_divide_are_refused_with_both_settings_named(tiny_encoder):
    cfg = compose("train", ["model=vivit", "data.corpus.frames=17"])
    with pytest.raises(UserError, match=r"data\.corpus\.frames=17 .* model\.features\.tubelet=2"):
        build_model(cfg, tiny_encoder.dim)

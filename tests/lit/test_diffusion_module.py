"""The LightningModule: what the loss and the validation depend on."""

import inspect
from functools import partial

import pytest
import torch

from motion_lightning.data.batch import Batch
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.diffusion.precondition import Plain
from motion_lightning.diffusion.timesteps import StepRandom, Uniform, fixed_noise, fixed_timesteps
from motion_lightning.errors import UserError
from motion_lightning.lit.diffusion import DiffusionModule
from motion_lightning.lit.losses import foot, velocity
from motion_lightning.metrics.skill import FrameWiener, squared_error
from motion_lightning.pipeline import Diffusion

EPOCH = 5  # steps


def drawn(module: DiffusionModule, batch: Batch, step: int = 0) -> tuple:
    """t, noise and drop, of which one is True, as in training."""
    random = StepRandom(7)
    t, _ = Uniform(module.model.process.steps).draw(random, step, len(batch.x))
    noise = random.noise(step, batch.x.new_empty(*batch.mask.shape, *module.model.codec.shape))
    return t, noise, torch.arange(len(batch.x)) == 1


def extended(batch: Batch, frames: int) -> Batch:
    """The same clips with more padding, which holds garbage."""
    x = torch.cat([batch.x, torch.full((len(batch.x), frames, batch.x.shape[2]), 3.0)], dim=1)
    return batch._replace(x=x, mask=torch.nn.functional.pad(batch.mask, (0, frames)))


LOSSES = [
    {},
    {"weight": "min_snr"},
    {"space": "target"},
    {"losses": {"foot": {"weight": 1.0, "loss": foot}, "velocity": {"weight": 1.0, "loss": velocity}}},
]


@pytest.mark.parametrize("options", LOSSES)
def test_padding_does_not_change_the_loss(make_module, randomise, batch, options):
    module = make_module(**options)
    randomise(module.model.denoiser, scale=0.1)
    want = module.compute_loss(batch, *drawn(module, batch))
    for frames in (1, 8):
        longer = extended(batch, frames)
        got = module.compute_loss(longer, *drawn(module, longer))
        torch.testing.assert_close(got.total, want.total)
        torch.testing.assert_close(got.per_sample, want.per_sample)
        assert got.parts.keys() == want.parts.keys()


def test_loss_names_what_it_is_made_of(make_module, batch):
    extra = {name: {"weight": weight, "loss": loss} for name, weight, loss in (("foot", 2, foot), ("never", 0, None))}
    module = make_module(losses=extra | {"velocity": {"weight": 3.0, "loss": velocity}})
    loss = module.compute_loss(batch, *drawn(module, batch))
    assert set(loss.parts) == {"diffusion", "outline", "foot", "velocity"}
    torch.testing.assert_close(sum(loss.parts.values()), loss.total)
    assert loss.per_sample.shape == loss.t.shape == (4,) and not loss.per_sample.requires_grad
    torch.testing.assert_close(loss.per_sample.mean(), loss.parts["diffusion"].detach())


def test_outline_is_learned_from_the_text_at_every_timestep(make_module, batch):
    """Its loss knows neither t nor noise, and reaches the layers that read the text."""
    module = make_module(outline_weight=2.0)
    t, eps, drop = drawn(module, batch)
    parts = [module.compute_loss(batch, at, noise, drop).parts["outline"] for at, noise in [(t, eps), (0 * t, -eps)]]
    torch.testing.assert_close(parts[0], parts[1])
    x0, _ = module.model.codec.encode(batch)
    torch.testing.assert_close(parts[0], 2 * squared_error(0 * x0, x0, batch.mask).mean())  # it starts at zero
    parts[0].backward()
    assert module.model.denoiser.outline.weight.grad.any()
    assert not make_module(outline_weight=0.0).compute_loss(batch, t, eps, drop).parts["outline"]


def test_fresh_model_starts_at_the_linear_baseline(make_module, batch):
    module = make_module()
    (x0, mask), (t, eps, drop) = module.model.codec.encode(batch), drawn(module, batch)
    x_t = module.model.process.noise(x0, t, eps) * batch.mask[..., None]
    zero = torch.zeros_like(x_t)
    error = squared_error(module.model.precondition(x_t, t, batch.mask).x0(zero), x0, batch.mask)
    got = module.compute_loss(batch, t, eps, drop).per_sample
    torch.testing.assert_close(got, error)
    clips = [row[valid] for row, valid in zip(x0, mask, strict=True)]
    frame = squared_error(FrameWiener.of(clips, module.model.process)(x_t, t), x0, batch.mask)
    assert got.mean() < frame.mean()  # neighbours in time know something, too


def test_weights_multiply_the_error_in_the_targets_space(make_model, make_module, batch):
    model = make_model()
    plain = Diffusion(model.denoiser, Plain(model.process, model.codec.shape[0], "eps"), model.codec)
    in_eps = make_module(plain, space="target", weight="min_snr")
    in_x0 = make_module(plain, space="x0", weight="min_snr")
    draw = drawn(in_eps, batch)
    draw = (draw[0].clamp(max=80), *draw[1:])  # beyond, x0 from eps divides by next to nothing
    torch.testing.assert_close(
        in_eps.compute_loss(batch, *draw).total, in_x0.compute_loss(batch, *draw).total, rtol=1e-3, atol=1e-4
    )


def test_one_condition_in_ten_is_dropped(make_module, data, monkeypatch, trainer):
    """Over what training draws, in fit itself, and no two steps the same."""
    module, drops, times = make_module(), [], []

    def spy(batch, t, eps, drop, importance):
        drops.append(drop)
        times.append(t)
        return type(module).compute_loss(module, batch, t, eps, drop, importance)

    monkeypatch.setattr(module, "compute_loss", spy)
    trainer(1, limit_val_batches=0).fit(module, data)
    assert len(drops) == EPOCH and all(drop.shape == (4,) for drop in drops)
    assert len({tuple(t.tolist()) for t in times}) == EPOCH
    for step, (t, drop) in enumerate(zip(times, drops, strict=True)):
        assert torch.equal(t, Uniform(100).draw(StepRandom(7), step, 4)[0])
        assert torch.equal(drop, StepRandom(7).drop(step, 4, 0.1))
    share = torch.cat([StepRandom(7).drop(step, 64, module.cond_drop) for step in range(100)]).double().mean()
    assert 0.08 < share < 0.12


def test_validation_is_the_same_twice(make_module, randomise, data, trainer):
    module = make_module()
    randomise(module.model.denoiser, scale=0.1)
    run = trainer()
    one, two = (run.validate(module, data, verbose=False)[0] for _ in range(2))
    finite = {name: value for name, value in one.items() if "skill" not in name}
    assert {"val/loss", "val/audit/right", "val/audit/null", "val/audit/wrong"} <= finite.keys()
    assert finite == {name: two[name] for name in finite}
    assert len(set(finite.values())) >= 3  # the three conditions do differ


@torch.no_grad()
def test_validation_loss_is_that_of_fixed_noise(make_module, randomise, data, tiny_store, trainer):
    """Every clip once, each by its own t and noise, and every clip weighs the same whatever its batch."""
    module, val = make_module(), tiny_store.split("val")
    randomise(module.model.denoiser, scale=0.1)
    got = trainer().validate(module, data, verbose=False)[0]["val/loss"]
    losses = []
    for i in range(len(val)):
        batch = val.collate([i], max_frames=40)
        x0, _ = module.model.codec.encode(batch)
        t = fixed_timesteps(batch.info.clip, 100)
        draw = (t, fixed_noise(batch.info.clip, x0), torch.tensor([False]))
        losses.append(float(module.compute_loss(batch, *draw).per_sample))
    assert got == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_a_short_fit_learns(make_module, tiny_store, trainer):
    """On held-out clips; from nothing, for a fresh preconditioned model is a filter that is hard to beat."""
    module = make_module()
    module.model.precondition = Plain(module.model.process, module.model.codec.shape[0])
    module.make_optimizer = partial(torch.optim.AdamW, lr=1e-2)
    data = MotionDataModule(tiny_store, batch_size=8, val_batch_size=5, steps_per_epoch=40, seed=7)
    before = trainer().validate(module, data, verbose=False)[0]["val/loss"]
    run = trainer(1)
    run.fit(module, data)
    assert float(run.callback_metrics["val/loss"]) < 0.8 * before


def test_no_training_loss_takes_a_guidance_scale():
    """Guidance in the loss would train a mixture only, and leave the conditional prediction unknown."""
    for function in (DiffusionModule.__init__, DiffusionModule.compute_loss, DiffusionModule.training_step):
        names = inspect.signature(function).parameters
        assert not [name for name in names if "guid" in name or "scale" in name]


def test_losses_are_float32_under_autocast(make_module, randomise, batch):
    """And near what they are without it, at low noise too: the preconditioning is not rounded."""
    module = make_module()
    randomise(module.model.denoiser, scale=0.02)
    _, eps, drop = drawn(module, batch)
    for t in (0, 50, 99):
        t = torch.full((4,), t)
        want = module.compute_loss(batch, t, eps, drop)
        with torch.autocast("cpu", torch.bfloat16):
            got = module.compute_loss(batch, t, eps, drop)
        assert got.total.dtype == got.per_sample.dtype == torch.float32
        torch.testing.assert_close(got.per_sample, want.per_sample, rtol=0.05, atol=1e-5)


def test_loss_that_is_not_a_number_stops_the_run(make_module, data, trainer):
    module = make_module()
    with torch.no_grad():
        module.model.denoiser.words.null_token.fill_(torch.nan)
        module.model.denoiser.pooled.bias.fill_(torch.nan)
        module.model.denoiser.patches.out.bias.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="at step 0"):
        trainer(1, limit_val_batches=0).fit(module, data)


def test_a_checkpoint_of_another_model_is_refused(make_module):
    module = make_module()
    weights = module.state_dict()
    module.on_load_checkpoint({"state_dict": weights})
    null = weights.pop("model.denoiser.words.null_token")
    with pytest.raises(UserError, match=r"words\.null_token is in the configured one alone"):
        module.on_load_checkpoint({"state_dict": weights})
    with pytest.raises(UserError, match=r"words\.nought is in it alone"):
        module.on_load_checkpoint({"state_dict": {**module.state_dict(), "model.denoiser.words.nought": null}})

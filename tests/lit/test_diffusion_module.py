"""The LightningModule: what the loss depends on, and that a run can be repeated, stopped and taken up."""

import inspect
import subprocess
import sys
from functools import partial
from itertools import pairwise

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from motion_lightning.callbacks.ema import EMA
from motion_lightning.callbacks.sampling import SampleMotions
from motion_lightning.data.batch import Batch
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.diffusion.precondition import Plain
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.diffusion.timesteps import StepRandom, fixed_noise, fixed_timesteps
from motion_lightning.errors import UserError
from motion_lightning.lit.diffusion import DiffusionModule
from motion_lightning.metrics.skill import FrameWiener, squared_error
from motion_lightning.pipeline import Diffusion, Sampling
from motion_lightning.train import savers

EPOCH = 5  # steps
OPTIMIZER = partial(torch.optim.AdamW, lr=3e-3, weight_decay=0.01)


@pytest.fixture(scope="module")
def make_module(make_model):
    def make_module(model: Diffusion | None = None, **options) -> DiffusionModule:
        return DiffusionModule(model or make_model(), OPTIMIZER, warmup=3, seed=7, **options)

    return make_module


@pytest.fixture
def data(tiny_store) -> MotionDataModule:
    return MotionDataModule(tiny_store, batch_size=4, val_batch_size=3, steps_per_epoch=EPOCH, max_frames=40, seed=7)


@pytest.fixture
def batch(tiny_store) -> Batch:
    return tiny_store.split("train").collate([0, 1, 2, 3])


def trainer(epochs: int = 2, callbacks: tuple = (), **options) -> L.Trainer:
    return L.Trainer(
        **{
            "accelerator": "cpu", "devices": 1, "max_epochs": epochs, "logger": False,
            "gradient_clip_val": 1.0, "num_sanity_val_steps": 0, "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": any(isinstance(c, ModelCheckpoint) for c in callbacks),
            "use_distributed_sampler": False, "callbacks": list(callbacks), **options,
        }
    )  # fmt: skip


def drawn(module: DiffusionModule, batch: Batch, step: int = 0) -> tuple:
    """t, noise and drop, of which one is True, as in training."""
    random = StepRandom(7)
    t = random.timesteps(step, len(batch.x), module.model.process.steps)
    noise = random.noise(step, batch.x.new_empty(*batch.mask.shape, module.model.codec.features))
    return t, noise, torch.arange(len(batch.x)) == 1


def extended(batch: Batch, frames: int) -> Batch:
    """The same clips with more padding, which holds garbage."""
    x = torch.cat([batch.x, torch.full((len(batch.x), frames, batch.x.shape[2]), 3.0)], dim=1)
    return batch._replace(x=x, mask=torch.nn.functional.pad(batch.mask, (0, frames)))


LOSSES = [
    {},
    {"weight": "min_snr"},
    {"space": "target"},
    {"foot_weight": 1.0, "velocity_weight": 1.0},
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
    module = make_module(foot_weight=2.0, velocity_weight=3.0)
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
    x0 = module.model.codec.encode(batch.x, batch.mask)
    torch.testing.assert_close(parts[0], 2 * squared_error(0 * x0, x0, batch.mask).mean())  # it starts at zero
    parts[0].backward()
    assert module.model.denoiser.outline.weight.grad.any()
    assert not make_module(outline_weight=0.0).compute_loss(batch, t, eps, drop).parts["outline"]


def test_fresh_model_starts_at_the_linear_baseline(make_module, batch):
    module = make_module()
    x0, (t, eps, drop) = module.model.codec.encode(batch.x, batch.mask), drawn(module, batch)
    x_t = module.model.process.noise(x0, t, eps) * batch.mask[..., None]
    zero = torch.zeros_like(x_t)
    error = squared_error(module.model.precondition(x_t, t, batch.mask).x0(zero), x0, batch.mask)
    got = module.compute_loss(batch, t, eps, drop).per_sample
    torch.testing.assert_close(got, error)
    frame = squared_error(FrameWiener(module.model.codec.covariance, module.model.process)(x_t, t), x0, batch.mask)
    assert got.mean() < frame.mean()  # neighbours in time know something, too


def test_weights_multiply_the_error_in_the_targets_space(make_model, make_module, batch):
    model = make_model()
    plain = Diffusion(model.denoiser, Plain(model.process, model.codec.features, "eps"), model.codec)
    in_eps = make_module(plain, space="target", weight="min_snr")
    in_x0 = make_module(plain, space="x0", weight="min_snr")
    draw = drawn(in_eps, batch)
    draw = (draw[0].clamp(max=80), *draw[1:])  # beyond, x0 from eps divides by next to nothing
    torch.testing.assert_close(
        in_eps.compute_loss(batch, *draw).total, in_x0.compute_loss(batch, *draw).total, rtol=1e-3, atol=1e-4
    )


def test_one_condition_in_ten_is_dropped(make_module, data, monkeypatch):
    """Over what training draws, in fit itself, and no two steps the same."""
    module, drops, times = make_module(), [], []

    def spy(batch, t, eps, drop):
        drops.append(drop)
        times.append(t)
        return type(module).compute_loss(module, batch, t, eps, drop)

    monkeypatch.setattr(module, "compute_loss", spy)
    trainer(1, limit_val_batches=0).fit(module, data)
    assert len(drops) == EPOCH and all(drop.shape == (4,) for drop in drops)
    assert len({tuple(t.tolist()) for t in times}) == EPOCH
    for step, (t, drop) in enumerate(zip(times, drops, strict=True)):
        assert torch.equal(t, StepRandom(7).timesteps(step, 4, 100))
        assert torch.equal(drop, StepRandom(7).drop(step, 4, 0.1))
    share = torch.cat([StepRandom(7).drop(step, 64, module.cond_drop) for step in range(100)]).double().mean()
    assert 0.08 < share < 0.12


def test_validation_is_the_same_twice(make_module, randomise, data):
    module = make_module()
    randomise(module.model.denoiser, scale=0.1)
    run = trainer()
    one, two = (run.validate(module, data, verbose=False)[0] for _ in range(2))
    finite = {name: value for name, value in one.items() if "skill" not in name}
    assert {"val/loss", "val/audit/right", "val/audit/null", "val/audit/wrong"} <= finite.keys()
    assert finite == {name: two[name] for name in finite}
    assert len(set(finite.values())) >= 3  # the three conditions do differ


@torch.no_grad()
def test_validation_loss_is_that_of_fixed_noise(make_module, randomise, data, tiny_store):
    """Every clip once, each by its own t and noise, and every clip weighs the same whatever its batch."""
    module, val = make_module(), tiny_store.split("val")
    randomise(module.model.denoiser, scale=0.1)
    got = trainer().validate(module, data, verbose=False)[0]["val/loss"]
    losses = []
    for i in range(len(val)):
        batch = val.collate([i], max_frames=40)
        x0 = module.model.codec.encode(batch.x, batch.mask)
        t = fixed_timesteps(batch.info.clip, 100)
        draw = (t, fixed_noise(batch.info.clip, x0), torch.tensor([False]))
        losses.append(float(module.compute_loss(batch, *draw).per_sample))
    assert got == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_a_short_fit_learns(make_module, tiny_store):
    """On held-out clips; from nothing, for a fresh preconditioned model is a filter that is hard to beat."""
    module = make_module()
    module.model.precondition = Plain(module.model.process, module.model.codec.features)
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


def test_loss_that_is_not_a_number_stops_the_run(make_module, data):
    module = make_module()
    with torch.no_grad():
        module.model.denoiser.null_token.fill_(torch.nan)
        module.model.denoiser.pooled.bias.fill_(torch.nan)
        module.model.denoiser.patches.out.bias.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="at step 0"):
        trainer(1, limit_val_batches=0).fit(module, data)


# ------------------------------------------------------------------ runs


class Stop(L.Callback):
    """The machine goes down while step ``at`` is under way."""

    def __init__(self, at: int):
        self.at = at

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.at:
            raise ConnectionError("power cut")


def run(module: DiffusionModule, data, folder, *more: L.Callback, resume: bool = False) -> L.Trainer:
    fit = trainer(2, (EMA(0.9), *savers(folder), *more))
    fit.fit(module, data, ckpt_path=folder / "last.ckpt" if resume else None, weights_only=True)
    return fit


@pytest.fixture(scope="module")
def straight(make_module, tiny_store, tmp_path_factory) -> dict:
    """The checkpoint of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("straight")
    data = MotionDataModule(tiny_store, batch_size=4, val_batch_size=3, steps_per_epoch=EPOCH, max_frames=40, seed=7)
    run(make_module(config={"name": "tiny", "model": {"width": 32}, "steps": [1, 2]}), data, folder)
    return {
        "path": folder / "last.ckpt",
        "state": torch.load(folder / "last.ckpt", weights_only=True),
    }


def test_checkpoint_is_plain_and_describes_itself(straight):
    """It was loaded with weights_only=True: tensors and containers, nothing that executes."""
    state = straight["state"]
    assert state["config"] == {"name": "tiny", "model": {"width": 32}, "steps": [1, 2]}
    assert state["global_step"] == 2 * EPOCH
    names = state["state_dict"].keys()
    assert {"model.codec.mean", "model.codec.std", "model.precondition.basis"} <= names
    assert all(name.startswith("model.") for name in names)
    averaged, raw = state["state_dict"], state["current_model_state"]
    assert any(not torch.equal(averaged[name], raw[name]) for name in names)
    for name in (
        "codec.mean",
        "codec.std",
        "codec.covariance",
        "precondition.basis",
        "precondition.filter",
    ):
        assert torch.equal(averaged["model." + name], raw["model." + name])


@pytest.mark.parametrize("at", [EPOCH, EPOCH + 3])
def test_killed_and_resumed_run_ends_bit_for_bit_the_same(make_module, make_model, data, straight, tmp_path, at):
    with pytest.raises(ConnectionError):
        run(make_module(), data, tmp_path, Stop(at))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == EPOCH

    torch.manual_seed(12345)  # another process, in another state, which starts from other weights
    fresh = MotionDataModule(
        data.store.path, batch_size=4, val_batch_size=3, steps_per_epoch=EPOCH, max_frames=40, seed=7
    )
    run(make_module(make_model(seed=99)), fresh, tmp_path, resume=True)
    resumed, state = torch.load(tmp_path / "last.ckpt", weights_only=True), straight["state"]
    for kind in (
        "state_dict",
        "current_model_state",
        "averaging_state",
    ):  # averaged weights, raw weights, count
        assert resumed[kind].keys() == state[kind].keys()
        assert not [name for name in state[kind] if not torch.equal(resumed[kind][name], state[kind][name])]
    moments = zip(*(c["optimizer_states"][0]["state"].values() for c in (resumed, state)), strict=True)
    assert all(torch.equal(one[name], other[name]) for one, other in moments for name in one)
    assert resumed["lr_schedulers"][0]["last_epoch"] == state["lr_schedulers"][0]["last_epoch"] == 2 * EPOCH


def test_a_checkpoint_samples_without_lightning(straight):
    code = f"""
import sys, torch
state = torch.load({str(straight["path"])!r}, weights_only=True)
from motion_lightning.codec import FeatureCodec
from motion_lightning.diffusion.precondition import Wiener
from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.models.dit import DiT
from motion_lightning.pipeline import Diffusion, Sampling
from motion_lightning.train import savers
from motion_lightning.text.condition import TextCond
codec = FeatureCodec()
model = Diffusion(DiT(137, 8, width=32, depth=2, heads=2), Wiener(Process(steps=100), 137), codec)
model.load_state_dict({{name.removeprefix("model."): value for name, value in state["state_dict"].items()}})
cond = TextCond(torch.randn(2, 3, 8), torch.ones(2, 3, dtype=torch.bool), torch.randn(2, 8))
samples = model.eval().sample(cond, [20, 12], Sampling(ddim, 4, 2.0))
assert [len(x) for x in samples] == [20, 12] and all(x.isfinite().all() for x in samples)
print("lightning" in sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (out.returncode, out.stdout.strip()) == (0, "False"), out.stderr


class Weights(L.Callback):
    """Raw weights after every step."""

    def __init__(self):
        self.after = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.after.append(pl_module.model.denoiser.null_token.detach().clone())


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_average_warms_up(make_module, data, tmp_path, decay):
    """The first average is the weights after the first step; then (1 + n) / (10 + n) up to ``decay``."""
    weights, ema, module = Weights(), EMA(decay), make_module(cond_drop=0.5)
    trainer(2, (ema, weights)).fit(module, data)
    average = weights.after[0].double()
    for n, now in enumerate(weights.after[1:], start=1):
        keep = min(decay, (1 + n) / (10 + n))
        average = keep * average + (1 - keep) * now
    torch.testing.assert_close(module.model.denoiser.null_token.detach().double(), average, atol=1e-6, rtol=1e-5)
    assert (average - weights.after[-1]).abs().max() > 1e-4


def samples(encoder, folder) -> SampleMotions:
    return SampleMotions(["a slow wave"], encoder, Sampling(ddim, 2, 1.0), seconds=1.0, folder=folder)


def test_samples_come_from_averaged_weights(make_module, data, tiny_encoder, tmp_path, monkeypatch):
    seen, weights, ema = [], Weights(), EMA(0.999)
    callback = samples(tiny_encoder, tmp_path)

    def write(trainer, module):
        seen.append(module.model.denoiser.null_token.detach().clone())

    monkeypatch.setattr(callback, "write", write)
    module = make_module(cond_drop=0.5)
    trainer(2, (callback, ema, weights)).fit(module, data)
    assert len(seen) == 2
    assert torch.equal(seen[1], module.model.denoiser.null_token)  # after the last step: the average
    assert not torch.equal(seen[1], weights.after[-1])


def test_samples_after_the_averaging_are_refused(make_module, data, tiny_encoder, tmp_path):
    with pytest.raises(UserError, match="put it before"):
        trainer(1, (EMA(), samples(tiny_encoder, tmp_path))).fit(make_module(), data)


def test_learning_rate_warms_up_and_comes_down(make_module, data):
    rates = []

    class Rates(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"] / 3e-3)

    trainer(2, (Rates(),), limit_val_batches=0).fit(make_module(final_lr=0.1), data)
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1]) and rates[3] == pytest.approx(1)
    assert all(a > b for a, b in pairwise(rates[3:])) and 0.1 < rates[-1] < 0.2

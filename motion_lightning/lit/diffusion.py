"""The one LightningModule for every denoiser: it wires denoiser, process and loss, logs, and owns the optimizer."""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import lightning as L
import torch
from torch import Tensor

from motion_lightning.data.batch import Batch
from motion_lightning.diffusion.timesteps import LossAware, StepRandom, Uniform, fixed_noise, fixed_timesteps
from motion_lightning.diffusion.weights import loss_weights
from motion_lightning.errors import UserError
from motion_lightning.lit.latents import LatentTables, always_the_same
from motion_lightning.lit.schedule import warm_cosine
from motion_lightning.metrics.skill import BinnedError, FrameWiener
from motion_lightning.pipeline import Diffusion, by_frame
from motion_lightning.text.condition import rows, swapped


class Loss(NamedTuple):
    """What one batch costs."""

    total: Tensor  # ()
    parts: dict[str, Tensor]  # name → (), what the total is the sum of
    per_sample: Tensor  # (B,) of the diffusion part, unweighted
    t: Tensor  # (B,)


class DiffusionModule(L.LightningModule):
    """Trains a :class:`~motion_lightning.pipeline.Diffusion`.

    Args:
        model: denoiser, precondition and codec.
        optimizer: parameters → optimizer.
        linear: the linear estimate that skill is measured against.
        warmup, final_lr: of ``lit.schedule.warm_cosine``.
        space: "target" measures the error of the network's own target, "x0" that of x0_hat.
        weight, normalise: of ``diffusion.weights``, on the error in that space.
        timesteps: number of timesteps → sampler of them, of ``diffusion.timesteps``; default uniform, stratified.
        outline_weight: of the x0 error of the context's outline, where the denoiser makes one.
        losses: more losses on x0_hat by name, each {"weight": number, "loss": f(codec, x0_hat, x0, mask, batch) →
            (B,)}. They count as much as x0_hat is certain: alpha_bar.
        cond_drop: share of training samples that see the learned null.
        seed: of timesteps, noise and condition drop, each a function of (seed, step).
        config: resolved configuration as plain containers, kept in every checkpoint.
    """

    def __init__(
        self,
        model: Diffusion,
        optimizer: Callable,
        linear: FrameWiener | None = None,
        warmup: int = 100,
        final_lr: float = 0.02,
        space: str = "x0",
        weight: str = "uniform",
        normalise: bool = False,
        timesteps: Callable | None = None,
        outline_weight: float = 1.0,
        losses: dict[str, dict] | None = None,
        cond_drop: float = 0.1,
        seed: int = 0,
        config: dict | None = None,
    ):
        super().__init__()
        self.model, self.make_optimizer, self.linear, self.config = model, optimizer, linear, config
        self.warmup, self.final_lr, self.cond_drop, self.seed = warmup, final_lr, cond_drop, seed
        self.space, self.outline_weight = space, outline_weight
        self.losses = {name: loss for name, loss in (losses or {}).items() if loss["weight"]}
        kind = "x0" if space == "x0" else model.precondition.kind
        weights = loss_weights(model.process, kind, weight, normalise).float()
        self.register_buffer("weights", weights, persistent=False)  # (steps,)
        self.timesteps = (timesteps or Uniform)(steps=model.process.steps)
        self.audit = BinnedError(["right", "null", "wrong"], bins=1)
        self.skill = BinnedError(["model", "frame"])

    # ------------------------------------------------------------------ loss

    @cached_property
    def latents(self) -> LatentTables | None:
        """Of a codec whose VAE need not see a clip twice."""
        codec, data = self.model.codec, self._trainer and self.trainer.datamodule
        return LatentTables(codec, data) if always_the_same(codec, data) else None

    def encoded(self, batch: Batch, split: str = "train") -> tuple[Tensor, Tensor]:
        """A batch of a split → its x0 (B, T, ...) and mask (B, T)."""
        if self.latents is None:
            return self.model.codec.encode(batch)
        x0 = self.latents(split, batch.info.clip)
        return x0, torch.ones(x0.shape[:2], dtype=torch.bool, device=x0.device)

    def compute_loss(
        self, batch: Batch, t: Tensor, eps: Tensor, drop: Tensor, importance: Tensor | float = 1.0
    ) -> Loss:
        """Loss of a training batch at given timesteps (B,), noise shaped like x, condition drop and importance (B,)."""
        codec = self.model.codec
        x0, mask = self.encoded(batch)
        x_t = self.model.process.noise(x0, t, eps) * by_frame(mask, x0)
        ctx = self.model.encode(batch.cond, mask, drop)
        view = self.model.view(x_t, t, ctx, mask)
        output = self.model.denoiser(view.inputs, view.time, ctx, mask).float()
        x0_hat = view.x0(output)
        squared = (x0_hat - x0).square() if self.space == "x0" else (output - view.target(x0)).square()
        errors = codec.errors(squared, mask, batch)
        parts = {name: (self.weights[t] * importance * error).mean() for name, error in errors.items()}
        outline = getattr(ctx, "outline", None)
        if outline is not None:  # with a weight of 0 as well: DDP wants every parameter in the graph
            missed = codec.errors((outline - x0).square(), mask, batch)
            parts["outline"] = self.outline_weight * sum(missed.values()).mean()
        certain = self.model.process.alpha_bar_at(t).float()  # x0_hat is a blur where noise prevails
        for name, extra in self.losses.items():
            parts[name] = extra["weight"] * (certain * extra["loss"](codec, x0_hat, x0, mask, batch)).mean()
        return Loss(sum(parts.values()), parts, sum(errors.values()).detach(), t)

    @property
    def random(self) -> StepRandom:
        """Draws of this rank."""
        return StepRandom(self.seed, self.global_rank, self.trainer.world_size)

    @property
    def batches_done(self) -> int:
        """Batches seen so far, also by the runs that this one goes on from; several make a step if they accumulate."""
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed

    def draw(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """t, noise, condition drop and importance of this rank's part of the global batch of this step."""
        random, step, size, codec = self.random, self.batches_done, len(batch.x), self.model.codec
        like = batch.x.new_empty(size, codec.length(batch.mask.shape[1]), *codec.shape)
        t, importance = self.timesteps.draw(random, step, size)
        drop = random.drop(step, size, self.cond_drop).to(self.device)
        return t.to(self.device), random.noise(step, like), drop, importance.to(self.device)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        torch.manual_seed(self.random.layer_seed(self.batches_done))
        loss = self.compute_loss(batch, *self.draw(batch))
        if isinstance(self.timesteps, LossAware):  # every rank keeps the same history
            t, error = self.all_gather((loss.t, loss.per_sample))
            self.timesteps.update(t.flatten(), self.weights[t].flatten() * error.flatten())
        size = len(batch.x)
        self.log("train/loss", loss.total, batch_size=size, prog_bar=True, sync_dist=True)
        if len(loss.parts) > 1:
            self.log_dict({f"train/{name}": part for name, part in loss.parts.items()}, batch_size=size)
        if hasattr(self.model.denoiser, "monitored"):
            watched = self.model.denoiser.monitored()
            self.log_dict({f"train/{name}": value for name, value in watched.items()}, batch_size=size)
        if not loss.total.isfinite():
            raise FloatingPointError(f"the training loss is {loss.total.item()} at step {self.global_step}")
        return loss.total

    # ------------------------------------------------------------ validation

    def validation_step(self, batch: Batch, index: int) -> None:
        """Loss at fixed timesteps and noise, so that runs and epochs compare; skill from the same predictions."""
        process, codec = self.model.process, self.model.codec
        x0, mask = self.encoded(batch, "val")
        t = fixed_timesteps(batch.info.clip, process.steps).to(self.device)
        x_t = process.noise(x0, t, fixed_noise(batch.info.clip, x0)) * by_frame(mask, x0)

        def error(x0_hat: Tensor) -> Tensor:
            return sum(codec.errors((x0_hat - x0).square(), mask, batch).values())

        others = rows(batch.cond, torch.arange(len(x0)).roll(1).tolist())
        wrong = swapped(batch.cond, others, getattr(self.model.denoiser, "drops", ("text",)))
        losses = {}
        for name, cond, drop in [
            ("right", batch.cond, False),
            ("null", batch.cond, True),
            ("wrong", wrong, False),
        ]:
            ctx = self.model.encode(cond, mask, drop)
            losses[name] = error(self.model.predict(x_t, t, ctx, mask))
        self.audit.update(t, process.steps, [*losses.values()])
        if self.linear is not None:
            snr = process.snr(t)
            self.skill.update(t, process.steps, [losses["right"] * snr, error(self.linear(x_t, t, mask)) * snr])

    def on_validation_epoch_end(self) -> None:
        audit = self.audit.compute()  # of all processes
        self.log("val/loss", audit["right"].float(), prog_bar=True, sync_dist=True)
        for name, loss in audit.items():
            self.log(f"val/audit/{name}", loss.float(), sync_dist=True)
        self.audit.reset()
        if self.linear is not None:
            for name, bins in self.skill.compute().items():
                for i, value in enumerate(bins.float()):
                    self.log(f"val/skill/{name}_{i}", value, sync_dist=True)
            self.skill.reset()

    # -------------------------------------------------------------- optimizer

    def configure_optimizers(self):
        return warm_cosine(self, self.make_optimizer(self.parameters()), self.warmup, self.final_lr)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["config"] = self.config

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        theirs, ours = checkpoint["state_dict"].keys(), self.state_dict().keys()
        if theirs != ours:
            name = min(theirs ^ ours)
            raise UserError(
                f"the checkpoint is of another model: {name} is in {'it' if name in theirs else 'the configured one'} "
                "alone; start a new run instead of going on with this one"
            )

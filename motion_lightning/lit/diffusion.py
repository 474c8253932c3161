"""The one LightningModule for every denoiser: it wires denoiser, process and loss, logs, and owns the optimizer."""

import math
from collections.abc import Callable
from typing import NamedTuple

import lightning as L
import torch
from torch import Tensor

from motion_lightning.data.batch import Batch
from motion_lightning.diffusion.timesteps import StepRandom, fixed_noise, fixed_timesteps
from motion_lightning.diffusion.weights import loss_weights
from motion_lightning.metrics.skill import BinnedError, FrameWiener, squared_error
from motion_lightning.motion.losses import foot_loss, velocity_loss
from motion_lightning.pipeline import Diffusion


class Loss(NamedTuple):
    """What one batch costs."""

    total: Tensor  # ()
    parts: dict[str, Tensor]  # name → (), what the total is the sum of
    per_sample: Tensor  # (B,) of the diffusion part
    t: Tensor  # (B,)


class DiffusionModule(L.LightningModule):
    """Trains a :class:`~motion_lightning.pipeline.Diffusion`.

    Args:
        model: denoiser, precondition and codec.
        optimizer: parameters → optimizer.
        warmup: optimizer steps of linear warm-up, followed by a cosine to ``final_lr`` of the peak at the last step.
        space: "target" measures the error of the network's own target, "x0" that of x0_hat.
        weight, normalise: of ``diffusion.weights``, on the error in that space.
        outline_weight: of the x0 error of the context's outline, where the denoiser makes one.
        foot_weight, velocity_weight: of the geometric losses on x0_hat, in metres a frame.
        cond_drop: share of training samples that see the learned null.
        seed: of timesteps, noise and condition drop, each a function of (seed, step).
        config: resolved configuration as plain containers, kept in every checkpoint.
    """

    def __init__(
        self,
        model: Diffusion,
        optimizer: Callable,
        warmup: int = 100,
        final_lr: float = 0.02,
        space: str = "x0",
        weight: str = "uniform",
        normalise: bool = False,
        outline_weight: float = 1.0,
        foot_weight: float = 0.0,
        velocity_weight: float = 0.0,
        cond_drop: float = 0.1,
        seed: int = 0,
        config: dict | None = None,
    ):
        super().__init__()
        self.model, self.make_optimizer, self.config = model, optimizer, config
        self.warmup, self.final_lr, self.cond_drop, self.seed = warmup, final_lr, cond_drop, seed
        self.outline_weight = outline_weight
        self.space, self.geometry = space, {"foot": foot_weight, "velocity": velocity_weight}
        kind = "x0" if space == "x0" else model.precondition.kind
        weights = (
            torch.ones(model.process.steps)  # EDM's unit weight on the preconditioned target
            if kind == "residual"
            else loss_weights(model.process, kind, weight, normalise).float()
        )
        self.register_buffer("weights", weights, persistent=False)  # (steps,)
        self.audit = BinnedError(["right", "null", "wrong"], bins=1)
        self.skill = BinnedError(["model", "frame"])
        self.frame_wiener = None

    # ------------------------------------------------------------------ loss

    def compute_loss(self, batch: Batch, t: Tensor, eps: Tensor, drop: Tensor) -> Loss:
        """Loss of one batch at given timesteps (B,), noise (B, T, D) and condition drop (B,)."""
        mask = batch.mask
        x0 = self.model.codec.encode(batch.x, mask)
        x_t = self.model.process.noise(x0, t, eps) * mask[..., None]
        ctx = self.model.encode(batch.cond, mask, drop)
        view = self.model.view(x_t, t, ctx, mask)
        output = self.model.denoiser(view.inputs, t, ctx, mask).float()
        x0_hat = view.x0(output)
        if self.space == "x0":
            error = squared_error(x0_hat, x0, mask)
        else:
            error = squared_error(output, view.target(x0), mask)
        parts = {"diffusion": (self.weights[t] * error).mean()}
        if hasattr(ctx, "outline"):  # with a weight of 0 as well: DDP wants every parameter in the graph
            parts["outline"] = self.outline_weight * squared_error(ctx.outline, x0, mask).mean()
        if any(self.geometry.values()):
            certain = self.model.process.alpha_bar_at(t).float()  # x0_hat is a blur where noise prevails
            for name, loss in self.geometric_losses(x0_hat, x0, mask).items():
                parts[name] = self.geometry[name] * (certain * loss).mean()
        return Loss(sum(parts.values()), parts, error.detach(), t)

    def geometric_losses(self, x0_hat: Tensor, x0: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Losses (B,) on joints in metres, those that carry a weight."""
        codec, out = self.model.codec, {}
        joints = codec.joints(x0_hat)  # (B, T, J, 3)
        if self.geometry["foot"]:
            out["foot"] = foot_loss(joints, codec.metric(x0)["contacts"], mask, codec.skeleton)
        if self.geometry["velocity"]:
            out["velocity"] = velocity_loss(joints, codec.joints(x0), mask)
        return out

    @property
    def random(self) -> StepRandom:
        """Draws of this rank."""
        return StepRandom(self.seed, self.global_rank, self.trainer.world_size)

    @property
    def batches_done(self) -> int:
        """Batches seen so far, also by the runs that this one goes on from; several make a step if they accumulate."""
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed

    def draw(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """t, noise and condition drop of this rank's part of the global batch of this step."""
        random, step, size = self.random, self.batches_done, len(batch.x)
        like = batch.x.new_empty(*batch.mask.shape, self.model.codec.features)
        t = random.timesteps(step, size, self.model.process.steps).to(self.device)
        return t, random.noise(step, like), random.drop(step, size, self.cond_drop).to(self.device)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        torch.manual_seed(self.random.layer_seed(self.batches_done))
        loss = self.compute_loss(batch, *self.draw(batch))
        size = len(batch.x)
        self.log("train/loss", loss.total, batch_size=size, prog_bar=True)
        if len(loss.parts) > 1:
            self.log_dict({f"train/{name}": part for name, part in loss.parts.items()}, batch_size=size)
        if not loss.total.isfinite():
            raise FloatingPointError(f"the training loss is {loss.total.item()} at step {self.global_step}")
        return loss.total

    # ------------------------------------------------------------ validation

    def validation_step(self, batch: Batch, index: int) -> None:
        """Loss at fixed timesteps and noise, so that runs and epochs compare; skill from the same predictions."""
        mask, process = batch.mask, self.model.process
        x0 = self.model.codec.encode(batch.x, mask)
        t = fixed_timesteps(batch.info.clip, process.steps).to(self.device)
        x_t = process.noise(x0, t, fixed_noise(batch.info.clip, x0)) * mask[..., None]
        losses = {}
        for name, cond, drop in [
            ("right", batch.cond, False),
            ("null", batch.cond, True),
            ("wrong", type(batch.cond)(*(part.roll(1, 0) for part in batch.cond)), False),
        ]:
            ctx = self.model.encode(cond, mask, drop)
            losses[name] = squared_error(self.model.predict(x_t, t, ctx, mask), x0, mask)
        self.audit.update(t, process.steps, [*losses.values()])
        snr = process.snr(t)
        linear = squared_error(self.frame_wiener(x_t, t), x0, mask)
        self.skill.update(t, process.steps, [losses["right"] * snr, linear * snr])

    def on_validation_epoch_start(self) -> None:
        if self.frame_wiener is None:
            self.frame_wiener = FrameWiener(self.model.codec.covariance, self.model.process)

    def on_validation_epoch_end(self) -> None:
        audit, skill = self.audit.compute(), self.skill.compute()  # of all processes
        self.log("val/loss", audit["right"].float(), prog_bar=True, sync_dist=True)
        for name, loss in audit.items():
            self.log(f"val/audit/{name}", loss.float(), sync_dist=True)
        for name, bins in skill.items():
            for i, error in enumerate(bins.float()):
                self.log(f"val/skill/{name}_{i}", error, sync_dist=True)
        self.audit.reset()
        self.skill.reset()

    # -------------------------------------------------------------- optimizer

    def configure_optimizers(self):
        optimizer = self.make_optimizer(self.parameters())

        def factor(step: int) -> float:
            if step <= self.warmup:
                return min(1.0, (step + 1) / max(1, self.warmup))
            # Asked for any earlier, it would start the loader before a checkpoint says at which step.
            total = self.trainer.estimated_stepping_batches
            progress = min(1.0, (step - self.warmup) / max(1, total - self.warmup))
            return self.final_lr + (1 - self.final_lr) * 0.5 * (1 + math.cos(math.pi * progress))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["config"] = self.config

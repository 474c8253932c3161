"""The LightningModule of LEAD's projector: the third stage, on latents of a VAE that stays as it is."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor

from motion_lightning.codecs.realigned import Realignment
from motion_lightning.data.batch import Batch
from motion_lightning.diffusion.timesteps import StepRandom
from motion_lightning.lit.latents import LatentTables
from motion_lightning.lit.schedule import warm_cosine
from motion_lightning.metrics.gathered import Gathered
from motion_lightning.tasks.realigned_space import write_space
from motion_lightning.tasks.task import Task
from motion_lightning.text.condition import text_of

LEAST = 1e-6  # variance of a number that does not vary


class Parts(NamedTuple):
    """Of the loss; or the weights of these."""

    align: Tensor | float  # 1 - cos(p, text)
    reconstruction: Tensor | float  # |z_hat - z|², mean over numbers
    variance: Tensor | float  # KL(z ‖ z_hat) of normal distributions fitted to the batch, mean over numbers


def parts(z: Tensor, p: Tensor, z_hat: Tensor, text: Tensor) -> Parts:
    """What a batch of clips costs: its latents z (B, L, C), p = E_proj(z) (B, E), z_hat = D_proj(p), texts (B, E)."""
    align = (1 - F.cosine_similarity(p, text, dim=-1)).mean()
    return Parts(align, (z_hat - z).square().mean(), fitted_divergence(z, z_hat))


def fitted_divergence(z: Tensor, z_hat: Tensor) -> Tensor:
    """KL(P ‖ Q) in nats, mean over numbers, of normals P and Q with mean and variance of the batches (B, ...).

    The direction is that in which a Q that is too narrow costs most.
    """
    (m, v), (n, w) = ((x.mean(0), x.var(0, correction=0).clamp(min=LEAST)) for x in (z, z_hat))
    return 0.5 * ((v + (m - n).square()) / w - 1 + (w / v).log()).mean()


class ProjectorModule(L.LightningModule):
    """Trains a projector to say what captions say, and to give back the latents (LEAD, arXiv 2410.14508).

    Loss = w_align (1 - cos(E_proj(z), text)) + w_rec |D_proj(E_proj(z)) - z|² + w_var KL(z ‖ z_hat). What is published
    says neither the weights, nor how sums are normalised, nor of which latents beside z the divergence is: here it is
    that of the batch's own z_hat, and every term is a mean over numbers.

    A clip's latents are those of its first ``max_frames`` frames, made once: the VAE takes far longer than the
    projector.

    Args:
        model: projector and latents.
        optimizer: parameters → optimizer.
        weights: of the parts of the loss; 0 leaves one out.
        warmup, final_lr: of ``lit.schedule.warm_cosine``.
        seed: of dropout, a function of (seed, step).
        config: resolved configuration as plain containers, kept in every checkpoint.
        task: shows clips beside their nearest when training is over; None: not.
    """

    def __init__(
        self,
        model: Realignment,
        optimizer: Callable,
        weights: dict[str, float],
        warmup: int = 50,
        final_lr: float = 0.02,
        seed: int = 0,
        config: dict | None = None,
        task: Task | None = None,
    ):
        super().__init__()
        self.model, self.make_optimizer, self.config, self.task = model, optimizer, config, task
        self.weights, self.warmup, self.final_lr, self.seed = Parts(**weights), warmup, final_lr, seed
        self.held = Held()

    @cached_property
    def latents(self) -> LatentTables:
        """Split and clips (B,) → z (B, L, C)."""
        return LatentTables(self.model.codec, self.trainer.datamodule)

    def total(self, costs: Parts) -> Tensor:
        """Loss ()."""
        return sum(weight * cost for weight, cost in zip(self.weights, costs, strict=True) if weight)

    def of_all(self, rows: Tensor) -> Tensor:
        """Rows (B, ...) of this process → those of all processes, through which gradients pass."""
        return rows if self.trainer.world_size == 1 else self.all_gather(rows, sync_grads=True).flatten(0, 1)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        random = StepRandom(self.seed, self.global_rank, self.trainer.world_size)
        torch.manual_seed(random.layer_seed(self.trainer.fit_loop.epoch_loop.batch_progress.total.processed))
        z, text = self.latents("train", batch.info.clip), text_of(batch.cond).pooled
        p = self.model.net.encode(z)
        costs = parts(*map(self.of_all, (z, p, self.model.net.decode(p), text)))
        loss, size = self.total(costs), len(z)
        self.log("train/loss", loss, batch_size=size, prog_bar=True)
        self.log_dict({f"train/{name}": cost for name, cost in costs._asdict().items()}, batch_size=size)
        if not loss.isfinite():
            raise FloatingPointError(f"the training loss is {loss.item()} at step {self.global_step}")
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Rows of all clips, so that the fitted distributions are of the whole split."""
        z = self.latents("val", batch.info.clip)
        p = self.model.net.encode(z)
        self.held.update(batch.info.clip, z, p, self.model.net.decode(p), text_of(batch.cond).pooled)

    def on_validation_epoch_end(self) -> None:
        """Beside the loss: "stranger" is what "align" would be with the caption of another clip."""
        costs, stranger = self.held.compute()
        self.log("val/loss", self.total(costs).float(), prog_bar=True, sync_dist=True)
        for name, cost in {**costs._asdict(), "stranger": stranger}.items():
            self.log(f"val/{name}", cost.float(), sync_dist=True)
        self.held.reset()

    @torch.no_grad()
    def on_fit_end(self) -> None:
        """The space before and after, on held-out clips, from the averaged weights."""
        if self.trainer.is_global_zero:
            tables = {name: self.latents(name).cpu() for name in ("val", "test")}
            folder = Path(self.trainer.default_root_dir)
            write_space(folder, self.model.cpu().eval(), self.trainer.datamodule.store, tables, self.task)

    def configure_optimizers(self):
        return warm_cosine(self, self.make_optimizer(self.parameters()), self.warmup, self.final_lr)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["config"] = self.config


class Held(Gathered):
    """The parts of the loss over all clips that were seen, on any number of processes and whatever the batches."""

    def __init__(self):
        super().__init__("z", "p", "z_hat", "text")

    def update(self, index: Tensor, z: Tensor, p: Tensor, z_hat: Tensor, text: Tensor) -> None:
        """Index (B,) of clips, and what ``parts`` takes."""
        self.keep(index, z, p, z_hat, text)

    def compute(self) -> tuple[Parts, Tensor]:
        """The parts (), and what "align" would be if every clip had the caption of the next one; float64."""
        z, p, z_hat, text = self.in_order()
        return parts(z, p, z_hat, text), parts(z, p, z_hat, text.roll(1, 0)).align

"""The LightningModule of VAEs: the first stage of a model of latents."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanMetric

from motion_lightning.codecs.latent import Autoencoder
from motion_lightning.data.batch import Batch
from motion_lightning.diffusion.timesteps import StepRandom, fixed_noise
from motion_lightning.errors import UserError
from motion_lightning.lit.schedule import warm_cosine
from motion_lightning.metrics.skill import masked_mean
from motion_lightning.tasks.task import Shown, Task
from motion_lightning.view.fragment import write_page

DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # of each number
    "squared": lambda x_hat, x: (x_hat - x).square(),
    "smooth_l1": partial(F.smooth_l1_loss, reduction="none"),
}


class Cost(NamedTuple):
    """What each sample of a batch costs."""

    reconstruction: Tensor  # (B,) distance of x_hat, mean over valid elements
    divergence: Tensor  # (B,) KL(q(z | x) ‖ N(0, I)) in nats, mean over valid numbers of z
    losses: dict[str, Tensor]  # name → (B,), unweighted

    @property
    def parts(self) -> dict[str, Tensor]:
        """Name → (B,)."""
        return {"reconstruction": self.reconstruction, "divergence": self.divergence, **self.losses}


class VAEModule(L.LightningModule):
    """Trains an :class:`~motion_lightning.codecs.latent.Autoencoder` by reconstruction and divergence.

    Args:
        model: VAE and codec.
        optimizer: parameters → optimizer.
        kl_weight: of the divergence. A small one leaves the latents free, which are standardised afterwards.
        reconstruction: distance of x_hat from x: "squared", or "smooth_l1", which is |e| - 1/2 beyond an error of 1.
        losses: more losses on x_hat, as of ``DiffusionModule``.
        warmup, final_lr: of ``lit.schedule.warm_cosine``.
        seed: of the noise on the latents, a function of (seed, step).
        config: resolved configuration as plain containers, kept in every checkpoint.
        task: draws reconstructions beside the real clips when training is over; None: not.
        shown: so many of them.
    """

    def __init__(
        self,
        model: Autoencoder,
        optimizer: Callable,
        kl_weight: float = 0.01,
        reconstruction: str = "squared",
        losses: dict[str, dict] | None = None,
        warmup: int = 50,
        final_lr: float = 0.02,
        seed: int = 0,
        config: dict | None = None,
        task: Task | None = None,
        shown: int = 12,
    ):
        super().__init__()
        self.model, self.make_optimizer, self.config = model, optimizer, config
        self.kl_weight, self.warmup, self.final_lr, self.seed = kl_weight, warmup, final_lr, seed
        self.task, self.shown = task, shown
        if reconstruction not in DISTANCES:
            raise UserError(
                f"training.reconstruction={reconstruction} is unknown; choose one of {', '.join(DISTANCES)}"
            )
        self.distance = DISTANCES[reconstruction]
        self.losses = {name: loss for name, loss in (losses or {}).items() if loss["weight"]}
        names = ["loss", "reconstruction", "divergence", *self.losses]
        names += ["joint_mm", "pose_mm"] * hasattr(model.codec, "joints")
        self.scores = torch.nn.ModuleDict({name: MeanMetric() for name in names})

    def compute_cost(self, batch: Batch, noise: Callable[[Tensor], Tensor]) -> Cost:
        """Cost of a batch, the latents drawn with ``noise(like)``."""
        x, mask = self.model.codec.encode(batch)
        q, latent_mask = self.model.vae.encode(x, mask)
        x_hat = self.model.vae.decode(q.sample(noise(q.mean)), mask)
        codec = self.model.codec
        errors = codec.errors(self.distance(x_hat, x), mask, batch)
        extra = {name: each["loss"](codec, x_hat, x, mask, batch) for name, each in self.losses.items()}
        return Cost(sum(errors.values()), masked_mean(q.divergence(), latent_mask), extra)

    def total(self, cost: Cost) -> Tensor:
        """Loss (B,)."""
        extra = sum(self.losses[name]["weight"] * loss for name, loss in cost.losses.items())
        return cost.reconstruction + self.kl_weight * cost.divergence + extra

    def joint_errors(self, batch: Batch) -> dict[str, Tensor]:
        """Mean distance (B,) in millimetres of reconstructed joints from real ones.

        "joint_mm" where they are, the path included; "pose_mm" with the root at the origin of each frame.
        """
        codec = self.model.codec
        x, mask = codec.encode(batch)
        ours, real = codec.joints(self.model.reconstruct(x, mask)), codec.joints(x)  # (B, T, J, 3)
        local = [joints - joints[:, :, :1] for joints in (ours, real)]
        return {
            name: 1000 * masked_mean((a - b).norm(dim=-1), mask)
            for name, a, b in (("joint_mm", ours, real), ("pose_mm", *local))
        }

    def training_step(self, batch: Batch, index: int) -> Tensor:
        random = StepRandom(self.seed, self.global_rank, self.trainer.world_size)
        step = self.trainer.fit_loop.epoch_loop.batch_progress.total.processed
        torch.manual_seed(random.layer_seed(step))
        cost = self.compute_cost(batch, lambda like: random.noise(step, like))
        loss, size = self.total(cost).mean(), len(batch.x)
        self.log("train/loss", loss, batch_size=size, prog_bar=True, sync_dist=True)
        self.log_dict({f"train/{name}": part.mean() for name, part in cost.parts.items()}, batch_size=size)
        if not loss.isfinite():
            raise FloatingPointError(f"the training loss is {loss.item()} at step {self.global_step}")
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """The same with noise that is fixed by the clip, so that runs and epochs compare."""
        cost = self.compute_cost(batch, lambda like: fixed_noise(batch.info.clip, like))
        measured = self.joint_errors(batch) if "joint_mm" in self.scores else {}
        for name, values in {"loss": self.total(cost), **cost.parts, **measured}.items():
            self.scores[name].update(values)

    def on_validation_epoch_end(self) -> None:
        for name, score in self.scores.items():
            self.log(f"val/{name}", score.compute(), prog_bar=name == "loss", sync_dist=True)  # of all processes
            score.reset()

    @torch.no_grad()
    def on_fit_end(self) -> None:
        """Clips of the validation set beside what is left of them behind the latents, from the averaged weights: as a
        page, and as files that the task writes, a film among them."""
        if self.task is None or not self.trainer.is_global_zero:
            return
        split = self.trainer.datamodule.store.split("val").first(self.shown)
        batch = split.collate(range(len(split)), multiple_of=self.trainer.datamodule.multiple_of)
        model, shown = self.model.cpu().eval(), []
        x, mask = model.codec.encode(batch)
        x_hat = model.reconstruct(x, mask)
        for i, valid in enumerate(mask):
            caption = split.captions(i)[0]
            shown += [Shown(x_hat[i, valid], caption, "reconstruction"), Shown(x[i, valid], caption, "real", real=True)]
        page = Path(self.trainer.default_root_dir) / "samples" / "reconstructions.html"
        write_page(page, "Reconstructions of validation clips", self.task.look(model, shown))
        self.task.save(model, shown, page.with_suffix(""))

    def configure_optimizers(self):
        return warm_cosine(self, self.make_optimizer(self.parameters()), self.warmup, self.final_lr)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["config"] = self.config

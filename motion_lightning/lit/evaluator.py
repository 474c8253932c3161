"""The LightningModule of evaluators: motions and their texts near each other, all others apart."""

from collections.abc import Callable
from typing import NamedTuple

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor

from motion_lightning.data.batch import Batch
from motion_lightning.data.kinds import kind_numbers
from motion_lightning.diffusion.timesteps import StepRandom
from motion_lightning.embedder import Embedder
from motion_lightning.lit.schedule import warm_cosine
from motion_lightning.metrics.gathered import Gathered
from motion_lightning.metrics.matching import Matching
from motion_lightning.metrics.skill import masked_mean
from motion_lightning.text.condition import text_of


class Weights(NamedTuple):
    """Of the parts of the loss; those of TMR (sec. 3.2), where reconstruction counts ten times what contrast does."""

    contrast: float = 0.1
    reconstruction: float = 1.0  # of the motion, from its own latent and from its text's; 0 without a decoder
    divergence: float = 1e-5
    latent: float = 1e-5


class EvaluatorModule(L.LightningModule):
    """Trains an :class:`~motion_lightning.embedder.Embedder` as TMR is trained (Petrovich et al., ICCV 2023).

    Args:
        model: TMR and codec.
        optimizer: parameters → optimizer.
        weights: by the names of :class:`Weights`.
        temperature: of the contrast.
        alike: cosine of two sentence embeddings above which the two are no negatives of each other; captions of clips
            that are known to be of one kind never are.
        warmup, final_lr: of ``lit.schedule.warm_cosine``.
        seed: of the noise on latents, a function of (seed, step).
        config: resolved configuration as plain containers, kept in every checkpoint.
    """

    def __init__(
        self,
        model: Embedder,
        optimizer: Callable,
        weights: dict[str, float] | None = None,
        temperature: float = 0.1,
        alike: float = 0.6,
        warmup: int = 50,
        final_lr: float = 0.02,
        seed: int = 0,
        config: dict | None = None,
    ):
        super().__init__()
        self.model, self.make_optimizer, self.config = model, optimizer, config
        self.weights, self.temperature, self.alike = Weights(**(weights or {})), temperature, alike
        self.warmup, self.final_lr, self.seed = warmup, final_lr, seed
        self.loss, self.matching = Contrast(temperature, alike), Matching()
        self.kinds: dict[str, Tensor] = {}

    def kind_of(self, split: str, clips: Tensor) -> Tensor:
        """What each clip (B,) is of, as a number."""
        if split not in self.kinds:
            self.kinds[split] = torch.tensor(kind_numbers(self.trainer.datamodule.store.split(split)))
        return self.kinds[split].to(clips.device)[clips]

    def compute_loss(
        self, batch: Batch, kinds: Tensor, noise: Callable[[Tensor], Tensor], gather: Callable = lambda part: part
    ) -> dict[str, Tensor]:
        """Weighted parts () of the loss.

        Args:
            kinds: (B,) of the clips.
            noise: like → noise of its shape, for the latents.
            gather: rows of this process → those of all, so that each is told from every clip of the global batch.
        """
        net, text = self.model.net, text_of(batch.cond)
        x, mask = self.model.codec.encode(batch)
        x = x.flatten(2)
        motion, words = net.encode_motion(x, mask), net.encode_text(text.tokens, text.mask)
        means, pooled, kinds = (gather(motion.mean), gather(words.mean)), gather(text.pooled), gather(kinds)
        parts = {"contrast": contrast(*means, same(pooled, kinds, self.alike), self.temperature)}
        parts["divergence"] = sum(
            q.divergence(p).mean() for q, p in [(motion, None), (words, None), (motion, words), (words, motion)]
        )
        z, z_text = motion.sample(noise(motion.mean)), words.sample(noise(words.mean))
        parts["latent"] = F.smooth_l1_loss(z_text, z)
        if net.motion_decoder is not None:
            parts["reconstruction"] = sum(
                masked_mean(F.smooth_l1_loss(net.decode(code, mask), x, reduction="none"), mask).mean()
                for code in (z, z_text)
            )
        return {name: getattr(self.weights, name) * part for name, part in parts.items()}

    def of_all(self, rows: Tensor) -> Tensor:
        """Rows (B, ...) of this process → those of all processes, through which gradients pass."""
        return rows if self.trainer.world_size == 1 else self.all_gather(rows, sync_grads=True).flatten(0, 1)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        random = StepRandom(self.seed, self.global_rank, self.trainer.world_size)
        step, size = self.trainer.fit_loop.epoch_loop.batch_progress.total.processed, len(batch.x)
        torch.manual_seed(random.layer_seed(step))
        kinds = self.kind_of("train", batch.info.clip)
        parts = self.compute_loss(batch, kinds, lambda like: random.noise(step, like), self.of_all)
        loss = sum(parts.values())
        self.log("train/loss", loss, batch_size=size, prog_bar=True, sync_dist=True)
        self.log_dict({f"train/{name}": part for name, part in parts.items()}, batch_size=size)
        if not loss.isfinite():
            raise FloatingPointError(f"the training loss is {loss.item()} at step {self.global_step}")
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Embeddings of all clips, for the contrast among them and for R-precision."""
        clips, (x, mask) = batch.info.clip, self.model.codec.encode(batch)
        texts, motions = self.model.texts(batch.cond), self.model.motions(x, mask)
        self.loss.update(texts, motions, text_of(batch.cond).pooled, self.kind_of("val", clips), clips)
        self.matching.update(texts, motions, clips)

    def on_validation_epoch_end(self) -> None:
        self.log("val/loss", self.loss.compute().float(), prog_bar=True, sync_dist=True)
        if len(self.trainer.datamodule.store.split("val")) >= self.matching.pool:
            for name, share in self.matching.compute().items():
                self.log(f"val/{name}", share, prog_bar=name == "R-precision 3", sync_dist=True)
        self.loss.reset(), self.matching.reset()

    def configure_optimizers(self):
        return warm_cosine(self, self.make_optimizer(self.parameters()), self.warmup, self.final_lr)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["config"] = self.config


class Contrast(Gathered):
    """The contrast among all clips that were seen, on any number of processes and whatever the size of batches."""

    def __init__(self, temperature: float, alike: float):
        super().__init__("texts", "motions", "pooled", "kinds")
        self.temperature, self.alike = temperature, alike

    def update(self, texts: Tensor, motions: Tensor, pooled: Tensor, kinds: Tensor, index: Tensor) -> None:
        """Embeddings (B, W), pooled sentences (B, E), kinds and indices (B,) of clips."""
        self.keep(index, texts, motions, pooled, kinds)

    def compute(self) -> Tensor:
        """() float64."""
        texts, motions, pooled, kinds = self.in_order()
        return contrast(motions, texts, same(pooled, kinds, self.alike), self.temperature)


def same(pooled: Tensor, kinds: Tensor, alike: float) -> Tensor:
    """Pairs (B, B) that are no negatives: of one kind, or of sentences whose cosine exceeds ``alike``."""
    pooled = F.normalize(pooled, dim=-1)
    return (pooled @ pooled.T > alike) | (kinds[:, None] == kinds)


def contrast(motions: Tensor, texts: Tensor, same: Tensor, temperature: float) -> Tensor:
    """InfoNCE both ways (van den Oord et al. 2018; CLIP's form) over the cosines of (B, W) and (B, W).

    Pairs that are ``same`` (B, B) are left out, but for each row's own.
    """
    scores = F.normalize(motions, dim=-1) @ F.normalize(texts, dim=-1).T / temperature  # (B, B)
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    scores = scores.masked_fill(same & ~own, float("-inf"))
    target = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2

"""Loaders of one store for training, validation and test."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch

from motion_lightning.data.batch import Batch
from motion_lightning.data.clusters import CLUSTERS, open_clusters
from motion_lightning.data.cuts import open_store
from motion_lightning.data.loader import Loader
from motion_lightning.data.quotas import plan_quotas
from motion_lightning.data.sampler import Draw, StepBatchSampler
from motion_lightning.data.store import Split, Store
from motion_lightning.errors import UserError

log = logging.getLogger(__name__)


class MotionDataModule(L.LightningDataModule):
    """Batches of clips with their captions' embeddings.

    An epoch is ``steps_per_epoch`` batches, and the batch of a training step is a function of (seed, step): a
    resumed run sees what the uninterrupted one would have seen. The ranks share batches here, so give the
    Trainer ``use_distributed_sampler=False``.

    Args:
        store: an open store, or where it lies.
        batch_size: of the global batch of one forward pass, over all devices.
        val_batch_size: of validation and test, on one device.
        max_frames: longer clips are cut, to a window drawn from (seed, step); out of training to their start.
        multiple_of: clips are padded to a multiple of this many frames.
        bucket: batches whose clips are sorted by length together; 1 turns that off.
        threads: that make batches ahead; 0 makes each when it is asked for.
        first_action: how captions are cut to their first action, of ``text.first_action``.
        quotas: clips of each cluster in one pass over the training data: "none", "uniform", "sqrt" or a table, see
            ``plan_quotas``.
        replacement: whether a quota may exceed its cluster.
        clusters: how many clusters there are.
        condition: makes the condition of a batch, where it is more than text; see ``Store``.
        augment: batch and a seed for each of its rows → batch, of training alone.
    """

    def __init__(
        self,
        store: str | Path | Store,
        batch_size: int = 64,
        val_batch_size: int = 64,
        steps_per_epoch: int = 500,
        max_frames: int = 196,
        multiple_of: int = 4,
        bucket: int = 16,
        seed: int = 0,
        threads: int = 0,
        first_action: str = "none",
        quotas: str | Mapping[int | str, float] = "none",
        replacement: bool = False,
        clusters: int = CLUSTERS,
        condition: Callable | None = None,
        augment: Callable[[Batch, Sequence[int]], Batch] | None = None,
    ):
        super().__init__()
        store = open_store(store, first_action)
        self.store = store.with_condition(condition) if condition else store
        self.batch_size, self.val_batch_size, self.steps_per_epoch = (
            batch_size,
            val_batch_size,
            steps_per_epoch,
        )
        self.max_frames, self.multiple_of, self.bucket = max_frames, multiple_of, bucket
        self.seed, self.threads, self.augment = seed, threads, augment
        self.quotas, self.replacement, self.clusters = quotas, replacement, clusters

    def prepare_data(self) -> None:
        """Finds the clusters before other processes ask for them."""
        if self.quotas != "none":
            open_clusters(self.store, self.clusters)

    def train_dataloader(self) -> Loader:
        split, trainer, plan = self.store.split("train"), self.trainer, None
        if self.quotas != "none":
            plan = plan_quotas(open_clusters(self.store, self.clusters).labels, self.quotas, self.replacement)
            if not trainer or trainer.global_rank == 0:
                log.info("quotas: %s", plan)
        sampler = StepBatchSampler(
            split.lengths.clip(max=self.max_frames),
            self.batch_size,
            self.seed,
            self.steps_per_epoch,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            start_step=self._steps_done,
            bucket=self.bucket,
            quotas=plan,
        )
        return self._loader(sampler, partial(self._make_drawn, split))

    def val_dataloader(self) -> Loader:
        return self._in_order("val")

    def test_dataloader(self) -> Loader:
        return self._in_order("test")

    def _in_order(self, name: str) -> Loader:
        """Every clip once with its first caption, dealt out to the ranks."""
        split, trainer = self.store.split(name), self.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        if len(split) < world:
            share = f"split {name} has {len(split)} clips, {world} are needed at least (one a process)"
            raise UserError(f"{self.store.path}: {share}; prepare a corpus with more")
        share, size = range(rank, len(split), world), self.val_batch_size
        batches = [list(share[i : i + size]) for i in range(0, len(share), size)]
        return self._loader(batches, partial(self._make, split))

    def _loader(self, draws: Sequence, make: Callable[[Any], Batch]) -> Loader:
        return Loader(draws, make, self.threads, pin=torch.cuda.is_available())

    def _make(self, split: Split, indices: Sequence[int], **choices) -> Batch:
        return split.collate(indices, max_frames=self.max_frames, multiple_of=self.multiple_of, **choices)

    def _make_drawn(self, split: Split, draws: Sequence[Draw]) -> Batch:
        clips = [draw.clip for draw in draws]
        texts = [split.text_ids(clip) for clip in clips]
        room = [max(0, int(split.lengths[clip]) - self.max_frames) for clip in clips]
        batch = self._make(
            split,
            clips,
            texts=[ids[int(draw.caption * len(ids))] for ids, draw in zip(texts, draws, strict=True)],
            starts=[int(draw.crop * (free + 1)) for free, draw in zip(room, draws, strict=True)],
            frames=draws[0].frames,
        )
        return self.augment(batch, [draw.seed for draw in draws]) if self.augment else batch

    def _steps_done(self) -> int:
        """Batches trained on so far, which a checkpoint restores, also one from the middle of an epoch."""
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed if self.trainer else 0

import time
from itertools import chain
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from lightning.fabric.utilities import move_data_to_device

from motion_lightning.data.batch import Batch, Info, TextCond
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.data.loader import Loader


class Recorder(L.LightningModule):
    """Trains one weight, so that there is something to resume, and writes down what it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen, self.validated = [], []

    def training_step(self, batch: Batch, index: int):
        clips, captions = (part.tolist() for part in batch.info)
        self.seen.append((clips, captions, batch.x.double().sum().item()))
        return (self.weight - batch.x.mean()).square()

    def validation_step(self, batch: Batch, index: int):
        self.validated.append(batch.info.clip.tolist())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveAt(L.Callback):
    def __init__(self, step: int, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if len(module.seen) == self.step:
            trainer.save_checkpoint(self.path)


def fit(store, epochs, ckpt=None, callbacks=(), accumulate=1, **settings):
    module = Recorder()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        accumulate_grad_batches=accumulate,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    settings = {"batch_size": 4, "val_batch_size": 4, "steps_per_epoch": 5, "max_frames": 32} | settings
    trainer.fit(module, MotionDataModule(store, **settings), ckpt_path=ckpt, weights_only=True)
    return module, trainer


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("threads", [0, 2])
def test_a_resumed_run_sees_what_the_whole_one_saw(small_store, tmp_path, threads, accumulate):
    settings = {"threads": threads, "accumulate": accumulate}
    whole, _ = fit(small_store, 3, **settings)
    assert len(whole.seen) == 15
    for epochs in (1, 2):
        first, trainer = fit(small_store, epochs, **settings)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        second, _ = fit(small_store, 3, ckpt=tmp_path / "last.ckpt", **settings)
        assert first.seen + second.seen == whole.seen
        assert second.weight == whole.weight


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("step", [3, 5, 7])
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
def test_so_does_one_resumed_in_the_middle_of_an_epoch(small_store, tmp_path, step, threads):
    path = tmp_path / "mid.ckpt"
    whole, _ = fit(small_store, 2, callbacks=[SaveAt(step, path)], threads=threads)
    rest, _ = fit(small_store, 2, path, threads=threads)
    assert rest.seen == whole.seen[step:]
    assert rest.weight == whole.weight


def test_validation_is_every_clip_in_order(small_store):
    module, _ = fit(small_store, 1)
    clips = list(range(len(small_store.split("val"))))
    sanity = list(chain(*module.validated[:2]))
    assert sanity == clips[: len(sanity)]
    assert list(chain(*module.validated[2:])) == clips


def test_loaders_work_without_a_trainer(small_store):
    data = MotionDataModule(small_store, batch_size=6, steps_per_epoch=4, max_frames=32, multiple_of=8)
    batches = list(data.train_dataloader())
    assert len(batches) == len(data.train_dataloader()) == 4
    split = small_store.split("train")
    for batch in batches:
        assert batch.x.shape[:2] == batch.mask.shape
        assert batch.x.shape[1] % 8 == 0 and batch.x.shape[1] <= 32
        assert not batch.x[~batch.mask].any()
        for row, clip, text in zip(batch.x, batch.info.clip, batch.info.caption, strict=True):
            clip = int(clip)
            assert int(text) in split.text_ids(clip)
            n = min(32, split.lengths[clip])
            windows = np.lib.stride_tricks.sliding_window_view(split.features(clip), n, axis=0)  # (·, D, n)
            assert any(np.array_equal(window.T, row[:n]) for window in windows)
    assert sum(len(batch.x) for batch in data.test_dataloader()) == len(small_store.split("test"))


def test_two_ranks_see_the_batches_of_one(small_store):
    def loaders(rank, world):
        data = MotionDataModule(small_store, batch_size=6, val_batch_size=2, steps_per_epoch=4, max_frames=32)
        progress = SimpleNamespace(batch_progress=SimpleNamespace(total=SimpleNamespace(processed=3)))
        loop = SimpleNamespace(epoch_loop=progress)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world, fit_loop=loop)
        return list(data.train_dataloader()), list(data.val_dataloader())

    train, val = loaders(0, 1)
    shares = [loaders(rank, 2) for rank in range(2)]
    for i, batch in enumerate(train):
        parts = [share[0][i] for share in shares]
        torch.testing.assert_close(torch.cat([p.x for p in parts]), batch.x, rtol=0, atol=0)
        torch.testing.assert_close(torch.cat([p.info.caption for p in parts]), batch.info.caption)
    clips = sorted(i for share in shares for b in share[1] for i in b.info.clip.tolist())
    assert clips == sorted(i for b in val for i in b.info.clip.tolist()) == list(range(len(clips)))


def test_batches_move_and_pin_as_they_are(small_store, monkeypatch):
    batch = small_store.split("val").collate([0, 1])
    moved = move_data_to_device(batch, torch.device("meta"))
    monkeypatch.setattr(torch.Tensor, "pin_memory", torch.Tensor.clone)
    (pinned,) = Loader([batch], lambda batch: batch, pin=True)
    for other in (moved, pinned):
        assert type(other) is Batch and type(other.cond) is TextCond and type(other.info) is Info
    assert {t.device.type for t in (moved.x, moved.mask, *moved.cond, *moved.info)} == {"meta"}


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_a_loader_keeps_the_order_and_tells_what_went_wrong(threads):
    def make(i):
        time.sleep(0.002 * (i % 3))  # later ones are done first
        if i == 17:
            raise ZeroDivisionError
        return i

    assert list(Loader(range(17), make, threads)) == list(range(17))
    seen = []
    with pytest.raises(ZeroDivisionError):
        seen.extend(i for i in Loader(range(30), make, threads))
    for i in Loader(range(30), make, threads):
        if i == 3:
            break  # threads end with it
    assert len(Loader(range(30), make)) == 30


def test_a_loader_is_not_far_ahead():
    made = []
    batches = iter(Loader(range(100), made.append, threads=2))
    next(batches)
    time.sleep(0.05)
    assert 1 <= len(made) <= 6


def test_training_batches_alone_are_augmented_by_a_seed_a_row(tiny_store):
    """Each row has its own, a function of (seed, step): so ranks draw what one process would."""
    settings = {"batch_size": 4, "val_batch_size": 4, "steps_per_epoch": 3, "max_frames": 32}

    def run(seed: int = 0) -> tuple[list, list]:
        seen = []

        def augment(batch, seeds):
            seen.append(list(seeds))
            return batch._replace(x=batch.x + 1)

        data = MotionDataModule(tiny_store, **settings, seed=seed, augment=augment)
        data.trainer = None
        return seen, [batch.x for batch in chain(data.train_dataloader(), data.val_dataloader())]

    (seen, batches), (again, _), (other, _) = run(), run(), run(seed=1)
    data = MotionDataModule(tiny_store, **settings)
    data.trainer = None
    plain = [batch.x for batch in chain(data.train_dataloader(), data.val_dataloader())]
    assert seen == again != other and len({seed for row in seen for seed in row}) == 12
    for i, (one, two) in enumerate(zip(batches, plain, strict=True)):
        assert torch.equal(one, two + 1 if i < 3 else two)

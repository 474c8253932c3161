"""Samples of the same conditions while training goes on."""

import logging
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging

from motion_lightning.errors import UserError
from motion_lightning.pipeline import Sampling
from motion_lightning.tasks.task import Shown, Task
from motion_lightning.text.condition import moved, rows
from motion_lightning.view.fragment import write_page

log = logging.getLogger(__name__)


class SampleClips(L.Callback):
    """Every ``every`` validations guided samples of the same conditions, as a page and a film, from averaged weights.

    They lie in ``<run>/samples/step_XXXXXX.{html,mp4,…}``, and go to W&B where its logger is on.

    Args:
        task: what samples are drawn by. Without prompts of its own the first clips of the validation split give the
            conditions, and stand beside their samples.
        encoder: text encoder; it is called once.
        sampling: sampler, steps and guidance.
        prompts: instead of the task's.
        seconds: length of every sample of a prompt, where lengths can be chosen.
        folder: of the run.
        every: validations from one page to the next; the last validation always gets one.
        clips: how many of the validation split.
    """

    def __init__(
        self,
        task: Task,
        encoder,
        sampling: Sampling,
        folder: Path,
        prompts: list[str] | None = None,
        seconds: float = 4.0,
        every: int = 1,
        clips: int = 6,
        seed: int = 0,
    ):
        self.prompts = task.prompts if prompts is None else prompts
        if not all(prompt.strip() for prompt in self.prompts):
            raise UserError("callbacks.samples.prompts holds an empty prompt: write what to sample")
        self.task, self.encoder, self.sampling, self.seconds = task, encoder, sampling, seconds
        self.folder, self.every, self.clips, self.seed = Path(folder) / "samples", every, clips, seed
        self.cond, self.lengths, self.captions, self.real, self.validations = None, [], [], [], 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """After the averaging callback's own hook the raw weights are back: this one has to come first."""
        order = [type(c) for c in trainer.callbacks if c is self or isinstance(c, WeightAveraging)]
        if order[0] is not type(self):
            raise UserError("SampleClips stands after the weight averaging in the list of callbacks: put it before")

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self.validations += 1
        last = trainer.global_step >= trainer.estimated_stepping_batches
        if trainer.is_global_zero and (last or self.validations % self.every == 0):
            self.write(trainer, pl_module)

    def choose(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Conditions, lengths and captions, once."""
        model = pl_module.model
        if self.prompts:
            self.cond, self.captions = self.encoder.encode(self.prompts), self.prompts
            self.lengths = [self.task.frames(model, self.seconds)] * len(self.prompts)
        else:
            split = trainer.datamodule.store.split("val").first(self.clips)
            batch = moved(split.collate(range(len(split)), multiple_of=1), pl_module.device)
            self.cond, self.captions = batch.cond, [split.captions(i)[0] for i in range(len(split))]
            x, mask = model.sample_codec.encode(batch)
            self.real = [row[valid] for row, valid in zip(x, mask, strict=True)]
            self.lengths = [len(row) for row in self.real]

    def write(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Sample all of them in one batch and write page and files."""
        if self.cond is None:
            self.choose(trainer, pl_module)
        model, task, step = pl_module.model, self.task, trainer.global_step
        cond = moved(self.cond, pl_module.device)
        samples = model.sample(cond, self.lengths, self.sampling, seed=self.seed)
        shown = []
        for i, (x, caption) in enumerate(zip(samples, self.captions, strict=True)):
            row = rows(cond, slice(i, i + 1))
            shown.append(Shown(x, caption, "sample" if self.real else "", row))
            shown += [Shown(real, caption, "real", row, real=True) for real in self.real[i : i + 1]]
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = self.folder / f"step_{step:06d}"
        page = write_page(f"{stem}.html", f"Samples at step {step:,}", task.look(model, shown))
        files = task.save(model, shown, stem)
        for logger in trainer.loggers:
            if hasattr(logger, "log_video"):  # W&B's
                import wandb

                for file in files:
                    if file.suffix == ".mp4":
                        logger.log_video("samples/video", [str(file)], step=step)
                    elif file.suffix == ".png":
                        logger.log_image("samples/picture", [str(file)], step=step)
                logger.experiment.log({"samples/page": wandb.Html(str(page)), "trainer/global_step": step})

    def state_dict(self) -> dict:
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict) -> None:
        self.validations = state_dict["validations"]

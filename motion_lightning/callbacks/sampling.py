"""Samples of a fixed list of prompts while training goes on."""

import logging
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging

from motion_lightning.errors import UserError
from motion_lightning.pipeline import Sampling
from motion_lightning.view.page import ClipView, write_viewer
from motion_lightning.view.video import write_mp4

log = logging.getLogger(__name__)


class SampleMotions(L.Callback):
    """Every ``every`` validations, guided samples of ``prompts`` as a page and a video, from the averaged weights.

    They lie in ``<run>/samples/step_XXXXXX.{html,mp4}``, and go to W&B where its logger is on.

    Args:
        prompts: what to sample; the list stays the same, so that steps compare.
        encoder: text encoder; it is called once.
        sampling: sampler, steps and guidance.
        seconds: length of every sample.
        folder: of the run.
        every: validations from one page to the next; the last validation always gets one.
    """

    def __init__(
        self,
        prompts: list[str],
        encoder,
        sampling: Sampling,
        seconds: float,
        folder: Path,
        every: int = 1,
        seed: int = 0,
    ):
        if not prompts or not all(prompt.strip() for prompt in prompts):
            raise UserError("callbacks.samples.prompts is empty, or holds an empty prompt: write what to sample")
        self.prompts, self.encoder, self.sampling, self.seconds = prompts, encoder, sampling, seconds
        self.folder, self.every, self.seed = Path(folder) / "samples", every, seed
        self.cond, self.validations = None, 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """After the averaging callback's own hook the raw weights are back: this one has to come first."""
        order = [type(c) for c in trainer.callbacks if c is self or isinstance(c, WeightAveraging)]
        if order[0] is not type(self):
            raise UserError("SampleMotions stands after the weight averaging in the list of callbacks: put it before")

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self.validations += 1
        last = trainer.global_step >= trainer.estimated_stepping_batches
        if trainer.is_global_zero and (last or self.validations % self.every == 0):
            self.write(trainer, pl_module)

    def write(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Sample all prompts in one batch and write the page and the video."""
        if self.cond is None:
            self.cond = self.encoder.encode(self.prompts)
        model = pl_module.model
        skeleton = model.codec.skeleton
        lengths = [round(self.seconds * skeleton.fps)] * len(self.prompts)
        cond = type(self.cond)(*(part.to(pl_module.device) for part in self.cond))
        samples = model.sample(cond, lengths, self.sampling, seed=self.seed)
        clips = [
            ClipView(model.codec.reconciled(x).cpu().numpy(), caption=prompt, fps=skeleton.fps)
            for x, prompt in zip(samples, self.prompts, strict=True)
        ]
        self.folder.mkdir(parents=True, exist_ok=True)
        step = trainer.global_step
        page, video = (self.folder / f"step_{step:06d}.{kind}" for kind in ("html", "mp4"))
        write_viewer(page, clips, title=f"Samples at step {step:,}", skeleton=skeleton)
        write_mp4(video, clips)
        for logger in trainer.loggers:
            if hasattr(logger, "log_video"):  # W&B's
                import wandb

                logger.log_video("samples/video", [str(video)], step=step)
                logger.experiment.log({"samples/page": wandb.Html(str(page)), "trainer/global_step": step})

    def state_dict(self) -> dict:
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict) -> None:
        self.validations = state_dict["validations"]

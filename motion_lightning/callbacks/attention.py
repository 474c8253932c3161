"""Which word drives which joint, as a picture, while training goes on."""

from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging

from motion_lightning.errors import UserError
from motion_lightning.models.unet import PoseUNet
from motion_lightning.pipeline import Diffusion, Sampling
from motion_lightning.tasks.attention import attention_maps, by_word
from motion_lightning.text.condition import moved
from motion_lightning.view.heatmap import heat_map, stacked


class AttentionPicture(L.Callback):
    """Every ``every`` validations the attention of joints to words, ``<run>/samples/attention_XXXXXX.png``.

    Of averaged weights, in a sampling run of its own; of a guided one the conditional half.

    Args:
        encoder: text encoder that knows the ``spans`` of its tokens.
        sampling: sampler, steps and guidance.
        prompts: a map each.
        every: validations from one picture to the next; the last validation always gets one.
    """

    def __init__(self, encoder, sampling: Sampling, prompts: list[str], every: int = 1, seed: int = 0):
        if not prompts:
            raise UserError("callbacks.attention.prompts is empty: write whose words to look at")
        self.encoder, self.sampling, self.prompts = encoder, sampling, list(prompts)
        self.every, self.seed, self.validations = every, seed, 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        order = [type(c) for c in trainer.callbacks if c is self or isinstance(c, WeightAveraging)]
        if order[0] is not type(self):  # after the averaging's own hook the raw weights are back
            raise UserError("AttentionPicture stands after the weight averaging among the callbacks: put it before")
        check(pl_module.model)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self.validations += 1
        last = trainer.global_step >= trainer.estimated_stepping_batches
        if trainer.is_global_zero and (last or self.validations % self.every == 0):
            file = Path(trainer.default_root_dir) / "samples" / f"attention_{trainer.global_step:06d}.png"
            write_attention(file, pl_module.model, self.encoder, self.prompts, self.sampling, self.seed)
            for logger in trainer.loggers:
                if hasattr(logger, "log_image"):  # W&B's
                    logger.log_image("samples/attention", [str(file)], step=trainer.global_step)

    def state_dict(self) -> dict:
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict) -> None:
        self.validations = state_dict["validations"]


def check(model: Diffusion) -> None:
    """UserError where there is no attention of joints to words to look at."""
    denoiser = model.denoiser
    if not (isinstance(denoiser, PoseUNet) and denoiser.root):
        raise UserError("callbacks.attention needs tokens that are joints: model=unet model.tokens=joints")
    if denoiser.level == "pooled":
        raise UserError("callbacks.attention needs words: with model.text=pooled a map of its one key is constant")


def write_attention(file: Path, model: Diffusion, encoder, prompts: list[str], sampling: Sampling, seed: int) -> Path:
    """A map (joints, words) for each prompt in one picture; a row is what a joint's attention to words is made of."""
    joints, cond = model.codec.skeleton.joints, encoder.encode(prompts)
    device = next(model.parameters()).device
    _, maps = attention_maps(model, moved(cond, device), [1] * len(prompts), sampling, seed)
    pictures = []
    for prompt, attention in zip(prompts, maps, strict=True):
        words, values = by_word(attention, prompt, encoder.spans(prompt))
        total = values.sum(1, keepdim=True)
        note = (
            f"hundredths of a joint's attention to words; {100 * (1 - total.mean()):.0f} % of all is on start and end"
        )
        pictures.append(heat_map((values / total.clamp(min=1e-9)).numpy(), joints, words, prompt, note))
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    stacked(pictures).save(part, "PNG")
    return part.replace(file)

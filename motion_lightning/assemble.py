"""From a configuration to objects: YAML names the leaves, this file puts them together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from motion_lightning.config import instantiate
from motion_lightning.data.store import Store
from motion_lightning.errors import UserError
from motion_lightning.pipeline import Diffusion


def build_model(cfg: Mapping[str, Any], text_dim: int) -> Diffusion:
    """Denoiser, precondition and codec with unfitted statistics."""
    codec = instantiate(cfg["codec"])
    process = instantiate(cfg["diffusion"]["process"])
    precondition = instantiate(cfg["diffusion"]["precondition"], process=process, features=codec.features)
    denoiser = instantiate(cfg["model"], features=codec.features, text_dim=text_dim)
    return Diffusion(denoiser, precondition, codec)


def fit_statistics(model: Diffusion, store: Store, clips: int = 2000) -> None:
    """Take mean and deviation of all training frames, and the covariances of ``clips`` clips, into the model."""
    codec, skeleton = model.codec, model.codec.skeleton
    if (kind := store.manifest["representation"]) != codec.representation:
        raise UserError(f"{store.path} holds {kind}, this model makes {codec.representation}; choose another of them")
    mean, std = (torch.as_tensor(v, dtype=torch.float64) for v in (store.stats.mean, store.stats.std))
    if len(mean) != (needed := codec.layout["contacts"].stop):
        raise UserError(
            f"{store.path}: {len(mean)} features a frame, skeleton {skeleton.name} has {needed}; set codec.skeleton"
        )
    train = store.split("train")
    chosen = np.random.default_rng(0).permutation(len(train))[:clips]
    sample = [torch.from_numpy(train.features(i).copy()) for i in chosen]
    codec.fit(mean, std, torch.cat(sample))
    model.precondition.fit([codec.encode(c[None], torch.ones(1, len(c), dtype=torch.bool))[0] for c in sample])


class Run(NamedTuple):
    """A trained model and where it came from."""

    model: Diffusion
    config: dict
    folder: Path
    checkpoint: Path
    step: int


def load_run(run: str | Path, which: str = "last") -> Run:
    """Load a run folder, or a checkpoint file, for sampling: averaged weights, in eval mode.

    Args:
        run: ``runs/NAME``, or a ``.ckpt`` file.
        which: "last" or "best" (lowest validation loss), where ``run`` is a folder.
    """
    path = Path(run)
    if not path.exists():
        raise UserError(f"there is no run at {run}: give run=runs/NAME, or the path of a .ckpt file")
    checkpoint = path if path.is_file() else path / "checkpoints" / f"{which}.ckpt"
    if not checkpoint.is_file():
        raise UserError(
            f"{path} holds no checkpoints/{which}.ckpt: the run did not get as far, or it is not a run folder"
        )
    state = read_checkpoint(checkpoint)
    model = build_model(state["config"], state["config"]["text_dim"])
    weights = {k.removeprefix("model."): v for k, v in state["state_dict"].items() if k.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{checkpoint} does not fit its own configuration: {' '.join(str(error).split())}") from error
    folder = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent
    return Run(model.eval().requires_grad_(False), state["config"], folder, checkpoint, state["global_step"])


def read_checkpoint(path: Path) -> dict:
    """A checkpoint of this framework as a dict of tensors and plain containers; nothing in it is executed."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not {"state_dict", "config", "global_step"} <= state.keys():
            raise KeyError
    except Exception as error:
        raise UserError(f"{path} is not a checkpoint of motion_lightning: give one that train wrote") from error
    return state

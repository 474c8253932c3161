"""The VAE that a model of latents needs first: how it is put together, and trained where its run is not there."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import Tensor

from motion_lightning.assemble import left_open
from motion_lightning.codecs.latent import Autoencoder, clips_of
from motion_lightning.config import instantiate, load_config
from motion_lightning.data.store import Store
from motion_lightning.errors import UserError

log = logging.getLogger(__name__)

SHARED = {"data", "text_encoder", "loader", "trainer", "logger", "seed", "debug"}  # settings that hold for it, too
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def build_model(cfg: Mapping[str, Any], text_dim: int) -> Autoencoder:
    """VAE and codec; texts are nothing to them."""
    codec = instantiate(cfg["codec"])
    return Autoencoder(instantiate(cfg["model"], **left_open(cfg["model"], codec.sizes)), codec)


def build_module(cfg: Mapping[str, Any], model: Autoencoder, store: Store, config: dict):
    """The LightningModule that trains them; ``config`` goes into its checkpoints, and says all that builds the VAE."""
    from motion_lightning.lit.vae import VAEModule

    model.codec.fit(store)
    config["trained_on"] = clips_of(store)
    config["model"] |= left_open(config["model"], model.codec.sizes)
    if linear := getattr(model.vae, "linear", 0):
        longest = min(int(store.split("train").lengths.max()), cfg["loader"]["max_frames"])
        if longest > linear:
            log.warning(
                "clips have up to %d frames, and principal components see the first model.linear=%d of them, so that "
                "the rest is made much worse: set model.linear=%d", longest, linear, longest
            )  # fmt: skip
        model.vae.start(first_frames(model, store, linear))
    training = instantiate(cfg["training"])
    names = ("kl_weight", "reconstruction", "losses", "warmup", "final_lr", "seed")
    settings = {name: training[name] for name in names if name in training}
    return VAEModule(model, instantiate(cfg["optimizer"]), config=config, task=instantiate(cfg["task"]), **settings)


def first_frames(model: Autoencoder, store: Store, frames: int) -> Tensor:
    """x (N, ``frames``, D) of at most 4000 training clips, cut or zero behind their ends."""
    train = store.split("train")
    batch = train.collate(train.some(4000), max_frames=frames, multiple_of=1, frames=frames)
    return model.codec.encode(batch)[0]


def ensure_vae(cfg: DictConfig) -> None:
    """Where ``cfg`` trains a model of latents: train its VAE if need be, and put what builds it into ``cfg.codec``.

    The run of the VAE is ``codec.run``; ``first_stage`` names the experiment that makes it. What the command line says
    of data, loader and trainer holds for both stages. A run that was interrupted goes on.

    Raises:
        UserError: there is no VAE, and no experiment for one.
    """
    if "run" not in cfg.codec or cfg.codec.vae is not None:
        return
    folder = Path(cfg.codec.run)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.wait")):  # other processes that want this VAE wait for it
        if not is_complete(folder):
            if not cfg.first_stage:
                raise UserError(
                    f"codec.run={folder} holds no trained VAE, and first_stage=null says not how to train one: name "
                    "its run, or an experiment"
                )
            train_vae(cfg.first_stage, folder)
    stage = load_config(folder)
    if stage["assembly"] != __name__:
        raise UserError(f"codec.run={folder} is no run of a VAE, and codec._target_={cfg.codec._target_} needs one")
    cfg.codec.vae, cfg.codec.codec = stage["model"], stage["codec"]


def is_complete(folder: Path) -> bool:
    """Whether the run has seen its last epoch."""
    file = folder / "checkpoints" / "last.ckpt"
    if not file.is_file():
        return False
    epochs = torch.load(file, map_location="cpu", weights_only=True)["epoch"] + 1
    return epochs >= load_config(folder)["trainer"]["max_epochs"]


def train_vae(experiment: str, folder: Path) -> None:
    """Train the VAE of an experiment into a run folder, with what the command line says of both stages."""
    given = [o for o in HydraConfig.get().overrides.task if re.split(r"[=.@/]", o.lstrip("+~"))[0] in SHARED]
    print(f"{folder}: training the VAE first, once ({experiment})", flush=True)
    if not train_alone(folder, [f"experiment={experiment}", f"name={folder.name}", *given]):
        raise UserError(f"the VAE of codec.run={folder} was not trained: what stopped {experiment} is said above")


def train_alone(folder: Path, settings: Sequence[str]) -> bool:
    """Train a run in a process of its own, which leaves nothing behind in this one; one that was begun goes on.

    Args:
        settings: of the command line of a new one.

    Returns:
        Whether it came to its end.
    """
    begun = (folder / "checkpoints" / "last.ckpt").is_file()
    what = [f"resume={folder}"] if begun else [*settings, f"hydra.run.dir={folder}"]
    alone = {name: value for name, value in os.environ.items() if name not in RANKS}
    return not subprocess.run(
        [sys.executable, "-m", "motion_lightning.train", *what], env=alone, check=False
    ).returncode

"""From a configuration to objects: YAML names the leaves, this file puts them together."""

import importlib
import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra.utils import get_class
from torch import Tensor

from motion_lightning.config import instantiate
from motion_lightning.data.cuts import open_store
from motion_lightning.data.store import Split, Store
from motion_lightning.errors import UserError
from motion_lightning.pipeline import Diffusion


def build_model(cfg: Mapping[str, Any], text_dim: int) -> Diffusion:
    """Denoiser, precondition and codec with unfitted statistics."""
    codec = instantiate(cfg["codec"])
    process = instantiate(cfg["diffusion"]["process"])
    width = math.prod(codec.shape)  # numbers a frame
    precondition = instantiate(cfg["diffusion"]["precondition"], process=process, features=width)
    return Diffusion(build_denoiser(cfg["model"], codec.sizes, text_dim), precondition, codec)


def build_denoiser(model: Mapping[str, Any], sizes: dict[str, int], text_dim: int) -> torch.nn.Module:
    """The denoiser, told those of the codec's sizes that its constructor asks for."""
    kind = get_class(model["_target_"])
    asked = inspect.signature(kind).parameters
    missing = [
        name
        for name, parameter in asked.items()
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and name not in {*sizes, *model, "text_dim"}
    ]
    if missing:
        raise UserError(
            f"model {kind.__name__} needs {', '.join(missing)}, the data have {', '.join(sizes)}: "
            "it works on data of another kind; choose another model= or data="
        )
    return instantiate(model, **left_open(model, sizes), text_dim=text_dim)


def left_open(model: Mapping[str, Any], sizes: dict[str, int]) -> dict[str, int]:
    """Those of a codec's sizes that a model's constructor asks for and its configuration does not say."""
    asked = inspect.signature(get_class(model["_target_"])).parameters
    return {name: size for name, size in sizes.items() if name in asked and name not in model}


def open_data(cfg: Mapping[str, Any], path: str | Path | None) -> Store:
    """The store with its captions cut, and its condition made, as ``cfg.loader`` says."""
    if path is None:
        raise UserError(
            f"{cfg['name']} was imported without a prepared store: prepare its data with its text_encoder "
            "(motion_lightning.prepare), and import it again with store=FOLDER"
        )
    loader = cfg["loader"]
    store = open_store(path, loader.get("first_action", "none"))
    return store.with_condition(instantiate(loader["condition"])) if loader.get("condition") else store


def encoded(codec, split: Split, indices: list[int], batch_size: int = 64) -> list[Tensor]:
    """x (T, *shape) of clips."""
    clips: list[Tensor] = []
    for batch in split.iter_batches(batch_size, indices, multiple_of=1):
        x, mask = codec.encode(batch)
        clips += [row[valid] for row, valid in zip(x, mask, strict=True)]
    return clips


def fit_statistics(model: Diffusion, store: Store) -> list[Tensor]:
    """Take the statistics of training clips into codec and precondition.

    Returns:
        x (T, *shape) of the clips that covariances are taken from.
    """
    codec = model.codec
    if (kind := store.manifest["representation"]) != codec.representation:
        raise UserError(f"{store.path} holds {kind}, this model makes {codec.representation}; choose another of them")
    codec.fit(store)
    train = store.split("train")
    clips = encoded(codec, train, train.some())
    model.precondition.fit(clips)
    return clips


def build_module(cfg: Mapping[str, Any], model: Diffusion, store: Store, config: dict):
    """The LightningModule that trains the model, fitted to the store; ``config`` goes into its checkpoints."""
    from motion_lightning.lit.diffusion import DiffusionModule
    from motion_lightning.metrics.skill import FrameWiener

    if cfg.get("start"):
        start_from(model.denoiser, Path(cfg["start"]))
    linear = FrameWiener.of(fit_statistics(model, store), model.process)
    return DiffusionModule(model, instantiate(cfg["optimizer"]), linear, config=config, **instantiate(cfg["training"]))


def start_from(denoiser: torch.nn.Module, folder: Path) -> None:
    """Take the weights of ``start.pt``, which may be a part of the denoiser's; UserError where one does not fit."""
    file = folder / "start.pt"
    if not file.is_file():
        raise UserError(f"start={folder}: no start.pt in there; give a folder that motion_lightning.zoo has written")
    weights, own = torch.load(file, map_location="cpu", weights_only=True), denoiser.state_dict()
    for name, value in weights.items():
        have, want = (tuple(w.shape) if w is not None else "nothing" for w in (value, own.get(name)))
        if have != want:
            raise UserError(f"start={folder}: {name} is {have}, the configured model has {want}; set model.* as it was")
    denoiser.load_state_dict(weights, strict=False)


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
    folder = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent
    assembly = importlib.import_module(state["config"].get("assembly", __name__))
    if not hasattr(assembly, "restore"):
        raise UserError(f"{path} makes no samples: it is a first stage, or an evaluator; give the run of a model")
    return assembly.restore(state, folder, checkpoint)


def restore(state: Mapping[str, Any], folder: Path, checkpoint: Path) -> Run:
    """The run of a checkpoint that was read; other assemblies whose models sample have a function of this name, too."""
    model = restored(build_model(state["config"], state["config"]["text_dim"]), state, checkpoint)
    return Run(model, state["config"], folder, checkpoint, state["global_step"])


def restored(model: torch.nn.Module, state: Mapping[str, Any], file: Path) -> torch.nn.Module:
    """The model with the weights of a checkpoint that was read from a file, in eval mode and without gradients."""
    weights = {k.removeprefix("model."): v for k, v in state["state_dict"].items() if k.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{file} does not fit its own configuration: {' '.join(str(error).split())[:300]}") from error
    return model.eval().requires_grad_(False)


def read_checkpoint(path: Path) -> dict:
    """A checkpoint of this framework as a dict of tensors and plain containers; nothing in it is executed."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not {"state_dict", "config", "global_step"} <= state.keys():
            raise KeyError
    except Exception as error:
        raise UserError(f"{path} is not a checkpoint of motion_lightning: give one that train wrote") from error
    return state

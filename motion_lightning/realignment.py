"""LEAD's third stage: how a projector is put together, and how the run of one makes motions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from motion_lightning import assemble
from motion_lightning.assemble import Run, load_run, read_checkpoint, restored
from motion_lightning.codecs.motion_latent import MotionLatents
from motion_lightning.codecs.realigned import Realignment
from motion_lightning.config import instantiate
from motion_lightning.data.store import Store
from motion_lightning.errors import UserError
from motion_lightning.models.projector import Projector


def build_model(cfg: Mapping[str, Any], text_dim: int) -> Realignment:
    """Projector and latents with unfitted statistics."""
    codec = instantiate(cfg["codec"])
    if not isinstance(codec, MotionLatents):
        raise UserError(
            f"a projector takes latents of whole motions, and codec._target_={type(codec).__name__} makes others: "
            "take experiment=lead_projector"
        )
    return Realignment(instantiate(projector_node(cfg, codec.sizes, text_dim)), codec)


def projector_node(cfg: Mapping[str, Any], sizes: Mapping[str, int], text_dim: int) -> dict[str, Any]:
    """All that builds the projector: its settings, and the sizes of what it stands between."""
    return {**cfg["model"], "tokens": sizes["tokens"], "features": sizes["features"], "text_dim": text_dim}


def build_module(cfg: Mapping[str, Any], model: Realignment, store: Store, config: dict):
    """The LightningModule that trains the projector; ``config`` goes into its checkpoints, with the text encoder's
    fingerprint."""
    from motion_lightning.lit.projector import ProjectorModule

    model.codec.fit(store)
    config["encoder"] = store.manifest["encoder"]
    training = instantiate(cfg["training"])
    settings = {name: training[name] for name in ("weights", "warmup", "final_lr", "seed")}
    return ProjectorModule(
        model, instantiate(cfg["optimizer"]), config=config, task=instantiate(cfg["task"]), **settings
    )


def load_projector(run: str | Path) -> tuple[Projector, MotionLatents, dict[str, Any]]:
    """The projector of a run of ``train experiment=lead_projector``, its latents, and its configuration.

    ``encoder`` of the configuration is the fingerprint of the text encoder whose space the projector knows.

    Raises:
        UserError: it is a run of something else, or none.
    """
    model, config = read(checkpoint_of(run))
    return model.net, model.codec, config


def checkpoint_of(run: str | Path) -> Path:
    """The last checkpoint of a run's folder, or the file that is given."""
    return Path(run) if Path(run).is_file() else Path(run) / "checkpoints" / "last.ckpt"


def is_projector(file: Path) -> bool:
    """Whether there is a checkpoint, and it is of a projector."""
    return file.is_file() and read_checkpoint(file)["config"].get("assembly") == __name__


def read(file: Path) -> tuple[Realignment, dict[str, Any]]:
    """What a checkpoint holds, and its configuration; UserError where it is of something else."""
    how = "give a run of train experiment=lead_projector"
    if not file.is_file():
        raise UserError(f"there is no {file}: {how}")
    state = read_checkpoint(file)
    if state["config"].get("assembly") != __name__:
        raise UserError(f"{file} is of a run of another kind: {how}")
    return of_state(state, file), state["config"]


def of_state(state: Mapping[str, Any], file: Path) -> Realignment:
    """The trained model of a checkpoint."""
    return restored(build_model(state["config"], state["config"]["text_dim"]), state, file)


def restore(state: Mapping[str, Any], folder: Path, checkpoint: Path) -> Run:
    """The run as ``load_run`` gives it: the diffusion of ``generator.run``, its samples led through the projector.

    Raises:
        UserError: there is no such run, or it is of other latents or of another text encoder.
    """
    config, ours = state["config"], of_state(state, checkpoint)
    named = Path(config["generator"]["run"])
    beside = folder.parent / named.name
    if not (named.exists() or beside.exists()):
        raise UserError(
            f"{folder} is a projector, which makes motions of the samples of generator.run={named}, and there is none: "
            "train it (experiment=lead trains all stages), or put it beside the projector's run"
        )
    generator = load_run(named if named.exists() else beside)
    check_generator(ours, config, generator)
    node = projector_node(config, ours.codec.sizes, config["text_dim"])
    target = "motion_lightning.codecs.realigned.Realigned"
    made_of = generator.config | {"codec": {**generator.config["codec"], "_target_": target, "projector": node}}
    model = assemble.build_model(made_of, made_of["text_dim"])
    net = {f"codec.projector.{name}": value for name, value in ours.net.state_dict().items()}
    model.load_state_dict(generator.model.state_dict() | net)
    return Run(model.eval().requires_grad_(False), made_of, folder, checkpoint, state["global_step"])


def check_generator(ours: Realignment, config: Mapping[str, Any], generator: Run) -> None:
    """UserError, with what was expected and found, unless the generator makes the projector's latents of its texts."""
    theirs, what = generator.model.codec, f"generator.run={generator.folder}"
    if (expected := config["text_encoder"]) != (found := generator.config["text_encoder"]):
        raise UserError(
            f"{what} is of another text encoder: expected {expected}, found {found}; train a projector on it"
        )
    known, wanted = theirs.state_dict(), ours.codec.state_dict()
    if not all(name in known and alike(known[name], value) for name, value in wanted.items()):
        expected, found = (
            f"{type(codec).__name__} of codec.run={node.get('run')}, {'x'.join(map(str, codec.shape))} numbers a token"
            for codec, node in ((ours.codec, config["codec"]), (theirs, generator.config["codec"]))
        )
        raise UserError(f"{what} is of other latents: expected {expected}, found {found}; train both on one VAE")


def alike(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal but for what another machine rounds otherwise."""
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-3, rtol=1e-3)

"""Settings that do not go together are refused before anything is prepared, both by name.

What one part alone can tell (a width and its heads, a target and its process, a picture and its patches) its
constructor refuses. Here is what two parts of a configuration have to agree on.
"""

import inspect

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from motion_lightning.config import instantiate
from motion_lightning.errors import UserError


def check(cfg: DictConfig) -> None:
    """UserError for the first pair of settings of ``train`` that exclude each other."""
    for refuse in CHECKS:
        refuse(cfg)


def untrained_null(cfg: DictConfig) -> None:
    """Guidance asks for the null condition, which only dropped conditions train."""
    if cfg.sampler.guidance != 1 and not cfg.training.cond_drop:
        raise UserError(
            f"sampler.guidance={cfg.sampler.guidance:g} needs the null condition, which training.cond_drop=0 never "
            "trains: take sampler.guidance=1, or a cond_drop of 0.1"
        )


def too_many_steps(cfg: DictConfig) -> None:
    """A sampler walks on the timesteps of the process."""
    steps, there = cfg.sampler.steps, cfg.diffusion.process.steps
    if not 1 <= steps <= there:
        raise UserError(f"sampler.steps={steps} is not within the diffusion.process.steps={there} that there are")


def first_steps(cfg: DictConfig) -> None:
    """A sampler may not walk on every path: two steps, with nothing to denoise, tell."""
    import torch

    from motion_lightning.diffusion.samplers import spaced

    sampling, process = instantiate(cfg.sampler), instantiate(cfg.diffusion.process)
    timesteps = spaced(process, sampling.steps, sampling.spacing)[:2]
    sampling.sampler(lambda x, t: x, torch.zeros(1, 1, 1), process, timesteps, noise=torch.zeros_like)


def uneven_batch(cfg: DictConfig) -> None:
    """Every device takes an equal share of the global batch."""
    devices, nodes = cfg.trainer.devices, cfg.trainer.get("num_nodes", 1)
    if isinstance(devices, int) and devices > 0 and cfg.loader.batch_size % (devices * nodes):
        everywhere = f"{nodes} times trainer.devices={devices}" if nodes > 1 else f"trainer.devices={devices}"
        raise UserError(f"loader.batch_size={cfg.loader.batch_size} is no multiple of {everywhere}: change one of them")


def devices_of_a_sweep(cfg: DictConfig) -> None:
    """A second process starts with the command line of the first: it would start the whole sweep anew."""
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN and "submitit" not in hydra.launcher._target_ and several(cfg.trainer.devices):
        raise UserError(
            f"trainer.devices={cfg.trainer.devices} does not go with -m on this machine: take one device a job, or "
            "hydra/launcher=submitit_slurm, which starts a task for each"
        )


def several(devices: int | str | list) -> bool:
    """Whether this names more than one device for certain."""
    return len(devices) > 1 if OmegaConf.is_list(devices) else isinstance(devices, int) and devices not in (0, 1)


def prompts_alone(cfg: DictConfig) -> None:
    """A prompt is a text; where data condition on more, the validation clips have to give it."""
    if cfg.loader.condition and cfg.callbacks.samples and cfg.callbacks.samples.get("prompts"):
        condition = cfg.loader.condition._target_.rpartition(".")[2]
        raise UserError(
            f"callbacks.samples.prompts holds texts alone, and loader.condition={condition} needs more than a text: "
            "leave the prompts out, and clips of the validation split are taken"
        )


def loss_weight(cfg: DictConfig) -> None:
    """A weight of the loss belongs to what the error is measured of."""
    from motion_lightning.diffusion.weights import loss_weights

    kind = "x0" if cfg.training.space == "x0" else cfg.diffusion.precondition.get("target", "residual")
    loss_weights(instantiate(cfg.diffusion.process), kind, cfg.training.weight, cfg.training.normalise)


def filtered_pictures(cfg: DictConfig) -> None:
    """The Wiener filter is one of rows of numbers; a model of such rows will say itself that it makes no pictures."""
    asked = inspect.signature(get_class(cfg.model._target_)).parameters.get("features")
    if asked and asked.default is asked.empty:
        return
    if cfg.diffusion.precondition._target_.endswith(".Wiener") and len(shape := instantiate(cfg.codec).shape) > 1:
        frame, codec = "x".join(map(str, shape)), cfg.codec._target_.rpartition(".")[2]
        raise UserError(
            f"diffusion=wiener filters rows of numbers, and a frame of codec={codec} is {frame}: take diffusion=edm"
        )


def scenes(cfg: DictConfig) -> None:
    """What a model of tracks is told of a scene has to be in the data."""
    backbone, corpus, augment = cfg.model.get("backbone"), cfg.data.corpus, cfg.loader.get("augment")
    if "depth" in corpus and not corpus.depth and backbone and backbone.get("channels") == 4:
        raise UserError("model.backbone.channels=4 looks at depth, and data.corpus.depth=false: take 3 channels")
    if augment and (kept := augment.get("points")) and kept > corpus.points:
        raise UserError(f"loader.augment.points={kept} is more than the data.corpus.points={corpus.points} of a clip")


CHECKS = (
    untrained_null,
    too_many_steps,
    first_steps,
    uneven_batch,
    devices_of_a_sweep,
    prompts_alone,
    loss_weight,
    filtered_pictures,
    scenes,
)

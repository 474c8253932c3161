"""A model that is made in several trainings, one after the other, each in a process and a run of its own."""

import re
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from motion_lightning.errors import UserError
from motion_lightning.first_stage import SHARED, is_complete, train_alone


def train_stages(cfg: DictConfig) -> None:
    """Train each of ``cfg.stages`` that has not seen its last epoch; one that was interrupted goes on.

    A stage says the folder of its ``run``, and the ``settings`` of its command line. What the command line of this one
    says of data, loader, trainer and seed holds for all of them.

    Raises:
        UserError: a stage was not trained, or a setting is of one stage alone.
    """
    given = shared(HydraConfig.get().overrides.task)
    for number, stage in enumerate(cfg.stages, 1):
        folder = Path(stage.run)
        folder.parent.mkdir(parents=True, exist_ok=True)
        said = f"{folder}: stage {number} of {len(cfg.stages)}"
        with FileLock(folder.with_name(f".{folder.name}.wait")):  # other processes that want this run wait for it
            if is_complete(folder):
                print(f"{said} is there", flush=True)
                continue
            print(f"{said} ({stage.settings[0]})", flush=True)
            if not train_alone(folder, [*stage.settings, *given]):
                raise UserError(
                    f"the stage of {stage.settings[0]} was not trained to its end: what stopped it is said above; the "
                    "same command goes on from there"
                )
    print(f'next:  python -m motion_lightning.sample run={cfg.stages[-1].run} prompt="a person walks forward"')


def shared(overrides: Sequence[str]) -> list[str]:
    """Those of the command line's settings that every stage takes; UserError for any other."""
    key = {override: re.split(r"[=.@/]", override.lstrip("+~"))[0] for override in overrides}
    if others := [o for o in overrides if key[o] not in SHARED | {"experiment", "name", "stages"}]:
        raise UserError(
            f"{others[0]} is of one stage, and this experiment trains several: train that one first by its own "
            "experiment, into the folder that stages name for it; it is left alone here"
        )
    return [override for override in overrides if key[override] in SHARED]

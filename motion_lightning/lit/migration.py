"""Checkpoints from before a change of the model: what is done to them is said here, and logged when it is done."""

import logging
from collections.abc import Sequence

from torch import nn

from motion_lightning.errors import UserError

log = logging.getLogger(__name__)

FORMER_BUFFERS = ("null_token", "null_pooled")  # null conditions that once were constants


def migrate(checkpoint: dict, module: nn.Module) -> list[str]:
    """Make room in the optimizer's state for parameters that were buffers when a checkpoint was written.

    A tensor has one key among the weights, whether it is a buffer or a parameter: they load strictly as they are. An
    optimizer numbers its parameters instead, and where one comes in between, all numbers after it are off by one. The
    new ones start without moments, as in the first step of a run; the others keep theirs.

    Args:
        checkpoint: of Lightning; its ``optimizer_states`` are changed in place.
        module: whose parameters the optimizer has now, in its order.

    Returns:
        Names of the parameters that were added.
    """
    names = [name for name, _ in module.named_parameters()]
    added: list[str] = []
    for state in checkpoint.get("optimizer_states", []):
        numbered = [group["params"] for group in state["param_groups"]]
        if sum(map(len, numbered)) == len(names):
            continue
        added = [name for name in names if name.rpartition(".")[2] in FORMER_BUFFERS]
        if len(numbered) != 1 or len(numbered[0]) + len(added) != len(names):
            raise UserError(
                f"the checkpoint's optimizer has {sum(map(len, numbered))} parameters, the model {len(names)}: "
                "it is of another model; start a new run from its weights instead of going on with it"
            )
        renumber(state, names, added)
        log.warning("checkpoint migrated: the optimizer starts anew for %s, once buffers", ", ".join(added))
    return added


def renumber(state: dict, names: Sequence[str], added: Sequence[str]) -> None:
    """An optimizer's ``state_dict`` of one group without ``added`` → of all ``names``, in place."""
    (group,) = state["param_groups"]
    old = iter(group["params"])
    number = {next(old): i for i, name in enumerate(names) if name not in added}
    state["state"] = {number[i]: moments for i, moments in state["state"].items()}
    group["params"] = list(range(len(names)))

"""Other people's checkpoints: read without running anything in them, and fitted name by name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from motion_lightning.errors import UserError


def read(path: str | Path) -> Any:
    """What ``torch.save`` wrote: tensors in plain containers, with an empty placeholder for whatever else is in there.

    Checkpoints of Lightning hold configurations and parts of their authors' code; these are not imported, and nothing
    in the file is executed.

    Raises:
        UserError: no such file, or not one of tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path}: give the path of the checkpoint")
    try:
        strange = get_unsafe_globals_in_checkpoint(path)
    except Exception:  # an older format than zip; torch reads its tensors, and refuses the rest
        strange = []
    stand_ins = [(_plain_dict if name == "collections.defaultdict" else _placeholder(), name) for name in strange]
    try:
        with safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = re.sub(r"^.*?WeightsUnpickler error: ", "", " ".join(str(error).split()))[:200]
        raise UserError(f"{path} cannot be read as a checkpoint of tensors: {reason}") from error


def _plain_dict(*_: Any) -> dict:
    return {}


def _placeholder() -> type:
    """A class of objects that take anything and keep nothing."""

    class Placeholder:
        def __new__(cls, *_: Any, **__: Any) -> "Placeholder":
            return object.__new__(cls)

        def __init__(self, *_: Any, **__: Any):
            pass

        def __setstate__(self, _: Any) -> None:
            pass

    return Placeholder


def tensors(state: Any, path: Path) -> dict[str, Tensor]:
    """``state`` if it is a state dict; UserError otherwise."""
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} holds no state dict, which names tensors: give the checkpoint as it was published")
    return dict(state)


class Fitted(NamedTuple):
    """A published state dict under the names of a model here."""

    weights: dict[str, Tensor]
    left_out: dict[str, list[str]]  # reason → published keys


def fit(
    state: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    names: Mapping[str, str],
    unused: Mapping[str, str],
    path: Path,
) -> Fitted:
    """Rename a published state dict, and see that it is all there, of the right sizes, and all known.

    Args:
        expected: state dict of the model here, of which shapes are read.
        names: pattern in a published key → what stands here in its place, applied in order.
        unused: pattern at the start of a published key → why such keys are left out.
        path: for messages.

    Raises:
        UserError: a key that is missing, unknown or of another shape, by its published name where it has one.
    """
    weights, left_out, published = {}, {}, {}
    for key, value in state.items():
        name = key
        for pattern, here in names.items():
            name = re.sub(pattern, here, name)
        reason = next((why for pattern, why in unused.items() if re.match(pattern, key)), None)
        if reason:
            left_out.setdefault(reason, []).append(key)
        elif name not in expected:
            raise UserError(f"{path}: {key} is unknown, so this is another model than the one that is asked for")
        elif value.shape != expected[name].shape:
            want, have = (" x ".join(map(str, shape)) for shape in (expected[name].shape, value.shape))
            raise UserError(f"{path}: {key} is {have}, expected {want}")
        elif not value.isfinite().all():
            raise UserError(f"{path}: {key} holds numbers that are not finite: the file is damaged, get it again")
        else:
            weights[name], published[name] = value.float(), key
    if missing := [name for name in expected if name not in weights]:
        raise UserError(
            f"{path} lacks {len(missing)} of {len(expected)} tensors, the first of them {missing[0]}: this is another "
            "model, or a part of it"
        )
    return Fitted(weights, left_out)

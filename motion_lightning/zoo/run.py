"""A converted checkpoint as a run folder: config.yaml and checkpoints/last.ckpt as of training, and provenance.json."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from motion_lightning import __version__
from motion_lightning.config import compose, save_config, to_plain
from motion_lightning.data.npy import open_npy
from motion_lightning.data.store import Store, file_sha256
from motion_lightning.errors import UserError
from motion_lightning.zoo.checkpoint import read

FEATURES = {"humanml3d": 263, "kit": 251}  # of a frame, by data=
KEPT = ("name", "seed", "data", "codec", "model", "diffusion", "sampler", "text_encoder", "task", "loader", "assembly")


def configuration(dataset: str, overrides: Sequence[str]) -> dict[str, Any]:
    """A run's configuration on a data set, without what training alone asks for."""
    check_dataset(dataset)
    source = ["data.source=null"]  # of the prepared store, which names its own
    plain = to_plain(
        compose("train", [f"data={dataset}", *source, "codec.parts=all", "codec.stand_speed=null", *overrides])
    )
    return {name: plain[name] for name in KEPT} | {"resume": None}


def check_dataset(dataset: str) -> None:
    if dataset not in FEATURES:
        raise UserError(f"dataset={dataset} is unknown; choose one of {', '.join(FEATURES)}")


def heads_of(width: int, heads: str) -> int:
    """The number of heads that a user gives; UserError where such a width has no such heads."""
    if not heads.isdigit() or not int(heads) or width % int(heads):
        raise UserError(f"heads={heads}: give a number that divides the width, {width}")
    return int(heads)


def statistics(stats: str | None, store: str | None, features: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation (F,) that the model's data were normalised with, float64.

    Args:
        stats: folder of Mean.npy and Std.npy, or of TMR's mean.pt and std.pt.
        store: prepared store, whose statistics are taken where there is no such folder.

    Raises:
        UserError: neither, or not of so many features.
    """
    if stats is None and store is None:
        raise UserError(
            "the checkpoint does not hold the mean and deviation of its data: give stats=FOLDER with Mean.npy and "
            "Std.npy of the data set, or the prepared store=FOLDER"
        )
    if stats is not None:
        where, both = Path(stats), [_array(Path(stats), name) for name in ("mean", "std")]
    else:
        where, known = Path(store), Store.open(store).stats
        both = [known.mean, known.std]
    mean, std = (torch.as_tensor(np.asarray(array, dtype=np.float64)) for array in both)
    for name, array in (("mean", mean), ("deviation", std)):
        if array.shape != (features,) or not array.isfinite().all():
            raise UserError(f"{where}: a {name} of shape {tuple(array.shape)}, expected {features} finite numbers")
    if not (std > 0).all():
        raise UserError(f"{where}: the deviation of feature {int((std <= 0).nonzero()[0])} is not positive")
    return mean, std


def _array(folder: Path, name: str) -> np.ndarray:
    file, torch_file = folder / f"{name.capitalize()}.npy", folder / f"{name}.pt"
    if not file.is_file() and torch_file.is_file():
        array = read(torch_file)
        if not isinstance(array, Tensor):
            raise UserError(f"{torch_file} holds no tensor")
        return array.numpy()
    try:
        return open_npy(file)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def check_store(store: str | None, config: dict[str, Any], fingerprint: dict[str, Any] | None) -> str | None:
    """Path of a prepared store that goes with the model; None where there is none.

    Raises:
        UserError: a store of another skeleton, or whose texts another encoder has read.
    """
    if store is None:
        return None
    manifest = Store.open(store).manifest
    if manifest.get("skeleton") != config["data"]["skeleton"]:
        raise UserError(f"{store}: skeleton {manifest.get('skeleton')}, expected {config['data']['skeleton']}")
    if fingerprint is not None and manifest["encoder"] != json.loads(json.dumps(fingerprint)):
        have, want = (f"{f.get('name')} {f.get('weights', '')[:8]}" for f in (manifest["encoder"], fingerprint))
        raise UserError(
            f"{store}: its texts were read by {have.strip()}, expected {want.strip()}: prepare it again with that "
            "text_encoder"
        )
    return str(Path(store).expanduser().resolve())


def check_free(out: Path) -> None:
    """UserError where there is something already."""
    if out.exists():
        raise UserError(f"{out} is there already: choose another name=")


def write_run(out: Path, model: nn.Module, config: dict[str, Any], record: dict[str, Any], step: int = 0) -> Path:
    """Write the run folder, whole or not at all.

    Args:
        record: goes into provenance.json.
        step: of the training that made the weights.
    """
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    whole = {"state_dict": state, "config": config, "global_step": step, "epoch": 0}
    with written(out) as part:
        (part / "checkpoints").mkdir()
        torch.save(whole, part / "checkpoints" / "last.ckpt")
        save_config(config, part)
        (part / "provenance.json").write_text(json.dumps(record, indent=1) + "\n")
    return out


@contextmanager
def written(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``out`` when all of it is there."""
    check_free(out)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    part.replace(out)


def provenance(family: str, source: Path, left_out: dict[str, list[str]], used: int, **more: Any) -> dict[str, Any]:
    """Where the weights come from, and what of them was left out and why."""
    return {
        "family": family,
        "file": source.name,
        "sha256": file_sha256(source),
        "tensors_used": used,
        "left_out": left_out,
        "converted_by": f"motion_lightning {__version__}",
        **more,
    }

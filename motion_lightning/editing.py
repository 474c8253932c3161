"""Edits: a part of a source clip is kept, the rest is made anew from a text (Tevet et al. 2023, sec. 3)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from motion_lightning.assemble import Run, encoded, open_data
from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.config import instantiate
from motion_lightning.data.clip import SPLITS
from motion_lightning.data.motion_files import SUFFIXES, read_features
from motion_lightning.diffusion.editing import outside
from motion_lightning.errors import UserError
from motion_lightning.motion.features import columns_of
from motion_lightning.tasks.task import Shown, Task
from motion_lightning.text.condition import TextCond
from motion_lightning.text.pseudo_words import with_words

KINDS = ("inbetween", "upper_body")
MOST = 200  # frames of a source, as long as clips of HumanML3D get


class Source(NamedTuple):
    """A clip to edit."""

    x: Tensor  # (T, *shape)
    name: str
    caption: str | None = None  # where it has one


def edited(cfg: Mapping[str, Any], run: Run, task: Task) -> tuple[TextCond, str, int, list[Shown]]:
    """Condition (one row), caption, length and source of the edit that ``cfg`` asks for: edit, source, keep, prompt.

    The source sets the length, and knows what is kept of it.
    """
    kind, prompt = cfg["edit"], cfg["prompt"]
    if not task.prompts:
        raise UserError(f"edit={kind} is for runs whose condition is a text; that of {run.folder} is more")
    if run.model.sample_codec is not run.model.codec:
        raise UserError(f"edit={kind} keeps frames, and the model of {run.folder} makes latents of whole clips")
    source = find_source(run, cfg["source"])
    keep = kept(kind, run.model.codec, len(source.x), cfg["keep"])
    caption = source.caption if prompt is None else str(prompt)
    if caption is None:
        raise UserError(f'prompt is not set, and {source.name} has no caption: write what is done, prompt="..."')
    encoder = with_words(instantiate(run.config["text_encoder"]), cfg.get("tokens") or [], caption)
    text = encoder.encode([caption])
    return text, caption, len(source.x), [Shown(source.x, caption, f"source, {source.name}", real=True, keep=keep)]


def kept(kind: str, codec, frames: int, share: float) -> Tensor:
    """Where an edit keeps the source: (T, *shape) bool.

    Args:
        kind: "inbetween" keeps the first and the last frames, "upper_body" the root and the legs.
        codec: of x.
        frames: T.
        share: of the frames that are kept at each end.

    Raises:
        UserError: unknown kind, a share that keeps nothing or leaves nothing, or no body in x.
    """
    if kind not in KINDS:
        raise UserError(f"edit={kind} is unknown; choose one of {', '.join(KINDS)}")
    if kind == "inbetween":
        if not 0 < share < 0.5:
            raise UserError(
                f"keep={share:g} at each end: choose it between 0 and 0.5, so that a middle is left to make"
            )
        keep = outside(torch.ones(1, frames, dtype=torch.bool), share, 1 - share)[0]
        if not keep[0]:
            raise UserError(f"keep={share:g} of {frames} frames is less than one: raise it")
        return keep.view(-1, *[1] * len(codec.shape)).expand(frames, *codec.shape)
    if not isinstance(codec, FeatureCodec):
        raise UserError(f"edit={kind} is for motions, this run makes {codec.representation}")
    columns = columns_of(codec.skeleton.lower_body, codec.skeleton)[codec.kept.cpu()]  # (D,)
    return columns.expand(frames, -1)


def find_source(run: Run, wanted: str | int | None) -> Source:
    """The source that a user names: a clip of the run's data, by id or by number in the test split, or a file.

    Of files see ``data.motion_files``.

    Raises:
        UserError: nothing of that name, or a file that does not fit.
    """
    path = Path(str(wanted)).expanduser()
    if path.suffix in SUFFIXES:
        return from_file(path, run.model.codec)
    if path.suffix:
        known = f"; {path.suffix} files are not read" if path.is_file() else ""
    else:
        known = ""
    store = open_data(run.config, run.config["store"])
    test = store.split("test")
    if wanted is None:
        return from_split(run, test, 0)
    for part in map(store.split, SPLITS):
        if str(wanted) in part.ids:
            return from_split(run, part, part.ids.index(str(wanted)))
    if str(wanted).isdigit() and int(wanted) < len(test):
        return from_split(run, test, int(wanted))
    raise UserError(
        f"source={wanted} is no clip of this run's data{known}: give an id, a number below {len(test)} of the test "
        "split, or a .npy or .npz file of joints, or .bvh"
    )


def from_split(run: Run, part, index: int) -> Source:
    """A clip of a split."""
    (x,) = encoded(run.model.codec, part, [index])
    return Source(x, part.ids[index], part.captions(index)[0])


def from_file(path: Path, codec) -> Source:
    """Joints of a file, through the features."""
    if not isinstance(codec, FeatureCodec):
        raise UserError(
            f"source={path}: files hold joints, this run makes {codec.representation}; give the id of a clip"
        )
    try:
        features = torch.from_numpy(read_features(path, codec.skeleton))[None]
    except UserError as error:
        raise UserError(f"source={path}: {error}") from None
    if features.shape[1] > MOST:
        raise UserError(f"source={path}: {features.shape[1]} frames, at most {MOST} are edited; cut it")
    return Source(codec.normalise(features, torch.ones(features.shape[:2], dtype=torch.bool))[0], path.name)

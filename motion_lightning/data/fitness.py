"""Whether a clip fits into a store, beside those that are there."""

from typing import Any

import numpy as np

from motion_lightning.data.clip import SPLITS, Clip
from motion_lightning.errors import UserError


def tidy(clip: Clip) -> None:
    """Captions without blanks around them and none empty, with parts of speech; single precision."""
    pos = clip.pos or [""] * len(clip.captions)
    told = [(c.strip(), p) for c, p in zip(clip.captions, pos, strict=True) if c.strip()]
    clip.captions, clip.pos = [caption for caption, _ in told], [p for _, p in told]
    clip.features = _single(clip.features)
    clip.extras = {name: _single(extra) for name, extra in clip.extras.items()}


def _single(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array


def shapes_of(clip: Clip) -> dict[str, Any]:
    """What all clips of a corpus have in common: types, shapes of a frame and of the extras."""
    return {
        "features": {"dtype": clip.features.dtype.name, "shape": list(clip.features.shape[1:])},
        "extras": {k: {"dtype": v.dtype.name, "shape": list(v.shape)} for k, v in sorted(clip.extras.items())},
    }


def unfit(clip: Clip, min_frames: int, shapes: dict | None, ids: set[str]) -> str | None:
    """Why a clip is left out; None for a good one."""
    if clip.split not in SPLITS:
        raise UserError(f"clip {clip.id}: split '{clip.split}' is none of {', '.join(SPLITS)}")
    if clip.id in ids:
        return "id was there before"
    own = shapes_of(clip)
    if clip.features.ndim < 2 or own["features"]["dtype"] not in ("float32", "uint8"):
        return "features are not (frames, ...) of floating point or bytes"
    for what in ("features", "extras"):
        if shapes and own[what] != shapes[what]:
            return f"{what} are {_said(own[what])}, not {_said(shapes[what])}"
    if len(clip.features) < min_frames:
        return f"shorter than {min_frames} frames"
    for name, array in {"features": clip.features, **clip.extras}.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return f"NaN or infinity in the {name}"
    return None if clip.captions else "no caption"


def _said(shapes: dict) -> str:
    """A type and shape, or several by name, in words."""
    if "dtype" in shapes:
        return f"{shapes['dtype']} {tuple(shapes['shape'])} a frame"
    return ", ".join(f"{name} {v['dtype']} {tuple(v['shape'])}" for name, v in shapes.items()) or "none"

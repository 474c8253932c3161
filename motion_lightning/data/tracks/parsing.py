"""Reading an episode's file, with every number checked. The layout is in ``episodes.py``."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from motion_lightning.data.tracks.episodes import SIDES, STILL, Episode, Hands, Window
from motion_lightning.errors import UserError

MOST_BYTES = 4 << 30  # of one array: a broken header may ask for any size
FURTHEST = 4.0  # shares of the image that a point may move; more are other units


def parse_episode(path: str | Path) -> Episode:
    """Reads and checks a file in this process, which a broken one may end: ``read_episode`` is for others' files.

    Raises UserError that names file and place.
    """
    import h5py

    path = Path(path)
    try:
        with _reading("not an HDF5 file that can be read"):
            file = h5py.File(path, "r")
        with file, _reading("root"):
            return _episode(path.stem, _group(file, "root") if "root" in file else file)
    except _Wrong as error:
        raise UserError(f"{path.name}: {error}") from None


class _Wrong(Exception):
    """What is wrong in a file, before its name is put in front."""


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Names the place of whatever the library raises, which is any of a dozen exceptions."""
    try:
        yield
    except _Wrong:
        raise
    except MemoryError:
        raise _Wrong(f"{where}: takes more memory than a file may") from None
    except Exception as error:
        raise _Wrong(f"{where}: damaged ({' '.join(str(error).split())[:120] or type(error).__name__})") from None


def _episode(name: str, root: Any) -> Episode:
    video = _array(root, "video", "uint8", 4)
    if video.shape[-1] != 3 and video.shape[1] == 3:
        video = np.ascontiguousarray(video.transpose(0, 2, 3, 1))
    if video.shape[-1] != 3 or min(video.shape) < 1:
        raise _Wrong(f"video: shape {video.shape} is neither (frames, H, W, 3) nor (frames, 3, H, W)")
    depth = None
    if "depth" in root:
        depth = _array(root, "depth", "float", 3)
        if depth.shape != video.shape[:3]:
            raise _Wrong(f"depth: shape {depth.shape} does not fit the video's {video.shape[:3]}")
        if (depth < 0).any():
            raise _Wrong(f"depth: below zero in frame {np.argwhere(depth < 0)[0][0]}; metres, 0 where unknown")
    captions = _captions(root)
    tracks = _group(root, "tracks")
    with _reading("tracks"):
        names = [name for name in tracks if name.startswith("frame_")]
    if not names:
        raise _Wrong("tracks: no group frame_0000 or of another frame")
    windows = []
    for group in names:
        with _reading(f"tracks/{group}"):
            windows.append(_window(tracks, group, len(video)))
    return Episode(name, video, depth, captions, sorted(windows, key=lambda window: window.start), _program(root))


def _window(tracks: Any, name: str, frames: int) -> Window:
    where = f"tracks/{name}"
    if not (match := re.fullmatch(r"frame_(\d{1,9})", name)) or int(match[1]) >= frames:
        raise _Wrong(f"{where}: not the number of one of the video's {frames} frames")
    group = _group(tracks, name, where)
    query = _array(group, "query_coords", "float", 2, where)
    moved = _array(group, "displacements", "float", 3, where)
    points, dims = query.shape
    if points < 1 or dims not in (2, 3):
        raise _Wrong(f"{where}/query_coords: shape {query.shape}, should be (points, 2 or 3)")
    if len(moved) < 1 or moved.shape[1:] != query.shape:
        raise _Wrong(f"{where}/displacements: shape {moved.shape}, should be (steps, {points}, {dims})")
    if (low := query[:, :2].min()) < -1e-4 or (high := query[:, :2].max()) > 1 + 1e-4:
        found = low if low < -1e-4 else high
        raise _Wrong(f"{where}/query_coords: {found:.4g}; u and v are shares of the image, between 0 and 1")
    if dims == 3 and (query[:, 2] + moved[..., 2] < 0).any():
        raise _Wrong(f"{where}/displacements: a depth below zero; is the third coordinate the depth in metres?")
    moved = _from_zero(moved, f"{where}/displacements")
    objects = None
    if "objects" in group:
        objects = _array(group, "objects", "int", 1, where).astype(np.int16)
        if len(objects) != points:
            raise _Wrong(f"{where}/objects: {len(objects)} numbers for {points} points")
    hands = _hands(group, len(moved), where)
    return Window(int(match[1]), query.clip((0,) * dims, (1, 1, np.inf)[:dims]), moved, hands, objects)


def _hands(group: Any, steps: int, where: str) -> Hands:
    hands = Hands.none(steps)
    if "hand_position" in group:
        shapes = {part.name: getattr(hands, part.name).shape for part in fields(Hands)}
        for name, shape in shapes.items():
            kind = "bool" if name == "present" else "float"
            setattr(hands, name, _array(group, f"hand_{name}", kind, len(shape), where, shape))
    for side, wrist in enumerate(SIDES):
        if f"{wrist}_wrist_query_uvd" in group:
            hands.present[side] = True
            for name, shape, to in (
                ("query_uvd", (3,), hands.position[side]),
                ("query_rot_6d", (6,), hands.rotation[side]),
                ("uvd_displacements", (steps, 3), hands.position_displacements[:, side]),
                ("rot_displacements", (steps, 6), hands.rotation_displacements[:, side]),
            ):
                to[:] = _array(group, f"{wrist}_wrist_{name}", "float", len(shape), where, shape)
    for side in np.flatnonzero(hands.present):
        place = f"{where}, the {SIDES[side]} hand"
        if abs(hands.position[side]).max() > 1e3:
            raise _Wrong(f"{place}: its position {hands.position[side]} is no u, v, depth")
        _from_zero(hands.position_displacements[:, side], place)
        _check_rotations(hands.rotation[side], f"{place}: its rotation")
        _check_rotations(hands.rotation_displacements[:, side], f"{place}: its rotation displacements")
        if abs(hands.rotation_displacements[0, side] - STILL).max() > 1e-3:
            raise _Wrong(f"{place}: it should not be turned in slot 0, for turns are relative to it")
    absent = ~hands.present
    still = Hands.none(steps)
    for name in ("position", "rotation"):
        getattr(hands, name)[absent] = getattr(still, name)[absent]
        getattr(hands, f"{name}_displacements")[:, absent] = getattr(still, f"{name}_displacements")[:, absent]
    return hands


def _from_zero(moved: np.ndarray, where: str) -> np.ndarray:
    """Displacements (T, …, 2 or 3) with slot 0 exactly zero, once they are sane."""
    if abs(moved[0]).max() > 1e-4:
        raise _Wrong(f"{where}: {abs(moved[0]).max():.4g} in slot 0; displacements are from there, so it should be 0")
    if (far := abs(moved[..., :2]).max()) > FURTHEST or abs(moved).max() > 1e3:
        raise _Wrong(f"{where}: {max(far, abs(moved).max()):.4g}; u and v are shares of the image, depth is in metres")
    moved[0] = 0
    return moved


def _check_rotations(sixd: np.ndarray, where: str) -> None:
    one, two = sixd[..., :3].astype(float), sixd[..., 3:].astype(float)
    for wrong in ((one**2).sum(-1) - 1, (two**2).sum(-1) - 1, (one * two).sum(-1)):
        if not abs(wrong).max() < 2e-2:
            raise _Wrong(f"{where}: not the first two columns of a rotation, one after the other")


def _captions(root: Any) -> list[str]:
    if "text" not in root:
        raise _Wrong("text: missing; say what happens in the episode")
    data = _dataset(root, "text", "")
    with _reading("text"):
        if data.dtype.kind not in "OS" or data.ndim > 1 or math.prod(data.shape) * data.dtype.itemsize > 1 << 20:
            raise _Wrong("text: should be one string, or a list of them")
        raw_texts = np.atleast_1d(data[()])
    texts = []
    for raw in raw_texts:
        if not isinstance(raw, bytes | str):
            raise _Wrong("text: should be one string, or a list of them")
        try:
            text = raw if isinstance(raw, str) else raw.decode()
            text.encode()
        except UnicodeError:
            raise _Wrong("text: not UTF-8") from None
        if any(ord(letter) < 32 and letter not in "\t\n\r" for letter in text) or len(text) > 10_000:
            raise _Wrong("text: control characters, or more than 10,000 letters")
        texts.append(" ".join(text.split()))
    if not (texts := list(dict.fromkeys(filter(None, texts)))):
        raise _Wrong("text: empty; say what happens in the episode")
    return texts


def _program(root: Any) -> Any:
    def number(digits: str) -> float:
        if not math.isfinite(value := float(digits)):
            raise _Wrong(f"attribute program: {digits} is no number")
        return value

    with _reading("attribute program"):
        return json.loads(root.attrs.get("program", "[]"), parse_float=number, parse_constant=number)


def _group(parent: Any, name: str, where: str = "") -> Any:
    return _own(parent, name, where or name, "Group")


def _dataset(group: Any, name: str, where: str) -> Any:
    where = f"{where}/{name}".lstrip("/")
    data = _own(group, name, where, "Dataset")
    with _reading(where):
        if data.is_virtual or data.external:
            raise _Wrong(f"{where}: its numbers lie in another file")
    return data


def _own(group: Any, name: str, where: str, kind: str) -> Any:
    """A group or dataset of this very file, which no link leads out of."""
    import h5py

    with _reading(where):
        if name not in group:
            raise _Wrong(f"{where}: missing")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _Wrong(f"{where}: a link, which is not followed")
        if not isinstance(found := group[name], getattr(h5py, kind)):
            raise _Wrong(f"{where}: is no {kind.lower()}")
        return found


def _array(
    group: Any, name: str, kind: str, ndim: int, where: str = "", shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """An array of a group, checked before it is read, and for NaN after."""
    data = _dataset(group, name, where)
    where = f"{where}/{name}".lstrip("/")
    letters = {"uint8": "u", "float": "f", "int": "iu", "bool": "biu"}[kind]
    with _reading(where):
        if data.dtype.kind not in letters or (kind == "uint8" and data.dtype.itemsize != 1):
            raise _Wrong(f"{where}: holds {data.dtype}, should hold {kind} numbers")
        if data.ndim != ndim or (shape is not None and data.shape != shape):
            raise _Wrong(f"{where}: shape {data.shape}, should be {shape or f'of {ndim} dimensions'}")
        if math.prod(data.shape) * max(data.dtype.itemsize, 4) > MOST_BYTES:
            raise _Wrong(f"{where}: shape {data.shape} is more than {MOST_BYTES >> 30} GiB")
        array = data[()]
    if kind == "float":
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            place = ", ".join(map(str, np.argwhere(~np.isfinite(array))[0]))
            raise _Wrong(f"{where}: NaN or infinity at [{place}]")
    return array.astype(bool) if kind == "bool" else array

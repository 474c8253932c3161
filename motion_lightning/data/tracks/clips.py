"""Windows of an episode as clips, and their mirror images."""

import hashlib
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from motion_lightning.data.clip import Clip, Rejected
from motion_lightning.data.mirroring import mirror_text, mirrored_clip
from motion_lightning.data.tracks.episodes import Episode, Hands, Window
from motion_lightning.data.tracks.hand import HANDS

FLIP = np.array([1, -1, -1, -1, 1, 1], np.float32)  # M R M in 6-d, for the mirror M = diag(-1, 1, 1)


@dataclass(frozen=True)
class Cut:
    """What of an episode goes into a clip.

    Attributes:
        steps: T, slots of a window with the still one at its start.
        points: N, drawn from those that a window has.
        dims: D, 2 for (u, v), 3 with the depth in metres.
        frames: F, pictures up to the window's first frame.
        stride: frames of the video from one slot, or picture, to the next.
        gap: a window that starts fewer frames after the last one is passed over.
        depth: whether clips have depth maps, and episodes without are left out.
    """

    steps: int = 10
    points: int = 32
    dims: int = 3
    frames: int = 2
    stride: int = 1
    gap: int = 1
    depth: bool = True

    def shown(self, start: int) -> np.ndarray:
        """(F,) numbers of the pictures of a window; before its first frame the video stands still."""
        return np.maximum(start - self.stride * np.arange(self.frames)[::-1], 0)


def episode_clips(episode: Episode, split: str, cut: Cut, fps: float, mirror: bool = False) -> list[Clip | Rejected]:
    """A clip for each window, and with ``mirror`` its mirror image; or why there is none.

    ``features`` (T, N, D) are the displacements since slot 0. Extras: ``frames`` (F, 3, H, W) uint8, ``query``
    (N, D), where asked for ``depth`` (F, H, W), and the arrays of ``Hands`` with ``hand_`` before their names.
    """
    clips: list[Clip | Rejected] = []
    last = -cut.gap
    for window in episode.windows:
        if window.start - last < cut.gap:
            continue
        last = window.start
        clip = _clip(episode, window, split, cut, fps)
        clips += [clip, mirror_clip(clip)] if mirror and isinstance(clip, Clip) else [clip]
    return clips


def _clip(episode: Episode, window: Window, split: str, cut: Cut, fps: float) -> Clip | Rejected:
    name, slots = f"{episode.id}.{window.start}", slice(0, (cut.steps - 1) * cut.stride + 1, cut.stride)
    count, dims = window.query.shape
    missing = None
    if len(window.displacements[slots]) < cut.steps:
        missing = f"{len(window.displacements)} steps, {slots.stop} are needed"
    elif count < cut.points:
        missing = f"{count} points, {cut.points} are needed"
    elif dims < cut.dims:
        missing = f"{dims} coordinates a point; for such files give dims={dims}"
    elif cut.depth and episode.depth is None:
        missing = "no depth; for such files give depth=false"
    if missing:
        return Rejected(name, f"tracks/frame_{window.start:04d}", missing)
    draw = int.from_bytes(hashlib.sha256(name.rpartition("/")[2].encode()).digest()[:8], "big")
    chosen = np.sort(np.random.default_rng(draw).permutation(count)[: cut.points])
    shown = cut.shown(window.start)
    extras = {"frames": episode.video[shown].transpose(0, 3, 1, 2), "query": window.query[chosen, : cut.dims]}
    if cut.depth:
        extras["depth"] = episode.depth[shown]
    for part in fields(Hands):
        array = getattr(window.hands, part.name)
        extras[f"hand_{part.name}"] = array[slots] if part.name.endswith("displacements") else array
    tags: dict[str, Any] = {"episode": episode.id, "start": window.start, "duration": cut.steps * cut.stride / fps}
    if episode.program:
        tags["program"] = episode.program
    if window.objects is not None:
        tags["objects"] = window.objects[chosen].tolist()
    features = window.displacements[slots, chosen, : cut.dims]
    return Clip(name, np.ascontiguousarray(features), list(episode.captions), split, tags, extras=extras)


def mirror_clip(clip: Clip) -> Clip:
    """The clip as in a mirror: sides of the pictures and of the words, and a left hand is a right hand."""
    features = clip.features * np.where(np.arange(clip.features.shape[-1]) == 0, -1, 1).astype(np.float32)
    mirrored = mirrored_clip(clip, features)
    extras = dict(clip.extras)
    extras["frames"] = extras["frames"][..., ::-1]
    if "depth" in extras:
        extras["depth"] = extras["depth"][..., ::-1]
    extras["query"] = extras["query"].copy()
    extras["query"][:, 0] = 1 - extras["query"][:, 0]
    extras["hand_present"] = present = extras["hand_present"][::-1]
    position = extras["hand_position"][::-1].copy()
    position[:, 0] = np.where(present, 1 - position[:, 0], 0)
    extras["hand_position"] = position
    extras["hand_position_displacements"] = extras["hand_position_displacements"][:, ::-1] * np.float32([-1, 1, 1])
    for name in ("hand_rotation", "hand_rotation_displacements"):
        extras[name] = extras[name][..., ::-1, :] * FLIP
    mirrored.extras = {name: np.ascontiguousarray(array) for name, array in extras.items()}
    if "program" in clip.tags:
        mirrored.tags["program"] = _mirror_words(clip.tags["program"])
    if "objects" in clip.tags:
        swap = dict(zip(HANDS.values(), reversed(HANDS.values()), strict=True))
        mirrored.tags["objects"] = [swap.get(number, number) for number in clip.tags["objects"]]
    return mirrored


def _mirror_words(value: Any) -> Any:
    """Every text in JSON with its sides changed."""
    match value:
        case str():
            return mirror_text(value)
        case list():
            return [_mirror_words(item) for item in value]
        case dict():
            return {key: _mirror_words(item) for key, item in value.items()}
    return value

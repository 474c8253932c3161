"""The captions file of a folder of motion files: one JSON object a line, one line a recording.

Keys: ``file`` (in ``archive``, a zip, or in the folder), ``skeleton`` (a rig: one of ``conf/rig`` or a YAML
file, relative to the captions file), ``captions``; and where known
``id``, ``fps`` (the true rate: headers lie), ``skip_frames`` (leading frames that are no motion),
``caption_kinds`` (parallel to captions), ``subject_description`` (a caption for want of a better one),
``labels``, ``flags``, ``license``, ``source``, ``split``. Other keys are passed over.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from motion_lightning.data.clip import SPLITS
from motion_lightning.errors import UserError

SUBJECT = "subject_description"
TRAIN, VAL = 0.8, 0.1  # the rest is test


@dataclass(frozen=True)
class Recording:
    """A line of the captions file."""

    id: str
    line: str  # file name and line number, for errors
    archive: str | None
    file: str
    rig: str
    fps: float | None  # None: as the motion file says
    skip_frames: int
    captions: tuple[str, ...]
    caption_kinds: tuple[str, ...]
    labels: dict[str, Any]
    split: str | None  # None: to be drawn
    tags: dict[str, Any]  # flags, license, source


def read_recordings(path: Path, rigs: bool = True) -> list[Recording]:
    """Recordings of a captions file, in its order. UserError names the line that is wrong.

    Without ``rigs`` a line needs no ``skeleton``: the files hold joints in a known order.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"no captions file {path} ({error.strerror}): one JSON object a line") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}") from None
    recordings: dict[str, Recording] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path.name} line {number}"
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise UserError(f"{where}: not JSON ({error}); one object a line is expected") from None
        recording = _recording(row, where, path.parent, rigs)
        if recording.id in recordings:
            raise UserError(f"{where}: id {recording.id!r} is that of {recordings[recording.id].line} too")
        recordings[recording.id] = recording
    if not recordings:
        raise UserError(f"{path} holds no recordings")
    return list(recordings.values())


def _recording(row: Any, where: str, folder: Path, rigs: bool) -> Recording:
    if not isinstance(row, dict):
        found = json.dumps(row)[:60]
        raise UserError(f"{where}: expected an object with file, skeleton and captions, found {found}")

    def get(key: str, kind: type | tuple[type, ...], what: str, default: Any = ...) -> Any:
        value = row.get(key)
        if value is None and default is not ...:
            return default
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UserError(f"{where}: {key} should be {what}, got {json.dumps(value)[:60]}")
        return value

    def texts(key: str) -> list[str]:
        values = get(key, list, "a list of texts", [])
        for value in values:
            if not isinstance(value, str):
                raise UserError(f"{where}: {key} should hold texts only, got {json.dumps(value)[:60]}")
        return values

    rig = get("skeleton", str, "the name of a rig", *([] if rigs else [""]))
    file, archive = get("file", str, "a path"), get("archive", str, "the name of a zip", None)
    for path in filter(None, (file, archive)):
        posix = PurePosixPath(path.replace("\\", "/"))
        if posix.is_absolute() or ".." in posix.parts or ":" in path:
            raise UserError(f"{where}: {path!r} leaves its folder; paths are relative, without '..'")
    fps = get("fps", (int, float), "a positive number", None)
    skip = get("skip_frames", int, "a number of frames", 0)
    if (fps is not None and not 0 < fps < 1e6) or skip < 0:
        raise UserError(f"{where}: fps should be positive and skip_frames 0 or more, got {fps} and {skip}")
    split = get("split", str, f"one of {', '.join(SPLITS)}", None)
    if split not in (None, *SPLITS):
        raise UserError(f"{where}: split should be one of {', '.join(SPLITS)}, got {split!r}")
    captions, kinds = texts("captions"), texts("caption_kinds")
    if kinds and len(kinds) != len(captions):
        raise UserError(f"{where}: {len(captions)} captions, but {len(kinds)} caption_kinds")
    subject = get(SUBJECT, str, "a text", "")
    pairs = _choose(list(zip(captions, kinds or ["caption"] * len(captions), strict=True)), subject)
    return Recording(
        id=get("id", str, "a text", file.rsplit(".", 1)[0]),
        line=where,
        archive=archive,
        file=file,
        rig=str(folder / rig) if rig.endswith((".yaml", ".yml")) else rig,
        fps=fps,
        skip_frames=skip,
        captions=tuple(caption for caption, _ in pairs),
        caption_kinds=tuple(kind for _, kind in pairs),
        labels=get("labels", dict, "an object", {}),
        split=split,
        tags={
            "flags": texts("flags"),
            "license": get("license", str, "a text", ""),
            "source": get("source", str, "a text", ""),
        },
    )


def _choose(pairs: list[tuple[str, str]], subject: str) -> list[tuple[str, str]]:
    """Captions with their kinds, each text once; the subject counts for want of others only."""
    once = dict(reversed([(text.strip(), kind) for text, kind in pairs]))
    pairs = [(text, kind) for text, kind in reversed(once.items()) if text]
    telling = [pair for pair in pairs if pair[1] != SUBJECT]
    return telling or pairs or [(subject.strip(), SUBJECT)] * bool(subject.strip())


def assign_splits(recordings: Sequence[Recording]) -> list[str]:
    """Split of each recording: as its line says, or drawn by a hash, about 80/10/10.

    Recordings labelled with a content and a style go together by that pair, so that a test clip is no other
    take of a training clip; every content keeps a style in train. All others are drawn by their id. A
    recording's draw does not depend on the others in the file.
    """
    drawn: dict[str, str] = {}
    contents: dict[str, set[str]] = defaultdict(set)
    groups = [_group(recording) for recording in recordings]
    for content, group in groups:
        drawn[group] = draw_split(group)
        if content is not None:
            contents[content].add(group)
    for members in contents.values():
        if all(drawn[group] != "train" for group in members):
            drawn[min(members, key=_share)] = "train"
    return [r.split or drawn[group] for r, (_, group) in zip(recordings, groups, strict=True)]


def draw_split(group: str) -> str:
    """The split that a hash of the name draws, about 80/10/10."""
    share = _share(group)
    return "train" if share < TRAIN else "val" if share < TRAIN + VAL else "test"


def _group(recording: Recording) -> tuple[str | None, str]:
    content, style = recording.labels.get("content"), recording.labels.get("style")
    if isinstance(content, str) and isinstance(style, str):
        return content, json.dumps([content, style])
    return None, recording.id


def _share(group: str) -> float:
    """A number in [0, 1) that only the name decides."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64

"""One self-contained HTML page with clips that play in step: drag to orbit, no network, no library."""

import base64
import html
import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from itertools import groupby
from pathlib import Path
from string import Template

import numpy as np

from motion_lightning.errors import UserError
from motion_lightning.motion.skeleton import Skeleton, load_skeleton
from motion_lightning.view.body import figure


@dataclass(frozen=True, eq=False)
class ClipView:
    """One clip to look at. Texts are plain; they are escaped where they are shown."""

    joints: np.ndarray  # (T, J, 3) metres, Y up
    caption: str
    title: str = ""  # a short line above the caption: "sample 2", "real"
    fps: float = 20
    notes: str = ""  # a small line below it
    group: str = ""  # clips that follow each other with the same group stand in one row under it


def write_viewer(
    path: str | Path,
    clips: list[ClipView],
    title: str,
    skeleton: Skeleton | None = None,
    intro_html: str = "",
) -> Path:
    """Write `viewer_html` to `path`, whole or not at all."""
    return write_text(path, viewer_html(clips, title, skeleton, intro_html))


def viewer_html(clips: list[ClipView], title: str, skeleton: Skeleton | None = None, intro_html: str = "") -> str:
    """A whole page. `intro_html` goes in unescaped below the title; no skeleton means humanml22."""
    style, script = viewer_assets()
    body = f"<header><h1>{html.escape(title)}</h1>\n{intro_html}</header>\n{viewer_fragment(clips, skeleton)}"
    return page_html(title, body, style, script)


def viewer_fragment(clips: list[ClipView], skeleton: Skeleton | None = None) -> str:
    """The viewer for a larger page, which must hold `viewer_assets` once, its script after all viewers.

    UserError for no clips, and for joints of a wrong shape or with numbers that cannot be drawn.
    """
    if not clips:
        raise UserError("no clips to view; give at least one")
    skeleton = skeleton or load_skeleton("humanml22")
    for i, clip in enumerate(clips):
        check(clip, skeleton, i)
    data = {
        "figure": asdict(figure(skeleton)),
        "clips": [{"fps": c.fps, "group": c.group, "joints": encode_joints(c.joints)} for c in clips],
    }
    rows = []
    for group, members in groupby(clips, key=lambda c: c.group):
        panels = [_panel(clip) for clip in members]
        heading = f"<h3>{html.escape(group)}</h3>\n" if group else ""
        few = " mv-few" if len(panels) < 4 and not group else ""
        room = f' style="--panels:{len(panels)}"' if group else ""
        grid = f'<div class="mv-grid{few}">\n' + "\n".join(panels) + "\n</div>"
        rows.append(f'<section class="mv-group{" mv-named" if group else ""}"{room}>{heading}{grid}</section>')
    return _read("viewer.html").substitute(panels="\n".join(rows), data=_json(data))


def viewer_assets() -> tuple[str, str]:
    """Style sheet and script element of `viewer_fragment`."""
    scripts = _read("scene.js").template + _read("viewer.js").template
    return _read("viewer.css").template, f"<script>\n(() => {{\n{scripts}\n}})();\n</script>"


def page_html(title: str, body: str, style: str, script: str) -> str:
    """A page that forbids itself every connection."""
    style = _read("page.css").template + style
    return _read("page.html").substitute(title=html.escape(title), body=body, style=style, script=script)


def check(clip: ClipView, skeleton: Skeleton, number: int) -> None:
    """UserError unless the clip can be drawn with this skeleton."""
    shape, want = np.shape(clip.joints), (len(skeleton.joints), 3)
    where = f"clip {number} ({clip.caption[:40]!r})"
    if len(shape) != 3 or shape[1:] != want or not shape[0]:
        raise UserError(f"{where} has joints of shape {shape}; {skeleton.name} needs (frames, {want[0]}, 3)")
    if not (np.abs(clip.joints) < 1e5).all():  # False for NaN, too
        frame = int(np.argmin((np.abs(clip.joints) < 1e5).all((1, 2))))
        raise UserError(f"{where} is not finite, or farther than 100 km away, at frame {frame}; units are metres")


def encode_joints(joints: np.ndarray) -> str:
    """(T, J, 3) metres → base64, to the nearest millimetre.

    Differences between frames are short: as zigzag varints a clip takes half the room of 16-bit numbers,
    and a path may be longer than the 32 m that those reach.
    """
    millimetres = np.rint(np.asarray(joints, np.float64) * 1000).astype(np.int64)
    deltas = np.diff(millimetres, axis=0, prepend=0).ravel()
    codes = (np.abs(deltas) * 2 - (deltas < 0)).astype(np.uint64)
    groups = codes[:, None] >> np.arange(0, 35, 7, dtype=np.uint64)  # 7 bits a byte, lowest first
    last = np.maximum((groups > 0).sum(1), 1)[:, None] - 1
    place = np.arange(5)
    data = (groups & 127 | np.where(place < last, 128, 0).astype(np.uint64)).astype(np.uint8)
    return base64.b64encode(data[place <= last].tobytes()).decode()


def write_text(path: str | Path, text: str) -> Path:
    """Write beside `path`, then rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    return partial.replace(path)


def _panel(clip: ClipView) -> str:
    title = f"<b>{html.escape(clip.title)}</b>" if clip.title else ""
    caption = "" if clip.caption == clip.group and title else f"<span>{html.escape(clip.caption)}</span>"
    notes = f"<small>{html.escape(clip.notes)}</small>" if clip.notes else ""
    label = html.escape(" – ".join(t for t in (clip.title, clip.caption) if t))
    return _read("panel.html").substitute(label=label, text=title + caption + notes)


def _json(data: object) -> str:
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


@cache
def _read(name: str) -> Template:
    return Template(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))

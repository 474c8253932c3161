"""Signers as stick figures with hands and fingers: a piece of a page that plays, and pictures for a film."""

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby

import numpy as np
from PIL import Image, ImageDraw

from motion_lightning.errors import UserError
from motion_lightning.view.drawing import COLOURS
from motion_lightning.view.fragment import Fragment

MIDDLE, REACH = 0.4, 1.65  # of the picture, below the shoulders, and from there to its edges; in shoulder widths
HEAD = (0.28, 0.07)  # radius, and how far above the nose its middle is
THICK, THIN = 0.075, 0.035  # of limbs and of fingers
FINE = 3  # drawn so much larger, then averaged
GRAIN = 4000  # steps of a shoulder width in a page
UNSEEN = -32768


@dataclass(frozen=True)
class Stick:
    """What is drawn between K points: ``limbs`` (start, end), each with the side ("left", "right", "body") of its end;
    those that end at ``fingers`` or beyond are thin. Point 0 is the nose."""

    limbs: Sequence[tuple[int, int]]
    sides: Sequence[str]
    fingers: int


@dataclass(frozen=True, eq=False)
class SignerView:
    """One clip to look at. Texts are plain; they are escaped where they are shown."""

    keypoints: np.ndarray  # (T, K, D + 1) in shoulder widths about the shoulders, then the confidence
    caption: str
    title: str = ""  # "sample 1", "real"
    fps: float = 25
    notes: str = ""


def signer_fragment(views: Sequence[SignerView], stick: Stick) -> Fragment:
    """Signers that play in step; those that follow each other with the same caption stand side by side.

    UserError for no clips, and for coordinates that cannot be drawn.
    """
    if not views:
        raise UserError("no clips to view; give at least one")
    rows = []
    for caption, members in groupby(views, key=lambda view: view.caption):
        panels = "\n".join(map(_panel, members))
        rows.append(f'<section class="sg-row"><h3>{html.escape(caption)}</h3><div>{panels}</div></section>')
    data = {
        "limbs": [[*limb, stick.sides[limb[1]], limb[1] >= stick.fingers] for limb in stick.limbs],
        "points": len(stick.sides),
        "grain": GRAIN,
        "box": [0, MIDDLE, REACH],
        "head": HEAD,
        "widths": [THICK, THIN],
        "clips": [{"fps": view.fps, "points": encode(view, i)} for i, view in enumerate(views)],
    }
    body = (
        f'<div class="signers"><div class="sg-bar"><button type="button">Pause</button>'
        f'<input type="range" min="0" max="1" step="any" value="0" aria-label="time"></div>'
        f'<div class="sg-rows">{"".join(rows)}</div>'
        f'<script type="application/json">{json.dumps(data, separators=(",", ":"))}</script></div>'
    )
    return Fragment(body, _read("signer.css"), f"<script>\n(() => {{\n{_read('signer.js')}\n}})();\n</script>")


def encode(view: SignerView, number: int = 0) -> str:
    """x and y of a clip as base64 of 16-bit numbers, in steps of 1 / ``GRAIN``; ``UNSEEN`` where nothing is known."""
    points, seen = _drawable(view, number)
    steps = np.rint(points * GRAIN).clip(-32767, 32767)
    return base64.b64encode(np.where(seen[..., None], steps, UNSEEN).astype("<i2").tobytes()).decode()


def signer_pictures(view: SignerView, stick: Stick, size: int = 192) -> np.ndarray:
    """A clip as pictures (T, size, size, 3) uint8."""
    points, seen = _drawable(view, 0)
    wide = size * FINE
    unit = wide / 2 / REACH  # pixels a shoulder width
    pixels = (points - (0, MIDDLE)) * unit + wide / 2
    order = sorted(stick.limbs, key=lambda limb: (stick.sides[limb[1]] != "body", limb[1] >= stick.fingers))
    film = np.empty((len(points), size, size, 3), np.uint8)
    for picture, spots, known in zip(film, pixels, seen, strict=True):
        paper = Image.new("RGB", (wide, wide), COLOURS["panel"])
        pen = ImageDraw.Draw(paper)
        if known[0]:
            pen.circle((spots[0, 0], spots[0, 1] - HEAD[1] * unit), HEAD[0] * unit, fill=COLOURS["grid"])
        for a, b in order:
            if known[a] and known[b]:
                width = (THIN if b >= stick.fingers else THICK) * unit
                colour = COLOURS["centre" if stick.sides[b] == "body" else stick.sides[b]]
                pen.line((*spots[a], *spots[b]), fill=colour, width=max(1, round(width)))
                for end in (a, b):  # round ends, so that no gap shows where limbs meet
                    pen.circle(tuple(spots[end]), width / 2, fill=colour)
        picture[:] = np.asarray(paper.reduce(FINE))
    return film


def _drawable(view: SignerView, number: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y (T, K, 2) and whether a point was seen (T, K); UserError for what is not finite."""
    keypoints = np.asarray(view.keypoints, np.float64)
    points, seen = keypoints[..., :2], keypoints[..., -1] > 0
    wrong = seen & ~(np.abs(points) < 1e3).all(-1)
    if wrong.any():
        t, k = np.argwhere(wrong)[0]
        raise UserError(
            f"clip {number} ({view.caption[:40]!r}): point {k} of frame {t} lies at {points[t, k].tolist()}"
        )
    return np.where(seen[..., None], points, 0), seen


def _panel(view: SignerView) -> str:
    title = f"<b>{html.escape(view.title)}</b>" if view.title else ""
    notes = f"<small>{html.escape(view.notes)}</small>" if view.notes else ""
    label = html.escape(f"{view.title} {view.caption}".strip(), quote=True)
    return f'<figure><canvas role="img" aria-label="{label}"></canvas><figcaption>{title}{notes}</figcaption></figure>'


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")

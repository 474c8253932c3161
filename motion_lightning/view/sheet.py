"""Still pictures of what a corpus holds: strips of frames, one row a clip, with bars below. Drawn with Pillow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from motion_lightning.motion.skeleton import Skeleton
from motion_lightning.view.body import figure
from motion_lightning.view.drawing import COLOURS, draw_clip, frame_all, mix, smooth_root, travels

INK, SOFT, PAPER, BAR = (31, 36, 48), (102, 109, 121), (255, 255, 255), (106, 72, 181)
GAP, LINE, FRAMES, SIZE = 16, 20, 7, 150  # pixels; frames a strip and their size
BARS, TRAIL = 190, 10  # height of a chart; frames that a point's path is shown


@dataclass(frozen=True)
class Strip:
    """Pictures of one clip with a caption above; texts that are too long are cut."""

    pictures: Sequence[Image.Image]
    caption: str = ""
    note: str = ""
    names: Sequence[str] = ()  # below each picture, where they are of several clips


@dataclass(frozen=True)
class Bars:
    """A bar for each value. ``names`` stand below upright bars, or beside lying ones."""

    title: str
    values: Sequence[float]
    names: Sequence[str]
    lying: bool = False


def spread(count: int, frames: int = FRAMES) -> list[int]:
    """At most ``frames`` indices, evenly from the first to the last of ``count``."""
    return np.unique(np.rint(np.linspace(0, count - 1, min(frames, count))).astype(int)).tolist()


def figures(joints: np.ndarray, skeleton: Skeleton, fps: float, size: int = SIZE) -> list[Image.Image]:
    """Frames of joints (T, J, 3) in metres, evenly in time, by a camera that sees them all or goes along."""
    joints = np.asarray(joints, np.float64)
    shape, chosen = figure(skeleton), spread(len(joints))
    away = smooth_root(joints, fps) if travels(joints) else np.zeros((len(joints), 3))
    camera = frame_all(joints, shape, away)
    return list(draw_clip(joints[chosen], shape, camera, away[chosen], fps, size))


def photographs(frames: np.ndarray, size: int = SIZE) -> list[Image.Image]:
    """Frames (T, H, W, C) or (T, C, H, W), or without C, of bytes or of numbers that are scaled to their range."""
    chosen = frames[spread(len(frames))]
    if chosen.ndim == 4 and chosen.shape[1] in (1, 3) and chosen.shape[3] not in (1, 3):
        chosen = np.moveaxis(chosen, 1, -1)
    if chosen.dtype != np.uint8:
        low, high = float(chosen.min()), float(chosen.max())
        chosen = np.rint((chosen - low) / ((high - low) or 1) * 255).astype(np.uint8)
    pictures = [Image.fromarray(f[..., 0] if f.ndim == 3 and f.shape[-1] == 1 else f) for f in chosen]
    return [
        p.convert("RGB").resize((size, round(size * p.height / p.width)), Image.Resampling.NEAREST) for p in pictures
    ]


def points(positions: np.ndarray, size: int = SIZE) -> list[Image.Image]:
    """Points (T, N, 2 or more) as dots, y down, each with the path it came; one scale for all frames.

    A point at the very origin is one that was not seen.
    """
    xy = np.asarray(positions, np.float64)[..., :2]
    xy = np.where((xy != 0).any(-1, keepdims=True), xy, np.nan)
    if np.isnan(xy).all():
        xy = np.zeros_like(xy)
    low, high = np.nanmin(xy, (0, 1)), np.nanmax(xy, (0, 1))
    xy = 10 + (xy - low) / (float((high - low).max()) or 1) * (size - 20)
    hues = [tuple(round(255 * c) for c in _hue(i / max(xy.shape[1], 1))) for i in range(xy.shape[1])]
    pictures = []
    for t in spread(len(xy)):
        picture = Image.new("RGB", (2 * size, 2 * size), COLOURS["panel"])
        pen = ImageDraw.Draw(picture)
        for path, hue in zip(np.moveaxis(xy[max(0, t - TRAIL) : t + 1] * 2, 0, 1), hues, strict=True):
            seen = path[np.isfinite(path).all(-1)]
            if len(seen) > 1:
                pen.line(seen.ravel().tolist(), fill=mix(COLOURS["panel"], hue, 0.35), width=2)
            if np.isfinite(path[-1]).all():
                pen.circle(tuple(path[-1]), 5, fill=hue)
        pictures.append(picture.reduce(2))
    return pictures


def surface(values: np.ndarray, width: int = FRAMES * SIZE, height: int = 110) -> list[Image.Image]:
    """Numbers (T, D) as one picture, time to the right; each of the D scaled to its own range."""
    low, high = values.min(0), values.max(0)
    grey = (values - low) / np.where(high > low, high - low, 1)
    picture = Image.fromarray(np.rint(235 - 190 * grey.T).astype(np.uint8))
    return [picture.resize((width, height), Image.Resampling.NEAREST).convert("RGB")]


def sheet(strips: Sequence[Strip], bars: Sequence[Bars] = ()) -> Image.Image:
    """All on one white page: the strips one below another, the charts side by side below them."""
    gaps = [4 if s.names else 0 for s in strips]  # between pictures of several clips
    widths = [sum(p.width + gap for p in s.pictures) for gap, s in zip(gaps, strips, strict=True)]
    width = max([FRAMES * SIZE, *widths]) + 2 * GAP
    heads = [LINE + 6 if s.caption else 0 for s in strips]
    heights = [
        head + max(p.height for p in s.pictures) + LINE * bool(s.names) + GAP
        for head, s in zip(heads, strips, strict=True)
    ]
    page = Image.new("RGB", (width, GAP + sum(heights) + (BARS + 2 * GAP if bars else 0)), PAPER)
    pen, body, small = ImageDraw.Draw(page), ImageFont.load_default(14), ImageFont.load_default(12)
    top = GAP
    for strip, gap, head, height in zip(strips, gaps, heads, heights, strict=True):
        room = width - 2 * GAP - small.getlength(strip.note) - 20
        pen.text((GAP, top), _cut(strip.caption, body, room), INK, body)
        pen.text((width - GAP, top + 2), strip.note, SOFT, small, anchor="ra")
        left = GAP
        for k, picture in enumerate(strip.pictures):
            page.paste(picture, (left, top + head))
            if strip.names:
                name = _cut(strip.names[k], small, picture.width - 8)
                pen.text((left + 2, top + head + picture.height + 3), name, SOFT, small)
            left += picture.width + gap
        top += height
    share = (width - GAP) // max(len(bars), 1)
    for i, chart in enumerate(bars):
        _bars(pen, chart, (GAP + i * share, top + 8, share - GAP, BARS), small)
    return page


def _bars(pen: ImageDraw.ImageDraw, chart: Bars, box: tuple[int, int, int, int], font) -> None:
    left, top, width, height = box
    pen.text((left, top - 4), chart.title, INK, font)
    most, count = max([*chart.values, 1e-9]), len(chart.values)
    if chart.lying:
        side = max((font.getlength(name) for name in chart.names), default=0) + 8
        step = min((height - LINE) / max(count, 1), 30)
        for k, (value, name) in enumerate(zip(chart.values, chart.names, strict=True)):
            y = top + LINE + k * step
            pen.text((left + side - 8, y + step / 2), name, SOFT, font, anchor="rm")
            pen.rectangle((left + side, y + 2, left + side + value / most * (width - side - 50), y + step - 3), BAR)
            pen.text(
                (left + side + value / most * (width - side - 50) + 5, y + step / 2), f"{value:,.0f}", SOFT, font, "lm"
            )
        return
    base, step = top + height - LINE, (width - 8) / max(count, 1)
    for k, value in enumerate(chart.values):
        x = left + k * step
        if value:
            pen.rectangle((x, base - max(2, value / most * (base - top - LINE)), x + step - 2, base), BAR)
    pen.line((left, base + 1, left + count * step, base + 1), SOFT)
    for k, name in enumerate(chart.names):
        if name:
            pen.text((left + k * step, base + 5), name, SOFT, font, anchor="ma" if k else "la")


def _cut(text: str, font, room: float) -> str:
    text = " ".join(text.split())
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + " …") > room:
        text = text[:-1]
    return text.rstrip() + " …"


def _hue(share: float) -> np.ndarray:
    """An even walk around the colours, dark enough for a light ground."""
    return 0.5 + 0.32 * np.cos(2 * np.pi * (share + np.array([0, 1 / 3, 2 / 3])))

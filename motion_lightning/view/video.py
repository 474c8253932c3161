"""Films of several clips side by side, captions above: mp4 to keep, gif for a README."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from motion_lightning.errors import UserError
from motion_lightning.motion.skeleton import Skeleton, load_skeleton
from motion_lightning.view.body import figure
from motion_lightning.view.drawing import COLOURS, draw_clip, frame_all, smooth_root, travels
from motion_lightning.view.page import ClipView, check

GAP, LINE = 12, 19  # pixels
INK, SOFT, PAPER = (31, 36, 48), (102, 109, 121), (255, 255, 255)


def write_mp4(
    path: str | Path,
    clips: list[ClipView],
    columns: int | None = None,
    size: int = 320,
    fps: float = 20,
    skeleton: Skeleton | None = None,
) -> Path:
    """H.264 film; panels are `size` pixels wide, a clip that is over holds its last frame."""
    return save_film(path, pictures(clips, columns, size, fps, skeleton), fps)


def save_film(path: str | Path, frames: Iterable[Image.Image], fps: float) -> Path:
    """H.264 film of pictures with even sides, written whole or not at all."""
    import imageio.v2 as imageio

    def write(partial: Path) -> None:
        with imageio.get_writer(
            partial, format="FFMPEG", fps=fps, codec="libx264", pixelformat="yuv420p", macro_block_size=2,
            quality=None, output_params=["-crf", "19", "-preset", "veryfast", "-movflags", "+faststart"],
        ) as film:  # fmt: skip
            for picture in frames:
                film.append_data(np.asarray(picture))

    return write_renamed(path, write)


def write_gif(
    path: str | Path,
    clips: list[ClipView],
    columns: int | None = None,
    size: int = 220,
    fps: float = 10,
    skeleton: Skeleton | None = None,
) -> Path:
    """Looping gif with one palette for all frames and no dither, so that still pixels cost nothing."""
    frames = list(pictures(clips, columns, size, fps, skeleton))
    some = frames[:: max(1, len(frames) // 6)]
    sample = Image.new("RGB", (some[0].width, some[0].height * len(some)))
    for i, picture in enumerate(some):
        sample.paste(picture, (0, i * picture.height))
    palette = sample.quantize(96, method=Image.Quantize.MEDIANCUT)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in frames]
    pause = [round(1000 / fps)] * (len(frames) - 1) + [900]  # the end rests before the next round
    return write_renamed(
        path,
        lambda partial: frames[0].save(
            partial,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=pause,
            loop=0,
            optimize=False,
        ),
    )


def pictures(
    clips: list[ClipView],
    columns: int | None = None,
    size: int = 320,
    fps: float = 20,
    skeleton: Skeleton | None = None,
) -> Iterator[Image.Image]:
    """RGB pictures with even sides, `fps` of them a second, until the longest clip is over."""
    if not clips:
        raise UserError("no clips to film; give at least one")
    skeleton = skeleton or load_skeleton("humanml22")
    for i, clip in enumerate(clips):
        check(clip, skeleton, i)
    columns = min(columns or (len(clips) if len(clips) <= 4 else 3), len(clips))
    count = round(max((len(c.joints) - 1) / c.fps for c in clips) * fps) + 1
    fonts = ImageFont.load_default(14), ImageFont.load_default(12)
    texts = [_wrap(clip, fonts, size - 8) for clip in clips]
    rows = [range(r, min(r + columns, len(clips))) for r in range(0, len(clips), columns)]
    places, top = {}, GAP
    paper = Image.new("RGB", (GAP + columns * (size + GAP), 4096), PAPER)
    pen = ImageDraw.Draw(paper)
    for row in rows:
        lines = max(len(texts[i]) for i in row)
        for column, i in enumerate(row):
            left = GAP + column * (size + GAP)
            start = top + LINE * (lines - len(texts[i]))  # captions sit on their panels
            for k, (text, font, ink) in enumerate(texts[i]):
                pen.text((left + 4, start + k * LINE), text, ink, font)
            places[i] = left, top + LINE * lines + 4
        top += LINE * lines + 4 + size + GAP
    for name, shift in (("left", 0), ("right", 52)):
        pen.circle((GAP + 8 + shift, top + 6), 5, fill=COLOURS[name])
        pen.text((GAP + 18 + shift, top - 2), name, SOFT, fonts[1])
    paper = paper.crop((0, 0, paper.width - paper.width % 2, (top + 22) // 2 * 2))

    panels = _panels(clips, skeleton, size, fps, count)
    for _ in range(count):
        for i, panel in enumerate(panels):
            if (picture := next(panel, None)) is not None:  # over: the last one stays
                paper.paste(picture, places[i])
        yield paper.copy()


def _panels(clips: list[ClipView], skeleton: Skeleton, size: int, fps: float, count: int) -> list[Iterator]:
    shape = figure(skeleton)
    follow = any(travels(clip.joints) for clip in clips)
    tracks, cameras = [], []
    for clip in clips:
        joints = np.asarray(clip.joints, np.float64)
        times = np.rint(np.arange(count) * clip.fps / fps).astype(int)
        joints = joints[times[times < len(joints)]]
        away = smooth_root(joints, fps) if follow else np.zeros((len(joints), 3))
        tracks.append((joints, away))
        cameras.append(frame_all(joints, shape, away))
    panels = []
    for i, (joints, away) in enumerate(tracks):
        mates = [
            c.distance
            for c, other in zip(cameras, clips, strict=True)
            if clips[i].group and other.group == clips[i].group
        ]
        camera = type(cameras[i])(cameras[i].target, max([cameras[i].distance, *mates]))  # one scale a group
        panels.append(draw_clip(joints, shape, camera, away, fps, size))
    return panels


def _wrap(clip: ClipView, fonts: tuple, width: int) -> list[tuple]:
    body, small = fonts
    lines = [(clip.title, small, SOFT)] if clip.title else []
    line = ""
    for word in clip.caption.split():
        if line and body.getlength(f"{line} {word}") > width:
            lines.append((line, body, INK))
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, (line, body, INK)] if line else lines


def write_renamed(path: str | Path, write: Callable[[Path], object]) -> Path:
    """``write`` to a temporary name, then rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    try:
        write(partial)
        return partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

"""Pictures and short films that are pixels already: a piece of a page, or one film of all of them."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from motion_lightning.errors import UserError
from motion_lightning.view.fragment import Fragment
from motion_lightning.view.video import GAP, INK, LINE, PAPER, SOFT, save_film, write_renamed


@dataclass(frozen=True, eq=False)
class Film:
    """One film, or one picture, to look at. Texts are plain; they are escaped where they are shown."""

    frames: np.ndarray  # (T, H, W, 3) uint8
    caption: str
    title: str = ""  # "sample 1", "real"
    fps: float = 8
    notes: str = ""


def film_fragment(films: Sequence[Film], width: int = 200) -> Fragment:
    """Films in rows, those that follow each other with the same caption side by side; ``width`` pixels each."""
    rows = []
    for caption, members in groupby(films, key=lambda film: film.caption):
        panels = "\n".join(_panel(film, width) for film in members)
        rows.append(f'<section class="film"><h3>{html.escape(caption)}</h3><div>{panels}</div></section>')
    style = resources.files(__package__).joinpath("film.css").read_text(encoding="utf-8")
    return Fragment(f'<div class="films">{"".join(rows)}</div>', style)


def write_films(path: str | Path, films: Sequence[Film], columns: int | None = None, size: int = 192) -> Path:
    """All of them in one H.264 film, or in a picture where ``path`` ends in .png (of their first frames).

    Panels are ``size`` pixels high; a film that is over holds its last frame.
    """
    sheets = list(_sheets(films, columns, size, stills=str(path).endswith(".png")))
    if str(path).endswith(".png"):
        return write_renamed(path, lambda partial: sheets[0].save(partial, format="PNG"))
    return save_film(path, sheets, films[0].fps)


def _sheets(films: Sequence[Film], columns: int | None, size: int, stills: bool):
    if not films:
        raise UserError("nothing to show; give at least one film")
    columns = min(columns or (len(films) if len(films) <= 6 else 4), len(films))
    font = ImageFont.load_default(12)
    height, width = films[0].frames.shape[1:3]
    panel = round(size * width / height)
    texts = [_wrap(film, font, panel) for film in films]
    places, top = {}, GAP
    paper = Image.new("RGB", (GAP + columns * (panel + GAP), 8192), PAPER)
    pen = ImageDraw.Draw(paper)
    for start in range(0, len(films), columns):
        row = range(start, min(start + columns, len(films)))
        lines = max(len(texts[i]) for i in row)
        for column, i in enumerate(row):
            left = GAP + column * (panel + GAP)
            for k, (text, ink) in enumerate(texts[i]):
                pen.text((left, top + (lines - len(texts[i]) + k) * LINE), text, ink, font)
            places[i] = left, top + lines * LINE + 4
        top += lines * LINE + 4 + size + GAP
    paper = paper.crop((0, 0, paper.width - paper.width % 2, top - top % 2))
    for t in range(1 if stills else max(len(film.frames) for film in films)):
        for i, film in enumerate(films):
            if t < len(film.frames):
                picture = Image.fromarray(film.frames[t]).resize((panel, size), _filter(film.frames, size))
                paper.paste(picture, places[i])
        yield paper.copy()


def _panel(film: Film, width: int) -> str:
    title = f"<b>{html.escape(film.title)}</b>" if film.title else ""
    notes = f"<small>{html.escape(film.notes)}</small>" if film.notes else ""
    label = html.escape(f"{film.title} {film.caption}".strip(), quote=True)
    coarse = ' class="coarse"' if film.frames.shape[2] < width else ""
    source = base64.b64encode(_animation(film)).decode()
    image = f'<img{coarse} width="{width}" alt="{label}" src="data:image/png;base64,{source}">'
    return f"<figure>{image}<figcaption>{title}{notes}</figcaption></figure>"


def _animation(film: Film) -> bytes:
    """PNG, animated where there is more than one frame; the last one rests for a moment."""
    first, *rest = (Image.fromarray(frame) for frame in film.frames)
    file, pause = io.BytesIO(), 1000 / film.fps
    if rest:
        durations = [pause] * len(rest) + [pause + 600]
        first.save(file, "PNG", save_all=True, append_images=rest, duration=durations, loop=0)
    else:
        first.save(file, "PNG")
    return file.getvalue()


def _filter(frames: np.ndarray, size: int) -> Image.Resampling:
    return Image.Resampling.NEAREST if frames.shape[1] < size else Image.Resampling.LANCZOS


def _wrap(film: Film, font, width: int) -> list[tuple]:
    """Title and caption in lines of at most so many pixels, each with its colour."""
    lines = []
    for text, ink in ((film.title, SOFT), (film.caption, INK)):
        line = ""
        for word in text.split():
            if line and font.getlength(f"{line} {word}") > width:
                lines.append((line, ink))
                line = word
            else:
                line = f"{line} {word}".strip()
        lines += [(line, ink)] if line else []
    return lines

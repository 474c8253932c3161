"""Numbers in a grid of colours, with names on both sides. Drawn with Pillow."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from motion_lightning.view.drawing import mix
from motion_lightning.view.sheet import BAR, GAP, INK, LINE, PAPER, SOFT

CELL_WIDTH, CELL_HEIGHT = 34, 17  # pixels, at least


def heat_map(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str = "", note: str = ""
) -> Image.Image:
    """A cell for each of values (R, C), from white at 0 to violet at the largest, with its hundredths in it."""
    body, small = ImageFont.load_default(14), ImageFont.load_default(11)
    wide = [max(CELL_WIDTH, round(small.getlength(name)) + 10) for name in columns]
    left = round(max(small.getlength(name) for name in rows)) + 2 * GAP
    head = (LINE + 4) * bool(title) + LINE * bool(note) + GAP
    width = max(left + sum(wide), *(round(f.getlength(t)) + GAP for f, t in ((body, title), (small, note)))) + GAP
    page = Image.new("RGB", (width, head + LINE + CELL_HEIGHT * len(rows) + GAP), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((GAP, GAP), title, INK, body)
    pen.text((GAP, head - LINE), note, SOFT, small)
    edges = np.cumsum([left, *wide]).tolist()
    for x, name, cell in zip(edges, columns, wide, strict=False):
        pen.text((x + cell / 2, head + LINE / 2), name, INK, small, anchor="mm")
    most = max(float(values.max()), 1e-9)
    for r, name in enumerate(rows):
        y = head + LINE + r * CELL_HEIGHT
        pen.text((left - 6, y + CELL_HEIGHT / 2), name, SOFT, small, anchor="rm")
        for x, cell, value in zip(edges, wide, values[r].tolist(), strict=False):
            depth = value / most
            pen.rectangle((x, y, x + cell - 2, y + CELL_HEIGHT - 2), fill=mix(PAPER, BAR, depth))
            ink = PAPER if depth > 0.55 else SOFT
            pen.text((x + cell / 2 - 1, y + CELL_HEIGHT / 2 - 1), f"{100 * value:.0f}", ink, small, anchor="mm")
    return page


def stacked(pictures: Sequence[Image.Image], columns: int = 2) -> Image.Image:
    """Pictures on one white page, row by row."""
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    width = max(sum(p.width for p in row) for row in rows)
    page = Image.new("RGB", (width, sum(max(p.height for p in row) for row in rows)), PAPER)
    top = 0
    for row in rows:
        left = 0
        for picture in row:
            page.paste(picture, (left, top))
            left += picture.width
        top += max(p.height for p in row)
    return page

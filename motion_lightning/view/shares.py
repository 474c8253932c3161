"""Shares of clusters before and after quotas: a pair of bars for each, under what its most typical clip looks like."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from motion_lightning.errors import UserError
from motion_lightning.motion.skeleton import Skeleton
from motion_lightning.view.body import figure
from motion_lightning.view.drawing import COLOURS, draw_clip, frame_all

PANEL, GAP, MARGIN, BARS, LINE = 148, 14, 26, 190, 17  # pixels: a panel's side, between panels, around, bars, text
INK, SOFT, PAPER, RULE = (31, 36, 48), (102, 109, 121), (255, 255, 255), (222, 220, 214)
BEFORE, AFTER = (176, 180, 188), (38, 122, 108)
CAPTION_LINES = 4


@dataclass(frozen=True, eq=False)
class Share:
    """One cluster. ``sight`` is a pose (J, 3) in metres, y up, facing +Z; or a picture (H, W, 1 or 3) of bytes."""

    name: str
    before: int  # clips
    after: int  # clips a pass
    caption: str = ""
    sight: np.ndarray | None = None


def write_shares(path: str | Path, shares: list[Share], quotas: str, skeleton: Skeleton | None = None) -> Path:
    """PNG of the clusters from left to right, whole or not at all.

    Poses are seen from the front and a little from their left; nothing is mirrored, so the left arm of a body that
    faces the viewer is at the viewer's right, and orange. All are drawn at one scale.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    try:
        shares_picture(shares, quotas, skeleton).save(partial, format="PNG", optimize=True)
        return partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def shares_picture(shares: list[Share], quotas: str, skeleton: Skeleton | None = None) -> Image.Image:
    """The picture as an RGB image. UserError for no clusters."""
    if not shares:
        raise UserError("no clusters to draw; give at least one")
    large, body, small = (ImageFont.load_default(size) for size in (17, 13, 12))
    before, after = (np.array([getattr(s, when) for s in shares]) for when in ("before", "after"))
    panels = _panels(shares, skeleton)
    captions = [_wrap(share.caption, small, PANEL) for share in shares]
    top = MARGIN + 58  # of the panels
    base = top + (PANEL + 12 if any(panels) else 0) + BARS  # of the bars
    foot = base + 52 + LINE * max(map(len, captions))
    width = max(2 * MARGIN + len(shares) * (PANEL + GAP) - GAP, 660)
    paper = Image.new("RGB", (width, foot + 34), PAPER)
    pen = ImageDraw.Draw(paper)

    pen.text((MARGIN, MARGIN - 6), "What one pass over the training clips holds", INK, large)
    across = MARGIN
    for colour, text in (
        (BEFORE, f"all {before.sum():,} clips"),
        (AFTER, f"quotas {quotas}: {after.sum():,} clips a pass"),
    ):
        pen.rectangle((across, MARGIN + 24, across + 11, MARGIN + 35), colour)
        pen.text((across + 17, MARGIN + 21), text, SOFT, body)
        across += 17 + body.getlength(text) + 24

    highest = max((before / before.sum()).max(), (after / after.sum()).max())
    pen.line((MARGIN, base, width - MARGIN, base), RULE, 1)
    bar = 40
    for i, (share, panel) in enumerate(zip(shares, panels, strict=True)):
        left = MARGIN + i * (PANEL + GAP)
        middle = left + PANEL / 2
        if panel is not None:
            paper.paste(panel, (left, top))
        pairs = (
            (middle - bar - 3, share.before / before.sum(), BEFORE),
            (middle + 3, share.after / after.sum(), AFTER),
        )
        for x, part, colour in pairs:
            height = max(1, round((BARS - 22) * part / highest))
            pen.rectangle((x, base - height, x + bar, base - 1), colour)
            pen.text((x + bar / 2, base - height - 4), f"{100 * part:.1f}%", INK, small, anchor="ms")
        pen.text((middle, base + 8), f"cluster {share.name}", INK, body, anchor="ma")
        pen.text((middle, base + 26), f"{share.after:,} of {share.before:,}", SOFT, small, anchor="ma")
        for k, line in enumerate(captions[i]):
            pen.text((middle, base + 46 + LINE * k), line, SOFT, small, anchor="ma")

    note = "Above: the clip nearest to each cluster's centre" + (", seen from its front." if skeleton else ".")
    if skeleton:
        across = MARGIN + body.getlength(note) + 16
        for side, text in (("left", "the body's left"), ("right", "its right")):
            pen.ellipse((across, foot + 3, across + 9, foot + 12), COLOURS[side])
            pen.text((across + 14, foot), text, SOFT, body)
            across += 14 + body.getlength(text) + 16
    if any(panels):
        pen.text((MARGIN, foot), note, SOFT, body)
    return paper


def _panels(shares: list[Share], skeleton: Skeleton | None) -> list[Image.Image | None]:
    """A square picture of each cluster that has something to see."""
    if skeleton is None:
        return [None if share.sight is None else _fitted(share.sight) for share in shares]
    poses = np.stack([share.sight for share in shares])  # (k, J, 3)
    poses = poses - poses[:, :1] * (1, 0, 1) - poses[..., 1].min(1)[:, None, None] * (0, 1, 0)  # on the floor
    shape, still = figure(skeleton), np.zeros((1, 3))
    camera = frame_all(poses, shape, np.zeros((len(poses), 3)))
    return [next(draw_clip(pose[None], shape, camera, still, 20, PANEL)) for pose in poses]


def _fitted(picture: np.ndarray) -> Image.Image:
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).convert("RGB")
    scale = PANEL / max(image.size)
    how = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS  # keep small pixels square
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), how)
    panel = Image.new("RGB", (PANEL, PANEL), COLOURS["panel"])
    panel.paste(image, ((PANEL - image.width) // 2, (PANEL - image.height) // 2))
    return panel


def _wrap(text: str, font: ImageFont.ImageFont, width: float) -> list[str]:
    """Lines no wider than ``width``; what does not fit into the last ends in dots."""
    lines, words = [], text.split()
    while words and len(lines) < CAPTION_LINES:
        count = 1
        while count < len(words) and font.getlength(" ".join(words[: count + 1])) <= width:
            count += 1
        lines.append(" ".join(words[:count]))
        words = words[count:]
    if lines:
        last = lines[-1] + (" ..." if words else "")
        while font.getlength(last) > width and len(last) > 5:
            last = last.removesuffix(" ...")[:-1].rstrip() + " ..."
        lines[-1] = last
    return lines

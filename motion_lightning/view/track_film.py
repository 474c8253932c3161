"""Tracks over a picture: points with their trails, and wrists with their axes."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw

SIDE, FINE = 224, 2  # pixels of the longer side; drawn so many times as large, and made smaller
STILL, AXES = (235, 235, 235), ((230, 60, 60), (60, 180, 75), (70, 110, 240))
MOVED = 0.01  # share of the picture below which a point counts as still


def track_film(
    picture: np.ndarray,
    query: np.ndarray,
    moved: np.ndarray,
    wrists: np.ndarray | None = None,
    turned: np.ndarray | None = None,
) -> np.ndarray:
    """Frames (T, H', W', 3) uint8 of points that leave where they were, over the picture of time 0.

    Args:
        picture: (3, H, W) in [-1, 1].
        query: (N, 2 or more) u, v in [0, 1].
        moved: (T, N, 2 or more) by how much since.
        wrists: (T, K, 2 or more) places of hands, with their rotations ``turned`` (T, K, 3, 3) in the camera's frame.
    """
    height, width = picture.shape[1:]
    scale = SIDE * FINE / max(height, width)
    size = round(width * scale), round(height * scale)
    pixels = np.rint((np.moveaxis(picture, 0, -1) + 1) * 127.5).clip(0, 255).astype(np.uint8)
    paper = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    paper = Image.blend(paper, Image.new("RGB", size, (128, 128, 128)), 0.25)
    places = (query[None, :, :2] + moved[..., :2]) * size  # (T, N, 2)
    travels = np.linalg.norm(moved[-1, :, :2], axis=-1) > MOVED
    colours = [_colour(u) if on else STILL for u, on in zip(query[:, 0], travels, strict=True)]
    frames = []
    for t in range(len(moved)):
        frame = paper.copy()
        pen = ImageDraw.Draw(frame)
        for i in np.argsort(travels, kind="stable"):  # those that move on top
            radius = FINE * (3.5 if travels[i] else 2)
            if t and travels[i]:
                pen.line([tuple(p) for p in places[: t + 1, i]], colours[i], round(1.5 * FINE), joint="curve")
            pen.circle(tuple(places[t, i]), radius, fill=colours[i], outline=(20, 20, 20))
        if wrists is not None:
            _axes(pen, wrists[t, :, :2] * size, turned[t])
        frames.append(np.asarray(frame.resize((size[0] // FINE, size[1] // FINE), Image.Resampling.LANCZOS)))
    return np.stack(frames)


def _axes(pen: ImageDraw.ImageDraw, places: np.ndarray, turned: np.ndarray) -> None:
    """The columns of each rotation, seen along the depth."""
    for place, turn in zip(places, turned, strict=True):
        for k in np.argsort(-turn[2]):  # the one that points away first
            tip = place + turn[:2, k] * 16 * FINE
            pen.line([tuple(place), tuple(tip)], AXES[k], round(2 * FINE))
        pen.circle(tuple(place), 3 * FINE, fill=(255, 255, 255), outline=(20, 20, 20))


def _colour(share: float) -> tuple[int, ...]:
    """By where a point was, so that it has one colour wherever it is drawn."""
    return tuple(round(255 * c) for c in colorsys.hsv_to_rgb(0.9 * float(np.clip(share, 0, 1)), 0.85, 1.0))

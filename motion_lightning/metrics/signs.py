"""Reads a drawn sign video back: where the hands are, what each one does, and whether a text asked for it.

The readers see pixels only. They know the colours of the gloves and the meaning of the words (how fast is
"fast"), nothing of how a clip was drawn.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from motion_lightning.data.signs.program import HANDS, PERIODIC, RATE, SIZED, Hand, SignProgram
from motion_lightning.data.signs.signer import AMPLITUDE, GLOVES

LOST = Hand("lost")  # a hand that cannot be found in most frames
SHORTEST = 8  # frames
FAINT = 0.2  # share of a glove's colour below which a pixel is something else
# In heights of the picture.
STILL, HEAD_HEIGHT, HIP_HEIGHT, TOUCH = 0.05, 0.42, 0.72, 0.37
REACH = 0.17  # beyond the largest hand
NEARER = 1.6  # how often the area of a still hand that comes nearer


@dataclass(frozen=True)
class HandTracks:
    """``places`` (T, 2, 2): x, y of the left and the right hand in pixels, NaN where there is none; the middle
    of the first pixel is 0.5. ``areas`` (T, 2) in pixels."""

    places: np.ndarray
    areas: np.ndarray


def track_hands(video: np.ndarray) -> HandTracks:
    """Centres of mass of the gloves' colours in a video (T, 3, H, W), uint8 or floats in [-1, 1].

    The left glove is the only thing with less green than red and blue, the right one the only thing with more
    blue than all else. How much so is linear in the colours, so the soft edges count by what they show.
    """
    red, green, blue = np.moveaxis(_unit(video), 1, 0)  # (T, H, W) each
    masks = np.stack([_left(red, green, blue), _right(red, green, blue)], 1)  # (T, 2, H, W)
    pure = [hue(*(np.array(GLOVES[name]) / 255)) for hue, name in zip((_left, _right), HANDS, strict=True)]
    masks = masks / np.array(pure)[:, None, None]
    masks = np.where(masks > FAINT, masks, 0)
    frames, _, height, width = masks.shape
    y, x = np.arange(height) + 0.5, np.arange(width) + 0.5
    # A hand is about its densest place: specks elsewhere, as unfinished samples have them, do not count.
    density = uniform_filter(masks, (1, 1, max(3, height // 10), max(3, width // 10)), mode="constant")
    row, column = np.unravel_index(density.reshape(frames, 2, -1).argmax(-1), (height, width))  # (T, 2) each
    down, along = y[:, None] - y[row][..., None, None], x - x[column][..., None, None]
    masks = masks * (np.hypot(down, along) < REACH * height)
    areas = masks.sum((2, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        places = np.stack([(masks.sum(2) * x).sum(-1), (masks.sum(3) * y).sum(-1)], -1) / areas[..., None]
    places[areas < 1] = np.nan
    return HandTracks(places, areas)


def _left(red, green, blue):
    return np.minimum(red, blue) - green


def _right(red, green, blue):
    return blue - np.maximum(red, green)


def _unit(video: np.ndarray) -> np.ndarray:
    """Colours from 0 to 1; a frame that is not finite is black, and so shows no hands."""
    video = np.asarray(video)
    if video.ndim != 4 or video.shape[1] != 3:
        raise ValueError(f"a video is (T, 3, H, W), got {video.shape}")
    if video.dtype == np.uint8:
        return video / np.float32(255)
    finite = np.isfinite(video).all((1, 2, 3), keepdims=True)
    return np.where(finite, (np.clip(video, -1, 1) + 1) / 2, 0).astype(np.float32)


def read_program(video: np.ndarray, fps: float = 8) -> SignProgram:
    """What the hands in a video (T, 3, H, W) do. A hand that is not there in most frames is ``LOST``."""
    tracks = track_hands(video)
    height = video.shape[2]
    return SignProgram(*(read_hand(tracks.places[:, k] / height, tracks.areas[:, k], fps) for k in (0, 1)))


def read_hand(places: np.ndarray, areas: np.ndarray, fps: float = 8) -> Hand:
    """Movement of one hand with places (T, 2) in heights of the picture, NaN where it is not seen."""
    seen = np.isfinite(places).all(-1)
    if len(places) < SHORTEST or seen.mean() < 0.7:
        return LOST
    time = np.flatnonzero(seen) / fps
    (x, y), areas = places[seen].T, areas[seen]
    wide, high = np.ptp(x), np.ptp(y)
    if y.max() > HIP_HEIGHT and y.min() < HEAD_HEIGHT and y[:3].mean() > y[-3:].mean():
        return Hand("raise")
    if np.percentile(areas, 90) > NEARER * np.percentile(areas, 10) and max(wide, high) < 2 * STILL:
        return Hand("push", _speed(time, areas[:, None] ** 0.5)[0])
    if max(wide, high) < STILL:
        return Hand("stay")
    if high < 0.5 * wide:
        movement, track = "wave" if y.mean() < HEAD_HEIGHT else "in_out", x[:, None]
    elif wide < 0.5 * high:
        movement, track = "tap_head" if y.min() < TOUCH else "up_down", y[:, None]
    else:
        movement, track = "circle", np.stack([x, y], -1)
    speed, amplitude = _speed(time, track)
    return Hand(movement, speed, _nearest(AMPLITUDE[movement], amplitude) if movement in SIZED else None)


def _speed(time: np.ndarray, track: np.ndarray) -> tuple[str, float]:
    """Name of the rate of the oscillation that fits best to (T, n) numbers, and its mean amplitude."""
    centred = track - track.mean(0)
    angle = 2 * np.pi * np.geomspace(0.35, 2.1, 46)[:, None] * time
    waves = np.stack([np.cos(angle), np.sin(angle), np.ones_like(angle)], -1)  # (rates, T, 3)
    explained = np.square(np.linalg.qr(waves).Q.swapaxes(1, 2) @ centred).sum((1, 2))
    best = explained.argmax()
    weights = np.linalg.lstsq(waves[best], centred, rcond=None)[0]
    rate = angle[best, -1] / (2 * np.pi * time[-1])
    return _nearest(RATE, rate), float(np.hypot(weights[0], weights[1]).mean())


def _nearest(scale: dict[str, float], value: float) -> str:
    return min(scale, key=lambda name: abs(np.log(scale[name] / max(value, 1e-6))))


def score(program: SignProgram | dict, read: SignProgram) -> dict[str, dict[str, bool]]:
    """What a video does right, by hand: ``movement``, and ``speed`` and ``size`` where the program has them.

    Speed and size are right only with the movement.
    """
    program = program if isinstance(program, SignProgram) else SignProgram.from_dict(program)
    right = {}
    for name, asked, done in zip(HANDS, program.hands, read.hands, strict=True):
        same = asked.movement == done.movement
        right[name] = {"movement": same}
        if asked.movement in PERIODIC:
            right[name]["speed"] = same and asked.speed == done.speed
        if asked.movement in SIZED:
            right[name]["size"] = same and asked.size == done.size
    return right


def sign_accuracy(programs: Sequence[SignProgram | dict], videos: Sequence[np.ndarray], fps: float = 8) -> dict:
    """Shares of videos (T, 3, H, W) that do what their programs say.

    ``movement``, ``speed`` and ``size`` over hands, ``both`` over videos in which both movements are right, ``clip``
    over those in which all is right, ``lost`` over hands that were not found; NaN where nothing counts.
    ``by_movement`` has the share of ``movement`` for each.
    """
    hits, by_movement = defaultdict(list), defaultdict(list)
    for program, video in zip(programs, videos, strict=True):
        program = program if isinstance(program, SignProgram) else SignProgram.from_dict(program)
        read = read_program(video, fps)
        right = score(program, read)
        for name, asked, done in zip(HANDS, program.hands, read.hands, strict=True):
            for attribute, value in right[name].items():
                hits[attribute].append(value)
            by_movement[asked.movement].append(right[name]["movement"])
            hits["lost"].append(done == LOST)
        hits["both"].append(all(hand["movement"] for hand in right.values()))
        hits["clip"].append(all(all(hand.values()) for hand in right.values()))
    names = ("movement", "speed", "size", "both", "clip", "lost")
    means = {name: float(np.mean(hits[name])) if hits[name] else float("nan") for name in names}
    return means | {"by_movement": {movement: float(np.mean(v)) for movement, v in sorted(by_movement.items())}}

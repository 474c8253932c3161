"""The drawn signers: their proportions, colours and pace, and where their hands are when they follow a program.

Places are in heights of the picture, x from its middle to the right, y from its top down.
"""

from dataclasses import dataclass

import numpy as np

from motion_lightning.data.signs.program import HANDS, RATE, Hand, SignProgram

SIDE = {"left": 1.0, "right": -1.0}  # the signer's left hand is on the right of the picture
AMPLITUDE = {
    "circle": {"small": 0.048, "normal": 0.085, "large": 0.135},
    "up_down": {"small": 0.055, "normal": 0.100, "large": 0.165},
    "in_out": {"small": 0.045, "normal": 0.080, "large": 0.130},
}
EARLY = 1 / 16  # of a cycle, by which a movement is ahead or behind when a clip begins
# Gloves: nothing else in the picture has more red and blue than green (left), or more blue than the rest (right).
GLOVES = {"left": (226, 48, 138), "right": (38, 92, 226)}
SKIN = ((247, 212, 186), (233, 188, 150), (214, 162, 118), (186, 130, 88), (146, 98, 64), (104, 70, 46), (78, 52, 36))
HAIR = ((38, 34, 30), (70, 48, 28), (120, 78, 38), (186, 146, 84), (150, 150, 146), (158, 76, 34))
CLOTHES = ((70, 72, 70), (52, 76, 60), (96, 104, 62), (122, 82, 46), (168, 172, 166), (44, 46, 44), (190, 168, 118))
BACKGROUNDS = ((236, 234, 226), (224, 230, 214), (206, 214, 204), (242, 230, 204), (196, 204, 178), (226, 216, 196))


@dataclass(frozen=True)
class Signer:
    """One person: sizes relative to the picture's height, colours as RGB, pace relative to the usual."""

    name: str
    scale: float
    head: float  # radius
    shoulders: float  # half their width
    arm: float  # half its thickness
    hand: float  # radius
    pace: float
    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    clothes: tuple[int, int, int]
    background: tuple[int, int, int]
    long_hair: bool


def make_signer(number: int, seed: int = 0) -> Signer:
    """The signer with a number: always the same one, however many there are."""
    rng = np.random.default_rng([seed, 7, number])
    colours = [options[rng.integers(len(options))] for options in (SKIN, HAIR, CLOTHES, BACKGROUNDS)]
    return Signer(
        f"signer{number:02d}", rng.uniform(0.93, 1.04), rng.uniform(0.110, 0.130), rng.uniform(0.155, 0.185),
        rng.uniform(0.036, 0.046), rng.uniform(0.058, 0.068), rng.uniform(0.94, 1.06), *colours, rng.random() < 0.4
    )  # fmt: skip


@dataclass(frozen=True)
class Tracks:
    """Where the hands are: ``places`` (T, 2, 2) in heights of the picture, left hand first, and how near.

    ``near`` (T, 2) is 1 in the plane of the body; a hand twice as near looks twice as large.
    """

    places: np.ndarray
    near: np.ndarray


def move(program: SignProgram, signer: Signer, frames: int, fps: float, rng: np.random.Generator) -> Tracks:
    """The hands of a signer who follows a program; the generator draws phases and small liberties."""
    time = np.arange(frames) / fps
    tracks = [_track(hand, SIDE[side], signer, time, rng) for hand, side in zip(program.hands, HANDS, strict=True)]
    if program.left == program.right and rng.random() < 0.7:  # the same, at the same time: a mirror image
        mirrored, near = tracks[0]
        tracks[1] = mirrored * (-1, 1), near
    return Tracks(np.stack([place for place, _ in tracks], 1), np.stack([near for _, near in tracks], 1))


def _track(hand: Hand, side: float, signer: Signer, time: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Places (T, 2) and nearness (T,) of one hand."""
    rate = RATE[hand.speed or "normal"] * signer.pace * rng.uniform(0.97, 1.03)
    phase = 2 * np.pi * rng.uniform(-EARLY, EARLY)
    angle = 2 * np.pi * rate * time + phase
    amplitude = AMPLITUDE.get(hand.movement, {}).get(hand.size, 0) * rng.uniform(0.95, 1.05)
    liberty = rng.uniform(-0.012, 0.012, 2)
    x, y = np.full_like(time, 0.245), np.full_like(time, 0.62)  # before the chest
    near = np.ones_like(time)
    swing = (1 - np.cos(angle)) / 2  # from 0 to 1 and back
    if hand.movement == "stay":
        x, y = (x - 0.005, y + 0.215) if rng.random() < 0.7 else (x, y + 0.04)
    elif hand.movement == "circle":
        x, y = x + 0.01 + amplitude * np.sin(angle), y + 0.01 + amplitude * np.cos(angle)
    elif hand.movement == "up_down":
        y = y + 0.01 + amplitude * np.cos(angle)
    elif hand.movement == "in_out":
        x = x - 0.03 + amplitude * np.cos(angle)
    elif hand.movement == "wave":
        x, y = x + 0.07 + 0.062 * np.cos(angle), y - 0.36 + 0.008 * np.cos(2 * angle)
    elif hand.movement == "tap_head":
        top = np.array((signer.head * 0.98 + 0.012, 0.245)) - liberty
        x, y = x + swing * (top[0] - x), y - 0.01 + swing * (top[1] - y + 0.01)
    elif hand.movement == "raise":
        start, seconds = rng.uniform(0.2, 0.45), rng.uniform(0.6, 0.9) / signer.pace
        done = np.clip((time - start) / seconds, 0, 1)
        done = done**2 * (3 - 2 * done)
        x, y = x + 0.04 * done, y + 0.215 - 0.56 * done
    elif hand.movement == "push":
        near = 1 + 0.75 * swing
        x, y = x - 0.02 - 0.01 * swing, y + 0.015 * swing
    return np.stack([side * (x + liberty[0]), y + liberty[1]], -1), near

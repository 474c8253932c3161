"""A small invented sign language about the weather: its signs, its sentences, and what they are in English.

The signs are made up. Like those of real sign languages each has a place, a movement, a hand shape and an
orientation; one or two hands; none of them is taken from one.
"""

from dataclasses import dataclass

import numpy as np

# How far thumb, index, middle, ring and little finger are bent, 0 to 1, and how far they are spread.
SHAPES = {
    "flat": ((0.1, 0, 0, 0, 0), 0.1),
    "five": ((0, 0, 0, 0, 0), 1.0),
    "fist": ((0.7, 1, 1, 1, 1), 0.0),
    "point": ((0.7, 0, 1, 1, 1), 0.0),
    "two": ((0.7, 0, 0, 1, 1), 0.8),
    "thumb": ((0, 1, 1, 1, 1), 0.0),
    "claw": ((0.3, 0.5, 0.5, 0.5, 0.5), 0.8),
    "pinch": ((0.5, 0.55, 0.8, 0.9, 0.95), 0.1),
    "horns": ((0.6, 0, 1, 1, 0), 0.3),
    "relaxed": ((0.2, 0.25, 0.3, 0.35, 0.4), 0.2),
}
# Of the wrist, in shoulder widths from the middle of the shoulders: outwards on the hand's own side, down, away
# from the viewer.
PLACES = {
    "chest": (0.28, 0.55, -0.50), "middle": (0.12, 0.60, -0.55), "side": (0.72, 0.45, -0.40),
    "shoulder": (0.50, 0.15, -0.45), "mouth": (0.16, -0.22, -0.50), "brow": (0.22, -0.55, -0.42),
    "above": (0.42, -0.70, -0.40), "belly": (0.30, 0.85, -0.45), "rest": (0.42, 1.25, -0.25),
}  # fmt: skip
# Directions of the fingers and of the palm, in the same axes.
TURNS = {
    "up": ((0.05, -1, -0.05), (0, -0.05, -1)),  # palm to the viewer
    "in": ((-0.1, -0.9, -0.4), (-1, 0.1, 0)),
    "self": ((-0.25, -0.95, 0.1), (0, 0.1, 1)),
    "down": ((-0.35, 0.05, -0.95), (0, 1, 0.05)),
    "across": ((-1, -0.15, -0.1), (0, 0.1, 1)),
    "lift": ((-0.2, -0.1, -1), (0, -1, 0.1)),
    "hang": ((-0.1, 1, -0.1), (-0.6, 0.05, 0.8)),
}


@dataclass(frozen=True)
class Sign:
    """A word of the language; ``hands`` is 1, or 2 for both in mirror image."""

    shape: str
    place: str
    movement: str
    turn: str
    hands: int = 1


SIGNS = {
    "TODAY": Sign("flat", "chest", "tap", "lift", 2),
    "TOMORROW": Sign("thumb", "mouth", "forward", "in"),
    "NIGHT": Sign("flat", "shoulder", "cross", "across", 2),
    "MORNING": Sign("five", "belly", "rise", "self"),
    "NORTH": Sign("two", "shoulder", "rise", "up"),
    "SOUTH": Sign("two", "shoulder", "fall", "hang"),
    "EAST": Sign("point", "middle", "right", "up"),
    "WEST": Sign("point", "middle", "left", "up"),
    "MOUNTAIN": Sign("fist", "belly", "arc", "down"),
    "SEA": Sign("flat", "belly", "ripple", "down", 2),
    "CITY": Sign("pinch", "side", "tap", "in", 2),
    "RAIN": Sign("claw", "above", "drop", "down", 2),
    "SNOW": Sign("five", "above", "float", "down", 2),
    "SUN": Sign("pinch", "above", "circle", "in"),
    "WIND": Sign("flat", "side", "sway", "in", 2),
    "CLOUD": Sign("claw", "brow", "circle", "up", 2),
    "THUNDER": Sign("fist", "shoulder", "shake", "up", 2),
    "FOG": Sign("five", "mouth", "apart", "self", 2),
    "STRONG": Sign("fist", "chest", "forward", "self"),
    "LITTLE": Sign("pinch", "chest", "shake", "lift"),
}
TIMES, PLACED, WEATHER, DEGREES = (
    ("TODAY", "TOMORROW", "NIGHT", "MORNING"),
    ("NORTH", "SOUTH", "EAST", "WEST", "MOUNTAIN", "SEA", "CITY"),
    ("RAIN", "SNOW", "SUN", "WIND", "CLOUD", "THUNDER", "FOG"),
    ("STRONG", "LITTLE", None),
)
ENGLISH = {
    "TODAY": ("today",),
    "TOMORROW": ("tomorrow",),
    "NIGHT": ("tonight", "at night", "during the night"),
    "MORNING": ("in the morning", "this morning"),
    "NORTH": ("in the north", "up north"),
    "SOUTH": ("in the south", "down south"),
    "EAST": ("in the east",),
    "WEST": ("in the west",),
    "MOUNTAIN": ("in the mountains", "on the mountains"),
    "SEA": ("at the sea", "by the sea"),
    "CITY": ("in the city", "in town"),
    "RAIN": ("rain",),
    "SNOW": ("snow",),
    "SUN": ("sun", "sunshine"),
    "WIND": ("wind",),
    "CLOUD": ("cloud",),
    "THUNDER": ("thunder",),
    "FOG": ("fog",),
    "STRONG": ("a lot of ", "much "),
    "LITTLE": ("a little ", "a bit of "),
    None: ("", "some "),
}
FRAMES = (
    "{time} there is {what} {where}",
    "{time} {where} there is {what}",
    "there is {what} {where} {time}",
    "{where} there is {what} {time}",
    "{time} it brings {what} {where}",
    "{what} {where} {time}",
)


def sample_gloss(rng: np.random.Generator) -> list[str]:
    """A sentence as signs, in their order: time, place, weather, and often how much."""
    words = [part[rng.integers(len(part))] for part in (TIMES, PLACED, WEATHER, DEGREES)]
    return [word for word in words if word]


def translations(gloss: list[str], rng: np.random.Generator, n: int = 3) -> list[str]:
    """Draws ``n`` different English sentences; each of them says every sign."""
    time, where, what, degree = gloss if len(gloss) == 4 else (*gloss, None)
    told: dict[str, None] = {}
    while len(told) < n:
        word = {name: _pick(ENGLISH[sign], rng) for name, sign in (("time", time), ("where", where), ("what", what))}
        word["what"] = _pick(ENGLISH[degree], rng) + word["what"]
        told.setdefault(_pick(FRAMES, rng).format(**word))
    return list(told)


def _pick(options, rng: np.random.Generator) -> str:
    return options[rng.integers(len(options))]

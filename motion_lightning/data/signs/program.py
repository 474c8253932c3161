"""What a drawn signer does: one movement a hand for the whole clip, and how such programs are drawn.

Left and right are the signer's own. The signer faces the viewer, unmirrored, so that the signer's left hand
is on the right of the picture.
"""

from dataclasses import asdict, dataclass

import numpy as np

HANDS = ("left", "right")
MOVEMENTS = ("stay", "circle", "up_down", "in_out", "wave", "tap_head", "raise", "push")
PERIODIC = ("circle", "up_down", "in_out", "wave", "tap_head", "push")  # these have a speed
SIZED = ("circle", "up_down", "in_out")
RATE = {"slow": 0.5, "normal": 1.0, "fast": 1.5}  # cycles a second
SIZES = ("small", "normal", "large")
DRAWN = ("slow", "normal", "normal", "fast"), ("small", "normal", "normal", "large")
SAME = 0.2  # share of programs in which both hands do the same


@dataclass(frozen=True)
class Hand:
    """The movement of one hand. A speed or size that the movement does not have is None.

    stay: no motion. circle: round a point before the chest, outwards at the bottom. up_down, in_out: to and fro before
    the chest, upright or from the side to the middle. wave: side to side beside the head. tap_head: from the chest to
    the head and back. raise: from the hip to the height of the head, once. push: towards the viewer and back.
    """

    movement: str
    speed: str | None = None
    size: str | None = None


@dataclass(frozen=True)
class SignProgram:
    """What both hands do at the same time."""

    left: Hand
    right: Hand

    @property
    def hands(self) -> tuple[Hand, Hand]:
        return self.left, self.right

    def to_dict(self) -> dict:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict) -> "SignProgram":
        return cls(*(Hand(**plain[hand]) for hand in HANDS))


def sample_program(rng: np.random.Generator) -> SignProgram:
    """Draws movements uniformly; speed and size are normal half of the time; one hand at least moves."""
    left = _sample_hand(rng)
    if rng.random() < SAME and left.movement != "stay":
        return SignProgram(left, left)
    right = _sample_hand(rng)
    while left.movement == right.movement == "stay":
        right = _sample_hand(rng)
    return SignProgram(left, right)


def _sample_hand(rng: np.random.Generator) -> Hand:
    movement = MOVEMENTS[rng.integers(len(MOVEMENTS))]
    speed, size = (options[rng.integers(len(options))] for options in DRAWN)
    return Hand(movement, speed if movement in PERIODIC else None, size if movement in SIZED else None)
